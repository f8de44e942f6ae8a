"""Weights in whatever file a user has, as tensors by name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from badnets.errors import DataError, InputError

if TYPE_CHECKING:
    from torch import Tensor


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of an .npz, .safetensors or torch file; nothing in it is ever executed.

    Torch files are scanned and converted in a child process first, as `badnets convert` does. An index of shards
    (`NAME.safetensors.index.json`) stands for all files that it names.

    Raises:
        DataError: it cannot be read, or the scan refuses it.
        InputError: an npz file with something else than plain arrays.
    """
    return read_weights_and_digest(file)[0]


def read_weights_and_digest(file: Path) -> tuple[dict[str, Tensor], str | None]:
    """The same, and the canonical digest of these tensors; None for an npz file. Raises likewise."""
    import numpy as np
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from badnets.artifacts import read_bytes
    from badnets.supply.shards import is_index

    if file.suffix == ".npz":
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}, None
        except (OSError, ValueError, TypeError, EOFError) as error:
            raise InputError(f"{file}: not an npz file of plain arrays ({error})") from error
    with tempfile.TemporaryDirectory(prefix="badnets-") as folder:
        plain = Path(folder) / "weights.safetensors"
        digest = _joined(file, plain) if is_index(file.name) else _converted(file, plain)
        try:
            return dict(load(read_bytes(plain))), digest
        except SafetensorError as error:
            raise DataError(f"{file}: {error}") from error


def _converted(file: Path, plain: Path) -> str:
    """Convert a file of weights to `plain`; the canonical digest of its tensors."""
    from badnets.supply.convert import convert

    done = convert(file, plain)
    if done.written is None:
        found = done.report.findings
        why = f"{found[0].rule.id}: {found[0].detail}" if found else "nothing was written"
        raise DataError(f"{file}: {done.report.verdict} by the scan ({why}); see badnets scan {file}")
    return done.written.tensor_digest


def _joined(file: Path, plain: Path) -> str:
    """Convert all files that an index names, and join them to `plain`; the canonical digest of all tensors."""
    from badnets.artifacts import read_bytes
    from badnets.supply.shards import join, read_index

    here = {path.name for path in file.parent.iterdir() if path.is_file()}
    index = read_index(file.name, read_bytes(file), here)
    parts = {shard: plain.parent / f"{shard}.safetensors" for shard in index.shards}
    for shard, part in parts.items():
        _converted(file.parent / shard, part)
    return join(index, parts, plain).tensor_digest
