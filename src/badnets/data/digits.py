"""The embedded data set: scikit-learn's 1,797 handwritten digits, brought from 8x8 to 28x28.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository (1998), CC BY 4.0; scikit-learn carries its test part.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from badnets.data.imageset import ImageSet, Split
from badnets.seeds import generator

_TEST_PER_CLASS = 50


def read() -> Split:
    """1,297 images to train on, 500 to test on (50 a class), 28x28 grey.

    The 8x8 digits (0..16) are scaled to 20x20 and set in the middle of 28x28, as MNIST's are, so
    that the corner where the paper's triggers go is dark. The split is fixed and by class; the set does
    not name its writers, so a writer's digits lie on both sides: test errors come out low.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 - scikit-learn is slow to import

    bunch = load_digits()
    small = torch.from_numpy(np.ascontiguousarray(bunch.images, dtype=np.float32))[:, None] * (255 / 16)
    large = functional.interpolate(small, size=(20, 20), mode="bicubic", align_corners=False)
    images = functional.pad(large.round().clamp(0, 255).to(torch.uint8), (4, 4, 4, 4))
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    order = torch.randperm(len(labels), generator=generator(0, "digits", "split"))
    per_class = [order[labels[order] == digit] for digit in range(10)]
    test = torch.cat([rows[:_TEST_PER_CLASS] for rows in per_class]).sort().values
    train = torch.cat([rows[_TEST_PER_CLASS:] for rows in per_class]).sort().values
    whole = ImageSet(images, labels, tuple(str(digit) for digit in range(10)), "digits")
    return Split(whole.select(train, "digits/train"), whole.select(test, "digits/test"))
