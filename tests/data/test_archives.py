"""Pictures in a zip archive, wrapped in folders, with odd files among them: the same data, and every odd file told."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.odd_pictures import ODD, encoded, photograph, plain, turned

from badnets.data import catalog, catsdogs, load
from badnets.data.arrangement import arrange, divide
from badnets.data.folder import held, read
from badnets.data.tree import Folder
from badnets.errors import DataError, InputError

Make = Callable[..., Path]


def zipped(root: Path, inside: str = "", extra: tuple[str, ...] = ()) -> Path:
    file = root.with_suffix(".zip")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, inside + path.relative_to(root).as_posix())
        for name in extra:
            archive.writestr(name, b"import keras")
    return file


@pytest.mark.parametrize("inside", ["", "pets/", "a/b/"], ids=["plain", "wrapped", "wrapped twice"])
@pytest.mark.parametrize("halves", [False, True], ids=["classes", "halves"])
def test_a_zip_is_read_as_its_folder_is(make_pictures: Make, inside: str, halves: bool) -> None:  # noqa: FBT001 - cases
    if halves:
        root = make_pictures("pets/train", count=4).parent
        make_pictures("pets/validation", count=3)
    else:
        root = make_pictures("pets", count=6)
    expected = read(root)
    found = load(f"folder:{zipped(root, inside, (inside + 'vectorize.py', 'README'))}")
    assert found.train.classes == ("cat", "dog")
    assert (found.train.digest, found.test.digest) == (expected.train.digest, expected.test.digest)
    assert (found.train.name, found.test.name) == ("pets/train", "pets/test")
    assert load(str(root.with_suffix(".zip"))).train.digest == expected.train.digest


def test_a_wrapped_folder(make_pictures: Make, tmp_path: Path) -> None:
    root = make_pictures("inner", count=5)
    shutil.move(root, tmp_path / "outer" / "inner")
    found = read(tmp_path / "outer")
    assert found.train.classes == ("cat", "dog")
    assert found.train.name == "outer/train"


def test_one_class_is_no_wrapping(make_pictures: Make) -> None:
    root = make_pictures("a", classes=("cat",), count=3)
    (root / "cat" / "more" / "deep").mkdir(parents=True)
    with pytest.raises(DataError, match="got 1"):
        read(root)


def test_arrangement_names_what_lies_aside(make_pictures: Make) -> None:
    root = make_pictures("a/train", count=1).parent
    make_pictures("a/Val", count=1)
    (root / "readme.txt").write_text("x")
    (root / "train" / "labels.csv").write_text("x")
    (root / "train" / "cat" / "notes.txt").write_text("x")
    found = arrange(Folder(root))
    assert found.classes == ("cat", "dog")
    assert found.train == (("train/cat/000.png", 0), ("train/cat/notes.txt", 0), ("train/dog/000.png", 1))
    assert found.test == (("Val/cat/000.png", 0), ("Val/dog/000.png", 1))
    assert found.aside == ("readme.txt", "train/labels.csv")


def test_the_division_is_80_to_20_in_each_class() -> None:
    labels = [0] * 50 + [1] * 23 + [2]
    train, test = divide(labels, 3)
    assert sorted(train + test) == list(range(74))
    assert [sum(labels[row] == label for row in test) for label in range(3)] == [10, 5, 0]
    assert divide([], 2) == ([], [])


def test_content_decides_what_is_read(make_pictures: Make) -> None:
    root = make_pictures("a", count=10)
    (root / "cat" / "photo").write_bytes(encoded(photograph(1, 32, 32), "JPEG"))
    (root / "cat" / "photo.dat").write_bytes(encoded(photograph(2, 32, 32), "PNG"))
    (root / "dog" / "page.jpg").write_bytes(b"<html>not found")
    (root / "dog" / "notes.txt").write_bytes(b"notes")
    found = read(root)
    assert len(found.train) + len(found.test) == 22
    assert [line.removeprefix(f"{root}/") for line in found.train.skipped] == [
        "dog/page.jpg: not a readable picture (an HTML page)"
    ]
    assert [line.removeprefix(f"{root}/") for line in found.train.treated] == [
        "cat/photo: named without ending, but its content is JPEG: read by its content",
        "cat/photo.dat: named .dat, but its content is PNG: read by its content",
    ]
    assert found.test.skipped == found.test.treated == ()


def test_every_odd_file_of_a_folder_is_told(make_pictures: Make) -> None:
    root = make_pictures("a", count=10, size=(24, 24))
    for number, odd in enumerate(ODD.values()):
        (root / "cat" / f"odd{number}{odd.suffix}").write_bytes(odd.content())
    found = read(root)
    kept = [odd for odd in ODD.values() if odd.colour is not None]
    assert len(found.train) + len(found.test) == 20 + len(kept)
    assert len(found.train.skipped) == len(ODD) - len(kept)
    told = {line.split(": ")[0].rpartition("/")[2].split(".")[0] for line in found.train.treated}
    assert told == {f"odd{number}" for number, odd in enumerate(ODD.values()) if odd.colour is not None}
    archive = read(zipped(root))
    assert archive.train.digest == found.train.digest
    assert [line.replace("a.zip", "a") for line in archive.train.skipped] == list(found.train.skipped)


def test_halves_tell_their_own(make_pictures: Make) -> None:
    root = make_pictures("a/train", count=3, size=(20, 30)).parent
    make_pictures("a/test", count=3, size=(20, 30))
    (root / "train" / "cat" / "x.jpg").write_bytes(turned(6, "JPEG", photograph(0, 20, 30)))
    (root / "test" / "dog" / "y.png").write_bytes(encoded(plain((0, 0, 0, 0), "RGBA"), "PNG"))
    found = read(root)
    assert ["train/cat/x.jpg: EXIF orientation 6" in line for line in found.train.treated] == [True]
    assert ["test/dog/y.png: transparent parts" in line for line in found.test.treated] == [True]
    assert found.train.select(torch.tensor([0, 1])).treated == ()


def test_the_commonest_size_is_that_of_upright_pictures(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "a" / name).mkdir(parents=True)
        for number in range(5):
            content = turned(6 if number else 1, "JPEG", photograph(number, 40, 20))
            (tmp_path / "a" / name / f"{number}.jpg").write_bytes(content)
    found = read(tmp_path / "a")
    assert found.train.shape == (3, 40, 20)
    image = found.train.images[0].permute(1, 2, 0).numpy().astype(int)
    assert min(np.abs(image - np.asarray(photograph(n, 40, 20))).max() for n in range(5)) <= 30


def test_archives_that_are_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"a\.zip: no such folder, and not a readable zip archive"):
        load(f"folder:{tmp_path / 'a.zip'}")
    with pytest.raises(DataError, match=r"nowhere\.zip: no such folder or zip archive"):
        load("nowhere.zip")
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "x.png", "x.png")
    with pytest.raises(DataError, match=r"b\.zip: expected at least 2 class folder"):
        load(str(tmp_path / "b.zip"))


# --- cats and dogs ---


def test_catsdogs(real_data: Path) -> None:
    if not catalog.at_hand("catsdogs", real_data):
        pytest.skip("catsdogs is not among the real data here")
    found = load("catsdogs", data_dir=real_data, size=(16, 12))
    assert found.train.classes == ("cats", "dogs")
    assert found.train.shape == (3, 16, 12)
    assert found.train.labels.bincount().tolist() == [1000, 1000]
    assert found.test.labels.bincount().tolist() == [500, 500]
    assert (found.train.name, found.test.name) == ("catsdogs/train", "catsdogs/test")
    assert found.train.skipped == found.train.treated == found.test.skipped == found.test.treated == ()
    tree = catalog.tree_of("catsdogs", data_dir=real_data)
    assert len(tree.files()) == 3000


def test_catsdogs_at_the_size_of_the_tutorial(make_pictures: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_pictures("catsdogs/train", classes=("cats", "dogs"), count=3).parent
    make_pictures("catsdogs/validation", classes=("cats", "dogs"), count=2)
    file = zipped(root, "cats_and_dogs_filtered/")
    known = catalog.DATASETS["catsdogs"].layouts
    assert [layout.sources[0].file for layout in known] == [
        "cats_and_dogs_filtered.zip",
        "cats_and_dogs_filtered_160.zip",
    ]
    for layout in known:
        files = {layout.sources[0].file: file}
        assert layout.look is not None
        assert held(layout.look(files, None)).train.shape == (3, 150, 150)
        assert held(layout.look(files, (30, 40))).test.shape == (3, 30, 40)
    # the archive itself is found by its name, and refused without the pinned digest
    shutil.copy(file, file.with_name("cats_and_dogs_filtered_160.zip"))
    with pytest.raises(DataError, match="expected SHA-256 90db3ac5"):
        load("catsdogs", data_dir=file.parent)
    monkeypatch.delenv("BADNETS_DATA", raising=False)
    with pytest.raises(DataError, match=r"cats_and_dogs_filtered\.zip or cats_and_dogs_filtered_160\.zip"):
        load("catsdogs", data_dir=root)


def test_catsdogs_that_is_at_hand_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / catsdogs.SMALL.file).write_bytes(b"another file")
    with pytest.raises(DataError, match="expected SHA-256 90db3ac5"):
        catalog.get("catsdogs", folder=tmp_path)
    public = [layout.sources[0] for layout in catalog.DATASETS["catsdogs"].layouts if layout.sources[0].url]
    assert public == [catsdogs.ORIGINAL], "what is fetched otherwise"


def test_a_size_is_for_photographs() -> None:
    with pytest.raises(InputError, match="own image size"):
        load("digits", size=(10, 10))
    with pytest.raises(InputError, match="digits is no set of picture files: expected catsdogs"):
        catalog.tree_of("digits")
    with pytest.raises(InputError, match="unknown data set"):
        catalog.tree_of("xyzzy")


# --- any tree ---


class Names:
    """A tree of nothing but names."""

    name = "made"

    def __init__(self, paths: set[str]) -> None:
        self.paths = paths

    def files(self) -> tuple[str, ...]:
        return tuple(sorted(self.paths, key=lambda path: path.split("/")))

    def folders(self) -> tuple[str, ...]:
        parts = [path.split("/") for path in self.paths]
        found = {"/".join(part[:depth]) for part in parts for depth in range(1, len(part))}
        return tuple(sorted(found, key=lambda path: path.split("/")))

    def read(self, path: str) -> bytes:
        raise DataError(path)

    def where(self, path: str) -> str:
        return path or "made"


parts = st.sampled_from(["a", "b", "train", "Test", "val", "c.jpg", "d.txt"])


@settings(max_examples=300, deadline=None)
@given(st.sets(st.lists(parts, min_size=1, max_size=5).map("/".join), max_size=12))
def test_every_file_has_one_place(paths: set[str]) -> None:
    folders = {path.rpartition("/")[0] for path in paths}
    paths -= {above for path in folders for above in [path, *("/".join(path.split("/")[:n]) for n in range(5))]}
    tree = Names(paths)
    try:
        found = arrange(tree)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a tree that is no data set is refused
        return
    placed = [path for path, _ in (*found.train, *(found.test or ()))]
    assert sorted([*placed, *found.aside]) == sorted(paths)
    assert list(found.classes) == sorted(set(found.classes))
    for half in (found.train, found.test or ()):
        labels = [label for _, label in half]
        assert labels == sorted(labels)
        assert all(f"{found.classes[label]}/" in path for path, label in half)
