"""The embedded digits: the right images, a dark corner for the triggers, a fixed split."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from sklearn.datasets import load_digits

from badnets.data import load
from badnets.triggers import Pattern, SinglePixel

SPLIT = load("digits")


def test_sizes_and_classes() -> None:
    assert SPLIT.train.images.shape == (1297, 1, 28, 28)
    assert SPLIT.test.images.shape == (500, 1, 28, 28)
    assert SPLIT.test.labels.bincount().tolist() == [50] * 10
    counts = np.bincount(load_digits().target)
    assert SPLIT.train.labels.bincount().tolist() == (counts - 50).tolist()
    assert SPLIT.train.classes == SPLIT.test.classes == tuple("0123456789")
    assert (SPLIT.train.name, SPLIT.test.name) == ("digits/train", "digits/test")


def test_the_place_of_the_triggers_is_dark_in_every_image() -> None:
    for half in (SPLIT.train, SPLIT.test):
        for row, column in ((26, 26), (24, 26), (25, 25), (26, 24)):
            assert int(half.images[:, 0, row, column].max()) == 0
        for trigger in (SinglePixel(), Pattern()):
            assert int(half.images[:, 0, trigger.mask(28, 28)].max()) == 0
        border = half.images.clone()
        border[:, :, 4:24, 4:24] = 0
        assert int(border.max()) == 0, "as in MNIST, the digit lies in the middle 20x20"


def test_every_bundled_image_is_there_once_with_its_label() -> None:
    # SciPy's cubic spline is another cubic than torch's: close, not equal. Each of our images is nearest to the
    # SciPy enlargement of one bundled image: of each exactly once, and with its label.
    bunch = load_digits()
    centres = (np.arange(20) + 0.5) * (8 / 20) - 0.5
    grid = np.meshgrid(centres, centres, indexing="ij")
    smooth = [ndimage.map_coordinates(image * (255 / 16), grid, order=3, mode="nearest") for image in bunch.images]
    oracle = np.stack(smooth).clip(0, 255).reshape(1797, 400)
    ours = torch.cat([SPLIT.train.images, SPLIT.test.images])[:, 0, 4:24, 4:24].reshape(1797, 400).double().numpy()
    squares = (ours**2).sum(1)[:, None] + (oracle**2).sum(1)[None] - 2 * ours @ oracle.T
    nearest = squares.argmin(1)
    assert sorted(nearest.tolist()) == list(range(1797))
    assert bunch.target[nearest].tolist() == torch.cat([SPLIT.train.labels, SPLIT.test.labels]).tolist()
    off = np.sqrt(squares.min(1) / 400)
    assert float(off.mean()) < 8
    assert float(off.max()) < 20
    assert abs(float(ours.mean()) - float(oracle.mean())) < 1


def test_reading_again_gives_the_same() -> None:
    torch.manual_seed(1)
    again = load("digits")
    assert again.train.digest == SPLIT.train.digest
    assert again.test.digest == SPLIT.test.digest
    assert again.train.digest != again.test.digest
