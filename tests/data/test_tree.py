"""Folders and zip archives as one kind of thing; a hostile archive costs a line and no memory."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

import badnets.data.tree as tree_room
from badnets.data.tree import Archive, Folder, Tree, as_text, open_tree
from badnets.errors import DataError

FILES = {
    "cat/1.jpg": b"one",
    "cat/deep/er/2.jpg": b"two" * 1000,
    "cat-2.txt": b"",
    "dog/3.jpg": bytes(range(256)),
}
HIDDEN = ("cat/.4.jpg", ".git/x.jpg", "__MACOSX/cat/1.jpg", "dog/Thumbs.db", "dog/desktop.ini", "cat/.DS_Store")
FOLDERS = ("cat", "cat/deep", "cat/deep/er", "dog", "empty")


def make_folder(place: Path) -> Path:
    for path, content in {**FILES, **dict.fromkeys(HIDDEN, b"hidden")}.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    (place / "empty").mkdir()
    return place


def make_archive(file: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for path, content in {**FILES, **dict.fromkeys(HIDDEN, b"hidden")}.items():
            archive.writestr(path, content)
        archive.mkdir("empty")
    return file


@pytest.fixture(params=["folder", "deflated", "stored"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    if request.param == "folder":
        return open_tree(make_folder(tmp_path / "pets"))
    method = zipfile.ZIP_STORED if request.param == "stored" else zipfile.ZIP_DEFLATED
    return open_tree(make_archive(tmp_path / "pets.zip", method))


def test_both_hold_the_same(tree: Tree) -> None:
    assert isinstance(tree, Tree)
    assert tree.name == "pets"
    assert tree.files() == ("cat/1.jpg", "cat/deep/er/2.jpg", "cat-2.txt", "dog/3.jpg"), "sorted part by part"
    assert tree.folders() == FOLDERS
    assert {path: tree.read(path) for path in tree.files()} == FILES
    assert tree.where("cat/1.jpg").startswith(tree.where(""))
    assert tree.where("cat/1.jpg").endswith("/cat/1.jpg")


def test_what_is_not_there(tree: Tree) -> None:
    with pytest.raises(DataError, match=r"cat/9\.jpg"):
        tree.read("cat/9.jpg")
    with pytest.raises(DataError, match="cat"):
        tree.read("cat")


def test_both_can_be_pickled(tree: Tree) -> None:
    again = pickle.loads(pickle.dumps(tree))  # noqa: S301 - our own
    assert again == tree
    assert again.files() == tree.files()
    assert again.read("dog/3.jpg") == FILES["dog/3.jpg"]


def test_threads_read_at_once(tree: Tree) -> None:
    wanted = list(FILES) * 100
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tree.read, wanted)) == [FILES[path] for path in wanted]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_reads_on_its_own(tmp_path: Path) -> None:
    archive = Archive(make_archive(tmp_path / "pets.zip"))
    child = os.fork()
    if child == 0:
        fine = all(archive.read(path) == content for _ in range(200) for path, content in FILES.items())
        os._exit(0 if fine else 1)
    assert all(archive.read(path) == content for _ in range(200) for path, content in FILES.items())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_file_larger_than_any_picture(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_room, "LARGEST_FILE", 2999)
    with pytest.raises(DataError, match="more than any picture"):
        tree.read("cat/deep/er/2.jpg")
    assert tree.read("dog/3.jpg") == FILES["dog/3.jpg"]


# --- folders ---


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "5.jpg").write_bytes(b"five")
    (root / "eel").symlink_to(tmp_path / "elsewhere")
    (root / "dog" / "6.jpg").symlink_to(tmp_path / "elsewhere" / "5.jpg")
    (root / "cat" / "round").symlink_to(root)
    (tmp_path / "elsewhere" / "back").symlink_to(root / "dog")
    (root / "dog" / "lost.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "dog" / "pipe.jpg")
    tree = Folder(root)
    assert set(tree.files()) == {*FILES, "eel/5.jpg", "dog/6.jpg", "dog/lost.jpg",
                                 "eel/back/3.jpg", "eel/back/6.jpg", "eel/back/lost.jpg"}  # fmt: skip
    assert tree.read("eel/5.jpg") == b"five"
    with pytest.raises(DataError, match=r"lost.jpg: cannot be read"):
        tree.read("dog/lost.jpg")


def test_a_folder_that_may_not_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path / "pets")
    real = os.scandir

    def scandir(place: Path) -> object:
        if Path(place).name == "dog":
            raise PermissionError(13, "Permission denied")
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"dog: cannot be looked into \(Permission denied\)"):
        Folder(root).files()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are text")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets")
    (root / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"six")
    (path,) = set(Folder(root).files()) - set(FILES)
    assert Folder(root).read(path) == b"six"
    assert as_text(path) == "caf\\udce9.jpg"


# --- archives ---


def test_neither_folder_nor_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder or zip archive"):
        open_tree(tmp_path / "nowhere.zip")
    for content in (b"", b"PK", b"not an archive" * 100, make_archive(tmp_path / "whole.zip").read_bytes()[:-30]):
        (tmp_path / "torn.zip").write_bytes(content)
        with pytest.raises(DataError, match=r"torn.zip: no such folder, and not a readable zip archive"):
            open_tree(tmp_path / "torn.zip")


def spoil(file: Path, change: Callable[[bytearray], object]) -> Archive:
    content = bytearray(file.read_bytes())
    change(content)
    file.write_bytes(content)
    return Archive(file)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_entry_is_named_and_the_others_are_read(tmp_path: Path, method: int) -> None:
    file = make_archive(tmp_path / "pets.zip", method)

    def damage(content: bytearray) -> None:
        start = content.index(b"dog/3.jpg") + len("dog/3.jpg")
        content[start + 40] ^= 255

    tree = spoil(file, damage)
    with pytest.raises(DataError, match=r"pets.zip/dog/3.jpg: cannot be read \("):
        tree.read("dog/3.jpg")
    assert tree.read("cat/deep/er/2.jpg") == FILES["cat/deep/er/2.jpg"]


def test_every_cut_and_every_changed_byte_is_refused_or_read_right(tmp_path: Path) -> None:
    whole = make_archive(tmp_path / "pets.zip").read_bytes()
    file = tmp_path / "spoilt.zip"
    for place in range(0, len(whole), 3):
        content = bytearray(whole)
        content[place] ^= 0x55
        for spoilt in (bytes(content), whole[:place]):
            file.write_bytes(spoilt)
            with suppress(DataError):  # either outcome is right, another exception is not
                tree = Archive(file)
                # What no checksum covers is names and dates.
                assert {tree.read(path) for path in tree.files()} <= {*FILES.values(), b"hidden"}


def test_an_encrypted_entry_says_so(tmp_path: Path) -> None:
    file = make_archive(tmp_path / "pets.zip")

    def encrypt(content: bytearray) -> None:
        for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(start) + flags] |= 1

    with pytest.raises(DataError, match=r"cat/1.jpg: encrypted: unpack the archive"):
        spoil(file, encrypt).read("cat/1.jpg")


def test_a_method_that_unpacks_without_bounds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only stored and deflated work"):
        Archive(make_archive(tmp_path / "pets.zip", zipfile.ZIP_LZMA)).read("cat/1.jpg")


def test_an_entry_that_unpacks_to_more_than_it_says(tmp_path: Path) -> None:
    """The size in the directory is changed from 64 MiB to 1,000: no more than that may be unpacked."""
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/1.jpg", bytes(64 << 20))

    def lie(content: bytearray) -> None:
        entry = content.index(b"PK\x01\x02")
        content[entry + 24 : entry + 28] = struct.pack("<I", 1000)

    import tracemalloc  # noqa: PLC0415

    tree = spoil(file, lie)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"cannot be read \(Bad CRC"):
        tree.read("cat/1.jpg")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_names_of_other_systems(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("./cat/1.jpg", "dog\\2.jpg", "/eel//3.jpg", "../4.jpg", "cat/../../5.jpg"):
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            archive.writestr(entry, name)
    tree = Archive(tmp_path / "a.zip")
    assert tree.files() == ("cat/1.jpg", "dog/2.jpg", "eel/3.jpg")
    assert tree.folders() == ("cat", "dog", "eel")
    assert tree.read("dog/2.jpg") == b"dog\\2.jpg"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/1.jpg", b"what a reviewer sees")
        archive.writestr("cat/1.jpg", b"what is trained on")
    with pytest.raises(DataError, match=r"two entries are called 'cat/1.jpg'"):
        Archive(tmp_path / "a.zip")
