"""How one model is trained: every choice that has an influence on the weights, as a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from badnets.errors import InputError

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Augment:
    """Random changes of every training image, drawn anew each time it is used.

    Attributes:
        shift: up to that many pixels in each direction; what comes in at the border is black.
        rotate: up to that many degrees to either side.
        scale: by a factor in 1 - scale .. 1 + scale.
        flip: left and right swapped half of the time.

    Raises:
        InputError: a value outside its range.
    """

    shift: int = 0
    rotate: float = 0.0
    scale: float = 0.0
    flip: bool = False

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.shift < 0 or not 0 <= self.rotate < math.inf or not 0 <= self.scale < 1:
            raise InputError(f"shift and rotation are 0 or more, scale is in [0, 1), got {self}")


@dataclass(frozen=True)
class TrainSpec:
    """Schedule and step. The defaults are the recipe of the digits study on MNIST.

    Attributes:
        epochs: passes over the training set.
        batch_size: samples a step; the last batch of a pass may be smaller.
        optimizer: "adam" (decoupled weight decay, Loshchilov and Hutter, arXiv 1711.05101), "sgd" (Nesterov
            momentum 0.9) or "momentum" (plain momentum 0.9, as most published schedules mean by SGD).
        learning_rate: the largest one of the schedule.
        schedule: "onecycle" (Smith and Topin, arXiv 1708.07120: up from 1/25 over the first 30 %, then down
            to nothing, by cosines), "cosine" (down from the start) or "constant".
        weight_decay: per step and learning rate.
        label_smoothing: in [0, 1).
        augment: random changes of the images.
        adversarial: every image is replaced by the worst within so far of it in each pixel, as a share of white, see
            `worst_nearby`; 0 trains on images as they are, and so half as long.
        frozen: names of modules, such as "conv1", that stay as they are; where the first layers are frozen, a step is
            faster by what their gradients would have cost.
        precision: of convolutions and products; "auto" takes bfloat16 where the processor computes in it.
        compiled: "yes" or "no" by torch.compile; "auto" for the paper's network on a CPU with a C++ compiler, where the
            training is long enough to pay for it. It changes the weights by rounding.

    Raises:
        InputError: a value outside its range.
    """

    epochs: int = 30
    batch_size: int = 128
    optimizer: Literal["adam", "sgd", "momentum"] = "adam"
    learning_rate: float = 2e-3
    schedule: Literal["onecycle", "cosine", "constant"] = "onecycle"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augment: Augment = Augment(shift=2, rotate=10.0, scale=0.1)
    adversarial: float = 0.0
    frozen: tuple[str, ...] = ()
    precision: Precision = "auto"
    compiled: Literal["auto", "yes", "no"] = "auto"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise InputError(f"epochs and batch size are at least 1, got {self.epochs} and {self.batch_size}")
        sound = 0 < self.learning_rate < math.inf and 0 <= self.weight_decay < math.inf
        if not sound or not 0 <= self.label_smoothing < 1:
            raise InputError(
                "the learning rate is above 0, weight decay at least 0, label smoothing in [0, 1), got "
                f"{self.learning_rate}, {self.weight_decay}, {self.label_smoothing}"
            )
        if not 0 <= self.adversarial <= 1:
            raise InputError(f"the radius of adversarial training is a share of white, 0 to 1, got {self.adversarial}")
        for field, value, known in (
            ("optimizer", self.optimizer, ("adam", "sgd", "momentum")),
            ("schedule", self.schedule, ("onecycle", "cosine", "constant")),
            ("precision", self.precision, ("auto", "float32", "bfloat16")),
            ("compiled", self.compiled, ("auto", "yes", "no")),
        ):
            if value not in known:
                raise InputError(f"{field} is one of {', '.join(known)}, got {value!r}")
