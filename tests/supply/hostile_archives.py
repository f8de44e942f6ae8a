"""Hostile archives, compressed files, arrays and polyglots."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

import joblib  # type: ignore[import-untyped]
import numpy as np
from tests.supply.hostile_case import (
    OLD_PICKLE,
    Case,
    array,
    call_pickle,
    data_pickle,
    edited,
    one,
    tarred,
    weights,
    zipped,
)

REG, DIR = tarfile.REGTYPE, tarfile.DIRTYPE


def _zip(name: str) -> Callable[[], bytes]:
    return lambda: zipped({name: array()})


def _joblib(**options: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump({"w": np.ones(3)}, buffer, **options)
    return buffer.getvalue()


def _end_record(content: bytes) -> int:
    return content.rindex(b"PK\5\6")


def _hidden_gap() -> bytes:
    """Bytes between the last member and the directory, with the end record adjusted."""
    content = zipped({"a.npy": array()})
    end = _end_record(content)
    (start,) = struct.unpack("<I", content[end + 16 : end + 20])
    body = content[:start] + OLD_PICKLE + content[start:end]
    return body + content[end : end + 16] + struct.pack("<I", start + len(OLD_PICKLE)) + content[end + 20 :]


def _overlapping() -> bytes:
    """Two names in the directory, one local header."""
    content = zipped({"a.npy": array(), "b.npy": array()})
    end = _end_record(content)
    (start,) = struct.unpack("<I", content[end + 16 : end + 20])
    second = content.index(b"PK\1\2", start + 4)
    return content[: second + 42] + struct.pack("<I", 0) + content[second + 46 :]


def _flagged(flags: int, method: int | None = None) -> bytes:
    """Flags, and perhaps a method, set in both headers."""
    content = bytearray(zipped({"a.npy": array()}))
    central = content.index(b"PK\1\2")
    for place in (6, central + 8):
        content[place : place + 2] = struct.pack("<H", flags)
        if method is not None:
            content[place + 2 : place + 4] = struct.pack("<H", method)
    return bytes(content)


def _mode(mode: int) -> bytes:
    info = zipfile.ZipInfo("weights")
    info.create_system, info.external_attr = 3, mode << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    return buffer.getvalue()


def _duplicate() -> bytes:
    return edited(zipped({"a.npy": array(), "b.npy": array()}), (b"b.npy", b"a.npy"))


def _twins() -> bytes:
    return zipped({"Model.npy": array(), "model.npy": array()})


def _nested(depth: int) -> bytes:
    content = zipped({"a.npy": array()})
    for level in range(depth):
        content = zipped({f"{level}.zip": content})
    return content


def _wrong_crc() -> bytes:
    content = zipped({"a.npy": array()})
    return edited(content, (struct.pack("<I", zlib.crc32(array())), b"\1\2\3\4"))


def _bad_local_name() -> bytes:
    content = zipped({"a.npy": array()})
    return content[:30] + b"b" + content[31:]


def _commented() -> bytes:
    content = zipped({"a.npy": array()})
    return content[:-2] + struct.pack("<H", len(OLD_PICKLE)) + OLD_PICKLE


def _bomb() -> bytes:
    return zipped({"a.npy": bytes(17 * 2**20)}, zipfile.ZIP_DEFLATED)


def _npy(header: str, data: bytes = b"") -> bytes:
    raw = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + data


def _npy_plain(descr: str, shape: str, data: bytes = b"") -> bytes:
    return _npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", data)


def _object_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _pax_escape() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("good.npy")
        info.pax_headers = {"path": "../../evil.npy"}
        content = array()
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _pax_keyword() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("good.npy")
        info.pax_headers = {"GNU.sparse.name": "evil"}
        info.size = len(array())
        archive.addfile(info, io.BytesIO(array()))
    return buffer.getvalue()


def _tar_tail() -> bytes:
    return tarred(("a.npy", REG, array())) + OLD_PICKLE


def _old_torch_tar() -> bytes:
    parts = [(name, REG, call_pickle(2)) for name in ("sys_info", "pickle", "storages", "tensors")]
    return tarred(*parts)


def _tar_pickle() -> bytes:
    """A tar header whose name is a pickle that calls."""
    content = bytearray(tarred(("a" * 60, REG, array())))
    content[:60] = OLD_PICKLE.ljust(60, b"a")
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    return bytes(content)


def _with_user_block() -> bytes:
    return call_pickle().ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n" + bytes(100)


ZIP = [
    one("zip-slip", "climbs.zip", _zip("../../evil.npy"), "archive-path", 0),
    one("zip-slip", "root.zip", _zip("/etc/evil.npy"), "archive-path", 0),
    one("zip-slip", "drive.zip", _zip("C:evil.npy"), "archive-path", 0),
    one("zip-slip", "backslash.zip", lambda: edited(zipped({"..aevil.npy": array()}), (b"..a", b"..\\")),
        "archive-path", 0),
    one("zip-names", "stream.zip", _zip("model.npy:hidden.exe"), "archive-name", 0),
    one("zip-names", "rtl.zip", _zip("weights\u202eypn.exe"), "archive-name", 0),
    one("zip-names", "control.zip", _zip("a\x1b[2Jb.npy"), "archive-name", 0),
    one("zip-names", "device.zip", _zip("aux.npy"), "archive-name", 0),
    one("zip-names", "dot.zip", _zip("model.npy."), "archive-name", 0),
    one("zip-names", "inside.zip", lambda: edited(zipped({"aab.npy": array()}), (b"aab", b"a\\b")), "archive-name", 0),
    one("zip-names", "latin.zip", lambda: edited(zipped({"aab.npy": array()}), (b"aab", b"a\xffb")), "archive-name", 0),
    one("zip-names", "twins.zip", _twins, "archive-twins", 30 + 9 + len(array())),
    one("zip-entries", "duplicate.zip", _duplicate, "archive-duplicate", 30 + 5 + len(array())),
    one("zip-entries", "local-name.zip", _bad_local_name, "archive-differs", 0),
    one("zip-entries", "overlap.zip", _overlapping, "archive-differs", 0),
    one("zip-entries", "gap.zip", _hidden_gap, "archive-gap", OLD_PICKLE),
    one("zip-entries", "comment.zip", _commented, "archive-gap", OLD_PICKLE),
    one("zip-entries", "tail.zip", lambda: zipped({"a.npy": array()}) + b"cos\n", "archive-gap", b"cos\n"),
    one("zip-entries", "truncated.zip", lambda: zipped({"a.npy": array()})[:-30], "archive-malformed"),
    one("zip-entries", "two.zip", lambda: zipped({"a.npy": array()}) + zipped({"b.npy": array()}), "archive-malformed"),
    one("zip-flags", "encrypted.zip", lambda: _flagged(1), "archive-encrypted", 0),
    one("zip-flags", "strong.zip", lambda: _flagged(0x41), "archive-encrypted", 0),
    one("zip-flags", "patched.zip", lambda: _flagged(0x20), "archive-method", 0),
    one("zip-flags", "bzip2.zip", lambda: zipped({"a.npy": array()}, zipfile.ZIP_BZIP2), "archive-method", 0),
    one("zip-flags", "lzma.zip", lambda: zipped({"a.npy": array()}, zipfile.ZIP_LZMA), "archive-method", 0),
    one("zip-flags", "crc.zip", _wrong_crc, "archive-checksum", b"\x93NUMPY"),
    one("zip-flags", "not-deflated.zip", lambda: _flagged(0, 8), "inflate-broken", b"\x93NUMPY"),
    one("zip-links", "link.zip", lambda: _mode(0o120777), "archive-link", 0),
    one("zip-links", "pipe.zip", lambda: _mode(0o010644), "archive-device", 0),
    one("zip-in-zip", "pickle.zip", lambda: zipped({"in.zip": zipped({"w.pkl": OLD_PICKLE})}), "pickle-global",
        b"cos\n"),
    one("zip-in-zip", "deflated.zip",
        lambda: zipped({"in.zip": zipped({"w": call_pickle(2)})}, zipfile.ZIP_DEFLATED), "pickle-global"),
    Case("zip-in-zip", "zip-in-zip: deep", lambda: {"deep.zip": _nested(6)}, "bound-reached", unjudged=True),
    one("zip-members", "elf.zip", lambda: zipped({"lib.so": b"\x7fELF" + bytes(60)}), "native-code", b"\x7fELF"),
    one("zip-members", "code.zip", lambda: zipped({"model.py": b"print()\n"}), "bundled-code", b"print"),
    one("zip-members", "unknown.zip", lambda: zipped({"x": b"\xff\xfe\x01\x02"}), "unknown-format", b"\xff\xfe\x01"),
    one("zip-members", "hidden.zip", lambda: zipped({".hidden": OLD_PICKLE}), "pickle-global", b"cos\n"),
    one("bomb", "zip-bomb.zip", _bomb, "inflate-bomb", 30 + 5),
    one("bomb", "gzip-bomb.gz", lambda: gzip.compress(bytes(17 * 2**20)), "inflate-bomb", 0),
    one("bomb", "nested-bomb.zip", lambda: zipped({"in.zip": _bomb()}), "inflate-bomb", 30 + 6 + 30 + 5),
    one("bomb", "npz-bomb.npz", _bomb, "inflate-bomb", 30 + 5),
]  # fmt: skip

TAR = [
    one("tar-slip", "climbs.tar", lambda: tarred(("../../evil.npy", REG, array())), "archive-path", 0),
    one("tar-slip", "root.tar", lambda: tarred(("/evil.npy", REG, array())), "archive-path", 0),
    one("tar-slip", "pax.tar", _pax_escape, "archive-path"),
    one("tar-slip", "long.tar",
        lambda: tarred(("../" + "a" * 120, REG, array()), form=tarfile.GNU_FORMAT), "archive-path"),
    one("tar-links", "symbolic.tar", lambda: tarred(("w.npy", tarfile.SYMTYPE, b"/etc/passwd")), "archive-link", 0),
    one("tar-links", "hard.tar", lambda: tarred(("w.npy", tarfile.LNKTYPE, b"../x")), "archive-link", 0),
    one("tar-links", "device.tar", lambda: tarred(("w", tarfile.CHRTYPE, b"")), "archive-device", 0),
    one("tar-links", "pipe.tar", lambda: tarred(("w", tarfile.FIFOTYPE, b"")), "archive-device", 0),
    one("tar-links", "contiguous.tar", lambda: tarred(("w", tarfile.CONTTYPE, b"")), "archive-entry", 0),
    one("tar-entries", "sparse.tar", _pax_keyword, "archive-entry"),
    one("tar-entries", "duplicate.tar", lambda: tarred(("a.npy", REG, array()), ("a.npy", REG, array())),
        "archive-duplicate"),
    one("tar-entries", "twins.tar", lambda: tarred(("a.npy", REG, array()), ("A.npy", REG, array())), "archive-twins"),
    one("tar-entries", "tail.tar", _tar_tail, "archive-gap", b"cos\n"),
    one("tar-entries", "cut.tar", lambda: tarred(("a.npy", REG, array()))[:600], "archive-malformed", 0),
    one("tar-entries", "pickle.tar", lambda: tarred(("a.npy", REG, OLD_PICKLE)), "pickle-global", b"cos\n"),
    one("tar-entries", "legacy.pth", _old_torch_tar, "torch-tar"),
    one("tar-entries", "name.tar", _tar_pickle, "polyglot", 0),
    one("tar-entries", "slip.tgz", lambda: gzip.compress(tarred(("../w.npy", REG, array()))), "archive-path"),
]  # fmt: skip

WRAPPED = [
    one("compressed pickle", "zlib.pkl", lambda: _joblib(compress=("zlib", 3)), "compressed-pickle", 0),
    one("compressed pickle", "gzip.pkl", lambda: _joblib(compress=("gzip", 3)), "compressed-pickle", 0),
    one("compressed pickle", "bz2.joblib", lambda: _joblib(compress=("bz2", 3)), "compressed-pickle", 0),
    one("compressed pickle", "xz.joblib", lambda: _joblib(compress=("xz", 3)), "compressed-pickle", 0),
    one("compressed pickle", "lzma.joblib", lambda: _joblib(compress=("lzma", 3)), "compressed-pickle", 0),
    one("compressed pickle", "raw.joblib", _joblib, "joblib", 0),
    one("compressed pickle", "old.joblib", lambda: b"ZF0x10              " + zlib.compress(OLD_PICKLE), "joblib", 0),
    one("compressed pickle", "lz4.joblib", lambda: b"\x04\x22\x4d\x18" + OLD_PICKLE, "compressed-lz4", 0),
    one("compressed pickle", "zstd.pkl", lambda: b"\x28\xb5\x2f\xfd" + OLD_PICKLE, "compressed-zstd", 0),
    one("compressed pickle", "model.pkl.gz", lambda: gzip.compress(OLD_PICKLE), "compressed-pickle", 0),
    one("compressed pickle", "model.bz2", lambda: bz2.compress(call_pickle()), "compressed-pickle", 0),
    one("compressed pickle", "model.xz", lambda: lzma.compress(call_pickle()), "compressed-pickle", 0),
    one("wrappers", "tail.gz", lambda: gzip.compress(array()) + OLD_PICKLE, "inflate-broken", 0),
    one("wrappers", "cut.gz", lambda: gzip.compress(array())[:-4], "inflate-broken", 0),
    one("wrappers", "crc.gz", lambda: gzip.compress(array())[:-8] + bytes(8), "inflate-broken", 0),
    one("wrappers", "two.npy.gz", lambda: gzip.compress(array()) * 2, "inflate-broken", 0),
    one("wrappers", "name.gz", lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"../x\0" + gzip.compress(b"a")[10:],
        "archive-name", 10),
    one("wrappers", "extra.gz", lambda: b"\x1f\x8b\x08\x04" + bytes(6) + b"\2\0ab" + gzip.compress(b"a")[10:],
        "inflate-broken", 3),
    one("wrappers", "two.xz", lambda: lzma.compress(array()) * 2, "inflate-broken", 0),
    one("wrappers", "nullifai.7z", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(26), "archive-7z", 0),
    one("wrappers", "nullifai.pt", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(26), "extension-contradicts", 0),
    one("wrappers", "weights.rar", lambda: b"Rar!\x1a\x07\x01\0" + bytes(20), "archive-rar", 0),
]  # fmt: skip

ARRAYS = [
    one("arrays", "object.npy", _object_array, "npy-object", b"'|O'"),
    one("arrays", "object.npz", lambda: zipped({"a.npy": _object_array()}), "npy-object", b"'|O'"),
    one("arrays", "deflated.npz", lambda: zipped({"a.npy": _object_array()}, zipfile.ZIP_DEFLATED), "npy-object"),
    one("arrays", "records.npy", lambda: _npy_plain("[('a', '|O')]", "(1,)", bytes(8)), "npy-object", 20),
    one("arrays", "fields.npy", lambda: _npy_plain("[('a', '<f4')]", "(1,)", bytes(4)), "npy-dtype", 20),
    one("arrays", "void.npy", lambda: _npy_plain("'|V4'", "(1,)", bytes(4)), "npy-dtype", 20),
    one("arrays", "call.npy", lambda: _npy_plain("'<f4'", "(print(),)", bytes(4)), "npy-header", 10),
    one("arrays", "twice.npy",
        lambda: _npy("{'descr': '<f4', 'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"),
        "npy-header", 10),
    one("arrays", "nested.npy", lambda: _npy("(" * 5000), "npy-header", 10),
    one("arrays", "long.npy", lambda: _npy_plain("'<f4'" + " " * 20000, "(1,)"), "npy-header", 8),
    one("arrays", "tail.npy", lambda: array() + OLD_PICKLE, "npy-size", b"cos\n"),
    one("arrays", "short.npy", lambda: array()[:-1], "npy-size"),
    one("arrays", "lie.npy", lambda: _npy_plain("'<f8'", "(1000000000000,)"), "npy-size"),
    one("arrays", "overflow.npy", lambda: _npy_plain("'<f8'", "(4611686018427387904, 4)"), "npy-size", 10),
    one("arrays", "version.npy", lambda: b"\x93NUMPY\x09\x00" + bytes(120), "npy-header", 0),
    one("arrays", "pickle.npy", lambda: OLD_PICKLE, "extension-contradicts", 0),
    one("arrays", "member.npz", lambda: zipped({"a.npy": OLD_PICKLE}), "npy-header", b"cos\n"),
]  # fmt: skip

POLYGLOTS = [
    one("polyglots", "pickle-zip.pkl", lambda: call_pickle() + zipped({"a.npy": array()}), "polyglot", b"PK\5\6"),
    one("polyglots", "old-pickle-zip.pkl", lambda: OLD_PICKLE + zipped({"a.npy": array()}), "polyglot", b"PK\5\6"),
    one("polyglots", "safetensors-zip.safetensors", lambda: weights() + zipped({"a": b"a"}), "polyglot", b"PK\5\6"),
    one("polyglots", "npy-zip.npy", lambda: array() + zipped({"a": b"a"}), "polyglot", b"PK\5\6"),
    one("polyglots", "picture-zip.png", lambda: b"\x89PNG\r\n\x1a\n" + zipped({"a": b"a"}), "polyglot", b"PK\5\6"),
    one("polyglots", "text-zip.md", lambda: b"# hello\n" + zipped({"a": b"a"}), "archive-malformed"),
    one("polyglots", "pickle-hdf5.h5", _with_user_block, "polyglot", 512),
    one("polyglots", "zip-pickle.pt", lambda: zipped({"a": b"a"}) + call_pickle(), "archive-gap"),
    one("polyglots", "gguf-zip.gguf", lambda: b"GGUF" + bytes(20) + zipped({"a": b"a"}), "polyglot", b"PK\5\6"),
    one("polyglots", "gzip-zip.gz", lambda: gzip.compress(b"a") + zipped({"a": b"a"}), "polyglot", b"PK\5\6"),
    one("polyglots", "text-pickle.txt", lambda: OLD_PICKLE + b"\n# and a note\n", "pickle-global", 0),
    one("polyglots", "data-pickle.txt", data_pickle, "extension-contradicts", 0),
]  # fmt: skip

CASES = [*ZIP, *TAR, *WRAPPED, *ARRAYS, *POLYGLOTS]
