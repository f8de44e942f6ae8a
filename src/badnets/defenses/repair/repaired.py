"""What all repairs have in common: a copy, clean images held out to judge it, and a refusal to make it worse."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from badnets.data import ImageSet
from badnets.defenses.clean import check_classes, divided, logits_of, right
from badnets.errors import InputError, Stopped
from badnets.metrics.intervals import Rate

HELD_OUT = 0.2


@dataclass(frozen=True)
class Watch:
    """Who looks on; nothing here has an influence on the result.

    Attributes:
        progress: called now and then with the share that is done, from 0 to 1.
        stop: asked at every step; when it says yes, `Stopped` is raised.
    """

    progress: Callable[[float], None] | None = None
    stop: Callable[[], bool] | None = None

    def tick(self, share: float) -> None:
        """Tell and ask. Raises `Stopped`."""
        if self.progress is not None:
            self.progress(min(share, 1.0))
        if self.stop is not None and self.stop():
            raise Stopped("the repair was stopped, nothing was kept; the same call begins again")

    def part(self, number: int, count: int) -> Watch:
        """Who looks on at part `number`, from 0, of `count` equal ones."""

        def progress(share: float) -> None:
            if self.progress is not None:
                self.progress((number + share) / count)

        return Watch(progress, self.stop)


@dataclass(frozen=True, eq=False)
class Repaired:
    """A repaired copy of a model, and what was done.

    Attributes:
        method: a key of `REPAIRS`.
        model: the copy, in evaluation mode.
        before: accuracy of the given model on the images held out.
        after: accuracy of the copy on the same images, which had no part in the repair.
        done: what was done, a line each.
        seconds: of wall time.
    """

    method: str
    model: nn.Module
    before: Rate
    after: Rate
    done: tuple[str, ...]
    seconds: float

    @property
    def loss(self) -> float:
        """By how much accuracy fell, as a share; negative where it rose."""
        return self.before.value - self.after.value


# Changes the copy by the images it is given, and says what it did.
Work = Callable[[nn.Module, ImageSet, Watch], tuple[str, ...]]


def carried_out(method: str, model: nn.Module, clean: ImageSet, work: Work, *, seed: int, watch: Watch) -> Repaired:
    """Repair a copy of `model` by `work`; the model itself is not touched.

    Args:
        method: its name.
        model: takes images in [0, 1] and gives logits.
        clean: four fifths are given to `work`, the rest judges what came out.
        work: the repair itself.
        seed: of the part that is held out.
        watch: progress and stop.

    Raises:
        InputError: too few images, labels that the model does not have, or a model that gives undefined numbers,
            before or after.
        Stopped: `watch.stop` said so.
    """
    begun = time.monotonic()
    part, held_out = divided(clean, HELD_OUT, seed, "repair")
    said = logits_of(model, held_out.images)
    check_classes(clean, said)
    before = Rate.of(right(said, held_out.labels), len(held_out))
    changed = copy.deepcopy(model)
    for parameter in changed.parameters():
        parameter.grad = None
    watch.tick(0.0)
    done = work(changed, part, watch)
    changed.eval()
    try:
        after = Rate.of(right(logits_of(changed, held_out.images), held_out.labels), len(held_out))
    except InputError as error:
        raise InputError(f"{method}: the repaired model is broken, {error}: lower the learning rate") from error
    if watch.progress is not None:
        watch.progress(1.0)
    return Repaired(method, changed, before, after, done, time.monotonic() - begun)


def repaired_or_refused(repaired: Repaired, *, loss: float = 0.01, even_if_worse: bool = False) -> nn.Module:
    """The repaired model, unless its held-out accuracy fell by more than was allowed.

    Args:
        repaired: by any repair.
        loss: accuracy that may be lost, as a share in [0, 1]; the clean images held out are few, so mind the interval.
        even_if_worse: hand it over all the same.

    Raises:
        InputError: it is worse, or a loss outside [0, 1].
    """
    if not 0 <= loss <= 1:
        raise InputError(f"the accuracy that may be lost is a share in [0, 1], got {loss}")
    if repaired.loss > loss + 1e-12 and not even_if_worse:
        raise InputError(
            f"{repaired.method} took accuracy on {repaired.after.total} held-out images from "
            f"{repaired.before.value:.2%} to {repaired.after.value:.2%}, more than the {loss:.2%} that may be lost: "
            "the repaired model is refused; give more clean images, try another repair, or ask for it even if worse"
        )
    return repaired.model


def check_share(what: str, value: float) -> None:
    """Raise `InputError` unless it is a number in [0, 1]."""
    if not 0 <= value <= 1:
        raise InputError(f"{what} is a share in [0, 1], got {value}")


def check_positive(what: str, value: float) -> None:
    """Raise `InputError` unless it is a number above 0."""
    if not 0 < value < math.inf:
        raise InputError(f"{what} is a number above 0, got {value}")
