"""Every file of the catalogue is refused, with the right finding at the right byte, and quickly."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.supply.hostile import READERS, Hostile, over
from tests.supply.hostile_weights import catalogue

from badnets.supply.scan.findings import Verdict, verdict_of

CASES = catalogue()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_refused_for_the_right_reason_at_the_right_byte(case: Hostile) -> None:
    began = time.monotonic()
    findings = READERS[case.reader](over(case.content))
    assert (case.rule, case.offset) in [(finding.rule.id, finding.offset) for finding in findings], findings
    assert verdict_of(finding.rule.severity for finding in findings) is Verdict.REFUSED
    places = [-1 if finding.offset is None else finding.offset for finding in findings]
    assert places == sorted(places)
    assert all(finding.detail.isprintable() for finding in findings)
    assert time.monotonic() - began < 5


def test_the_catalogue_is_large_and_names_each_case_once() -> None:
    assert len(CASES) >= 250
    assert not [name for name, count in Counter(map(str, CASES)).items() if count > 1]
    assert len([case for case in CASES if case.family == "gadget"]) >= 80
