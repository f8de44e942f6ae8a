"""What can be proved of a small ReLU network: which patches no attacker can have planted, whatever they look like.

The statement, for a patch of b x b pixels at one place, a source and a target class: *no opaque content of that patch
sends all of these clean images of the source class to the target.* It is proved if for every content some image
provably keeps the logit of its class above the target's. The contents are the box [0, 1]^(b b), split into smaller
boxes where that is needed; in each box any of the images may be the witness (a bound for a universal perturbation,
after Zeng et al., *Towards Robustness Certification Against Universal Perturbations*, ICLR 2023). Of a target class
the same is proved at a place if it is proved for any source: then no patch there sends everything to it.

What is not certified is no finding: the bounds may be too loose. Nothing is said of other places at the same time,
other sizes, transparent triggers or changes of the whole image.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from badnets.audit.bounds import SLACK, Between, bounds, chain
from badnets.audit.cases import Case
from badnets.audit.samples import Samples
from badnets.audit.verdict import Certified
from badnets.errors import InputError

# Larger patches have so many variables that nothing is proved of them in reasonable time.
LARGEST = 3
# Boxes in one pass, by the number of linear coefficients that each has.
_COEFFICIENTS = 256


@dataclass(frozen=True)
class CertificateBudget:
    """How hard a proof is tried.

    Attributes:
        images: clean ones of each source class that may be witnesses, at most.
        splits: how often a box of contents is halved at most.

    Raises:
        InputError: no image, or a negative number.
    """

    images: int = 3
    splits: int = 3

    def __post_init__(self) -> None:
        if self.images < 1 or self.splits < 0:
            raise InputError(f"a certificate takes at least one image and no less than 0 splits, got {self}")


@dataclass(frozen=True, eq=False)
class _Boxes:
    """Contents of patches that are still to be proved something of.

    Attributes:
        place: number of each box's place.
        centre: of the contents, by variable.
        radius: likewise.
        open: targets that nothing is proved of yet.
    """

    place: Tensor
    centre: Float[Tensor, "m d"]
    radius: Float[Tensor, "m d"]
    open: Bool[Tensor, "m k"]

    def picked(self, rows: Tensor) -> _Boxes:
        """Some of them."""
        return _Boxes(self.place[rows], self.centre[rows], self.radius[rows], self.open[rows])

    def halved(self, variable: Tensor) -> _Boxes:
        """Both halves of each along one of its variables."""
        rows = torch.arange(len(variable))
        radius = self.radius.clone()
        radius[rows, variable] /= 2
        step = torch.zeros_like(radius)
        step[rows, variable] = radius[rows, variable]
        return _Boxes(
            self.place.repeat(2),
            torch.cat([self.centre - step, self.centre + step]),
            radius.repeat(2, 1),
            self.open.repeat(2, 1),
        )


@torch.no_grad()
def certify(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    labels: Tensor,
    side: int,
    budget: CertificateBudget = CertificateBudget(),
    tick: Callable[[], None] = lambda: None,
) -> Certified:
    """Prove what can be proved of patches of `side` x `side` pixels at every place of the image.

    Args:
        model: on the CPU; see `badnets.audit.bounds.chain` for what can be bounded.
        images: clean ones; those that the model gets right may be witnesses.
        labels: their classes.
        side: of the patch in pixels, 1 to 3.
        budget: how hard is tried.
        tick: called now and then; may raise.

    Raises:
        InputError: a network that cannot be bounded, images that do not fit it, or a patch of another size.
    """
    height, width = images.shape[2:]
    if not 1 <= side <= min(LARGEST, height, width):
        raise InputError(f"patches of 1 to {LARGEST} pixels are certified, no larger than the image, got {side}")
    begun, layers = time.monotonic(), chain(model)
    with Samples.of(model, images, labels) as samples:
        if not samples.images.is_cpu:
            raise InputError(f"bounds are computed on the CPU, the model is on {samples.images.device}")
        if len(samples.images) and not _agrees(layers, samples):
            raise InputError("its layers, one after the other, do not give what it gives")
        columns = width - side + 1
        places = torch.arange((height - side + 1) * columns)
        corners = torch.stack([places // columns, places % columns], 1)
        proved = torch.zeros(samples.classes, samples.classes, len(places), dtype=torch.bool)
        for source in range(samples.classes):
            rows = torch.nonzero(samples.labels == source)[:, 0][: budget.images]
            if len(rows):
                search = _Search(layers, samples.images[rows], source, corners, side, budget, tick)
                proved[source] = search.run(samples.classes)
    most = max((int((samples.labels == label).sum()) for label in range(samples.classes)), default=0)
    return Certified(
        side,
        len(places),
        min(budget.images, most),
        tuple(proved.any(0).float().mean(1).tolist()),
        tuple(tuple(row) for row in proved.float().mean(2).tolist()),
        round(time.monotonic() - begun, 3),
    )


def certify_case(
    case: Case, sides: tuple[int, ...], tick: Callable[[], None], budget: CertificateBudget = CertificateBudget()
) -> tuple[Certified, ...]:
    """Certificates for patches of each of `sides`, on the held-out images of an audit. Raises as `certify`."""
    images = case.clean.held_out if len(case.clean.held_out) else case.clean.search
    if not len(images):
        raise InputError("it needs clean images, and none were given")
    return tuple(certify(case.model, images.pixels, images.labels, side, budget, tick) for side in sides)


@dataclass(frozen=True, eq=False)
class _Search:
    """The proofs for one source class."""

    layers: tuple[nn.Module, ...]
    images: Float[Tensor, "n c h w"]
    source: int
    corners: Tensor
    side: int
    budget: CertificateBudget
    tick: Callable[[], None]

    def run(self, classes: int) -> Bool[Tensor, "k places"]:
        """For each target and place whether all contents have a witness."""
        count, variables = len(self.corners), self.images.shape[1] * self.side**2
        wanted = torch.ones(count, classes, dtype=torch.bool)
        wanted[:, self.source] = False
        half = torch.full((count, variables), 0.5)
        boxes = _Boxes(torch.arange(count), half, half, wanted)
        for split in range(self.budget.splits + 1):
            variable = torch.zeros(len(boxes.place), dtype=torch.int64)
            for image in self.images:
                boxes, variable = self._witness(image, boxes)
                if not len(boxes.place):
                    break
            if not len(boxes.place):
                break
            if split < self.budget.splits:
                boxes = boxes.halved(variable)
        proved = wanted.clone()
        for place, still in zip(boxes.place.tolist(), boxes.open, strict=True):
            proved[place] &= ~still
        return proved.t()

    def _witness(self, image: Tensor, boxes: _Boxes) -> tuple[_Boxes, Tensor]:
        """The boxes that are still open with this image too, and the variable that matters most in each."""
        left, most = [], []
        size = max(1, _COEFFICIENTS // (boxes.centre.shape[1] + 1))
        for rows in torch.arange(len(boxes.place)).split(size):
            self.tick()
            some = boxes.picked(rows)
            margins = self._margins(bounds(self.layers, self._box(image, some)))
            scale = 1 + margins.middle.abs().sum(1)
            still = some.open & (margins.low <= SLACK * scale)
            keep = still.any(1)
            worst = torch.where(still, margins.low, torch.inf).argmin(1)
            slopes = margins.middle[torch.arange(len(worst)), 1:, worst].abs()
            left.append(replace(some, open=still).picked(keep))
            most.append(slopes.argmax(1)[keep])
        return _joined(left), torch.cat(most)

    def _box(self, image: Tensor, boxes: _Boxes) -> Between:
        """The image with each box's patch on it."""
        count, variables = boxes.centre.shape
        functions = torch.zeros(count, 1 + variables, *image.shape)
        functions[:, 0] = image
        rows = torch.arange(count)
        for variable in range(variables):
            channel, place = divmod(variable, self.side**2)
            down, right = divmod(place, self.side)
            row, column = (self.corners[boxes.place] + torch.tensor([down, right])).unbind(1)
            functions[rows, 0, channel, row, column] = boxes.centre[:, variable]
            functions[rows, 1 + variable, channel, row, column] = boxes.radius[:, variable]
        return Between(functions)

    def _margins(self, logits: Between) -> Between:
        """Logit of the source minus that of each class; the source's own margin is 0 and never asked for."""
        own = slice(self.source, self.source + 1)
        middle = logits.middle[..., own] - logits.middle
        half = None if logits.half is None else logits.half[..., own] + logits.half
        return Between(middle, half)


def _joined(parts: list[_Boxes]) -> _Boxes:
    return _Boxes(
        torch.cat([one.place for one in parts]),
        torch.cat([one.centre for one in parts]),
        torch.cat([one.radius for one in parts]),
        torch.cat([one.open for one in parts]),
    )


def _agrees(layers: tuple[nn.Module, ...], samples: Samples) -> bool:
    """Whether the layers one after the other say what the model says, but for a constant of each image."""
    some = samples.images[:8]
    given, found = samples.ask(some), bounds(layers, Between(some[:, None])).middle[:, 0]
    difference = given - found
    return bool((difference - difference[:, :1]).abs().max() <= 1e-3 * (1 + given.abs().max()))
