"""A source gives nothing from beyond its window, however far beyond a file claims that something lies."""

from __future__ import annotations

import pytest
from tests.supply.hostile import over


@pytest.mark.parametrize("offset", [3, 4, 2**31, 2**63 - 1, 2**63, 2**64])
def test_nothing_lies_beyond_the_window(offset: int) -> None:
    assert over(b"abc").read(offset, 10) == b""
    assert over(b"xabcx").part(1, 3, "m").read(offset, 10) == b""


def test_a_finding_never_points_beyond_the_window() -> None:
    whole = over(b"xabcx")
    assert [whole.at(place) for place in (0, 4, 5, 6, 2**64)] == [0, 4, 5, 5, 5]
    assert [whole.part(1, 3, "m").at(place) for place in (0, 3, 4)] == [1, 4, 4]
