"""Weights that somebody else trained, kept in the run folder so that a study can go on without their first file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from badnets.artifacts import RunFolder, read_bytes, sha256_bytes, write_bytes
from badnets.errors import CheckpointError, InputError
from badnets.models import Beheaded

_FILE = "trunk.safetensors"


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of the weights as they are kept."""
    return sha256_bytes(_packed(weights))


def keep(folder: RunFolder, weights: Mapping[str, Tensor]) -> str:
    """Put weights into the run folder; return the digest by which cells name them.

    Raises:
        StorageError: they cannot be written.
    """
    content = _packed(weights)
    digest = sha256_bytes(content)
    place = folder.weights(digest) / _FILE
    if not place.exists():
        write_bytes(place, content)
    return digest


def put(model: nn.Module, digest: str, home: Path) -> None:
    """Give `model` the trunk that `keep` put into a run folder, `home` being its folder there.

    Raises:
        CheckpointError: it is missing, damaged, or of another network.
        InputError: this model takes no trunk.
    """
    if not isinstance(model, Beheaded):
        raise InputError(f"{type(model).__name__} takes no trained trunk: name a model of torchvision or timm")
    model.load_trunk(read(digest, home))


def read(digest: str, home: Path) -> dict[str, Tensor]:
    """The weights that `keep` put into a run folder, `home` being their folder there.

    Raises:
        CheckpointError: they are missing or damaged.
    """
    content = read_bytes(home / _FILE)
    if sha256_bytes(content) != digest:
        raise CheckpointError(f"{home / _FILE} is not the file with digest {digest[:16]}...: remove it, and run again")
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise CheckpointError(f"{home / _FILE}: {error}") from error


def _packed(weights: Mapping[str, Tensor]) -> bytes:
    return save({name: weights[name].contiguous() for name in sorted(weights)})
