"""Signatures written once, by us and by the reference implementation, that must verify for ever."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from badnets.supply.signing import Roots, Verification, read_bundle, read_certificates, read_public_key, verify
from badnets.supply.signing.verify import Trust

GOLDEN = Path(__file__).with_name("signing")
SIGNATURES = sorted(GOLDEN.glob("*.sig"))
DURING, AFTER = datetime(2026, 7, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


def trust_of(signature: Path, at: datetime = DURING) -> Trust:
    what = signature.stem.partition("-")[2]
    if what == "certificate":
        return Roots(read_certificates(GOLDEN / "root.pem"), at)
    return read_public_key(GOLDEN / f"{what if what.startswith('p-') else 'p-256'}.pub")


def judge(signature: Path, model: Path, at: datetime = DURING) -> Verification:
    what = model / "weights.bin" if signature.stem.endswith("-file") else model
    return verify(what, read_bundle(signature), trust_of(signature, at))


def test_none_is_lost() -> None:
    kinds = ["certificate", "file", "p-256", "p-384", "p-521", "shards"]
    assert [path.stem for path in SIGNATURES] == [f"{who}-{what}" for who in ("ours", "reference") for what in kinds]


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda path: path.stem)
def test_it_verifies(signature: Path) -> None:
    found = judge(signature, GOLDEN / "model")
    assert found.ok, found
    assert found.files == (1 if signature.stem.endswith("-file") else 4)


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda path: path.stem)
def test_it_covers_every_byte(signature: Path, tmp_path: Path) -> None:
    model = shutil.copytree(GOLDEN / "model", tmp_path / "model")
    content = (model / "weights.bin").read_bytes()
    for at in (0, 999, 1000, 2559):
        (model / "weights.bin").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        (fault,) = judge(signature, model).mismatches
        assert fault.fault == "changed"


@pytest.mark.parametrize("signature", [path for path in SIGNATURES if "certificate" in path.stem], ids=lambda p: p.stem)
def test_a_certificate_does_not_outlive_its_time(signature: Path) -> None:
    assert "expired on 2027-01-01" in str(judge(signature, GOLDEN / "model", AFTER).refusal)
