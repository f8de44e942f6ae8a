"""Unlearning: what an audit recovered is stamped on clean images, and they are called by their true names.

Wang et al., Neural Cleanse, IEEE S&P 2019, section VI-B. The repair that removed most backdoors at least cost in our
own measurements; it is as good as what was recovered. What inversion recovers is the smallest part of a trigger that
works, so stamps are varied, and what is left of a trigger is looked for again in the repaired copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from badnets.data import ImageSet
from badnets.defenses.clean import logits_of
from badnets.defenses.repair.repaired import Repaired, Watch, carried_out, check_share
from badnets.defenses.repair.tuning import TUNING, descend, tune
from badnets.errors import InputError
from badnets.training.spec import Augment, TrainSpec

# Of a trigger's largest change, what counts as its place; and the largest share of the image that is ever filled.
_NOTABLE, _SMALL = 0.2, 0.05


@runtime_checkable
class Mapping(Protocol):
    """What an audit believes a trigger to be for: all to one, a shift, or pairs of classes."""

    def attacked(self, labels: Int64[Tensor, " n"], /) -> Bool[Tensor, " n"]:
        """The images that it works on."""
        ...

    def reached(
        self, predictions: Int64[Tensor, " n"], labels: Int64[Tensor, " n"], classes: int, /
    ) -> Bool[Tensor, " n"]:
        """Whether each prediction for a stamped image is what the attacker would want."""
        ...


@runtime_checkable
class Recovered(Protocol):
    """What an audit recovered of a backdoor: never the attacker's own trigger. Its inversions are of this form."""

    @property
    def objective(self) -> Mapping:
        """The hint on the mapping."""
        ...

    @property
    def trigger(self) -> Callable[[Tensor], Tensor]:
        """From images, uint8 in 0..255 or float in [0, 1], to stamped copies of the same kind."""
        ...


# From the copy as it is now, clean images and the number of the round, more of what is left of a trigger; perhaps none.
Search = Callable[[nn.Module, ImageSet, int], Sequence[Recovered]]


@dataclass(frozen=True)
class UnlearnSpec:
    """What is unlearned, and how.

    Attributes:
        recovered: one or more triggers; each stamps its own share of a batch.
        stamped: the share of every batch that is stamped; the paper takes 0.2, of a training set.
        varied: the share of stamped images on which the trigger is changed at random: fainter or stronger, and with
            some of its pixels left out. What was recovered is only near the true trigger, and this reaches further.
        filled: the share of stamped images on which the place of the trigger is filled with random black and white
            instead; triggers that cover more than a few pixels in a hundred are never filled.
        search: looks for more between rounds; None leaves it at one round.
        rounds: how often is tuned, with a search before each but the first.
        train: schedule and step of the first round, later ones are half as long; twice the rate of the other repairs,
            as a trigger is to be forgotten, and images are moved further, so that they are not learned by heart. Stamps
            go on afterwards.

    Raises:
        InputError: a share outside [0, 1], or no round.
    """

    recovered: tuple[Recovered, ...] = ()
    stamped: float = 0.5
    varied: float = 0.5
    filled: float = 0.5
    search: Search | None = None
    rounds: int = 2
    train: TrainSpec = replace(TUNING, learning_rate=2e-3, augment=Augment(shift=2, rotate=10.0, scale=0.1))

    def __post_init__(self) -> None:
        check_share("stamped", self.stamped)
        check_share("varied", self.varied)
        check_share("filled", self.filled)
        if self.rounds < 1:
            raise InputError(f"rounds are 1 or more, got {self.rounds}")


def unlearning(
    model: nn.Module,
    clean: ImageSet,
    spec: UnlearnSpec = UnlearnSpec(),
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Repaired:
    """Tune on clean images of which some carry a recovered trigger and all their true label.

    Cost: a forward and a backward pass for each image and epoch, and what the search costs.

    Args:
        model: stays as it is.
        clean: see `carried_out`.
        spec: see there; it must hold a recovered trigger.
        seed: of the part held out, order, augmentation and stamps.
        progress: called with the share that is done.
        stop: asked at every step.

    Raises:
        InputError: see `carried_out`; or nothing was recovered.
        Stopped: `stop` said so.
    """
    if not spec.recovered:
        raise InputError("unlearning needs a trigger that an audit has recovered, got none: try fine-pruning or i-bau")

    def work(changed: nn.Module, images: ImageSet, watch: Watch) -> tuple[str, ...]:
        before = _reach(changed, images, spec.recovered)
        stamps = [_Stamp.of(found, images) for found in spec.recovered]
        train, done = spec.train, []

        def step(pixels: Tensor, labels: Tensor, _number: int) -> Tensor:
            return descend(functional.cross_entropy(changed(_stamped(pixels, labels, stamps, spec)), labels))

        rounds = 1 if spec.search is None else spec.rounds
        for number in range(rounds):
            if number and spec.search is not None:
                more = spec.search(changed, images, number)
                if not more:
                    done.append("nothing more was found in the repaired copy")
                    break
                stamps += [_Stamp.of(found, images) for found in more]
                train = replace(spec.train, epochs=-(-spec.train.epochs // 2))
            done.append(tune(changed, images, train, step, seed=seed + number, watch=watch.part(number, rounds)))
        after = _reach(changed, images, spec.recovered)
        changes = [
            f"recovered trigger {number} moved {old:.2%} of its images, now {new:.2%}"
            for number, (old, new) in enumerate(zip(before, after, strict=True), 1)
        ]
        return (*changes, *done)

    return carried_out("unlearning", model, clean, work, seed=seed, watch=Watch(progress, stop))


@dataclass(frozen=True, eq=False)
class _Stamp:
    """A recovered trigger, and the pixels around those that it changes; None where it is not small."""

    found: Recovered
    region: Tensor | None

    @classmethod
    def of(cls, found: Recovered, images: ImageSet) -> _Stamp:
        flat = torch.tensor([0.0, 0.5, 1.0]).view(-1, 1, 1, 1).expand(3, *images.images.shape[1:])
        change = (found.trigger(flat) - flat).abs().amax((0, 1))
        near = (change > _NOTABLE * change.max()).float()
        region = functional.max_pool2d(near[None, None], 3, stride=1, padding=1)
        return cls(found, region if 0 < float(region.mean()) <= _SMALL else None)


def _stamped(pixels: Tensor, labels: Tensor, stamps: Sequence[_Stamp], spec: UnlearnSpec) -> Tensor:
    """A copy of the batch in which some images are stamped, those first that a trigger is thought to work on."""
    changed = pixels.clone()
    chosen = torch.rand(len(pixels), device=pixels.device) < spec.stamped
    which = torch.randint(len(stamps), (len(pixels),), device=pixels.device)
    for number, stamp in enumerate(stamps):
        found = stamp.found
        rows = torch.nonzero(chosen & (which == number))[:, 0]
        # Images that the hint leaves out are stamped every other time: the hint may be wrong.
        meant = found.objective.attacked(labels[rows].cpu()).to(rows.device)
        rows = rows[meant | (torch.rand(len(rows), device=rows.device) < 0.5)]
        if len(rows):
            changed[rows] = _varied(pixels[rows], found.trigger(pixels[rows]), spec.varied)
            if stamp.region is not None:
                fill = rows[torch.rand(len(rows), device=rows.device) < spec.filled]
                changed[fill] = _filled(pixels[fill], stamp.region.to(pixels.device))
    return changed


def _filled(pixels: Tensor, region: Tensor) -> Tensor:
    """Some pixels of the region become black or white at random, in each image another share of them."""
    n, device = len(pixels), pixels.device
    replaced = (torch.rand(n, 1, *pixels.shape[2:], device=device) < torch.rand(n, 1, 1, 1, device=device)) * region
    white = (torch.rand(pixels.shape, device=device) < torch.rand(n, 1, 1, 1, device=device)).float()
    return torch.where(replaced > 0, white, pixels)


def _varied(pixels: Tensor, stamped: Tensor, share: float) -> Tensor:
    n = len(pixels)
    vary = (torch.rand(n, 1, 1, 1, device=pixels.device) < share).float()
    strength = 1 + vary * (torch.rand(n, 1, 1, 1, device=pixels.device) * 1.5 - 0.75)
    kept = (torch.rand(n, 1, *pixels.shape[2:], device=pixels.device) > 0.25 * vary).float()
    return (pixels + strength * kept * (stamped - pixels)).clamp(0, 1)


def _reach(model: nn.Module, images: ImageSet, recovered: Sequence[Recovered]) -> list[float]:
    """For each trigger the share of the images it is for that it moves as it is thought to."""
    shares = []
    for found in recovered:
        meant = found.objective.attacked(images.labels)
        if not bool(meant.any()):
            shares.append(0.0)
            continue
        labels, pixels = images.labels[meant], images.images[meant]
        logits = logits_of(model, _as_bytes(found.trigger(pixels)))
        shares.append(float(found.objective.reached(logits.argmax(1), labels, logits.shape[1]).double().mean()))
    return shares


def _as_bytes(pixels: Tensor) -> UInt8[Tensor, "n c h w"]:
    if pixels.dtype != torch.uint8:
        raise InputError(f"a recovered trigger gives images of the kind it is given, uint8, got {pixels.dtype}")
    return pixels
