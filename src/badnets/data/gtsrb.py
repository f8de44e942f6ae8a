"""German Traffic Sign Recognition Benchmark (Stallkamp et al., IJCNN 2011): crops of 43 kinds of signs.

Two layouts: an npz with arrays `x_train`, `y_train`, `x_test`, `y_test` (uint8 NHWC), and the tree that
torchvision's `GTSRB(download=True)` leaves (`GTSRB/Training/<class>/*.ppm`, `GTSRB/Final_Test/Images/*.ppm`
and `GT-final_test.csv`).
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch

from badnets.data.imageset import ImageSet, Split
from badnets.data.pictures import read_pictures
from badnets.data.sources import Source
from badnets.data.tree import Folder
from badnets.errors import DataError

SUBSET = Source("gtsrb32_subset.npz", "6e9a0b652533312503b93a0322489535a0da817f4007d8703c0c796e485047bb")
TREE = Path("GTSRB")
SIZE = 32
# fmt: off
CLASSES = (
    "speed 20", "speed 30", "speed 50", "speed 60", "speed 70", "speed 80", "end of 80", "speed 100",
    "speed 120", "no overtaking", "no overtaking by trucks", "priority at crossing", "priority road",
    "give way", "stop", "no vehicles", "no trucks", "no entry", "danger", "bend left", "bend right",
    "double bend", "uneven road", "slippery", "road narrows", "road works", "traffic lights", "pedestrians",
    "children", "cycles", "snow", "animals", "end of limits", "turn right", "turn left", "straight on",
    "straight or right", "straight or left", "keep right", "keep left", "roundabout",
    "end of no overtaking", "end of no overtaking by trucks",
)
# fmt: on


def read_npz(path: Path) -> Split:
    """The npz layout.

    Raises:
        DataError: damaged, or an array is missing.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            halves = [
                ImageSet(
                    torch.from_numpy(arrays[f"x_{half}"]).permute(0, 3, 1, 2).contiguous(),
                    torch.from_numpy(arrays[f"y_{half}"].astype(np.int64)),
                    CLASSES,
                    f"gtsrb (subset)/{half}",
                )
                for half in ("train", "test")
            ]
    except Exception as error:  # numpy and zipfile raise a dozen kinds about a damaged archive
        raise DataError(f"{path}: not the expected npz ({error}); get it again") from error
    return Split(*halves)


def read_tree(root: Path) -> Split:
    """Torchvision's layout under `root/GTSRB`, every crop scaled to 32x32.

    Raises:
        DataError: a part of the tree is missing, or its table is damaged.
    """
    training, testing = root / TREE / "Training", root / TREE / "Final_Test" / "Images"
    table = next(
        (path for path in (root / "GT-final_test.csv", root / TREE / "GT-final_test.csv") if path.is_file()),
        None,
    )
    if not training.is_dir() or not testing.is_dir() or table is None:
        raise DataError(f"{root}: expected GTSRB/Training, GTSRB/Final_Test/Images and GT-final_test.csv")
    tree = Folder(root / TREE)
    pictures = sorted(training.glob("*/*.ppm"))
    train = [
        (path.relative_to(tree.root).as_posix(), int(path.parent.name))
        for path in pictures
        if path.parent.name.isdecimal()
    ]
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
            test = [(f"Final_Test/Images/{row['Filename']}", int(row["ClassId"])) for row in rows]
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{table}: expected lines with Filename and ClassId ({error}); get it again") from error
    return Split(
        read_pictures(tree, train, CLASSES, "gtsrb/train", form=((SIZE, SIZE), "RGB")),
        read_pictures(tree, test, CLASSES, "gtsrb/test", form=((SIZE, SIZE), "RGB")),
    )
