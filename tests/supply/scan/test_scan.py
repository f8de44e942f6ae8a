"""What the scan does besides reading formats: opening, hashing, bounds, failures, folders."""

from __future__ import annotations

import hashlib
import io
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from tests.supply.hostile_case import OLD_PICKLE, array, tarred, weights, zipped
from tests.supply.hostile_onnx import external

from badnets.errors import InputError
from badnets.supply.scan import dispatch, folder, refused
from badnets.supply.scan import scan as scanner
from badnets.supply.scan.findings import FileReport, Finding, Verdict
from badnets.supply.scan.report import as_plain, verdict
from badnets.supply.scan.scan import scan
from badnets.supply.scan.source import Budget, Exhausted, Limits, Source


def only(path: Path, limits: Limits | None = None) -> FileReport:
    (report,) = scan(path, limits=limits)
    return report


def ids(report: FileReport) -> list[str]:
    return [finding.rule.id for finding in report.findings]


def test_a_clean_file_has_its_digest_and_size(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights())
    report = only(tmp_path / "w.safetensors")
    assert (report.verdict, report.format, report.size) == (Verdict.CLEAN, "safetensors", len(weights()))
    assert report.sha256 == hashlib.sha256(weights()).hexdigest()
    assert report.path == str(tmp_path / "w.safetensors")


def test_nothing_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*no\.pt"):
        scan(tmp_path / "no.pt")


def test_progress_is_told_of_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("a")
    (tmp_path / "b.md").write_text("b")
    told: list[FileReport] = []
    assert scan(tmp_path, progress=told.append) == told
    assert [report.path for report in told] == ["a.md", "b.md"]
    told.clear()
    scan(tmp_path / "a.md", progress=told.append)
    assert len(told) == 1


def test_links_pipes_sockets_and_devices_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights())
    (tmp_path / "link").symlink_to("w.safetensors")
    (tmp_path / "out").symlink_to("/etc/passwd")
    (tmp_path / "up").symlink_to("../x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        found = {report.path: (report.verdict, ids(report)) for report in scan(tmp_path)}
    unjudged, refused = Verdict.UNJUDGED, Verdict.REFUSED
    assert found == {
        "w.safetensors": (Verdict.CLEAN, []), "link": (unjudged, ["link"]), "loop": (unjudged, ["link"]),
        "out": (refused, ["link-outside"]), "up": (refused, ["link-outside"]), "folder": (refused, ["link-outside"]),
        "pipe": (unjudged, ["no-plain-file"]), "socket": (unjudged, ["no-plain-file"]),
    }  # fmt: skip
    assert ids(only(tmp_path / "link")) == ["link"]
    assert ids(only(tmp_path / "folder")) == ["link"]
    assert ids(only(tmp_path / "pipe")) == ["no-plain-file"]
    assert ids(only(Path("/dev/null"))) == ["no-plain-file"]


def test_what_cannot_be_read_is_unjudged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights())

    def deny(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    report = only(tmp_path / "w.safetensors")
    assert (report.verdict, ids(report), report.sha256) == (Verdict.UNJUDGED, ["unreadable"], None)


def test_a_file_that_vanishes_is_unjudged(tmp_path: Path) -> None:
    report = scanner.scan_file(tmp_path / "gone", Limits(), name="gone", shown="gone")
    assert ids(report) == ["unreadable"]
    assert scanner._target(tmp_path / "gone") == "?"


def test_a_file_that_changes_is_unjudged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights())
    honest = scanner._digest

    def slow(raw: io.FileIO, budget: Budget) -> str:
        path.write_bytes(weights() + b"more")
        return honest(raw, budget)

    monkeypatch.setattr(scanner, "_digest", slow)
    report = only(path)
    assert (report.verdict, ids(report), report.sha256) == (Verdict.UNJUDGED, ["changed-while-read"], None)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), Exhausted("no end")])
def test_a_disk_that_fails_while_hashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights())

    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr(scanner, "_digest", fail)
    report = only(tmp_path / "w.safetensors")
    assert (report.verdict, report.sha256) == (Verdict.UNJUDGED, None)


@pytest.mark.parametrize(
    "error", [ValueError("oops"), RecursionError(), MemoryError(), KeyError("x"), OSError(5, "I/O")]
)
def test_a_reader_that_fails_leaves_the_file_unjudged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> list[Finding]:
        raise error

    monkeypatch.setitem(dispatch.READERS, "npy", fail)
    (tmp_path / "a.npy").write_bytes(array())
    report = only(tmp_path / "a.npy")
    assert (report.verdict, ids(report), report.format) == (Verdict.UNJUDGED, ["reader-failed"], "npy")
    (tmp_path / "a.zip").write_bytes(zipped({"in/a.npy": array(), "b.pkl": OLD_PICKLE}))
    report = only(tmp_path / "a.zip")
    assert report.verdict is Verdict.REFUSED
    assert [finding.member for finding in report.findings if finding.rule.id == "reader-failed"] == ["in/a.npy"]


@pytest.mark.parametrize(
    ("limits", "content", "name"),
    [
        (Limits(seconds=-1.0), weights(), "w.safetensors"),
        (Limits(members=1), zipped({"a.npy": array(), "b.npy": array()}), "a.zip"),
        (Limits(members=1), tarred(("a.npy", b"0", array()), ("b.npy", b"0", array())), "a.tar"),
        (Limits(depth=1), zipped({"a.zip": zipped({"b.npy": array()})}), "a.zip"),
        (Limits(inflated=10), zipped({"a.npy": array()}, 8), "a.npz"),
        (Limits(read=2**16), b'{"a": "' + b"a" * 2**17 + b'"}', "a.json"),
    ],
)
def test_bounds_leave_it_unjudged(tmp_path: Path, limits: Limits, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert only(tmp_path / name).verdict is Verdict.CLEAN
    report = only(tmp_path / name, limits)
    assert (report.verdict, "bound-reached" in ids(report)) == (Verdict.UNJUDGED, True)


def test_time_grows_with_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "sparse.bin").open("wb") as file:
        file.truncate(2**27)
    allowed: list[float] = []

    def note(source: Source, name: str) -> dispatch.Judged:
        allowed.append(source.budget.limits.seconds)
        return dispatch.Judged(name, [])

    monkeypatch.setattr(scanner, "judge", note)
    only(tmp_path / "sparse.bin", Limits(seconds=1.0))
    assert allowed == [3.0]


def test_findings_are_cut_but_not_what_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = [Finding(dispatch.CUT, "note")] * 2000
    worst = Finding(refused.POLYGLOT, "bad")
    monkeypatch.setitem(dispatch.READERS, "npy", lambda _source, _name: [*notes, worst])
    (tmp_path / "a.npy").write_bytes(array())
    report = only(tmp_path / "a.npy")
    assert report.verdict is Verdict.REFUSED
    assert len(report.findings) == 1001
    assert report.findings[-1].detail == "1,001 more"


def test_an_empty_folder_is_nothing_to_judge(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    report = only(tmp_path)
    assert (report.verdict, ids(report)) == (Verdict.UNJUDGED, ["folder-empty"])


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights())
    (tmp_path / "locked").mkdir()
    honest = os.scandir

    def deny(path: Path) -> object:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return honest(path)

    monkeypatch.setattr(os, "scandir", deny)
    assert {report.path: ids(report) for report in scan(tmp_path)} == {"locked": ["unreadable"], "w.safetensors": []}


def test_folders_have_bounds(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(45):
        deep = deep / "d"
        deep.mkdir()
    (deep / "hidden.pkl").write_bytes(OLD_PICKLE)
    assert ids(only(tmp_path)) == ["bound-reached"]
    for number in range(5):
        (tmp_path / f"{number}.md").write_text("a")
    assert "bound-reached" in {id_ for report in scan(tmp_path, limits=Limits(members=3)) for id_ in ids(report)}


def test_names_of_any_bytes(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/w\xff.safetensors", "wb") as file:  # noqa: PTH123 - Path takes no bytes
        file.write(weights())
    report = only(tmp_path)
    assert (report.path, ids(report)) == ("w\\xff.safetensors", ["archive-name"])


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (bytes(8), {"m.onnx": [], "w.bin": []}),
        (bytes(16), {"m.onnx": [], "w.bin": []}),
        (bytes(8) + b"\x80\x02evil", {"m.onnx": [], "w.bin": ["unknown-format"]}),
        (bytes(8 + 2**17), {"m.onnx": [], "w.bin": ["unknown-format"]}),
        (bytes(7), {"m.onnx": ["shard-missing"], "w.bin": ["unknown-format"]}),
        (None, {"m.onnx": ["shard-missing"]}),
        (b"\x7fELF" + bytes(4), {"m.onnx": [], "w.bin": ["native-code"]}),
    ],
)
def test_weights_beside_an_onnx_model(tmp_path: Path, other: bytes | None, expected: dict[str, list[str]]) -> None:
    (tmp_path / "m.onnx").write_bytes(external("w.bin"))
    if other is not None:
        (tmp_path / "w.bin").write_bytes(other)
    assert {report.path: ids(report) for report in scan(tmp_path)} == expected


def test_weights_behind_a_link_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(external("w.bin"))
    (tmp_path / "w.bin").symlink_to("/etc/passwd")
    found = {report.path: ids(report) for report in scan(tmp_path)}
    assert found == {"m.onnx": ["shard-missing"], "w.bin": ["link-outside"]}


def test_what_vanishes_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").write_bytes(external("w.bin"))
    (tmp_path / "w.bin").write_bytes(bytes(8))
    (tmp_path / "a.index.json").write_text('{"weight_map": {"w": "m.onnx"}}')

    def gone(*_: object) -> object:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(folder, "_reopened", gone)
    found = {report.path: ids(report) for report in scan(tmp_path)}
    assert found["m.onnx"][-1] == found["a.index.json"][-1] == "changed-while-read"


def test_the_verdict_of_all_and_its_plain_form(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("a")
    assert as_plain(scan(tmp_path))["verdict"] == "clean"
    os.mkfifo(tmp_path / "pipe")
    assert verdict(scan(tmp_path)) is Verdict.UNJUDGED
    (tmp_path / "w.pkl").write_bytes(OLD_PICKLE)
    reports = scan(tmp_path)
    assert verdict(reports) is Verdict.REFUSED
    assert verdict([]) is Verdict.UNJUDGED
    plain = as_plain(reports)
    files = plain["files"]
    assert isinstance(files, list)
    assert [file["verdict"] for file in files] == ["clean", "unjudged", "refused"]
    assert files[2]["findings"][0]["offset"] == 0


def test_sources_bound_what_they_hand_out() -> None:
    budget = Budget(Limits(read=4))
    source = Source(io.BytesIO(b"0123456789"), 2, 6, budget)
    assert source.read(4, 4) == b"67"
    assert b"".join(source.pieces(1, 100, 2)) == b"34567"
    with pytest.raises(Exhausted):
        source.read(0, 5)
    inner = source.part(1, 2, "a").part(1, 1, "b")
    assert (inner.member, inner.depth, inner.at(0), inner.read(0, 1)) == ("a!/b", 2, 4, b"4")
    assert (source.depth, replace(Limits(), depth=1).depth) == (0, 1)
