"""The catalogue of hostile weights files: archives, views, legacy streams, safetensors; with `hostile_pickles`.

`catalogue()` gives them all; a benchmark may hand the same bytes to other scanners.
"""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import replace

from tests.supply.hostile import Hostile, marked
from tests.supply.hostile_pickles import SYSTEM, hostile_pickles
from tests.supply.weights_files import (
    MAGIC,
    ONES,
    ORDERED,
    VERSION,
    WEIGHTS,
    Ends,
    Member,
    archive,
    entry,
    facts,
    legacy,
    members,
    numbers,
    safetensors,
    state_dict,
    storage,
    tensor,
    text,
    torch_zip,
)


def catalogue() -> list[Hostile]:
    """Every hostile file."""
    return [
        *hostile_pickles(),
        *_entries(),
        *_records(),
        *_ends(),
        *_storages(),
        *_views(),
        *_legacy(),
        *_safetensors(),
    ]


def _with(change: Member | None = None, *more: Member) -> bytes:
    """An archive with the member of that name exchanged, and others added at the end."""
    files = [change if change is not None and change.name == file.name else file for file in members()]
    return archive([*files, *more])


def _at_header(name: str, content: bytes) -> int:
    """Where the local header of that entry begins."""
    return content.rindex(b"PK\3\4", 0, content.index(name.encode() + b"FB"))


def _entries() -> Iterator[Hostile]:
    def case(name: str, content: bytes, rule: str, entry_name: str) -> Hostile:
        return marked("archive entry", name, content, (rule, _at_header(entry_name, content)), "torch-zip")

    for name, rule in (
        ("extra.pkl", "torch-entry"), ("data/x.so", "torch-entry"), ("inner.zip", "torch-entry"),
        ("data/", "zip-name"), ("code/__torch__.py", "torch-script"), ("constants.pkl", "torch-script"),
        ("archive_format", "torch-export"), ("models/model.json", "torch-export"), ("__init__.py", "torch-package"),
        (".data/extern_modules", "torch-package"), ("DATA.PKL", "zip-duplicate"), ("data.pkl", "zip-duplicate"),
        ("data/0", "zip-duplicate"), ("data//0", "zip-name"), ("data/../0", "zip-name"),
        ("data.pkl:hidden", "zip-name"),
        ("data\\0", "zip-name"), ("data/\u202e0", "zip-name"), ("a\x1bb", "zip-name"),
    ):  # fmt: skip
        content = _with(None, Member(name, b"x"))
        # The second of two entries with one name is the odd one.
        place = content.rindex(b"PK\3\4")
        yield Hostile("archive entry", f"also {name!r}", content, rule, place)
    for name in ("!data.pkl", "!../archive/x", "!/etc/x", "!C:/x", "!other/data.pkl"):
        content = _with(None, Member(name, b"x"))
        yield Hostile("archive entry", f"at {name[1:]!r}", content, "zip-name", content.rindex(b"PK\3\4"))
    renamed = archive([replace(file, name="data.pk1") if file.name == "data.pkl" else file for file in members()])
    yield case("the pickle renamed", renamed, "torch-entry", "archive/data.pk1")
    yield marked("archive entry", "no pickle", renamed, ("torch-missing", None), "torch-zip")
    no_version = archive([file for file in members() if file.name != "version"])
    yield marked("archive entry", "no version", no_version, ("torch-missing", None), "torch-zip")
    inner = torch_zip()
    yield case("an archive in the archive", _with(None, Member("data/1.pt", inner)), "torch-entry", "archive/data/1.pt")


def _records() -> Iterator[Hostile]:
    def lie(name: str, file: Member, rule: str, place: bytes | int | None = None, *, near: str = "central") -> Hostile:
        content = _with(file)
        header = _at_header(file.local_name or f"archive/{file.name}", content) if file.extra is None else 0
        central = content.rindex(b"PK\1\2", 0, content.rindex(f"archive/{file.name}".encode()))
        where = place if place is not None else {"central": central, "header": header}[near]
        return marked("archive record", name, content, (rule, where), "torch-zip")

    held = Member("data/0", ONES)
    yield lie("a wrong checksum", replace(held, crc=1), "zip-checksum", ONES)
    yield lie("encrypted", replace(held, flags=0x809), "zip-encrypted")
    yield lie("strongly encrypted", replace(held, flags=0x848), "zip-encrypted")
    yield lie("deflated", replace(held, method=8), "zip-compressed")
    yield lie("another name in its header", replace(held, local_name="archive/data/9"), "zip-mismatch", near="header")
    yield lie("other flags in its header", replace(held, local_flags=0x800), "zip-mismatch", near="header")
    yield lie("flags of another writer", replace(held, flags=0), "zip-field")
    yield lie("a time", replace(held, date=0x5A21), "zip-field")
    yield lie("attributes", replace(held, internal=1), "zip-field")
    yield lie("extra fields in the directory", replace(held, more=b"UT\1\0x"), "zip-field")
    gap = replace(held, gap=SYSTEM)
    yield lie("bytes in front of it", gap, "zip-gap", SYSTEM)
    wrong = b"PK\7\x08" + bytes(12)
    yield lie("a wrong descriptor", replace(held, descriptor=wrong), "zip-mismatch", wrong)
    hidden = b"FB\x04\0cos\n"
    yield lie("something else as padding", replace(held, extra=hidden), "zip-field", hidden)
    yield lie("a field that is no padding", replace(held, extra=b"UT\x01\0x"), "zip-field", b"UT\x01\0x")
    yield lie("padding that is cut off", replace(held, extra=b"FB\x09\0ZZ"), "zip-field", b"FB\x09\0ZZ")
    for name, content, rule in (
        ("version", b"99\n", "torch-record"), ("byteorder", b"big", "torch-byteorder"),
        ("byteorder", b"middle", "torch-record"), (".format_version", b"x", "torch-record"),
        (".storage_alignment", b"0", "torch-record"), ("version", SYSTEM * 9, "torch-record"),
    ):  # fmt: skip
        made = archive([replace(file, content=content) if file.name == name else file for file in members()])
        header = _at_header(f"archive/{name}", made)
        start = header + 30 + sum(struct.unpack_from("<2H", made, header + 26))
        yield Hostile("archive record", f"{name} of {content[:6]!r}", made, rule, start)


def _ends() -> Iterator[Hostile]:
    good = torch_zip()
    end, wide, directory = good.rindex(b"PK\5\6"), good.rindex(b"PK\6\6"), good.index(b"PK\1\2")

    def told(ends: Ends) -> bytes:
        return archive(members(), ends=ends)

    def case(name: str, content: bytes, rule: str, place: int) -> Hostile:
        return Hostile("archive end", name, content, rule, place)

    yield case("a comment", told(Ends(comment=b"hello")), "zip-comment", len(good))
    yield case("a comment that is not there", good[:-2] + b"\x05\0", "zip-directory", end)
    yield case("bytes behind it", good + SYSTEM, "zip-gap", len(good))
    yield case("a pickle behind it", good + b"\x80\x02" + SYSTEM + b".", "zip-gap", len(good))
    yield case(
        "a pickle in front of it", b"\x80\x02" + SYSTEM + b"." + good, "zip-directory", end + len(SYSTEM) + 3 - 20
    )
    yield case("a gap before the directory", told(Ends(directory_gap=SYSTEM)), "zip-gap", directory)
    yield case("one entry less", told(Ends(count=6, wide_count=6)), "zip-directory", wide)
    yield case("one entry more", told(Ends(count=8, wide_count=8)), "zip-directory", wide)
    yield case("two counts", told(Ends(wide_count=9)), "zip-directory", wide)
    yield case("a long zip64 record", told(Ends(wide_size=99)), "zip-directory", wide)
    yield case("a zip64 record elsewhere", told(Ends(locator=64)), "zip-directory", end - 20)
    yield case("zip64 on two disks", told(Ends(disks=2)), "zip-directory", end - 20)
    yield case("on two disks", told(Ends(disk=1)), "zip-directory", end)
    yield case("cut in half", good[: len(good) // 2], "zip-directory", len(good) // 2)
    yield case("without its last byte", good[:-1], "zip-directory", end)
    yield case("no archive at all", b"PK\3\4" + bytes(60), "zip-directory", 64)
    shifted = good[: end + 16] + struct.pack("<I", directory + 1) + good[end + 20 :]
    yield case("a directory elsewhere", shifted, "zip-directory", wide)
    plain = good[:wide] + good[end:]
    broken = plain[: directory + 1] + b"X" + plain[directory + 2 :]
    yield case("a broken directory", broken, "zip-directory", directory)
    second = good.index(b"PK\1\2", directory + 1)
    twin = plain[: second + 42] + struct.pack("<I", 0) + plain[second + 46 :]
    yield case("two names for the same bytes", twin, "zip-directory", second)
    nowhere = plain[: directory + 42] + struct.pack("<I", 7) + plain[directory + 46 :]
    yield case("an entry that does not begin there", nowhere, "zip-directory", 7)
    yield Hostile("polyglot", "a pickle, then an archive", b"\x80\x02N." + good, "pickle-trailing", 4, "pickle")
    yield Hostile("polyglot", "an archive in a bare pickle", b"\x80\x02N.PK" + good, "pickle-bare", 0, "pickle")


def _storages() -> Iterator[Hostile]:
    def case(name: str, content: bytes, expected: tuple[str, bytes | int | None]) -> Hostile:
        return marked("storage", name, content, expected, "torch-zip")

    two = state_dict(a=tensor(), b=tensor(storage("1")))
    yield case("missing", torch_zip(two), ("torch-storage-missing", two.rindex(b"tQ") + 65))
    extra = torch_zip(storages={"0": ONES, "1": SYSTEM})
    yield case("that nothing refers to", extra, ("torch-storage-unused", _at_header("archive/data/1", extra)))
    yield case("too short", torch_zip(storages={"0": ONES[:8]}), ("torch-storage-size", WEIGHTS.index(b"tQ") + 65))
    yield case("too long", torch_zip(storages={"0": ONES * 2}), ("torch-storage-size", WEIGHTS.index(b"tQ") + 65))
    clash = state_dict(a=tensor(), b=tensor(storage(kind="torch\nIntStorage")))
    yield case("of two types", torch_zip(clash), ("torch-storage-clash", clash.rindex(b"tQ") + 65))
    nan, infinite = struct.pack("<4f", 1, 1, float("nan"), 1), struct.pack("<4f", 1, 1, 1, float("-inf"))
    for name, held, place in (("NaN", nan, 8), ("infinity", infinite, 12)):
        content = torch_zip(storages={"0": held})
        yield Hostile("not finite", name, content, "tensor-nonfinite", content.index(held) + place, "torch-zip finite")
        plain = safetensors({"w": entry()}, held)
        yield Hostile("not finite", f"{name} in safetensors", plain, "tensor-nonfinite", plain.index(held) + place,
                      "safetensors finite")  # fmt: skip


def _views() -> Iterator[Hostile]:
    for name, start, shape, stride, rule in (
        ("an expand bomb", 0, (2**20, 2**20), (0, 0), "tensor-stride"),
        ("one stride of 0", 0, (9, 4), (0, 1), "tensor-stride"),
        ("rows that overlap", 0, (2, 3), (1, 1), "tensor-stride"),
        ("beyond the end", 1, (4,), (1,), "tensor-bounds"),
        ("far beyond the end", 2**40, (1,), (1,), "tensor-bounds"),
        ("a large stride", 0, (2,), (2**62,), "tensor-bounds"),
        ("a negative stride", 3, (4,), (-1,), "tensor-bounds"),
        ("a negative size", 0, (-4,), (1,), "tensor-bounds"),
        ("more strides than sizes", 0, (4,), (1, 1), "tensor-bounds"),
        ("beyond 64 bits", 0, (2**40, 2**40, 0), (1, 1, 1), "tensor-bounds"),
        ("a hundred dimensions", 0, (1,) * 100, (1,) * 100, "tensor-bounds"),
    ):
        body = state_dict(weight=tensor(start=start, shape=shape, stride=stride))
        yield Hostile("view", name, torch_zip(body), rule, 64 + body.rindex(b"Ru."))
    many = {f"w{place}": tensor(storage(count=2**10), shape=(2**10,)) for place in range(100)}
    body = state_dict(**many)
    yield Hostile(
        "view", "a hundred names for one storage", torch_zip(body, {"0": bytes(4 * 2**10)}), "tensor-expansion", None
    )


def _legacy() -> Iterator[Hostile]:
    good = legacy()
    head = MAGIC + VERSION + facts()
    main = state_dict(weight=tensor(storage(more=b"N")))
    pickles = len(good) - 24

    def case(name: str, content: bytes, expected: tuple[str, bytes | int | None]) -> Hostile:
        return marked("legacy", name, content, expected, "torch-legacy")

    yield case("bytes behind it", good + SYSTEM, ("torch-legacy-tail", len(good)))
    yield case("a pickle behind it", good + b"\x80\x02" + SYSTEM + b".", ("torch-legacy-tail", len(good)))
    yield case("a storage that is cut off", good[:-1], ("torch-legacy-tail", pickles + 8))
    yield case("no storages", good[:pickles], ("torch-storage-size", pickles))
    yield case("another count", legacy(tail=struct.pack("<q", 5) + ONES + bytes(4)), ("torch-storage-size", pickles))
    yield case("a negative count", legacy(tail=struct.pack("<q", -4) + ONES), ("torch-storage-size", pickles))
    yield case("no list of storages", legacy(keys=()), ("torch-legacy-keys", len(head) + len(main)))
    yield case("a storage too many", legacy(keys=("0", "1")), ("torch-legacy-keys", len(head) + len(main)))
    yield case("another magic number", b"\x80\x02K\x01." + good[15:], ("torch-legacy-header", 0))
    yield case("another version", legacy(head=MAGIC + b"\x80\x02K\x01." + facts()), ("torch-legacy-header", 15))
    big = MAGIC + VERSION + facts(little=b"\x89")
    yield case("big-endian", legacy(head=big), ("torch-byteorder", 21))
    more = MAGIC + VERSION + facts(more=text("x") + b"N")
    yield case("more facts", legacy(head=more), ("torch-legacy-header", 21))
    yield case("numbers of 9 bytes", legacy(head=MAGIC + VERSION + facts(size=9)), ("torch-legacy-header", 21))
    run = MAGIC + VERSION + facts(more=text("x") + SYSTEM)
    yield case("a command among the facts", legacy(head=run), ("pickle-global", b"cposix"))
    yield case("a command as the magic number", b"\x80\x02" + SYSTEM + b"." + good, ("pickle-global", 2))
    yield case("a command in the object", legacy(state_dict(w=SYSTEM)), ("pickle-global", b"cposix"))
    listed = head + main + b"\x80\x02" + SYSTEM + b"."
    yield case("a command as the list", listed, ("pickle-global", b"cposix"))
    source = b"(" + text("module") + ORDERED + text("f.py") + text("x = 1") + b"tQ"
    yield case("source code", legacy(state_dict(w=source)), ("pickle-persistent", b"Qu.\x80"))
    view = numbers((1, 0, 4))
    yield case("a view on a storage", legacy(state_dict(w=storage(more=view))), ("pickle-persistent", b"Qu.\x80"))
    untyped = storage(kind="torch.storage\nUntypedStorage", more=b"N")
    yield case("an untyped storage", legacy(state_dict(w=untyped)), ("pickle-persistent", b"Qu.\x80"))
    yield case("an expand bomb", legacy(state_dict(w=tensor(storage(more=b"N"), shape=(2**20, 2**20), stride=(0, 0)))),
               ("tensor-stride", b"Ru.\x80\x02]"))  # fmt: skip
    yield case("cut in the object", good[: len(head) + 40], ("pickle-truncated", b"ctorch._utils"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            info = tarfile.TarInfo(name)
            info.size = len(SYSTEM)
            tar.addfile(info, io.BytesIO(SYSTEM))
    yield Hostile("legacy", "a tar archive", buffer.getvalue(), "torch-tar", 0, "torch-tar")


def _safetensors() -> Iterator[Hostile]:
    def case(name: str, content: bytes, expected: tuple[str, bytes | int | None]) -> Hostile:
        return marked("safetensors", name, content, expected, "safetensors")

    good = safetensors({"w": entry()})
    yield case("a header of 2^63 bytes", safetensors({"w": entry()}, length=2**63), ("safetensors-length", 0))
    yield case("a header of 100 MB and one", safetensors(b"{}", length=10**8 + 1), ("safetensors-length", 0))
    yield case("a header beyond the file", safetensors({"w": entry()}, length=999), ("safetensors-length", 0))
    yield case("no header", safetensors(b"", b"", length=0), ("safetensors-length", 0))
    yield case("cut in the length", good[:5], ("safetensors-length", 0))
    yield case("bytes behind it", good + SYSTEM, ("safetensors-size", len(good)))
    yield case("a byte missing", good[:-1], ("safetensors-size", len(good) - 1))
    yield case("a renamed pickle", b"\x80\x02" + SYSTEM + b".", ("safetensors-length", 0))
    twice = b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"w":'
    again = b'{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    yield case("a name twice", safetensors(twice + again), ("safetensors-duplicate", 8 + twice.rindex(b'"w"')))
    field = b'{"w":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    yield case("a field twice", safetensors(field), ("safetensors-duplicate", 8 + field.rindex(b'"dtype"')))
    notes = b'{"__metadata__":{"a":"1","a":"2"}}'
    yield case("a note twice", safetensors(notes, b""), ("safetensors-duplicate", 8 + notes.rindex(b'"a"')))
    both = b'{"__metadata__":{},"__metadata__":{}}'
    yield case("metadata twice", safetensors(both, b""), ("safetensors-duplicate", 8 + both.rindex(b'"__m')))
    deep = b'{"w":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001
    yield case("ten thousand levels", safetensors(deep), ("safetensors-json", 8 + 6))
    wide = b'{"w":{"dtype":' + b"[" * 100_000
    yield case("a list instead of a text", safetensors(wide), ("safetensors-json", 8 + wide.index(b"[")))
    for name, header, mark in (
        ("a shape with a fraction", b'{"w":{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}}', b"4.0"),
        ("a shape with an exponent", b'{"w":{"dtype":"F32","shape":[4e0],"data_offsets":[0,16]}}', b"4e0"),
        ("a negative shape", b'{"w":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}', b"-4"),
        ("a shape beyond 64 bits", b'{"w":{"dtype":"F32","shape":[%d],"data_offsets":[0,16]}}' % (2**64), b"184"),
        ("another field", b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"code":"x"}}', b'"code"'),
        ("a field missing", b'{"w":{"dtype":"F32","shape":[4]}}', b'"w"'),
        ("three offsets", b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16,16]}}', b'"w"'),
        ("a comma too many", b'{"w":{"dtype":"F32","shape":[4,],"data_offsets":[0,16]}}', b"]"),
        ("two objects", b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}{}', b"{}"),
        ("a newline as padding", b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}\n', b"\n"),
        ("a space in front", b' {"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b" "),
        ("no object", b"[]      ", b"[]"),
        ("a note that is a number", b'{"__metadata__":{"a":1}}', b"1}"),
        ("a lone surrogate", b'{"\\ud800":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b'"\\ud8'),
        ("a control in a name", b'{"\x01":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b'"\x01'),
        ("no UTF-8", b'{"\xff":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b'"\xff'),
    ):  # fmt: skip
        yield case(name, safetensors(header), ("safetensors-json", 8 + header.index(mark)))
    yield case("an unknown dtype", safetensors({"w": entry("F33")}), ("safetensors-dtype", b'"w"'))
    yield case("a dtype of ours", safetensors({"w": entry("C128", (1,))}), ("safetensors-dtype", b'"w"'))
    yield case("a shape bomb", safetensors({"w": entry(shape=(2**32, 2**32))}), ("safetensors-shape", b'"w"'))
    yield case("a hidden shape bomb", safetensors({"w": entry(shape=(2**40, 2**40, 0), offsets=(0, 0))}, b""),
               ("safetensors-shape", b'"w"'))  # fmt: skip
    yield case("a shape of fewer bytes", safetensors({"w": entry(shape=(3,))}), ("safetensors-shape", b'"w"'))
    yield case("half a byte", safetensors({"w": entry("F4", (31,))}), ("safetensors-shape", b'"w"'))
    yield case("a hundred dimensions", safetensors({"w": entry(shape=(1,) * 99 + (4,))}), ("safetensors-shape", b'"w"'))
    lap: dict[str, object] = {"a": entry(), "b": entry(offsets=(8, 24))}
    yield case("overlapping tensors", safetensors(lap, ONES + ONES[:8]), ("safetensors-offsets", b'"b"'))
    yield case("the same bytes twice", safetensors({"a": entry(), "b": entry()}), ("safetensors-offsets", b'"b"'))
    hole: dict[str, object] = {"a": entry(), "b": entry(offsets=(20, 36))}
    yield case("a hole", safetensors(hole, ONES + SYSTEM[:4] + ONES), ("safetensors-offsets", b'"b"'))
    yield case("a gap in front", safetensors({"w": entry(offsets=(4, 20))}, bytes(20)), ("safetensors-offsets", b'"w"'))
    yield case("offsets backwards", safetensors({"w": entry(offsets=(16, 0))}), ("safetensors-offsets", b'"w"'))
    yield case("a name from right to left", safetensors({"w\u202ex": entry()}), ("tensor-name", b'"w'))
    for name, note in (
        ("markup", "<script>alert(1)</script>"), ("a template", "{{ cycler.__init__ }}"),
        ("code", "import os; os.system('true')"),
        ("packed data", "gASVHwAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu" * 2), ("controls", "\x1b[2J"),
        ("a page", "a b " * 500),
    ):  # fmt: skip
        content = safetensors({"__metadata__": {"note": note}, "w": entry()})
        yield case(f"{name} in the metadata", content, ("safetensors-metadata", b'"note"'))
