"""Cats and dogs: the selection of 2,000 training and 1,000 validation photographs that Google's tutorials use.

The photographs come from Petfinder.com by way of Microsoft Research's Asirra (Elson, Douceur, Howell, Saul, CCS 2007)
and Kaggle's "Dogs vs. Cats". They are for research and not for commerce: not an open licence.

Two layouts: the public archive with pictures of all sizes, and the same selection with every picture squashed to
160x160 (JPEG of a JPEG: say so beside a figure).
"""

from __future__ import annotations

from pathlib import Path

from badnets.data import folder
from badnets.data.sources import Source
from badnets.data.tree import Archive

# The digest and the size (68,606,236 bytes) of Google's file are those of a public Git LFS pointer to it.
ORIGINAL = Source(
    "cats_and_dogs_filtered.zip",
    "91af24e0be191e9380dafc8710d0933fa826ec8e51f26f85c1fddba4e8018e3f",
    "https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip",
)
SMALL = Source(
    "cats_and_dogs_filtered_160.zip",
    "90db3ac50b0842cd4f7bd13a201d3611d2a5dfc4f018c391372fb69df249436b",
)
# Height and width to which the tutorial brings them, whatever their own shape.
SIZE = (150, 150)


def look(archive: Path, size: tuple[int, int] | None = None) -> folder.Album:
    """Classes `cats` and `dogs`, RGB, in place in the archive; its validation half is the test half.

    Args:
        archive: either of both.
        size: (height, width) of all pictures; None for 150x150.

    Raises:
        DataError: damaged.
    """
    return folder.look(Archive(archive), size or SIZE, mode="RGB", name="catsdogs")
