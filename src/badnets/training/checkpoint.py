"""Weights on disk: safetensors with a JSON card beside them, and the state of a run that is under way.

A folder holds `model.safetensors` and `model.json` once training is finished, `progress.safetensors` while it
is not. Each is written whole or not at all; the card is written last and names the digest of the weights, so
that a kill in between leaves a run to be resumed and never a model with another's card.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from badnets.artifacts import (
    canonical_json,
    parse_json,
    read_bytes,
    read_json,
    sha256_bytes,
    storage,
    write_bytes,
    write_json,
)
from badnets.errors import CheckpointError, DataError, InputError
from badnets.models import ModelSpec, build, mark_plans
from badnets.models.detector_spec import DetectorSpec
from badnets.poison import PoisonPlan
from badnets.training.detect_spec import DetectTrainSpec
from badnets.training.machine import Machine
from badnets.training.spec import TrainSpec

WEIGHTS, CARD, PROGRESS, PLAN = "model.safetensors", "model.json", "progress.safetensors", "plan.json"
_STANDING = "standing"


@dataclass(frozen=True)
class Job:
    """All that decides the weights: what is trained on what, how, and where.

    Attributes:
        model: the architecture; None for a network that is not in `MODELS`.
        start: SHA-256 over the weights that training started from.
        data: digest of the images, or of the scenes with their objects.
        data_name: what they are called.
        samples: how many samples an epoch has.
        training_set: digest of the samples: images, which of them, labels, stamps.
        plan: digest of the poison plan; None for clean data.
        inherited: digests of the plans that the start weights were trained with, oldest first.
        spec: schedule and step.
        seed: of order and augmentation.
        machine: where it runs.
    """

    model: ModelSpec | DetectorSpec | None
    start: str
    data: str
    data_name: str
    samples: int
    training_set: str
    plan: str | None
    inherited: tuple[str, ...]
    spec: TrainSpec | DetectTrainSpec
    seed: int
    machine: Machine

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Card:
    """What a finished model is, in words that a machine can check.

    Attributes:
        job: how it was made.
        classes: the names of its classes.
        sha256: digest of `model.safetensors`.
        loss: the mean training loss over the samples of the last epoch.
        seconds: spent training, all sessions together.
        format: version of this layout.
    """

    job: Job
    classes: tuple[str, ...]
    sha256: str
    loss: float
    seconds: float
    format: Literal[1] = field(default=1)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Standing:
    """Where a run under way stands.

    Attributes:
        job: which run.
        step: how many steps are done, over all epochs.
        loss_sum: over the samples of the epoch under way.
        seconds: spent so far.
    """

    job: Job
    step: int
    loss_sum: float
    seconds: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over the names, shapes, dtypes and values of a model's tensors, in the order of their names."""
    return sha256_bytes(save(_contiguous(model.state_dict())))


def save_model(folder: Path, model: nn.Module, card: Card) -> Card:
    """Write weights and card, drop the progress file, and return the card with the weights' digest.

    Raises:
        StorageError: the folder is not writable or the disk is full.
    """
    content = save(_contiguous(model.state_dict()), {"format": "pt"})
    write_bytes(folder / WEIGHTS, content)
    complete = replace(card, sha256=sha256_bytes(content))
    write_json(folder / CARD, complete)
    with storage(folder / PROGRESS):
        (folder / PROGRESS).unlink(missing_ok=True)
    return complete


def read_card(folder: Path) -> Card | None:
    """The card of a finished model; None while there is none.

    Raises:
        DataError: the card is damaged.
    """
    return read_json(Card, folder / CARD) if (folder / CARD).exists() else None


def load_weights(folder: Path, card: Card) -> dict[str, Tensor]:
    """The tensors of the model in `folder`, checked against the digest on its card.

    Raises:
        CheckpointError: no weights, damaged, or not those of the card.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{path}: the card is there but the weights are not: train again")
    content = read_bytes(path)
    if (digest := sha256_bytes(content)) != card.sha256:
        raise CheckpointError(
            f"{path}: expected SHA-256 {card.sha256[:16]}... as its card says, got {digest[:16]}...: "
            "the weights are damaged or another model's"
        )
    return parse_tensors(content, path)


def load_model(path: Path) -> tuple[nn.Module, Card]:
    """A finished model, ready for use, with its card.

    Args:
        path: its folder, or the `model.safetensors` in it.

    Raises:
        InputError: no finished model there.
        CheckpointError: damaged weights, or of another architecture than the card says.
    """
    folder, card = finished(path)
    if card.job.model is None:
        raise CheckpointError(f"{folder}: a network of your own: build it and use load_weights")
    if isinstance(card.job.model, DetectorSpec):
        raise InputError(f"{path} holds a detector, which takes scenes: use load_detector")
    weights = load_weights(folder, card)
    # Shapes are compared before memory is asked for: the card may be a stranger's.
    with torch.device("meta"):
        check_shapes(build(card.job.model), weights, folder / WEIGHTS)
    model = build(card.job.model)
    model.load_state_dict(weights)
    mark_plans(model, plans_on(card))
    return model.eval(), card


def finished(path: Path) -> tuple[Path, Card]:
    """The folder of the finished model `path`, or of the weights in it, and its card.

    Raises:
        InputError: no finished model there.
        DataError: the card is damaged.
    """
    folder = path.parent if path.name == WEIGHTS else path
    card = read_card(folder)
    if card is None:
        under_way = (folder / PROGRESS).exists()
        reason = "its training is not finished: run the same command again" if under_way else f"no {CARD} there"
        raise InputError(f"{path} holds no finished model: {reason}")
    return folder, card


def plans_on(card: Card) -> tuple[str, ...]:
    """Digests of all plans that the weights were trained with, oldest first."""
    return (*card.job.inherited, *([card.job.plan] if card.job.plan else []))


def put_weights(model: nn.Module, weights: dict[str, Tensor], where: Path) -> None:
    """Load `weights` into `model`, all or nothing.

    Raises:
        CheckpointError: another architecture.
    """
    check_shapes(model, weights, where)
    model.load_state_dict(weights)


def check_shapes(model: nn.Module, weights: dict[str, Tensor], where: Path) -> None:
    """Raise `CheckpointError` unless `weights` are those of `model`'s architecture; it names the first difference."""
    own = model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        expected = tuple(own[name].shape) if name in own else "no such tensor"
        got = tuple(weights[name].shape) if name in weights else "no such tensor"
        if expected != got:
            raise CheckpointError(
                f"{where}: another architecture than {type(model).__name__}: {name}: expected {expected}, got {got}"
            )


def parse_tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors in the content of the safetensors file `path`.

    Raises:
        CheckpointError: damaged or of another format.
    """
    try:
        return load(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({error})") from error


def save_progress(folder: Path, standing: Standing, tensors: dict[str, Tensor]) -> None:
    """Write the state of a run under way. Raises `StorageError`."""
    # One file, so that no kill can part the tensors from where they stand; text goes in as bytes.
    text = torch.from_numpy(np.frombuffer(canonical_json(standing).encode(), np.uint8).copy())
    write_bytes(folder / PROGRESS, save(_contiguous(tensors | {_STANDING: text})))


def load_progress(folder: Path) -> tuple[Standing, dict[str, Tensor]] | None:
    """The state of the run under way in `folder`; None where there is none.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / PROGRESS
    if not path.exists():
        return None
    tensors = parse_tensors(read_bytes(path), path)
    text = tensors.pop(_STANDING, torch.zeros(0, dtype=torch.uint8))
    try:
        return parse_json(Standing, text.numpy().tobytes(), str(path)), tensors
    except DataError as error:
        raise CheckpointError(f"{error}; remove the file to start over") from error


def check_same_job(found: Job, wanted: Job, folder: Path) -> None:
    """Raise `CheckpointError` unless the run in `folder` is the one that is wanted."""
    if found != wanted:
        name, there, here = _first_difference(found, wanted)
        raise CheckpointError(
            f"{folder} holds another training: its {name} is {there}, expected {here}: name another folder"
        )


def _first_difference(one: object, other: object) -> tuple[str, object, object]:
    """Where two dataclasses of one kind differ first: dotted name and both values."""
    for field_ in fields(one):  # type: ignore[arg-type]
        name, a, b = field_.name, getattr(one, field_.name), getattr(other, field_.name)
        if a != b and is_dataclass(a) and type(a) is type(b):
            inner, there, here = _first_difference(a, b)
            return f"{name}.{inner}", there, here
        if a != b:
            return name, a, b
    raise ValueError(f"{one} and {other} do not differ")


def save_plan(folder: Path, plan: PoisonPlan) -> None:
    """Keep the plan beside the model that it poisoned. Raises `StorageError`."""
    write_json(folder / PLAN, plan)


def load_plan(path: Path) -> PoisonPlan:
    """A plan from its file, or from the folder that holds it.

    Raises:
        InputError: no such file.
        DataError: not a plan.
    """
    file = path / PLAN if path.is_dir() else path
    return parse_json(PoisonPlan, read_bytes(file), str(file))


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # Cloned: safetensors refuses tensors that share memory, as tied weights do.
    return {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
