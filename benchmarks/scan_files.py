"""The files that scanners are compared on: both catalogues of hostile ones, and harmless ones of real writers."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.supply import benign_weights, hostile_formats
from tests.supply.hostile_weights import catalogue

Content = Callable[[], dict[str, bytes]]

# By the reader that the catalogue means them for: what a user would have called such a file.
_SUFFIXES = {"torch-zip": ".pt", "torch-legacy": ".pt", "torch-tar": ".pt", "safetensors": ".safetensors"}


@dataclass(frozen=True)
class Sample:
    """One file or folder.

    Attributes:
        group: "weights" or "formats" of the hostile ones, "benign" for the harmless ones.
        family: of the catalogue.
        files: makes the content by name; more than one is a folder.
        folder: whether the folder itself is judged, not the file in it.
    """

    group: str
    family: str
    files: Content
    folder: bool = False

    @property
    def hostile(self) -> bool:
        """Whether nobody may admit it."""
        return self.group != "benign"


def samples() -> list[Sample]:
    """All of them: hostile weights, hostile files of other formats, harmless ones.

    Left out are weights whose only fault is a number that is not finite: no scanner looks for that unasked.
    """
    return [*_hostile_weights(), *_hostile_formats(), *_benign()]


def even(whole: list[Sample], count: int) -> list[Sample]:
    """`count` samples at even distances, a third of them harmless, so that each family has its share; all where 0."""
    if not 0 < count < len(whole):
        return whole
    sides = [[sample for sample in whole if sample.hostile is hostile] for hostile in (True, False)]
    counts = (min(len(sides[0]), count - count // 3), min(len(sides[1]), count // 3))
    return [
        side[number * len(side) // most] for side, most in zip(sides, counts, strict=True) for number in range(most)
    ]


def write(sample: Sample, folder: Path) -> Path:
    """Write the sample into `folder`; what is to be judged."""
    files = sample.files()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder if sample.folder or len(files) > 1 else folder / next(iter(files))


def _one(name: str, content: bytes) -> Content:
    return lambda: {name: content}


def _hostile_weights() -> Iterator[Sample]:
    for case in catalogue():
        if "finite" not in case.reader:
            suffix = _SUFFIXES.get(case.reader, ".pkl")
            yield Sample("weights", case.family, _one(f"model{suffix}", case.content))


def _hostile_formats() -> Iterator[Sample]:
    for case in hostile_formats.CASES:
        yield Sample("formats", case.family, case.files, folder=case.family == "folders")


def _benign() -> Iterator[Sample]:
    for name, content in benign_weights.benign():
        suffix = ".safetensors" if "safetensors" in name else ".pt"
        legacy = "torch, legacy" if "legacy" in name else "torch, zip"
        family = "safetensors" if suffix == ".safetensors" else legacy
        yield Sample("benign", family, _one(f"model{suffix}", content))
    for kind in ("<f4", "<f8", "<i8", "|b1", "<f2", "<c8"):
        array = np.zeros((3, 4), np.dtype(kind))
        yield Sample("benign", "npy", _one("array.npy", _saved(np.save, array)))
        yield Sample("benign", "npz", _one("arrays.npz", _saved(np.savez, array)))


def _saved(save: Callable[..., None], array: object) -> bytes:
    buffer = io.BytesIO()
    save(buffer, array)
    return buffer.getvalue()
