"""The weights' catalogue through the scan itself: what recognition hands to which reader, and nothing admitted."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
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


@pytest.mark.parametrize("case", HOSTILE, ids=str)
def test_not_admitted(case: Hostile, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(case.content)
    (report,) = scan(path)
    assert report.verdict is Verdict.REFUSED, (report.format, report.findings)
    assert "reader-failed" not in {finding.rule.id for finding in report.findings}
