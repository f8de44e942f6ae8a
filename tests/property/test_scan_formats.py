"""Laws of the scan on any bytes: no exception, no reader that fails, no admitted file that its own library refuses."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.supply.hostile_case import OLD_PICKLE, array, tarred, weights, zipped
from tests.supply.hostile_formats import CASES
from tests.supply.hostile_onnx import external, function, graph, model, node, number, plain, varint

from badnets.supply.scan import archives_tar, archives_zip, names, pickle_head
from badnets.supply.scan.dispatch import judge
from badnets.supply.scan.findings import Severity
from badnets.supply.scan.protobuf import Reader, WireError
from badnets.supply.scan.source import Budget, Exhausted, Limits, Source

LIMITS = Limits(seconds=20.0, inflated=2**25)
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def over(content: bytes) -> Source:
    return Source(io.BytesIO(content), 0, len(content), Budget(LIMITS))


def admitted(content: bytes, name: str) -> bool:
    """Whether the content is clean; no reader may fail on it, and every offset lies in the file or a member."""
    judged = judge(over(content), name)
    for finding in judged.findings:
        assert finding.rule.id != "reader-failed", finding.detail
        assert finding.rule.id != "bound-reached" or finding.rule.severity is Severity.UNJUDGED
        assert finding.member or finding.offset is None or 0 <= finding.offset <= len(content)
    return not judged.findings


def _deflated() -> bytes:
    return zipped({"a.npy": array(range(100)), "in/b.npy": array()}, zipfile.ZIP_DEFLATED)


def _archived() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(5), b=np.ones((2, 2)))
    return buffer.getvalue()


SEEDS: dict[str, bytes] = {
    "a.npy": array(range(9)),
    "a.npz": _archived(),
    "a.zip": _deflated(),
    "a.tar": tarred(("a.npy", tarfile.REGTYPE, array()), ("b", tarfile.DIRTYPE, b"")),
    "pax.tar": tarred(("\u00e9" * 60 + ".npy", tarfile.REGTYPE, array()), form=tarfile.PAX_FORMAT),
    "a.npy.gz": gzip.compress(array(), mtime=0),
    "m.onnx": plain(),
    "f.onnx": model(graph(node("F", domain="own")), opsets=(("", 17), ("own", 1)), more=function("F", node())),
    "e.onnx": external("w.bin", offset="0"),
    "config.json": b'{"hidden_size": 8, "layers": [1, 2.5, null], "name": "a\\u00e9"}',
    "README.md": b"# Model\n\nText.\n",
    "w.safetensors": weights(),
    "old.txt": OLD_PICKLE,
}


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, bytes]:
    """A real file with a few bytes changed, cut out, doubled or put in."""
    name = draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[name])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 12))
        kind = draw(st.sampled_from(["flip", "cut", "double", "insert"]))
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del content[at : at + length]
        elif kind == "double":
            content[at:at] = content[at : at + length]
        else:
            content[at:at] = draw(st.binary(max_size=12))
    return name, bytes(content)


@given(mutants())
@settings(quick, max_examples=700)
def test_mutants_never_fail_and_what_is_admitted_loads(mutant: tuple[str, bytes]) -> None:
    name, content = mutant
    if not admitted(content, name):
        return
    if name.endswith(".npy"):
        np.load(io.BytesIO(content), allow_pickle=False)
    elif name.endswith(".npz"):
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            assert all(arrays[key] is not None for key in arrays.files)
    elif name.endswith(".onnx"):
        onnx.checker.check_model(onnx.load_model_from_string(content))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
    elif name.endswith(".tar"):
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            assert all(member.isfile() or member.isdir() for member in tar)


@given(st.binary(max_size=600), st.sampled_from(["a", "a.npy", "a.onnx", "a.json", "a.txt", "a.zip", "a.pt", "a.gguf"]))
@settings(quick, max_examples=300)
def test_any_bytes(content: bytes, name: str) -> None:
    admitted(content, name)


@given(st.sampled_from(range(len(CASES))), st.data())
@settings(quick, max_examples=200)
def test_hostile_files_with_changes_never_fail(index: int, data: st.DataObject) -> None:
    files = CASES[index].files()
    name, content = next(iter(files.items()))
    if len(content) > 2**16:
        return
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(0, 3))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    admitted(bytes(changed), name)


@given(st.binary(max_size=200))
@quick
@example(b"\x80\x04\x95")
def test_the_walk_over_a_pickle_ends(content: bytes) -> None:
    pickle_head.walk(content)


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**29 - 1))
@quick
def test_numbers_on_the_wire(value: int, field: int) -> None:
    raw = number(field, value)
    (read,) = Reader(over(raw)).fields(0, len(raw))
    assert (read.number, read.value, read.start, read.end) == (field, value, 0, len(raw))
    with pytest.raises(WireError):
        list(Reader(over(raw[:-1] + b"\x80")).fields(0, len(raw)))


@given(st.integers(0, 2**63))
@quick
def test_varints_have_one_form(value: int) -> None:
    raw = varint(value)
    assert Reader(over(raw)).varint(0, len(raw)) == (value, len(raw))
    longer = raw[:-1] + bytes([raw[-1] | 0x80, 0])
    with pytest.raises(WireError):
        Reader(over(longer)).varint(0, len(longer))


def _members(longest: int, size: int) -> st.SearchStrategy[dict[str, bytes]]:
    """Files with names that no system takes for a device."""
    name = st.from_regex(rf"m[a-z]{{0,{longest}}}(/m[a-z]{{0,{longest}}}){{0,3}}\.npy", fullmatch=True)
    return st.dictionaries(name, st.binary(max_size=size), max_size=4)


@given(_members(8, 50), st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
@quick
def test_zip_directories_are_what_zipfile_says(files: dict[str, bytes], method: int) -> None:
    content = zipped(files, method)
    read = archives_zip.read(over(content))
    assert not read.findings
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        expected = [
            (info.filename, info.header_offset, info.file_size, info.compress_size) for info in archive.infolist()
        ]
    assert [(entry.name, entry.header, entry.size, entry.stored) for entry in read.entries] == expected


@given(_members(60, 600), st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
@quick
def test_tar_entries_are_what_tarfile_says(files: dict[str, bytes], form: int) -> None:
    content = tarred(*((name, tarfile.REGTYPE, raw) for name, raw in files.items()), form=form)
    entries, findings = archives_tar.read(over(content))
    assert not findings
    assert {entry.name: content[entry.data : entry.data + entry.size] for entry in entries} == files


@given(st.text(max_size=30))
@quick
@example("\u1680")
def test_names_that_pass_stay_in_the_folder(name: str) -> None:
    if names.fault(name) is None:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert "\\" not in name
        assert ":" not in name
        assert name.removesuffix("/").isprintable()


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
@quick
def test_lengths_that_lie_cost_nothing(count: int, length: int) -> None:
    content = struct.pack("<4sIQQQ", b"GGUF", 3, 0, count, length) + bytes(20)
    assert not admitted(content, "a.gguf")


@given(st.integers(-5, 2**40), st.integers(-5, 2**40))
@quick
def test_shapes_that_lie_are_refused(rows: int, columns: int) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(24)
    fits = rows >= 0 and columns >= 0 and rows * columns == 6
    assert admitted(content, "a.npy") == fits


def test_a_bound_stops_any_reader() -> None:
    for name, content in SEEDS.items():
        source = Source(io.BytesIO(content), 0, len(content), Budget(Limits(seconds=-1.0)))
        assert {finding.rule.id for finding in judge(source, name).findings} == {"bound-reached"}
    with pytest.raises(Exhausted):
        Budget(Limits(seconds=-1.0)).tick()
