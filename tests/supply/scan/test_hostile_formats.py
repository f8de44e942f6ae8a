"""Every hostile file of the catalogue is refused, by the right rule at the right place."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.supply.hostile_case import Case
from tests.supply.hostile_formats import CASES, write

from badnets.supply.scan.findings import Verdict
from badnets.supply.scan.report import verdict
from badnets.supply.scan.scan import scan


def test_the_catalogue_is_large_and_its_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(CASES) >= 180


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_not_admitted(case: Case, tmp_path: Path) -> None:
    reports = scan(write(case, tmp_path))
    found = {finding.rule.id: finding for report in reports for finding in reversed(report.findings)}
    assert case.rule in found, {rule: finding.detail for rule, finding in found.items()}
    assert verdict(reports) is (Verdict.UNJUDGED if case.unjudged else Verdict.REFUSED)
    assert "reader-failed" not in found
    if case.at is not None:
        content = next(iter(case.files().values()))
        place = content.index(case.at) if isinstance(case.at, bytes) else case.at
        assert found[case.rule].offset == place
