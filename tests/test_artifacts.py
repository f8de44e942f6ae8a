"""What crosses the disk: whole or not at all, the same text for the same value, digests as hashlib has them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badnets.artifacts import (
    RunFolder,
    canonical_json,
    make_folder,
    open_atomic,
    parse_json,
    read_bytes,
    read_json,
    sha256_bytes,
    sha256_file,
    sha256_json,
    write_bytes,
    write_json,
    write_text,
)
from badnets.errors import DataError, InputError, StorageError
from badnets.poison import AllToAll, Recipe
from badnets.triggers import Pattern

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@dataclass(frozen=True)
class Person:
    name: str
    age: int = 3

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


# --- atomic writes ---


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file"
    write_bytes(path, b"a long first content")
    write_bytes(path, b"short")
    assert path.read_bytes() == b"short"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "Grüße …\n")
    assert (tmp_path / "file").read_bytes() == "Grüße …\n".encode()


@pytest.mark.parametrize(
    "fault", [KeyboardInterrupt, SystemExit, RuntimeError, OSError], ids=lambda kind: kind.__name__
)
@pytest.mark.parametrize("old", [b"the old file", None], ids=["over an old file", "new file"])
def test_a_fault_in_the_middle_leaves_the_old_file_and_no_stray(
    tmp_path: Path, fault: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)

    def write_half() -> None:
        with open_atomic(path) as file:
            file.write(b"half of the ne")
            file.flush()
            assert (path.read_bytes() if path.exists() else None) == old, "a reader must see the old file meanwhile"
            raise fault

    with pytest.raises((fault, StorageError)):
        write_half()
    assert (path.read_bytes() if path.exists() else None) == old
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ([] if old is None else ["file"])


def test_files_obey_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        assert os.umask(before) == 0o027, "writing must leave the umask as it was"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
    ids=["full", "quota", "read-only", "permission", "other"],
)
@pytest.mark.parametrize("where", ["open", "fsync", "replace"])
def test_a_refusing_disk_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, where: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    owner: Any = {"open": os, "fsync": os, "replace": Path}[where]
    monkeypatch.setattr(owner, where, refuse)
    with pytest.raises(StorageError, match=words) as caught:
        write_bytes(path, b"new")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_really_full_disk(full_disk: Path) -> None:
    before = sorted(full_disk.iterdir())
    with pytest.raises(StorageError, match="the disk is full: make room"):
        write_bytes(full_disk / "file", b"x" * 100_000)
    assert sorted(full_disk.iterdir()) == before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and /sys are Linux's")
@pytest.mark.parametrize("root", ["/proc/badnets", "/sys/badnets"])
def test_a_folder_that_nobody_may_write_to(root: str) -> None:
    with pytest.raises(StorageError, match=f"cannot write {root}"):
        write_bytes(Path(root) / "run" / "file", b"")
    with pytest.raises(StorageError, match=f"cannot write {root}"):
        make_folder(Path(root))


@pytest.mark.parametrize("below", ["file/x", "file/x/y"])
def test_a_file_where_a_folder_should_be(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="name a folder"):
        write_bytes(tmp_path / below, b"")


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match="this is a folder: name a file"):
        write_bytes(tmp_path / "taken", b"")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


# --- canonical JSON ---


def shuffled(value: Any, order: int) -> Any:  # noqa: ANN401 - any JSON value
    """The same value with the keys of its objects put in another order."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: hashlib.sha256(f"{order}{key!r}".encode()).digest())
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(JSON_VALUES, st.integers())
def test_equal_values_give_equal_text_whatever_the_order_of_keys(value: object, order: int) -> None:
    assert canonical_json(shuffled(value, order)) == canonical_json(value)


@given(JSON_VALUES)
def test_canonical_json_loses_nothing(value: object) -> None:
    # So different values give different text, and different digests.
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text
    assert "\n" not in text


def test_the_canonical_form_itself() -> None:
    value = {"b": (1, 2.5, None), "a": Person("Zoë"), "c": Path("x") / "y", "é": True}
    assert canonical_json(value) == '{"a":{"age":3,"name":"Zoë"},"b":[1,2.5,null],"c":"x/y","é":true}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_say_is_refused(value: float, tmp_path: Path) -> None:
    for nested in (value, [value], {"a": {"b": value}}):
        with pytest.raises(ValueError, match="Out of range"):
            canonical_json(nested)
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "file", value)
    assert list(tmp_path.iterdir()) == []


@given(st.text(), st.integers())
def test_a_value_comes_back_from_its_json(name: str, age: int) -> None:
    person = Person(name, age)
    assert parse_json(Person, canonical_json(person), "here") == person


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"name":"a","age":1,"shoe":2}', "shoe"),
        ('{"name":"a","age":"old"}', "age"),
        ('{"age":1}', "name"),
        ("[]", "the whole file"),
        ('{"name":"a"', "the whole file"),
        ("", "the whole file"),
        (b"\xff\xfe", "the whole file"),
        ("[" * 100_000, "the whole file"),
    ],
    ids=["unknown field", "wrong type", "missing", "other kind", "cut short", "empty", "not text", "deeply nested"],
)
def test_json_that_is_no_such_value(tmp_path: Path, text: str | bytes, fault: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=fault) as caught:
        read_json(Person, path)
    assert str(path) in str(caught.value)
    assert "Person" in str(caught.value)


def test_a_value_that_refuses_itself_is_told_where_it_came_from() -> None:
    text = canonical_json(Recipe(AllToAll(), Pattern(), rate=0.5)).replace('"rate":0.5', '"rate":7.0')
    with pytest.raises(DataError, match=r"plan\.json is not a Recipe: rate is a share"):
        parse_json(Recipe, text, "plan.json")


# --- digests ---


def test_digests_are_those_of_hashlib(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1
    assert sha256_bytes(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    content = bytes(range(256)) * 12_345  # more than any buffer
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    assert sha256_bytes(memoryview(content)) == hashlib.sha256(content).hexdigest()
    assert sha256_json({"b": 1, "a": [2]}) == hashlib.sha256(b'{"a":[2],"b":1}').hexdigest()


@pytest.mark.parametrize("read", [sha256_file, read_bytes], ids=lambda read: read.__name__)
def test_a_file_that_cannot_be_read(tmp_path: Path, read: Any) -> None:  # noqa: ANN401 - either function
    with pytest.raises(InputError, match=r"cannot read .*nowhere"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path)


# --- run folders ---


def test_a_run_folder_goes_on_with_its_own_spec_only(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.claim(Person("a"))
    first = folder.spec.read_bytes()
    folder.claim(Person("a"))
    with pytest.raises(InputError, match="other settings"):
        folder.claim(Person("b"))
    assert folder.spec.read_bytes() == first == b'{"age":3,"name":"a"}\n'


def test_a_damaged_spec_is_another_spec(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.spec.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="other settings"):
        folder.claim(Person("a"))
    assert folder.spec.read_bytes() == b"\xff\xfe\x00"


def test_the_log_grows_by_lines(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    records: list[dict[str, object]] = [{"b": 1, "a": "x\ny"}, {"c": (1, 2)}]
    for record in records:
        folder.log(record)
    lines = folder.metrics.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"a": "x\ny", "b": 1}, {"c": [1, 2]}]


def test_the_log_says_when_it_cannot_be_written(full_disk: Path) -> None:
    with pytest.raises(StorageError, match="the disk is full"):
        RunFolder(full_disk).log({"a": "x" * 10_000})
