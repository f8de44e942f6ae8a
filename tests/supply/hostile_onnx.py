"""Hostile ONNX models, written field by field: the onnx package would not write most of them."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.supply.hostile_case import Case, one


def varint(value: int) -> bytes:
    """A number as protocol buffers write it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """A field of a whole number."""
    return varint(field << 3) + varint(value % 2**64)


def block(field: int, value: bytes | str) -> bytes:
    """A field of bytes, text or a message."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def tensor(
    name: str = "w", dims: tuple[int, ...] = (2,), data: bytes | None = None, kind: int = 1, more: bytes = b""
) -> bytes:
    """A TensorProto."""
    shape = b"".join(number(1, dim) for dim in dims)
    raw = b"" if data is None else block(9, data)
    return shape + number(2, kind) + block(8, name) + raw + more


def value(name: str) -> bytes:
    """A ValueInfoProto of a float vector."""
    return block(1, name) + block(2, block(1, number(1, 1) + block(2, block(1, number(1, 2)))))


def node(op: str = "Relu", inputs: str = "x", outputs: str = "y", domain: str = "", more: bytes = b"") -> bytes:
    """A NodeProto."""
    names = b"".join(block(1, name) for name in inputs) + b"".join(block(2, name) for name in outputs)
    return names + block(4, op) + (block(7, domain) if domain else b"") + more


def attribute(name: str, kind: int, content: bytes) -> bytes:
    """An AttributeProto in a node."""
    return block(5, block(1, name) + content + number(20, kind))


def graph(
    *nodes: bytes, tensors: tuple[bytes, ...] = (), more: bytes = b"", inputs: str = "x", outputs: str = "y"
) -> bytes:
    """A GraphProto."""
    parts = [block(1, item) for item in nodes] + [block(2, "g")] + [block(5, item) for item in tensors]
    parts += [block(11, value(name)) for name in inputs] + [block(12, value(name)) for name in outputs]
    return b"".join(parts) + more


def model(
    body: bytes, *, opsets: tuple[tuple[str, int], ...] = (("", 17),), more: bytes = b"", version: int = 8
) -> bytes:
    """A ModelProto."""
    imports = b"".join(block(8, block(1, domain) + number(2, number_)) for domain, number_ in opsets)
    return number(1, version) + block(7, body) + imports + more


def plain() -> bytes:
    """A model that nothing speaks against."""
    return model(graph(node(), tensors=(tensor(data=bytes(8)),)))


def external(location: str, **entries: str) -> bytes:
    """A model with its weights in another file."""
    pairs = {"location": location} | entries
    listed = b"".join(block(13, block(1, key) + block(2, text)) for key, text in pairs.items())
    return model(graph(node(), tensors=(tensor(more=listed + number(14, 1)),)))


def function(name: str, *nodes: bytes, domain: str = "own", opsets: tuple[tuple[str, int], ...] = (("", 17),)) -> bytes:
    """A FunctionProto of one input and one output, as a field of a model."""
    body = block(1, name) + block(4, "x") + block(5, "y") + b"".join(block(7, item) for item in nodes)
    imports = b"".join(block(9, block(1, key) + number(2, version)) for key, version in opsets)
    return block(25, body + imports + block(10, domain))


def _subgraph(inner: bytes) -> bytes:
    branch = attribute("then_branch", 5, block(6, inner)) + attribute("else_branch", 5, block(6, inner))
    return model(graph(node("If", more=branch)))


def _deep(levels: int) -> bytes:
    leaf = inner = graph(node("Identity", outputs="z"), inputs="", outputs="z")
    for _ in range(levels):
        both = attribute("then_branch", 5, block(6, inner)) + attribute("else_branch", 5, block(6, leaf))
        inner = graph(node("If", outputs="z", more=both), inputs="", outputs="z")
    return inner


def _type_tower(levels: int) -> bytes:
    inner = block(1, number(1, 1))
    for _ in range(levels):
        inner = block(4, block(1, inner))
    return model(graph(node(), more=block(13, block(1, "t") + block(2, inner))))


def _case(name: str, content: Callable[[], bytes], rule: str, at: int | bytes | None = None) -> Case:
    return one("onnx", f"{name}.onnx", content, rule, at)


TWO = (("", 17), ("own", 1))

CASES = [
    _case("pyop", lambda: model(graph(node("PyOp", domain="ai.onnx.contrib")), opsets=(("", 17), ("ai.onnx.contrib",
        1))),
          "onnx-domain", node("PyOp", domain="ai.onnx.contrib")),
    _case("pyop-default", lambda: model(graph(node("PyOp"))), "onnx-operator", node("PyOp")),
    _case("microsoft", lambda: model(graph(node("Gelu", domain="com.microsoft")), opsets=(("", 17), ("com.microsoft",
        1))),
          "onnx-domain", node("Gelu", domain="com.microsoft")),
    _case("no-import", lambda: model(graph(node("Gelu", domain="com.evil"))), "onnx-domain", node("Gelu",
        domain="com.evil")),
    _case("training-operator", lambda: model(graph(node("Adam", domain="ai.onnx.preview.training")),
                                    opsets=(("", 17), ("ai.onnx.preview.training", 1))), "onnx-domain"),
    _case("in-subgraph", lambda: _subgraph(graph(node("PyOp", outputs="z", domain="evil"), inputs="", outputs="z")),
          "onnx-domain", node("PyOp", outputs="z", domain="evil")),
    _case("in-function", lambda: model(graph(node("F", domain="own")), opsets=TWO,
                                       more=function("F", node("PyOp", domain="evil"))), "onnx-domain",
          node("PyOp", domain="evil")),
    _case("subgraph-in-function", lambda: model(
        graph(node("F", domain="own")), opsets=TWO,
        more=function("F", node("If", more=attribute("then_branch", 5, block(6, graph(node("PyOp", domain="evil"))))))),
        "onnx-domain", node("PyOp", domain="evil")),
    _case("function-loop", lambda: model(graph(node("F", domain="own")), opsets=TWO, more=function(
        "F", node("F", domain="own"), opsets=TWO)), "onnx-function"),
    _case("function-loop-of-two", lambda: model(graph(node("F", domain="own")), opsets=TWO, more=function(
        "F", node("G", domain="own"), opsets=TWO) + function("G", node("F", domain="own"), opsets=TWO)),
            "onnx-function"),
    _case("function-as-standard", lambda: model(graph(node()), more=function("Relu", node("Abs"), domain="")),
        "onnx-function"),
    _case("function-twice", lambda: model(graph(node()), opsets=TWO, more=function("F", node()) * 2), "onnx-function"),
    _case("external-up", lambda: external("../../etc/passwd"), "onnx-external-path"),
    _case("external-root", lambda: external("/etc/passwd"), "onnx-external-path"),
    _case("external-scheme", lambda: external("file:///etc/passwd"), "onnx-external-path"),
    _case("external-encoded", lambda: external("%2e%2e/secret"), "onnx-external-path"),
    _case("external-backslash", lambda: external("..\\secret"), "onnx-external-path"),
    _case("external-drive", lambda: external("C:\\secret"), "onnx-external-path"),
    _case("external-nowhere", lambda: external(""), "onnx-external-path"),
    _case("external-key", lambda: external("w.bin", basepath="/etc"), "onnx-external-key"),
    _case("external-negative", lambda: external("w.bin", offset="-8"), "onnx-external-key"),
    _case("external-length", lambda: external("w.bin", length="80"), "onnx-tensor"),
    _case("external-and-here", lambda: model(graph(node(), tensors=(tensor(
        data=bytes(8), more=block(13, block(1, "location") + block(2, "w.bin"))),))), "onnx-tensor"),
    _case("external-in-attribute", lambda: model(graph(node("Constant", inputs="", more=attribute("value", 4, block(5,
        tensor(
        more=block(13, block(1, "location") + block(2, "../w")) + number(14, 1))))))), "onnx-external-path"),
    Case("onnx", "onnx: external-alone.onnx", lambda: {"external-alone.onnx": external("w.bin")}, "onnx-external", None,
         unjudged=True),
    _case("unknown-field", lambda: plain() + block(99, b"payload"), "onnx-field", block(99, b"payload")),
    _case("graph-field", lambda: model(graph(node(), more=block(77, b"x"))), "onnx-field", block(77, b"x")),
    _case("training", lambda: plain() + block(20, b""), "onnx-field", block(20, b"")),
    _case("two-graphs", lambda: plain() + block(7, graph(node())), "onnx-field", len(plain())),
    _case("wrong-layout", lambda: plain() + varint(6 << 3 | 5) + bytes(4), "onnx-field", len(plain())),
    _case("group", lambda: plain() + varint(6 << 3 | 3), "onnx-malformed", len(plain())),
    _case("cut", lambda: plain()[:-3], "onnx-malformed"),
    _case("long-number", lambda: plain() + number(5, 1)[:-1] + b"\x80\x00", "onnx-malformed"),
    _case("endless-number", lambda: plain() + varint(5 << 3) + b"\xff" * 12, "onnx-malformed"),
    _case("no-utf8", lambda: plain() + block(6, b"\xff\xfe"), "onnx-text", b"\xff\xfe"),
    _case("control", lambda: plain() + block(2, b"\x1b[2J"), "onnx-text", b"\x1b[2J"),
    _case("deep-types", lambda: _type_tower(100), "onnx-depth"),
    _case("deep-graphs", lambda: _subgraph(_deep(14)), "onnx-depth"),
    _case("no-type", lambda: model(graph(node("Relu", more=attribute("a", 99, b"")))), "onnx-field"),
    _case("opset", lambda: model(graph(node()), opsets=(("", 99),)), "onnx-opset"),
    _case("opset-twice", lambda: model(graph(node()), opsets=(("", 17), ("ai.onnx", 18))), "onnx-opset"),
    _case("ir-version", lambda: model(graph(node()), version=99), "onnx-opset", 0),
    _case("no-opset", lambda: model(graph(node()), opsets=()), "onnx-opset"),
    _case("gone", lambda: model(graph(node("Upsample"))), "onnx-operator", node("Upsample")),
    _case("attribute", lambda: model(graph(node(more=attribute("code", 3, block(4, b"pass"))))), "onnx-operator"),
    _case("inputs", lambda: model(graph(node(inputs="xx"))), "onnx-operator", node(inputs="xx")),
    _case("undefined", lambda: model(graph(node(inputs="q"))), "onnx-graph", node(inputs="q")),
    _case("made-twice", lambda: model(graph(node(), node("Abs"))), "onnx-graph", node("Abs")),
    _case("no-output", lambda: model(graph(node(outputs="z"))), "onnx-graph"),
    _case("short-tensor", lambda: model(graph(node(), tensors=(tensor(data=bytes(7)),))), "onnx-tensor"),
    _case("long-tensor", lambda: model(graph(node(), tensors=(tensor(data=bytes(80)),))), "onnx-tensor"),
    _case("negative-shape", lambda: model(graph(node(), tensors=(tensor(dims=(-2, -1), data=bytes(8)),))),
        "onnx-tensor"),
    _case("huge-shape", lambda: model(graph(node(), tensors=(tensor(dims=(2**40, 2**40)),))), "onnx-tensor"),
    _case("tensor-type", lambda: model(graph(node(), tensors=(tensor(data=bytes(8), kind=99),))), "onnx-tensor"),
    _case("two-datas", lambda: model(graph(node(), tensors=(tensor(data=bytes(8), more=block(4, struct.pack("<2f", 1,
        2))),))),
          "onnx-tensor"),
    _case("string-raw", lambda: model(graph(node(), tensors=(tensor(data=bytes(8), kind=8),))), "onnx-tensor"),
]  # fmt: skip
