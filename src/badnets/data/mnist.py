"""MNIST and sets of its format: four idx files, gzipped.

Format: http://yann.lecun.com/exdb/mnist/ ("the IDX file format"): two zero bytes, a type byte (8 is
uint8), the number of dimensions, the sizes as big-endian 32-bit integers, then the values.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from badnets.data.imageset import ImageSet, Split
from badnets.data.sources import Source
from badnets.errors import DataError

_HOST = "https://ossci-datasets.s3.amazonaws.com/mnist/"

SOURCES = tuple(
    Source(file, sha256, _HOST + file)
    for file, sha256 in {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }.items()
)


def read_idx(path: Path) -> Tensor:
    """The uint8 tensor in a gzipped idx file.

    Raises:
        DataError: not gzip, cut short, not uint8, or more or fewer values than the header says.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); get it again") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{path}: expected an idx file of unsigned bytes, got the head {content[:4].hex()!r}")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path}: the idx header is cut short; get the file again")
    sizes = struct.unpack(f">{dimensions}I", content[4:start])
    expected = math.prod(sizes)
    if len(content) - start != expected:
        raise DataError(f"{path}: expected {expected:,} values, got {len(content) - start:,}; get it again")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).copy()).reshape(sizes)


def read(files: dict[str, Path]) -> Split:
    """60,000 images to train on and 10,000 to test on, 28x28 grey.

    Args:
        files: a path for each file name of `SOURCES`.

    Raises:
        DataError: a file is damaged.
    """
    halves = []
    for prefix, name in (("train", "mnist/train"), ("t10k", "mnist/test")):
        images = read_idx(files[f"{prefix}-images-idx3-ubyte.gz"])
        labels = read_idx(files[f"{prefix}-labels-idx1-ubyte.gz"])
        classes = tuple(str(digit) for digit in range(10))
        halves.append(ImageSet(images[:, None], labels.long(), classes, name))
    return Split(*halves)
