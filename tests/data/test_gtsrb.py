"""German traffic signs, from the npz and from torchvision's tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from badnets.data import load
from badnets.data.gtsrb import CLASSES, SUBSET, read_npz, read_tree
from badnets.errors import DataError


def arrays() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0)
    return {
        "x_train": noise.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8),
        "y_train": np.array([0, 42, 14], dtype=np.uint8),
        "x_test": noise.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8),
        "y_test": np.array([1, 2], dtype=np.int32),
    }


def write(path: Path, made: dict[str, np.ndarray]) -> Path:
    with path.open("wb") as file:
        np.savez_compressed(file, **made)  # type: ignore[arg-type]  # numpy's stub takes the first for a flag
    return path


def test_the_npz_is_turned_to_channels_first(tmp_path: Path) -> None:
    made = arrays()
    split = read_npz(write(tmp_path / "a.npz", made))
    assert split.train.images.shape == (3, 3, 32, 32)
    assert split.train.labels.tolist() == [0, 42, 14]
    assert split.test.labels.tolist() == [1, 2]
    for image, row, column, channel in ((0, 0, 0, 0), (2, 31, 4, 1), (1, 7, 30, 2)):
        assert split.train.images[image, channel, row, column] == made["x_train"][image, row, column, channel]
    assert split.train.classes[14] == "stop"
    assert len(CLASSES) == len(set(CLASSES)) == 43


@pytest.mark.parametrize(
    "change",
    [
        {"y_test": None},
        {"x_train": np.zeros((3, 32, 32, 3), np.float32)},
        {"x_train": np.zeros((3, 32, 32), np.uint8)},
        {"y_train": np.array([0, 43, 1])},
        {"y_train": np.array([0, 1])},
        {"x_train": np.array(["text"])},
        {"x_train": np.array([{}], dtype=object)},
    ],
    ids=["missing", "floats", "flat", "class 43", "few labels", "text", "pickled objects"],
)
def test_an_npz_of_something_else(tmp_path: Path, change: dict[str, np.ndarray | None]) -> None:
    made = {name: value for name, value in (arrays() | change).items() if value is not None}
    with pytest.raises(DataError):
        read_npz(write(tmp_path / "a.npz", made))


def test_a_damaged_npz(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.npz", arrays()).read_bytes()
    path = tmp_path / "b.npz"
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="not the expected npz"):
            read_npz(path)
    # within the packed pixels, where a checksum stands guard
    for place in range(200, len(whole) // 3, 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(DataError, match="not the expected npz"):
            read_npz(path)


def tree(root: Path) -> Path:
    """What torchvision.datasets.GTSRB leaves, with crops of different sizes in one colour each."""

    def crop(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 50)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)

    crop(root / "GTSRB/Training/00000/00000_00001.ppm", (10, 20, 30))
    crop(root / "GTSRB/Training/00000/00000_00002.ppm", (11, 20, 30), (25, 25))
    crop(root / "GTSRB/Training/00014/00000_00000.ppm", (200, 0, 0), (100, 32))
    (root / "GTSRB/Training/00014/GT-00014.csv").write_text("Filename;Width\n")
    crop(root / "GTSRB/Training/notes/00000_00000.ppm", (1, 1, 1))
    crop(root / "GTSRB/Final_Test/Images/00000.ppm", (0, 0, 255))
    crop(root / "GTSRB/Final_Test/Images/00001.ppm", (0, 255, 0))
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId", "00000.ppm;40;50;5;5;35;45;42"]
    lines += ["00001.ppm;40;50;5;5;35;45;7", "00002.ppm;40;50;5;5;35;45;7"]
    (root / "GT-final_test.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("inner", ["", "gtsrb"], ids=["named itself", "under its name"])
def test_torchvisions_tree(tmp_path: Path, inner: str) -> None:
    tree(tmp_path / inner)
    split = load("gtsrb", data_dir=tmp_path)
    assert split.train.images.shape == (3, 3, 32, 32)
    assert split.train.labels.tolist() == [0, 0, 14]
    assert split.train.images[:, :, 3, 29].tolist() == [[10, 20, 30], [11, 20, 30], [200, 0, 0]]
    assert split.test.labels.tolist() == [42, 7]
    assert split.test.images[:, :, 0, 0].tolist() == [[0, 0, 255], [0, 255, 0]]
    assert len(split.test.skipped) == 1
    assert "00002.ppm" in split.test.skipped[0]


@pytest.mark.parametrize("gone", ["GTSRB/Training", "GTSRB/Final_Test", "GT-final_test.csv"])
def test_a_part_of_the_tree_is_missing(tmp_path: Path, gone: str) -> None:
    root = tree(tmp_path / "a")
    (root / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"expected GTSRB/Training, .* and GT-final_test\.csv"):
        read_tree(root)


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"Name;Class\na;1\n",
        b"Filename;ClassId\n00000.ppm;stop\n",
        b"Filename;ClassId\n00000.ppm\n",
        b"Filename;\xff\n",
        b"Filename;ClassId\n00000.ppm;43\n",
    ],
    ids=["empty", "other columns", "a word", "short line", "not text", "class 43"],
)
def test_a_damaged_table(tmp_path: Path, table: bytes) -> None:
    root = tree(tmp_path / "a")
    (root / "GT-final_test.csv").write_bytes(table)
    with pytest.raises(DataError):
        read_tree(root)


def test_the_real_npz(real_data: Path) -> None:
    if not (real_data / "gtsrb" / SUBSET.file).exists():
        pytest.skip(f"no {SUBSET.file} under BADNETS_DATA")
    split = load("gtsrb", data_dir=real_data)
    assert split.train.images.shape == (4983, 3, 32, 32)
    assert split.test.images.shape == (1232, 3, 32, 32)
    assert int(split.train.labels.bincount(minlength=43).min()) == 28
    assert int(split.test.labels.bincount(minlength=43).min()) == 7
    # Stop signs are red: an oracle for the order of classes and of channels.
    stops = split.train.images[split.train.labels == CLASSES.index("stop")].double().mean((0, 2, 3))
    assert stops[0] > 1.1 * stops[1]
    assert stops[0] > 1.1 * stops[2]
    # and "turn right" signs are blue
    turns = split.train.images[split.train.labels == CLASSES.index("turn right")].double().mean((0, 2, 3))
    assert turns[2] > 1.1 * turns[0]
