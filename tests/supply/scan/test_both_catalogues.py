"""The weights' catalogue through the scan itself: what recognition hands to which reader, and nothing admitted."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from tests.supply import benign_weights
from tests.supply.hostile import Hostile
from tests.supply.hostile_weights import catalogue

from badnets.supply.scan.findings import Verdict
from badnets.supply.scan.scan import scan

# A scan does not look at every number: what needs that is judged with `finite` only.
HOSTILE = [case for case in catalogue() if "finite" not in case.reader]


@functools.cache
def _names() -> set[str]:
    return {str(case) for case in HOSTILE}


def test_the_catalogue_is_there() -> None:
    assert len(_names()) >= 180


@pytest.mark.parametrize(("name", "content"), [*benign_weights.benign()])
def test_weights_of_real_writers_are_clean(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    (report,) = scan(path)
    assert report.verdict is Verdict.CLEAN, (name, report.format, report.findings)


@pytest.mark.parametrize("length", range(64, 2**11, 32))
def test_a_header_of_any_length_is_no_pickle(length: int, tmp_path: Path) -> None:
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.ljust(length)
    (tmp_path / "w").write_bytes(length.to_bytes(8, "little") + header + bytes(8))
    assert scan(tmp_path / "w")[0].verdict is Verdict.CLEAN


@pytest.mark.parametrize("case", HOSTILE, ids=str)
def test_not_admitted(case: Hostile, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(case.content)
    (report,) = scan(path)
    assert report.verdict is Verdict.REFUSED, (report.format, report.findings)
    assert "reader-failed" not in {finding.rule.id for finding in report.findings}
