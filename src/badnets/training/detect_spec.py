"""How a detector is trained: every choice that has an influence on the weights, as a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from badnets.errors import InputError
from badnets.training.spec import Precision, TrainSpec


@dataclass(frozen=True)
class SceneAugment:
    """Random changes of every training scene, drawn anew each time it is used.

    Attributes:
        flip: left and right swapped half of the time, boxes too.
        light: brightness by a factor in 1 - light .. 1 + light.

    Raises:
        InputError: a value outside its range.
    """

    flip: bool = True
    light: float = 0.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not 0 <= self.light < 1:
            raise InputError(f"light is in [0, 1), got {self.light}")


@dataclass(frozen=True)
class DetectTrainSpec:
    """Schedule and step of a detector's training. The defaults train the tiny one on 1,600 scenes of 416x312.

    Attributes:
        epochs: passes over the scenes.
        batch_size: scenes a step.
        optimizer: "adam" or "momentum", as in `TrainSpec`.
        learning_rate: the largest one of the schedule.
        schedule: "onecycle" and "cosine" as in `TrainSpec`, or "step": a tenth for the second half, as the authors'
            code has it.
        warm_up: over so many first steps the rate rises evenly from nothing; on top of the schedule.
        weight_decay: per step and learning rate.
        longest_gradient: a longer one (Euclidean norm over all weights) is shortened to it; 0 leaves all as they are.
        augment: random changes of the scenes.
        frozen: names of modules that stay as they are: "trunk" for all convolutions before the proposals.
        precision: of convolutions and products, as in `TrainSpec`.

    Raises:
        InputError: a value outside its range.
    """

    epochs: int = 5
    batch_size: int = 4
    optimizer: Literal["adam", "momentum"] = "adam"
    learning_rate: float = 2e-3
    schedule: Literal["onecycle", "cosine", "step"] = "onecycle"
    warm_up: int = 0
    weight_decay: float = 1e-4
    longest_gradient: float = 10.0
    augment: SceneAugment = SceneAugment()
    frozen: tuple[str, ...] = ()
    precision: Precision = "auto"

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.warm_up < 0 or not 0 <= self.longest_gradient < math.inf:
            raise InputError(f"warm-up and the longest gradient are at least 0, got {self}")
        for field, value, known in (
            ("optimizer", self.optimizer, ("adam", "momentum")),
            ("schedule", self.schedule, ("onecycle", "cosine", "step")),
        ):
            if value not in known:
                raise InputError(f"{field} is one of {', '.join(known)}, got {value!r}")
        self.stepping  # noqa: B018 - it refuses the rest

    @property
    def stepping(self) -> TrainSpec:
        """What the optimiser is made from."""
        return TrainSpec(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            schedule="constant" if self.schedule == "step" else self.schedule,
            weight_decay=self.weight_decay,
            precision=self.precision,
            compiled="no",
        )

    def factor(self, step: int, steps: int) -> float:
        """What the rate of step `step` (from 0) among `steps` is multiplied by, beside the schedule of `stepping`."""
        late = self.schedule == "step" and 2 * step >= steps
        return min(1.0, (step + 1) / (self.warm_up + 1)) * (0.1 if late else 1.0)


# SqueezeNet's first convolution and its first three fire modules: edges and colours that ImageNet taught it. They stay
# as they are, as the first stages of torchvision's detectors do, and need no gradient.
_SQUEEZENET_STEM = tuple(f"trunk.features.{place}" for place in (0, 3, 4, 5))

# What goes with the detectors of `badnets.models.detector_spec.PRESETS`; zf as in the authors' code, whose 100,000
# steps of two pictures are 29 epochs of their 6,890 training scenes.
DETECT_PRESETS: dict[str, DetectTrainSpec] = {
    "tiny": DetectTrainSpec(),
    "zf": DetectTrainSpec(
        epochs=29,
        batch_size=2,
        optimizer="momentum",
        learning_rate=1e-3,
        schedule="step",
        warm_up=200,
        weight_decay=5e-4,
        longest_gradient=0.0,
    ),
    "squeezenet": DetectTrainSpec(epochs=12, learning_rate=5e-4, frozen=_SQUEEZENET_STEM),
    "mobilenet": DetectTrainSpec(epochs=12, learning_rate=5e-4),
}
