"""Signed statements: what others' programs make of them, and that nothing else than what was signed is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from securesystemslib.dsse import Envelope as ForeignEnvelope
from securesystemslib.exceptions import VerificationError

from badnets.supply.gate.bom import bill
from badnets.supply.gate.envelope import opened, parse, render, sealed
from badnets.supply.gate.gate import BOM, POLICY
from badnets.supply.gate.verdict import EVIDENCE, SVR, VERDICT, VSA, check_verdict, read_lines
from badnets.supply.gate.waiver import Waiver, checked_waiver, seal_waiver
from badnets.supply.hub.keys import tuf_key
from badnets.supply.signing import Refused, new_key

from .bench import NOW, Bench, evidence_of

KEY, OTHER = new_key(), new_key()
SUBJECT: list[dict[str, object]] = [{"name": "a", "digest": {"sha256": "a" * 64}}]


def statements(lines: bytes) -> dict[str, dict[str, Any]]:
    found = [json.loads(envelope.payload) for envelope in read_lines(lines, "here")]
    return {one["predicateType"]: one for one in found}


def test_an_envelope_is_what_was_signed() -> None:
    envelope = sealed("urn:x", SUBJECT, {"a": 1}, KEY)
    assert parse(render(envelope).encode(), "here") == envelope
    name, statement = opened(envelope, {"other": OTHER.public_key(), "key": KEY.public_key()}, "here")
    assert (name, statement["predicate"], statement["subject"]) == ("key", {"a": 1}, SUBJECT)
    for keys in ({"other": OTHER.public_key()}, {}):
        with pytest.raises(Refused, match="is not signed by"):
            opened(envelope, keys, "here")
    changed = replace(envelope, payload=envelope.payload.replace(b'{"a":1}', b'{"a":2}'))
    with pytest.raises(Refused, match="is not signed by key"):
        opened(changed, {"key": KEY.public_key()}, "here")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"payloadType": "text/plain"}, "as 'payloadType'"),
        ({"payload": "%"}, "is not Base64"),
        ({"payload": ""}, "is empty"),
        ({"signatures": []}, "from 1 to 16 signatures"),
        ({"signatures": [{"sig": "YQ==", "x": 1}]}, "unknown name 'x'"),
        ({"more": 1}, "unknown name 'more'"),
    ],
)
def test_an_envelope_is_read_strictly(change: dict[str, object], words: str) -> None:
    value = json.loads(render(sealed("urn:x", SUBJECT, {}, KEY))) | change
    with pytest.raises(Refused, match=words):
        parse(json.dumps(value).encode(), "here")
    with pytest.raises(Refused, match="comes twice"):
        parse(b'{"payload":"YQ==","payload":"YQ=="}', "here")


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_securesystemslib_verifies_what_we_sign(curve: str) -> None:
    key = new_key(curve)
    foreign = ForeignEnvelope.from_dict(json.loads(render(sealed("urn:x", SUBJECT, {"a": 1}, key))))
    assert foreign.verify([tuf_key(key.public_key())], 1)
    with pytest.raises(VerificationError):
        foreign.verify([tuf_key(OTHER.public_key())], 1)
    foreign.payload += b" "
    with pytest.raises(VerificationError):
        foreign.verify([tuf_key(key.public_key())], 1)


def test_the_whole_verdict_of_an_admitted_model(bench: Bench) -> None:
    decision = bench.admit()
    assert decision.folder is not None
    assert decision.path is not None
    content = (decision.folder / VERDICT).read_bytes()
    assert content == (decision.path / VERDICT).read_bytes()
    for line in content.splitlines():
        ForeignEnvelope.from_dict(json.loads(line)).verify([tuf_key(bench.keys["gate"].public_key())], 1)
    found = statements(content)
    assert set(found) == {EVIDENCE, VSA, SVR}
    names = {one["name"]: one["digest"] for one in found[VSA]["subject"]}
    files = {file.name: file.sha256 for file in decision.evidence.files}
    assert {
        name.removeprefix("source/"): one["sha256"] for name, one in names.items() if name.startswith("source/")
    } == files
    assert set(names) == {
        "source/config.json", "source/weights.safetensors", "admitted/config.json", "admitted/weights.safetensors",
        "tensors/weights.safetensors",
    }  # fmt: skip
    summary, result, evidence = (found[kind]["predicate"] for kind in (VSA, SVR, EVIDENCE))
    assert summary["verificationResult"] == "PASSED"
    assert summary["policy"]["digest"] == {"sha256": bench.policy.digest}
    assert summary["verifiedLevels"][-1] == "GATE_AUDIT_FPR_0.05"
    assert {"GATE_CLOSED_GRAMMAR", "GATE_SCAN"} <= set(summary["verifiedLevels"])
    assert result["verifier"]["policies"][0]["digest"] == {"sha256": bench.policy.digest}
    assert result["properties"] == [*summary["verifiedLevels"], "GATE_HOLDS_30_DAYS"]
    assert evidence["notTested"] == ["triggers in sound"]
    (audit,) = evidence["evidence"]["audits"]
    assert (audit["seed"], audit["scores"], audit["false_positive_rate"]) == (3, ["inversion: z = 0.2"], 0.05)
    assert evidence["evidence"]["weights"][0]["isolation"]["environment"] is True
    assert summary["inputAttestations"][0]["digest"]["sha256"] == decision.folder.name


def test_in_totos_own_types_take_our_statements(bench: Bench) -> None:
    pytest.importorskip("in_toto_attestation")
    from google.protobuf.json_format import ParseDict  # noqa: PLC0415 - only where it is installed
    from in_toto_attestation.predicates.vsa.v1 import vsa_pb2  # noqa: PLC0415
    from in_toto_attestation.v1.statement import Statement  # noqa: PLC0415

    decision = bench.admit()
    assert decision.folder is not None
    for kind, plain in statements((decision.folder / VERDICT).read_bytes()).items():
        foreign = Statement.copy_from_pb(ParseDict(plain, Statement([], "", {}).pb))
        foreign.validate()
        if kind == VSA:
            # The binding of 2023 has one text where the specification has a list, and knows no newer fields.
            predicate = plain["predicate"] | {"verifiedLevels": plain["predicate"]["verifiedLevels"][0]}
            summary = ParseDict(predicate, vsa_pb2.VerificationSummary(), ignore_unknown_fields=True)
            assert summary.verification_result == "PASSED"
            assert summary.policy.digest["sha256"] == bench.policy.digest


def test_a_refused_model_has_a_failed_summary_and_no_result(bench: Bench) -> None:
    decision = bench.decide()
    assert decision.word == "undecided"
    assert decision.path is None
    assert decision.folder is not None
    found = statements((decision.folder / VERDICT).read_bytes())
    assert set(found) == {EVIDENCE, VSA}
    assert found[VSA]["predicate"]["verificationResult"] == "FAILED"
    assert found[VSA]["predicate"]["verifiedLevels"] == []
    assert not any(one["name"].startswith("admitted/") for one in found[VSA]["subject"])


def test_verdicts_that_contradict_themselves(bench: Bench) -> None:
    first, second = bench.admit(), bench.decide(bench.write_model("other", (4.0,)))
    assert first.folder is not None
    assert second.folder is not None
    keys = {"gate.pub": bench.keys["gate"].public_key()}
    good = (first.folder / VERDICT).read_bytes().splitlines()
    bad = (second.folder / VERDICT).read_bytes().splitlines()
    checked = check_verdict(b"\n".join(good), keys, "here")
    assert (checked.word, checked.signer, checked.unsafe) == ("admit", "gate.pub", False)
    for lines, words in (
        ([good[0]], "expected one statement of evidence"),
        ([*good, good[0]], "expected one statement of evidence"),
        ([good[0], bad[1]], "speak of different files"),
        ([], "expected from 1 to 8 statements"),
        ([b"{}"] * 9, "expected from 1 to 8 statements"),
    ):
        with pytest.raises(Refused, match=words):
            check_verdict(b"\n".join(lines), keys, "here")
    with pytest.raises(Refused, match="not signed by person"):
        check_verdict(b"\n".join(good), {"person": bench.keys["person"].public_key()}, "here")


def test_the_bill_of_materials_fits_its_schema(bench: Bench) -> None:
    json_validator = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415 - only where it is installed

    validator = json_validator.JsonStrictValidator(SchemaVersion.V1_6)
    admitted, refused = bench.admit(), bench.decide(bench.write_model("other", (4.0,)))
    for decision in (admitted, refused):
        assert decision.folder is not None
        text = (decision.folder / BOM).read_text()
        assert validator.validate_str(text) is None
        assert bench.policy.document == (decision.folder / POLICY).read_text()
    text = json.dumps(bill(evidence_of(), admitted.outcome))
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace("modelCard", "modelcard")) is not None, "the check can fail"


def test_every_field_of_the_bill_is_verified_or_claimed(bench: Bench) -> None:
    found = bill(evidence_of(), bench.admit().outcome)
    parts: list[Any] = [found["metadata"]["component"], *found["components"]]  # type: ignore[index,misc]
    for part in parts:
        names = {one["name"]: one["value"] for one in part["properties"]}
        for name in names:
            if not name.startswith("badnets:status:"):
                assert names[f"badnets:status:{name}"] in ("verified", "claimed")
    card = parts[0]["modelCard"]
    assert {one["name"] for one in card["properties"]} == {
        f"badnets:status:{name}" for name in card if name != "properties"
    }
    assert "not tested: triggers in sound" in card["considerations"]["technicalLimitations"]


WAIVERS = '\n[waivers]\nsigners = ["person.pub"]\nrules = ["audit"]\ndays = 10.0\n'


@pytest.mark.parametrize(
    ("changes", "signer", "words"),
    [
        ({}, "person", ""),
        ({}, "gate", "is not signed by person.pub"),
        ({"rule": "scan"}, "person", "lets nobody waive the rule 'scan'"),
        ({"expires": NOW + timedelta(days=11)}, "person", "longer than the 10 days"),
        ({"issued": NOW - timedelta(days=9), "expires": NOW}, "person", "holds from"),
        ({"issued": NOW + timedelta(hours=2)}, "person", "holds from"),
    ],
)
def test_a_waiver_counts_where_the_policy_says_so(
    bench: Bench, changes: dict[str, Any], signer: str, words: str
) -> None:
    bench.policy_file.write_text(bench.policy_file.read_text() + WAIVERS)
    made = replace(Waiver("a" * 64, "audit", "we know", NOW, NOW + timedelta(days=9)), **changes)
    envelope = seal_waiver(made, bench.keys[signer])
    if words:
        with pytest.raises(Refused, match=words):
            checked_waiver(envelope, bench.policy, NOW, "here")
    else:
        counted = checked_waiver(envelope, bench.policy, NOW, "here")
        assert (counted.model, counted.rule, counted.trusted_as) == ("a" * 64, "audit", "person.pub")


def test_another_statement_is_no_waiver(bench: Bench) -> None:
    bench.policy_file.write_text(bench.policy_file.read_text() + WAIVERS)
    kind, person = "urn:x-badnets:gate-waiver:v1", bench.keys["person"]
    model: list[dict[str, object]] = [{"name": "a", "digest": {"badnetsFilesV1": "b" * 64}}]
    for envelope in (
        sealed("urn:x", SUBJECT, {}, person),
        sealed(kind, SUBJECT, {}, person),
        sealed(kind, model, {"rule": "audit"}, person),
    ):
        with pytest.raises(Refused, match="is no waiver"):
            checked_waiver(envelope, bench.policy, NOW, "here")
