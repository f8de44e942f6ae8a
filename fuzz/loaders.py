"""What the users' own loaders make of a file that the scan admits: they must load it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import onnx
import torch
from safetensors.torch import load as load_safetensors

Loader = Callable[[bytes], object]


def _torch(content: bytes) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


def _npy(content: bytes) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.load(io.BytesIO(content), allow_pickle=False)


def _npz(content: bytes) -> object:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return [arrays[name] for name in arrays.files]


def _zip(content: bytes) -> object:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        broken = archive.testzip()
    assert broken is None, broken  # noqa: S101 - the fuzzer's finding
    return broken


def _tar(content: bytes) -> object:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        return archive.getmembers()


def _json(content: bytes) -> object:
    return json.loads(content) if content else None  # an empty file is a format of its own


def _lzma(content: bytes) -> object:
    return lzma.decompress(content, lzma.FORMAT_ALONE)  # without it, Python guesses by the first bytes alone


LOADERS: dict[str, Loader] = {
    "torch-zip": _torch,
    "torch-legacy": _torch,
    "safetensors": load_safetensors,
    "npy": _npy,
    "npz": _npz,
    "onnx": onnx.load_model_from_string,
    "json": _json,
    "zip": _zip,
    "tar": _tar,
    "gzip": gzip.decompress,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
    "lzma": _lzma,
    "zlib": zlib.decompress,
}
