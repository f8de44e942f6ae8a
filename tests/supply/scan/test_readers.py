"""Faults that only a crafted file has, each given to its reader by itself: the rule, and where it was found."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import onnx
import pytest
import torch
from onnx import defs
from tests.supply.hostile_case import OLD_PICKLE, array, edited, tarred, zipped
from tests.supply.hostile_onnx import attribute, block, function, graph, model, node, number, tensor, value, varint
from tests.supply.hostile_texts import _text, gguf

from badnets.supply.scan import (
    archives,
    archives_tar,
    archives_zip,
    names,
    npy,
    onnx_ops,
    onnx_schema,
    pickle_head,
    pictures,
    refused_gguf,
)
from badnets.supply.scan import onnx as models
from badnets.supply.scan.inflate import inflate
from badnets.supply.scan.onnx_messages import Messages
from badnets.supply.scan.recognise import recognise
from badnets.supply.scan.source import Budget, Exhausted, Limits, Source

NAME = b"a.npy"


def over(content: bytes, limits: Limits | None = None) -> Source:
    return Source(io.BytesIO(content), 0, len(content), Budget(limits or Limits()))


def _zip64() -> bytes:
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2)}, buffer)
    return buffer.getvalue()


def _patched(content: bytes, mark: bytes, offset: int, raw: bytes) -> bytes:
    at = content.rindex(mark) + offset
    return content[:at] + raw + content[at + len(raw) :]


def _plain() -> bytes:
    return zipped({"a.npy": array()})


def _with_extra(kind: int, body: bytes) -> bytes:
    info = zipfile.ZipInfo("a.npy")
    info.extra = struct.pack("<HH", kind, len(body)) + body
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, array())
    return buffer.getvalue()


def _said_twice(more: int = 0) -> bytes:
    """As Python before 3.11.4 wrote large members, and numpy all: sizes in the local header and beside it again."""
    data, name, time = array(), b"a.npy", 0x21 << 16
    crc, size = zlib.crc32(data), len(data)
    local = struct.pack("<4s3H4I2H", b"PK\3\4", 45, 0, 0, time, crc, size, size, len(name), 20)
    local += name + struct.pack("<HHQQ", 1, 16, size + more, size) + data
    central = struct.pack("<4s4H4I5H2I", b"PK\1\2", 45, 45, 0, 0, time, crc, size, size, len(name), 0, 0, 0, 0, 0, 0)
    central += name
    return local + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def _described(signed: bool) -> bytes:  # noqa: FBT001 - a case of two
    """Written to a pipe: a descriptor after the bytes, whose signature may be broken."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise io.UnsupportedOperation

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        archive.writestr("a.npy", array())
    return pipe.getvalue() if signed else edited(pipe.getvalue(), (b"PK\7\x08", b"PK\7\x09"))


def _appended() -> bytes:
    """A zip file behind other bytes, with all offsets counted from their start."""
    buffer = io.BytesIO(b"PK\3\4 and other bytes")
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("a.npy", array())
    return buffer.getvalue()


def _folder_with_bytes() -> bytes:
    return edited(zipped({"folder_": b"bytes"}), (b"folder_", b"folder/"))


def _wider_directory() -> bytes:
    """The directory is said to be longer than its entries."""
    content = _plain()
    end = content.rindex(b"PK\5\6")
    size = struct.unpack("<I", content[end + 12 : end + 16])[0]
    return content[:end] + b"evil" + content[end : end + 12] + struct.pack("<I", size + 4) + content[end + 16 :]


ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "two records": (lambda: _patched(_zip64(), b"PK\5\6", 8, struct.pack("<HH", 1, 1)), "archive-malformed"),
    "record elsewhere": (lambda: _patched(_zip64(), b"PK\6\7", 8, struct.pack("<Q", 1)), "archive-malformed"),
    "record of another length": (lambda: _patched(_zip64(), b"PK\6\6", 4, struct.pack("<Q", 45)), "archive-malformed"),
    "no locator": (lambda: _patched(_plain(), b"PK\5\6", 16, b"\xff" * 4), "archive-malformed"),
    "several disks": (lambda: _patched(_plain(), b"PK\5\6", 4, b"\1\0"), "archive-malformed"),
    "wrong size": (lambda: _patched(_plain(), b"PK\5\6", 12, b"\1\0"), "archive-malformed"),
    "more entries than there are": (lambda: _patched(_plain(), b"PK\5\6", 8, b"\2\0\2\0"), "archive-malformed"),
    "no entries": (lambda: _patched(_plain(), b"PK\5\6", 8, b"\0\0\0\0"), "archive-gap"),
    "a comment of an entry": (lambda: _patched(_plain(), b"PK\1\2", 32, b"\1\0"), "archive-extra"),
    "an entry past the directory": (lambda: _patched(_plain(), b"PK\1\2", 28, b"\xff\0"), "archive-malformed"),
    "bytes in the directory": (_wider_directory, "archive-gap"),
    "an unknown extra field": (lambda: _with_extra(0xCAFE, b""), "archive-extra"),
    "sizes said twice, not the same": (lambda: _said_twice(1), "archive-extra"),
    "a short zip64 field": (lambda: _with_extra(1, b"12345678"), "archive-extra"),
    "a header elsewhere": (lambda: _patched(_plain(), b"PK\1\2", 42, b"\1\0"), "archive-malformed"),
    "into the directory": (
        lambda: edited(_plain(), (struct.pack("<II", len(array()), len(array())), struct.pack("<II", 900, 900))),
        "archive-overlap",
    ),
    "another size": (
        lambda: edited(_plain(), (struct.pack("<II", len(array()), len(array())), struct.pack("<II", len(array()), 9))),
        "archive-malformed",
    ),
    "no descriptor": (lambda: _described(signed=False), "archive-malformed"),
    "a folder with bytes": (_folder_with_bytes, "archive-malformed"),
    "old letters": (lambda: edited(zipped({"\u00e9.npy": b""}), (b"\x00\x08\x00\x00", bytes(4))), "archive-name"),
    "bytes before the first entry": (_appended, "archive-gap"),
    "nothing": (lambda: b"PK\3\4", "archive-malformed"),
}  # fmt: skip


@pytest.mark.parametrize("name", ZIPS)
def test_zip_directories(name: str) -> None:
    content, rule = ZIPS[name]
    found = archives_zip.read(over(content())).findings
    assert rule in [finding.rule.id for finding in found]
    assert all(finding.offset is not None and 0 <= finding.offset <= len(content()) for finding in found)


def test_zip_files_that_are_fine() -> None:
    for content in (
        _zip64(),
        _said_twice(),
        _described(signed=True),
        _with_extra(0x5455, b"\1\0\0\0\0"),
        b"PK\5\6" + bytes(18),
    ):
        findings = [
            finding for finding in archives_zip.read(over(content)).findings if finding.rule.id != "archive-extra"
        ]
        assert content == _zip64() or not findings
    assert not archives_zip.read(over(_said_twice())).findings


def test_a_tail_that_lenient_readers_find() -> None:
    assert archives_zip.tail(over(b"text" + _zip64())) is not None
    assert archives_zip.tail(over(b"text" + _plain() + b"more")) == 4 + _plain().rindex(b"PK\5\6")
    assert archives_zip.tail(over(b"text PK\5\6" + bytes(18))) is None
    assert archives_zip.tail(over(b"text PK\5\6" + b"\1" * 18)) is None
    assert archives_zip.names_of(over(b"PK\5\6")) == []
    with pytest.raises(Exhausted):
        archives_zip.read(over(zipped({str(n): b"" for n in range(9)}), Limits(members=3)))


def _header(**changes: tuple[int, bytes]) -> bytes:
    content = bytearray(tarred(("a.npy", tarfile.REGTYPE, array())))
    for at, raw in changes.values():
        content[at : at + len(raw)] = raw
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    return bytes(content)


def _pax(body: bytes) -> bytes:
    head = tarfile.TarInfo("x")
    head.type, head.size = b"x", len(body)
    padded = body.ljust(-(-len(body) // 512) * 512, b"\0")
    return head.tobuf(tarfile.USTAR_FORMAT) + padded + tarred(("a.npy", tarfile.REGTYPE, array()))


TARS = {
    "one block of zeros": (tarred(("a", tarfile.REGTYPE, b""))[:1024], "archive-malformed"),
    "a pax header without a file": (_pax(b"11 mtime=1\n")[:1024] + bytes(1024), "archive-malformed"),
    "no number for a size": (_header(size=(124, b"zzzzzzzzzzz\0")), "archive-malformed"),
    "a huge size": (_header(size=(124, b"\x80" + b"\xff" * 11)), "archive-malformed"),
    "a pax line too long": (_pax(b"99 mtime=1\n"), "archive-malformed"),
    "a pax size": (_pax(b"12 size=100\n"), "archive-entry"),
    "a pax key twice": (_pax(b"11 mtime=1\n11 mtime=1\n"), "archive-entry"),
    "bytes after a file": (_header(tail=(512 + 140, b"evil")), "archive-gap"),
    "a folder with bytes": (_header(kind=(156, b"5")), None),
}


@pytest.mark.parametrize("name", TARS)
def test_tar_headers(name: str) -> None:
    content, rule = TARS[name]
    entries, findings = archives_tar.read(over(content))
    assert next((finding.rule.id for finding in reversed(findings)), None) == rule
    if rule is None:
        assert entries[0].is_folder
        assert [item.rule.id for item in archives.check_tar(over(content), lambda *_: [])] == ["archive-malformed"]


def test_tar_names_and_bounds() -> None:
    long = "m/" * 70 + "a.npy"
    entries, findings = archives_tar.read(over(tarred((long, tarfile.REGTYPE, b""))))
    assert ([entry.name for entry in entries], findings) == ([long], [])
    with pytest.raises(Exhausted, match="a tar header of"):
        archives_tar.read(over(_pax(b"a" * 70_000)))


@pytest.mark.parametrize(("size", "detail"), [(3, "more than the 3 bytes"), (99, "5 bytes instead of 99")])
def test_inflating_to_another_size(size: int, detail: str) -> None:
    with inflate(over(zlib.compress(b"12345")), "zlib", size=size) as out:
        assert out.source is None
        assert detail in out.findings[0].detail


def test_inflating_broken_and_greedy_streams() -> None:
    for kind, content in (
        ("xz", lzma.compress(b"1")[:-3] + b"abc"),
        ("bzip2", b"BZh9no"),
        ("lzma", b"\x5d\0\0\0\1" + b"\0" * 9),
    ):
        with inflate(over(content), kind) as out:
            assert [finding.rule.id for finding in out.findings] == ["inflate-broken"]
    greedy = lzma.compress(b"1", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**29}])
    with pytest.raises(Exhausted, match="memory"), inflate(over(greedy), "xz"):
        pass


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a" * 5000, "archive-name"),
        ("", "archive-name"),
        ("a//b", "archive-name"),
        ("./a", "archive-name"),
        ("a/b/", None),
    ],
)
def test_names(name: str, rule: str | None) -> None:
    fault = names.fault(name)
    assert (fault[0].id if fault else None) == rule


def test_types_of_arrays_that_do_not_exist() -> None:
    for descr in ("<i16", "<f32", ">c4", "|i4", "<U0", "=f4", "<f3"):
        header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (0,), }}\n".encode()
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
        (found,) = npy.check(over(content))
        assert (found.rule.id, found.offset) == ("npy-dtype", content.index(b"'" + descr.encode()))


def _chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_pictures() -> None:
    start, end = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", bytes(13)), _chunk(b"IEND")
    assert pictures.check(over(start + _chunk(b"tEXt", b"a") + end)) == []
    wrong = start + _chunk(b"IDAT", b"a")[:-1] + b"!" + end
    strange = start + _chunk(b"evIL") + end
    longer = start + end + OLD_PICKLE
    for content, at in ((wrong, len(start)), (strange, len(start)), (longer, len(start + end)), (start, len(start))):
        assert [(found.rule.id, found.offset) for found in pictures.check(over(content))] == [("picture-malformed", at)]


def _type(content: bytes) -> bytes:
    return model(graph(node(), more=block(13, block(1, "t") + block(2, content))))


BRANCH = attribute("then_branch", 5, block(6, graph(node(outputs="z"), inputs="", outputs="z")))
ONNX = {
    "a packed shape": (model(graph(node(), tensors=(block(1, b"\1\2") + number(2, 1) + block(8, "w") + block(9,
        bytes(8)),))), None),
    "a map without keys": (_type(block(5, block(2, block(1, number(1, 1))))), "onnx-field"),
    "a map of nothing": (_type(block(5, number(1, 7))), "onnx-field"),
    "a list of nothing": (_type(block(4, b"")), "onnx-field"),
    "no type at all": (_type(block(6, "word")), "onnx-field"),
    "two types": (_type(block(1, number(1, 1)) + block(4, block(1, b""))), "onnx-field"),
    "an element that is none": (_type(block(1, number(1, 99))), "onnx-field"),
    "a negative dimension": (_type(block(1, number(1, 1) + block(2, block(1, number(1, -3))))), "onnx-field"),
    "a dimension of two kinds": (_type(block(1, number(1, 1) + block(2, block(1, number(1, 3) + block(2, "N"))))),
        "onnx-field"),
    "a map": (_type(block(5, number(1, 7) + block(2, block(1, number(1, 1))))), None),
    "a value without a name": (model(graph(node(), more=block(13, block(3, "t")))), "onnx-graph"),
    "an input without a type": (model(graph(node(), more=block(11, block(1, "t")))), "onnx-graph"),
    "an input twice": (model(graph(node(), more=block(11, value("x")))), "onnx-graph"),
    "a node of nothing": (model(graph(node(inputs="", outputs=""))), "onnx-graph"),
    "a graph without a name": (model(block(1, node()) + block(11, value("x"))), "onnx-graph"),
    "no graph": (number(1, 8) + block(8, number(2, 17)), "onnx-graph"),
    "an initializer without a name": (model(graph(node(), tensors=(tensor("", data=bytes(8)),))), "onnx-graph"),
    "an initializer without an input": (model(graph(node(), tensors=(tensor(data=bytes(8)),)), version=3),
        "onnx-graph"),
    "a key twice": (model(graph(node()), more=block(14, block(1, "k")) * 2), "onnx-field"),
    "a note on quantities": (model(graph(node(), more=block(14, block(1, "x")))), None),
    "a long text": (model(graph(node()), more=block(6, "a" * (2**20 + 1))), "onnx-text"),
    "a text longer than the window": (model(graph(node()), more=block(6, "a" * 2**17)), None),
    "an attribute of another type": (model(graph(node(more=attribute("a", 1, number(3, 5))))), "onnx-field"),
    "a reference outside a function": (model(graph(node(more=attribute("a", 1, block(21, "b"))))), "onnx-field"),
    "a type as an attribute": (
        model(graph(node("Optional", inputs="", more=attribute("type", 13, block(14, block(1, number(1, 1))))))), None,
    ),
    "types as an attribute": (
        model(graph(node(more=attribute("a", 14, block(15, block(1, number(1, 1))))))), "onnx-operator",
    ),
    "another operator set in a function": (
        model(graph(node()), opsets=(("", 17), ("own", 1)), more=function("F", node(), opsets=(("", 16),))),
            "onnx-opset",
    ),
    "a function in a function": (
        model(graph(node("F", domain="own")), opsets=(("", 17), ("own", 1)),
              more=function("F", node("G", domain="own"), opsets=(("own", 1),)) + function("G", node())), None,
    ),
    "a value in a function": (
        model(graph(node()), opsets=(("", 17), ("own", 1)), more=block(25, block(1, "F") + block(9, number(2, 17))
              + block(10, "own") + block(4, "x") + block(5, "x") + block(12, value("v")))), None,
    ),
    "an overload of a standard operator": (model(graph(node(more=block(8, "v")))), "onnx-operator"),
    "a required attribute": (model(graph(node("If", more=BRANCH))), "onnx-operator"),
    "numbers without an end": (
        model(graph(node(), tensors=(number(1, 1) + number(2, 6) + block(8, "w") + block(5, b"\x80" * 4),))),
            "onnx-malformed",
    ),
    "numbers of eleven bytes": (
        model(graph(node(), tensors=(number(1, 1) + number(2, 6) + block(8, "w") + block(5, b"\x80" * 10 + b"\1"),))),
        "onnx-malformed",
    ),

           "a number past 64 bits": (model(graph(node()))[:0] + varint(
        1 << 3) + b"\xff" * 9 + b"\x7f" + model(graph(node())), None),
}  # fmt: skip


@pytest.mark.parametrize("name", ONNX)
def test_onnx_messages(name: str) -> None:
    content, rule = ONNX[name]
    found = models.check(over(content))
    if name == "a number past 64 bits":
        assert [finding.rule.id for finding in found] == ["onnx-malformed"]
        return
    assert [finding.rule.id for finding in found] == ([rule] if rule else [])


def test_packed_numbers_are_read_across_pieces() -> None:
    raw = b"".join(varint(n) for n in range(300_000))
    content = model(graph(node(), tensors=(number(1, 300_000) + number(2, 7) + block(8, "w") + block(7, raw),)))
    assert models.check(over(content)) == []
    read = Messages(over(block(5, raw)))
    message = read.read("TensorProto", 0, len(block(5, raw)))
    assert read.count(message, "int32_data") == 300_000


def test_operators_are_those_of_the_installed_onnx() -> None:
    letters = {name: letter for name, (_, letter) in {
        "FLOAT": (1, "f"), "INT": (2, "i"), "STRING": (3, "s"), "TENSOR": (4, "t"), "GRAPH": (5, "g"), "FLOATS": (6,
            "F"),
        "INTS": (7, "I"), "STRINGS": (8, "S"), "TENSORS": (9, "T"), "GRAPHS": (10, "G"), "SPARSE_TENSOR": (11, "z"),
        "TYPE_PROTO": (13, "y"), "TYPE_PROTOS": (14, "Y"), "SPARSE_TENSORS": (12, "Z")}.items()}  # fmt: skip
    seen = 0
    for schema in defs.get_all_schemas_with_history():
        if schema.domain not in onnx_ops.NEWEST or schema.since_version > onnx_ops.NEWEST[schema.domain]:
            continue
        seen += 1
        known = onnx_ops.operator(schema.domain, schema.name, schema.since_version)
        assert (known is None) == schema.deprecated, schema.name
        if known is None:
            continue
        expected = {
            name: letters[str(item.type).rsplit(".", maxsplit=1)[-1]] for name, item in schema.attributes.items()
        }
        assert known.attributes == expected, schema.name
        assert known.required == {name for name, item in schema.attributes.items() if item.required}
        assert known.inputs[0] == schema.min_input
        assert known.outputs[0] == schema.min_output
        assert min(known.inputs[1], 2**30) == min(schema.max_input, 2**30)
        assert min(known.outputs[1], 2**30) == min(schema.max_output, 2**30)
    assert seen > 600


def test_fields_are_those_of_the_installed_onnx() -> None:
    descriptor = onnx.ModelProto.DESCRIPTOR.file
    left_out = {"training_info", "configuration", "sparse_initializer", "sparse_tensor", "sparse_tensors", "segment",
                "sparse_tensor_type", "opaque_type", "device_configurations"}  # fmt: skip
    for name, fields in onnx_schema.MESSAGES.items():
        outer, _, inner = name.partition(".")
        message = descriptor.message_types_by_name[outer]
        message = message.nested_types_by_name[inner] if inner else message
        known = {number_: field.name for number_, field in fields.items()}
        assert known == {field.number: field.name for field in message.fields if field.name not in left_out}, name
    assert onnx_schema.IR_VERSION <= onnx.IR_VERSION


def test_gguf_arrays_of_texts() -> None:
    texts = struct.pack("<IIQ", 9, 8, 2) + _text("a") + _text("b")
    (found,) = refused_gguf.check(over(gguf(_text("tokens") + texts)))
    assert found.rule.id == "gguf"
    for content in (b"GGUF", b"FUGG" + bytes(20)):
        assert [item.rule.id for item in refused_gguf.check(over(content))] == ["gguf", "gguf-malformed"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"), (b"(S'a'\nios\nsystem\n.", "pickle"), (b"I1\nI2\ns.", "text"), (b"N.",
            "pickle"),
        (b"cat\ndog\nR\n", "text"), (b"(c)\nNobody\nelse\n", "text"), (b"ios\nsystem\n.", "text"), (b"\xff\xfea\0",
            "unknown"),
        (b"\x80\x04N.", "pickle"), (b"x\x9c", "zlib"), ("\u00e9".encode() * 2**15 + b"a", "text"), (b"}", "text"),
            (b" {}", "json"),
        (b"a" * (2**16 - 1) + "\u00e9".encode(), "text"), (b"Vtext\n.", "pickle"), (b"F1.5\n.", "pickle"),
            (b"F1.5x\n.", "text"),
    ],
)  # fmt: skip
def test_recognition(content: bytes, expected: str) -> None:
    assert recognise(over(content)).format == expected


def test_the_walk_over_old_pickles_calls_what_they_call() -> None:
    calls = (
        OLD_PICKLE,
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"\x80\x02cos\nsystem\nN\x85R.",
        b"cos\nsystem\nNb.",
    )
    for content in calls:
        assert pickle_head.walk(content)[0] is pickle_head.Head.CALLS
    for content in (b"", b".", b"R.", b"(t", b"cos\n", b"\x80\x09N.", b"ep.", b"(i1\n2\n."):
        assert pickle_head.walk(content)[0] is pickle_head.Head.NOTHING
    assert pickle_head.walk(b"N0" * 4000)[0] is pickle_head.Head.DATA
