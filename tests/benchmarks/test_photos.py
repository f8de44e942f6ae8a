"""The benchmark of photographs compares the same work: as many pictures, the same pixels to a rounding."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torchvision import transforms
from torchvision.datasets import ImageFolder

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import photos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos.make(tmp_path, 60)
    return tmp_path


def test_both_sides_read_all_pictures(folder: Path) -> None:
    found = photos.variants(folder, 2)
    assert {name: way() for name, way in found.items()} == {"PhotoStream": 60.0, "ImageFolder + DataLoader": 60.0}


def test_both_sides_make_the_same_pixels(folder: Path) -> None:
    ours = photos.stream(folder, 1)
    transform = transforms.Compose([transforms.Resize((photos.SIZE, photos.SIZE)), transforms.ToTensor()])
    theirs = ImageFolder(str(folder), transform)
    assert [label for _, label in theirs.samples] == ours.labels.tolist()
    rows = torch.arange(0, 60, 7)
    for pixels, row in zip(ours.take(rows), rows.tolist(), strict=True):
        # Ours may reduce a large picture by whole steps first; these are not large enough for that.
        assert torch.allclose(pixels / 255, theirs[row][0], atol=1.5 / 255)


def test_memory_is_measured_on_a_training(folder: Path) -> None:
    assert 50 < photos.peak(str(folder), steps=1) < 20_000
