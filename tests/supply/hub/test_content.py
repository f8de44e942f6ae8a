"""Names and bytes of models: files, folders, and what may be neither."""

from __future__ import annotations

import os

import pytest

from badnets.artifacts import canonical_json
from badnets.errors import DataError, InputError
from badnets.supply.hub import Client, Fault, Refused, publish
from badnets.supply.hub.content import FileList, Part, read_list
from badnets.supply.hub.names import check_files, check_model

from .conftest import Bench


@pytest.mark.parametrize("name", ["a", "lab/stop-signs/v3", "A_1.2+b/c", "x" * 100])
def test_names_of_models(name: str) -> None:
    assert check_model(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a//b", "../a", "a/..", ".a", "a b", "a%2e", "ä", "a\\b", "a:b", "x" * 101, "con", "a/nul.txt",
     f"{'0' * 64}.x", "a/b/c/d/e/f/g/h/i", "a\n"],
)  # fmt: skip
def test_names_that_no_model_may_have(name: str) -> None:
    with pytest.raises(InputError):
        check_model(name)


@pytest.mark.parametrize(
    "names",
    [["a?b"], ["a%b"], ["a#b"], ["A", "a"], ["é", "e\u0301"], ["../x"], ["x" * 181], ["b\u202ea"], [f"d/{'a' * 64}.x"]],
)
def test_files_that_may_not_be_called_so(names: list[str]) -> None:
    with pytest.raises(InputError):
        check_files(names)


def test_a_folder_comes_back_file_for_file(bench: Bench) -> None:
    files = {"config.json": b"{}", "weights/a.safetensors": b"a" * 5000, "weights/ü b.bin": b"", "z": b"z"}
    bench.publish("lab/folder", files)
    with Client(bench.trusted(), bench.hub).at_work() as client:
        got = client.get("lab/folder", bench.folder / "out" / "folder")
        again = client.get("lab/folder", bench.folder / "out" / "folder")
    found = {path.relative_to(got.path).as_posix(): path.read_bytes() for path in got.path.rglob("*") if path.is_file()}
    assert found == files
    assert set(got.files) == set(files)
    assert (got.already_there, again.already_there) == (False, True)
    assert got.found.is_folder
    # A folder is replaced by nothing: neither by a new version nor where a file more lies in it.
    (got.path / "extra").write_bytes(b"")
    with Client(bench.trusted(), bench.hub).at_work() as client, pytest.raises(InputError, match="is not this version"):
        client.get("lab/folder", got.path)


def test_one_file_of_a_folder_is_swapped_on_the_server(bench: Bench) -> None:
    bench.publish("lab/folder", {"a": b"aaaa", "b": b"bbbb"})
    (swapped,) = (bench.hub / "targets" / "lab" / "folder").glob("*.b")
    swapped.write_bytes(b"evil")
    with Client(bench.trusted(), bench.hub).at_work() as client, pytest.raises(Refused) as caught:
        client.get("lab/folder", bench.folder / "out" / "folder")
    assert caught.value.fault == Fault.ALTERED
    assert list((bench.folder / "out").iterdir()) == []


def test_custom_data_is_signed_along(bench: Bench) -> None:

    source = bench.source(b"model")
    publish(bench.hub, {"lab/a": source}, bench.ring, custom={"gate": {"vsa_sha256": "ab" * 32}})
    with Client(bench.trusted(), bench.hub).at_work() as client:
        found = client.find("lab/a")
    assert found.custom["gate"] == {"vsa_sha256": "ab" * 32}
    assert found.origin.role == "admission"
    assert (found.origin.threshold, found.origin.keys) == (2, 2)
    with pytest.raises(InputError, match="the hub's own"):
        publish(bench.hub, {"lab/a": source}, bench.ring, custom={"badnets": 1})


def test_what_is_no_plain_file(bench: Bench) -> None:
    folder = bench.source({"a": b"a"}, "odd")
    (folder / "link").symlink_to("a")
    with pytest.raises(InputError, match="a symbolic link"):
        publish(bench.hub, {"lab/a": folder}, bench.ring)
    with pytest.raises(InputError):
        publish(bench.hub, {"lab/a": bench.folder / "none"}, bench.ring)
    os.mkfifo(bench.folder / "fifo")
    with pytest.raises(InputError, match="a FIFO"):
        publish(bench.hub, {"lab/a": bench.folder / "fifo"}, bench.ring)
    with pytest.raises(InputError, match="nothing to publish"):
        publish(bench.hub, {}, bench.ring)
    assert not list((bench.hub / "targets").rglob(".incoming*"))


@pytest.mark.parametrize(
    "files",
    [
        (),
        (Part("b", 1, "0" * 64), Part("a", 1, "0" * 64)),
        (Part("a", 1, "0" * 64), Part("a", 1, "0" * 64)),
        (Part("a", -1, "0" * 64),),
        (Part("a", 1, "0" * 63),),
        (Part("a", 1, "G" * 64),),
        (Part("../a", 1, "0" * 64),),
        (Part("A", 1, "0" * 64), Part("a", 1, "0" * 64)),
    ],
    ids=["empty", "unsorted", "twice", "length", "short", "no hex", "climbs", "twins"],
)
def test_a_list_that_is_none(files: tuple[Part, ...]) -> None:
    with pytest.raises(InputError):
        FileList(files)
    with pytest.raises(DataError):
        read_list(canonical_json({"files": files}).encode(), "here")


def test_a_list_knows_nothing_else() -> None:
    with pytest.raises(DataError, match="extra"):
        read_list(b'{"files":[{"name":"a","length":1,"sha256":"%s"}],"extra":1}' % (b"0" * 64), "here")
