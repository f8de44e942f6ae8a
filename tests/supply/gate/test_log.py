"""The log: appended to, whole or not, and what a check finds with and without signed statements and a head."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from badnets.errors import DataError
from badnets.supply.gate.log import FIRST, Entry, append, check, read_log, sound

from .bench import NOW


def entry(number: int, previous: str, **changes: object) -> Entry:
    made = Entry(
        number, previous, NOW, "decision", "refuse", "model", "a" * 64, ("b" * 64,), (), "c" * 64, f"{number:064x}", "",
        unsafe=False, reason="because",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def write(path: Path, count: int = 4) -> list[Entry]:
    anchors, head = [], FIRST
    for number in range(count):
        line = entry(number, head, reason=f"reason {number}")
        anchors.append(line)
        head = append(path, line)
    return anchors


def test_a_log_is_whole_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_log(path).head == FIRST
    anchors = write(path)
    history = sound(path)
    assert [one.number for one in history.entries] == [0, 1, 2, 3]
    assert check(history, anchors, history.head) == ()
    assert check(history, anchors, history.entries[2].previous) == (), "a head of earlier days is still there"
    assert len(path.read_bytes().splitlines()) == 4


def test_an_entry_must_follow(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path)
    for wrong in (entry(3, read_log(path).head), entry(4, FIRST), entry(5, read_log(path).head)):
        with pytest.raises(DataError, match="does not follow on 4 others"):
            append(path, wrong)


def test_a_torn_line_is_told_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write(path)
    whole = path.read_bytes()
    for cut in range(len(whole) - 1, len(whole) - 200, -37):
        path.write_bytes(whole[:cut])
        history = read_log(path)
        assert history.faults == ()
        assert (len(history.entries), history.torn > 0) == (3, True)
        append(path, entry(3, history.head, reason="again"))
        assert read_log(path).torn == 0
        assert [one.reason for one in sound(path).entries][3] == "again"


def test_anchors_find_a_cut_end_and_a_changed_last_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    anchors = write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    assert read_log(path).faults == (), "the lines alone cannot tell"
    (fault,) = check(read_log(path), anchors)
    assert "the log ends before entry 3" in fault
    changed = json.loads(lines[3]) | {"word": "admit"}
    path.write_bytes(b"".join(lines[:3]) + json.dumps(changed, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    assert read_log(path).faults == ()
    (fault,) = check(read_log(path), anchors)
    assert fault == "entry 3 says another word than its signed statement"


def test_a_history_written_anew_is_found_by_anchors_or_by_a_head(tmp_path: Path) -> None:
    path, other = tmp_path / "log.jsonl", tmp_path / "other.jsonl"
    anchors = write(path)
    head = read_log(path).head
    forged, last = [], FIRST
    for number in range(4):
        line = entry(number, last, statement=f"{number + 9:064x}", reason="another story")
        forged.append(line)
        last = append(other, line)
    assert any("was written anew" in fault for fault in check(read_log(other), anchors))
    assert check(read_log(other), forged) == (), "whoever can forge the statements too is not found from within"
    assert "cut off or written anew" in check(read_log(other), forged, head)[0]


def test_a_missing_statement_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    anchors = write(path)
    (fault,) = check(read_log(path), anchors[:3])
    assert fault == "entry 3: its signed statement 0000000000000000 is not in the store"
