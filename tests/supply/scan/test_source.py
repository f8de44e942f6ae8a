"""A source gives nothing from beyond its window, however far beyond a file claims that something lies."""

from __future__ import annotations

import pytest
from tests.supply.hostile import over
from tests.supply.weights_files import Ends, archive, members

from badnets.supply.scan import torch_zip


@pytest.mark.parametrize("offset", [3, 4, 2**31, 2**63 - 1, 2**63, 2**64])
def test_nothing_lies_beyond_the_window(offset: int) -> None:
    assert over(b"abc").read(offset, 10) == b""
    assert over(b"xabcx").part(1, 3, "m").read(offset, 10) == b""


@pytest.mark.parametrize("place", [2**31, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_locator_that_points_beyond_every_file_is_a_finding(place: int) -> None:
    """Found by fuzzing: an offset that no system can seek to came out as an exception."""
    assert torch_zip.check(over(archive(members(), ends=Ends(locator=place))))
