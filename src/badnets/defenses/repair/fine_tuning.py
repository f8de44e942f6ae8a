"""Fine-tuning on clean images: the repair that everybody tries first, and that single pixels survive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from badnets.data import ImageSet
from badnets.defenses.repair.repaired import Repaired, Watch, carried_out
from badnets.defenses.repair.tuning import TUNING, clean_step, tune
from badnets.training.spec import TrainSpec


@dataclass(frozen=True)
class FineTuneSpec:
    """How it is tuned.

    Attributes:
        train: schedule and step.
    """

    train: TrainSpec = TUNING

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def fine_tuning(
    model: nn.Module,
    clean: ImageSet,
    spec: FineTuneSpec = FineTuneSpec(),
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Repaired:
    """Train all weights on, on clean images (the baseline of Liu, Dolan-Gavitt and Garg, RAID 2018, section 4.1).

    Cost: a forward and a backward pass for each image and epoch.

    Args:
        model: stays as it is.
        clean: see `carried_out`.
        spec: see there.
        seed: of the part held out, order and augmentation.
        progress: called with the share that is done.
        stop: asked at every step.

    Raises:
        InputError: see `carried_out`, or a loss that became undefined.
        Stopped: `stop` said so.
    """

    def work(changed: nn.Module, images: ImageSet, watch: Watch) -> tuple[str, ...]:
        return (tune(changed, images, spec.train, clean_step(changed), seed=seed, watch=watch),)

    return carried_out("fine-tuning", model, clean, work, seed=seed, watch=Watch(progress, stop))
