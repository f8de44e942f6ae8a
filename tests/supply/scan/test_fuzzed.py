"""What fuzzing of the readers found, for ever refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tests.supply.hostile import over
from tests.supply.hostile_case import OLD_PICKLE, zipped
from tests.supply.weights_files import Ends, archive, members
from tests.supply.weights_files import torch_zip as torch_zip_file

from badnets.supply.scan import torch_zip
from badnets.supply.scan.findings import Verdict
from badnets.supply.scan.scan import scan


@pytest.mark.parametrize("place", [2**31, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_locator_that_points_beyond_every_file_is_a_finding(place: int) -> None:
    """An offset that no system can seek to came out as an exception."""
    findings = torch_zip.check(over(archive(members(), ends=Ends(locator=place))))
    assert ("zip-directory", 1535) in {(finding.rule.id, finding.offset) for finding in findings}


def test_a_directory_of_no_entries_hides_no_bytes(tmp_path: Path) -> None:
    """An end record may say that everything before it is a directory of nothing."""
    hidden = b"PK\3\4" + OLD_PICKLE
    record = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, len(hidden), 0, 0)
    (tmp_path / "a.zip").write_bytes(hidden + record)
    (report,) = scan(tmp_path / "a.zip")
    assert report.verdict is Verdict.REFUSED
    assert [(finding.rule.id, finding.offset, finding.length) for finding in report.findings] == [
        ("archive-gap", 0, len(hidden))
    ]


def test_an_archive_of_nothing_is_none_of_these(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0))
    assert scan(tmp_path / "a.zip")[0].verdict is Verdict.CLEAN


@pytest.mark.parametrize(("mark", "rule"), [(b"PK\1\2", "archive-method"), (b"PK\3\4", "archive-differs")])
def test_a_member_that_needs_a_format_of_the_future_is_refused(mark: bytes, rule: str, tmp_path: Path) -> None:
    """No field of the headers is left unread: Python's own reader stops at this one."""
    content = bytearray(zipped({"notes.txt": b"fine\n"}))
    content[content.index(mark) + (6 if mark == b"PK\1\2" else 4)] = 148
    (tmp_path / "a.zip").write_bytes(content)
    (report,) = scan(tmp_path / "a.zip")
    assert [finding.rule.id for finding in report.findings] == [rule]


@pytest.mark.parametrize("place", [2**16, 2**31])
def test_a_header_that_is_said_to_lie_beyond_the_file_is_found_within_it(place: int) -> None:
    """The finding repeated the lie: an offset that the file does not have."""
    good = torch_zip_file()
    plain = good[: good.rindex(b"PK\6\6")] + good[good.rindex(b"PK\5\6") :]
    at = plain.index(b"PK\1\2") + 42
    content = plain[:at] + struct.pack("<I", place) + plain[at + 4 :]
    (finding,) = [one for one in torch_zip.check(over(content)) if one.rule.id == "zip-directory"]
    assert finding.offset == len(content)
    assert f"no header of its own at {place:,}" in finding.detail
