"""Hostile settings, templates, code, native libraries, foreign formats, and pickles under other names."""

from __future__ import annotations

import json
import struct
import zipfile

from tests.supply.hostile_case import OLD_PICKLE, Case, array, call_pickle, one, weights, zipped


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _folder(name: str, files: dict[str, bytes], rule: str, at: int | bytes | None = None) -> Case:
    return Case("folders", f"folders: {name}", lambda: files, rule, at)


def _keras(layer: object) -> bytes:
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    return zipped({"config.json": _json(config), "metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"})


def _hdf5(config: object) -> bytes:
    return b"\x89HDF\r\n\x1a\n" + bytes(88) + b"keras_version\0" + _json(config) + bytes(64)


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "4wEAAAAA"}}
INJECTED = {"module": "os", "class_name": "system", "config": {}}


def _text(content: str) -> bytes:
    raw = content.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf(*pairs: bytes, count: int | None = None, version: int = 3) -> bytes:
    """A GGUF header with these keys."""
    return struct.pack("<4sIQQ", b"GGUF", version, 0, len(pairs) if count is None else count) + b"".join(pairs)


TEMPLATE = _text("tokenizer.chat_template") + struct.pack("<I", 8) + _text("{{ ''.__class__ }}")
ARRAY_LIE = _text("tokens") + struct.pack("<IIQ", 9, 8, 2**60)
NAME = _text("general.name") + struct.pack("<I", 8) + _text("m")
CONFIG = b'{"hidden_size": 8}'

GGUF = [
    one("gguf", "plain.gguf", lambda: gguf(NAME), "gguf", 0),
    one("gguf", "template.gguf", lambda: gguf(NAME, TEMPLATE), "chat-template", TEMPLATE),
    one("gguf", "array.gguf", lambda: gguf(ARRAY_LIE), "gguf-malformed"),
    one("gguf", "number-array.gguf", lambda: gguf(_text("a") + struct.pack("<IIQ", 9, 10, 2**61)), "gguf-malformed"),
    one("gguf", "count.gguf", lambda: gguf(NAME, count=2**63), "gguf-malformed", 4),
    one("gguf", "key.gguf", lambda: gguf(struct.pack("<Q", 2**62)), "gguf-malformed"),
    one("gguf", "type.gguf", lambda: gguf(_text("a") + struct.pack("<I", 77)), "gguf-malformed"),
    one("gguf", "old.gguf", lambda: gguf(version=1), "gguf-malformed", 4),
    one("gguf", "model.ggml", lambda: b"lmgg" + bytes(40), "ggml", 0),
]  # fmt: skip

KERAS = [
    one("keras", "lambda.keras", lambda: _keras(LAMBDA), "keras-lambda", b'"class_name": "Lambda"'),
    one("keras", "module.keras", lambda: _keras(INJECTED), "keras-module", b'"module": "os"'),
    one("keras", "deflated.keras", lambda: zipped(
        {"config.json": _json(LAMBDA), "metadata.json": b"{}"}, zipfile.ZIP_DEFLATED), "keras-lambda"),
    one("keras", "plain.keras", lambda: _keras({"module": "keras.layers", "class_name": "Dense"}), "keras-model", 0),
    one("keras", "lambda.h5", lambda: _hdf5(LAMBDA), "keras-lambda", b'"class_name": "Lambda"'),
    one("keras", "module.h5", lambda: _hdf5(INJECTED), "keras-module", b'"module": "os"'),
    one("keras", "far.h5", lambda: _hdf5({"a": " " * (2**20 - 130), **LAMBDA}), "keras-lambda",
        b'"class_name": "Lambda"'),
    one("keras", "weights.h5", lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "hdf5", 0),
]  # fmt: skip

PROGRAMS = [
    one("programs", "script.pt", lambda: zipped({"m/data.pkl": b"", "m/code/a.py": b"", "m/constants.pkl": b""}),
        "torch-script"),
    one("programs", "export.pt2", lambda: zipped({"m/archive_format": b"pt2", "m/models/model.json": b"{}"}),
        "torch-export"),
    one("programs", "aoti.pt2", lambda: zipped(
        {"m/archive_format": b"pt2", "m/data/aotinductor/model/a.so": b"\x7fELF"}), "torch-export"),
    one("programs", "sk.skops", lambda: zipped({"schema.json": _json({"__class__": "system", "__module__": "os"})}),
        "skops", 0),
    one("programs", "saved_model.pb", lambda: b"\x08\x01\x12\x04abcd", "savedmodel", 0),
    one("programs", "model.tflite", lambda: b"\x20\0\0\0TFL3" + bytes(40), "tflite", 0),
    one("native", "lib.so", lambda: b"\x7fELF" + bytes(60), "native-code", 0),
    one("native", "weights.bin", lambda: b"\x7fELF" + bytes(60), "native-code", 0),
    one("native", "evil.dll", lambda: b"MZ" + bytes(60), "native-code", 0),
    one("native", "lib.dylib", lambda: b"\xcf\xfa\xed\xfe" + bytes(60), "native-code", 0),
    one("native", "fat.dylib", lambda: b"\xca\xfe\xba\xbe" + bytes(60), "native-code", 0),
    one("native", "module.wasm", lambda: b"\0asm\1\0\0\0", "native-code", 0),
    one("native", "kernel.bc", lambda: b"BC\xc0\xde" + bytes(20), "native-code", 0),
    one("native", "model.cpython-311.pyc", lambda: struct.pack("<H", 3495) + b"\r\n" + bytes(20), "python-bytecode", 0),
    one("native", "install", lambda: b"#!/bin/sh\ntrue\n", "script", 0),
]  # fmt: skip

RENAMED = [
    one("wrong extension", name, lambda: OLD_PICKLE, "pickle-global", 0)
    for name in ("config.json", "vocab.txt", "W.PKL", "model.onnx", "model.h5", "model.dat", ".hidden", "model.mdl",
        "README.md",
                 "model.safetensors", "model", "model.png", "tokenizer.model")
] + [
    one("wrong extension", "protocol4.json", call_pickle, "extension-contradicts", 0),
    one("wrong extension", "zip.safetensors", lambda: zipped({"a.npy": array()}), "extension-contradicts", 0),
    one("wrong extension", "weights.pt", weights, "extension-contradicts", 0),
    one("wrong extension", "array.onnx", array, "extension-contradicts", 0),
    one("wrong extension", "empty.safetensors", bytes, "extension-contradicts", 0),
    one("settings", "empty.json", bytes, "json-malformed", 0),
    one("unknown", "empty of unknown kind", bytes, "text-unknown", 0),
    one("wrong extension", "text.gguf", lambda: b"hello\n", "extension-contradicts", 0),
]  # fmt: skip

SETTINGS = [
    one("remote code", "config.json", lambda: _json({"auto_map": {"AutoModel": "modeling.Evil"}}), "remote-code",
        b'"auto_map"'),
    one("remote code", "deep.json", lambda: _json({"a": [{"auto_map": {"x": "y"}}]}), "remote-code", b'"auto_map"'),
    one("remote code", "escaped.json", lambda: b'{"\\u0061uto_map": {"a": "b"}}', "remote-code"),
    one("remote code", "trust.json", lambda: _json({"trust_remote_code": True}), "remote-code", b'"trust_remote_code"'),
    one("remote code", "pipeline.json", lambda: _json({"custom_pipelines": {"x": {"impl": "a.B"}}}), "remote-code", 1),
    one("remote code", "tokenizer_config.json", lambda: _json({"chat_template": "{{ ''.__class__ }}"}),
        "chat-template", 1),
    one("remote code", "chat_template.jinja", lambda: b"{{ cycler.__init__ }}", "chat-template", 0),
    one("remote code", "model.json", lambda: _json({"config": LAMBDA}), "keras-lambda", b'"class_name"'),
    one("remote code", "object.json", lambda: _json({"py/object": "os.system"}), "object-text", 1),
    one("remote code", "reduce.json", lambda: _json({"__reduce__": ["a"]}), "object-text", 1),
    one("remote code", "hydra.yaml", lambda: b"a: !!python/object/apply:os.system ['true']\n", "object-text", 3),
    one("remote code", "modeling.py", lambda: b"import os\n", "bundled-code", 0),
    one("remote code", "notebook.ipynb", lambda: b'{"cells": []}', "bundled-code", 0),
    one("texts", "twice.json", lambda: b'{"a": 1, "a": 2}', "json-malformed", 0),
    one("texts", "nan.json", lambda: b'{"a": NaN}', "json-malformed", 0),
    one("texts", "cut.json", lambda: b'{"a": ', "json-malformed"),
    one("texts", "deep2.json", lambda: b"[" * 100_000 + b"]" * 100_000, "json-malformed", 0),
    one("texts", "deep3.json", lambda: b"[" * 200 + b"]" * 200, "json-malformed"),
    one("texts", "lines.jsonl", lambda: b'{"a": 1}\n{"auto_map": {"a": "b"}}\n', "remote-code", b'"auto_map"'),
    one("texts", "bidi.md", "left \u202e thgir".encode, "text-malformed", b"\xe2\x80\xae"),
    one("texts", "late.txt", lambda: b"a" * 70_000 + b"\x1b]", "text-malformed", 70_000),
    one("texts", "late-latin.txt", lambda: b"a" * 70_000 + b"\xff", "text-malformed", 70_000),
    one("texts", "Makefile", lambda: b"all:\n\ttrue\n", "text-unknown", 0),
    one("texts", "page.html", lambda: b"<script></script>", "text-unknown", 0),
    one("texts", "random.bin", lambda: bytes(range(200, 256)), "unknown-format", 0),
    one("texts", "chunk.png", lambda: b"\x89PNG\r\n\x1a\n" + bytes(40), "picture-malformed", 8),
    one("texts", "photo.jpg", lambda: b"\xff\xd8\xff\xe0" + bytes(40), "picture", 0),
    one("texts", "paper.pdf", lambda: b"%PDF-1.7\n\xff", "pdf", 0),
]  # fmt: skip

FOLDERS = [
    _folder("auto-map", {"config.json": _json({"auto_map": {"AutoModel": "m.M"}}), "model.safetensors": weights()},
            "remote-code", b'"auto_map"'),
    _folder("bundled", {"modeling_evil.py": b"import os\n", "config.json": CONFIG, "model.safetensors": weights()},
        "bundled-code", 0),
    _folder("hidden-git", {".git/hooks/post-checkout": b"#!/bin/sh\n", "model.safetensors": weights()}, "script", 0),
    _folder("hidden-github", {".github/pwn.py": b"import os\n", "model.safetensors": weights()}, "bundled-code", 0),
    _folder("hidden-pickle", {".cache/.x": OLD_PICKLE, "model.safetensors": weights()}, "pickle-global", 0),
    _folder("shard-outside",
        {"model.safetensors.index.json": _json({"weight_map": {"w": "../other/model.safetensors"}})},
            "shard-path", b'"../other/'),
    _folder("stream-name", {"model.safetensors:evil.exe": weights()}, "archive-name"),
    _folder("rtl-name", {"weights\u202esrotcenets.py": weights()}, "archive-name"),
    _folder("twins", {"Model.safetensors": weights(), "model.safetensors": weights()}, "archive-twins"),
    Case("folders", "folders: shard-missing", lambda: {"model.safetensors.index.json": _json(
        {"weight_map": {"w": "model-00001.safetensors"}})}, "shard-missing", unjudged=True),
    Case("folders", "folders: adapter", lambda: {"adapter_config.json": _json(
        {"base_model_name_or_path": "someone/else"}), "adapter_model.safetensors": weights()}, "adapter-base",
            unjudged=True),
]  # fmt: skip

CASES = [*GGUF, *KERAS, *PROGRAMS, *RENAMED, *SETTINGS, *FOLDERS]
