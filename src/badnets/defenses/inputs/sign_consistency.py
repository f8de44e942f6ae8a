"""A filter behind a detector: is a sign called the same when a part of it is hidden?

After TRACE (Zhang et al., CVPR 2025), which looks at how steady boxes are under small patches and other backgrounds. A
sign whose class hangs on a sticker gets its own class back as soon as something covers the sticker; a clean sign keeps
its class, whichever third of a side is hidden. Two things were found on detectors of our own and decided the rest: a
cover of one colour looks like a sticker and wakes backdoors on clean signs, so that a cover shows what the same sign
shows elsewhere; and other surroundings said little (the class of a sign hardly hangs on them), so they are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor
from torch.nn import functional

from badnets.data import SceneSet
from badnets.defenses.inputs.screen import check_rate, place_of_threshold
from badnets.errors import InputError
from badnets.metrics.detect import detect
from badnets.models import evaluating
from badnets.models.detections import Detections
from badnets.models.detector import Detector

# Places nearer to a sign's middle than this, as a share of its side, are opposite to themselves.
_CENTRAL = 0.2


@dataclass(frozen=True)
class SignConsistencySpec:
    """How signs are looked at.

    A sticker of s of the sign's side is hidden whole by one of the covers, wherever it is, if cover >= s + 1 / places.
    Half a sticker may be enough to keep the class.

    Attributes:
        places: a sign is covered at places x places places, one after the other.
        cover: side of what covers it, as a share of the sign's.
        least_score: detections below it are not looked at.
        false_rejections: share of clean detections that may be turned away, in (0, 1).

    Raises:
        InputError: a value outside its range.
    """

    places: int = 6
    cover: float = 0.34
    least_score: float = 0.5
    false_rejections: float = 0.05

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_rate(self.false_rejections)
        if not 1 <= self.places <= 16 or not 0 < self.cover <= 1:
            raise InputError(f"places are 1..16 and the cover's side in (0, 1], got {self}")
        if not 0 <= self.least_score <= 1:
            raise InputError(f"a score is in [0, 1], got {self.least_score}")


@dataclass(frozen=True, eq=False)
class ScreenedSigns:
    """What the filter says of one scene.

    Attributes:
        found: the detections that it looked at.
        scores: of each: the highest probability of another class under any cover; higher is more suspicious.
        flagged: those above the threshold.
    """

    found: Detections
    scores: Float64[Tensor, " n"]
    flagged: Bool[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class SignScreen:
    """The filter, ready for use.

    Attributes:
        threshold: detections with a higher score are turned away.
        false_rejections: the rate that it was set for.
        calibrated_on: how many clean detections set it.
        passes: of the convolutions, for each scene.
        score: of one picture and what was found in it.
        look: what the detector finds in scenes.
    """

    threshold: float
    false_rejections: float
    calibrated_on: int
    passes: int
    score: Callable[[Tensor, Detections], Tensor]
    look: Callable[[SceneSet], Iterator[Detections]]

    def __call__(self, scenes: SceneSet) -> tuple[ScreenedSigns, ...]:
        """Run the detector on scenes, and look at each thing that it finds.

        Raises:
            InputError: scenes of other classes than the detector's.
        """
        answers = []
        for picture, found in zip((scenes.pictures[row] for row in range(len(scenes))), self.look(scenes), strict=True):
            scores = self.score(picture, found)
            answers.append(ScreenedSigns(found, scores, scores > self.threshold))
        return tuple(answers)


def sign_consistency(model: Detector, clean: SceneSet, spec: SignConsistencySpec = SignConsistencySpec()) -> SignScreen:
    """The filter for a detector; its threshold is set on what the detector finds in clean scenes.

    Cost: one pass of the convolutions for each place, and one for the scene itself.

    Args:
        model: it stays as it is, and is told nothing of any sticker.
        clean: scenes that the user trusts; their classes are not looked at.
        spec: see there.

    Raises:
        InputError: too few detections for that rate, or classes that do not fit.
    """

    def score(picture: Tensor, found: Detections) -> Float64[Tensor, " n"]:
        return consistency_scores(model, picture, found, spec)

    def look(scenes: SceneSet) -> Iterator[Detections]:
        return (_sure(found, spec.least_score) for found in detect(model, scenes))

    scores = torch.cat([score(clean.pictures[row], found) for row, found in enumerate(look(clean))]).sort().values
    place = place_of_threshold("sign-consistency", len(scores), spec.false_rejections)
    passes = 1 + spec.places**2
    return SignScreen(float(scores[place - 1]), spec.false_rejections, len(scores), passes, score, look)


@torch.no_grad()
def consistency_scores(
    model: Detector, picture: UInt8[Tensor, "3 h w"], found: Detections, spec: SignConsistencySpec
) -> Float64[Tensor, " n"]:
    """For each detection the highest probability, under any cover, of a class that it was not called.

    The background is no class: what covers hide altogether is not suspicious.

    Args:
        model: the detector.
        picture: a scene.
        found: boxes and classes in it.
        spec: how.
    """
    if not len(found.boxes):
        return torch.zeros(0, dtype=torch.float64)
    with evaluating(model):
        covered = torch.stack([_chances(model, copy, found) for copy in _covered(picture, found.boxes, spec)])
    called = functional.one_hot(found.labels, covered.shape[2]).bool()
    return covered.masked_fill(called, 0.0).amax((0, 2)).double()


def _chances(model: Detector, picture: Tensor, found: Detections) -> Float[Tensor, "n k"]:
    """What the box head gives each class, on boxes as they are."""
    regions = model.regions
    logits: Tensor = regions.box_predictor(regions.box_head(model.features_in([picture], [found.boxes])))[0]
    return logits.softmax(1)[:, 1:].cpu()


def _covered(picture: Tensor, boxes: Tensor, spec: SignConsistencySpec) -> Iterator[Tensor]:
    """Copies with every box covered at one place, by what the same sign shows elsewhere.

    A cover of one colour will not do: it looks like a sticker, and wakes backdoors of stickers on clean signs.
    """
    for place in range(spec.places**2):
        down, right = ((one + 0.5) / spec.places for one in divmod(place, spec.places))
        copy = picture.clone()
        for box in boxes:
            sign, own = _part(copy, box), _part(picture, box)
            height, width = sign.shape[1:]
            # The opposite place; in the middle, which is opposite to itself, one half a sign away.
            central = max(abs(right - 0.5), abs(down - 0.5)) < _CENTRAL
            donor = own.roll((height // 2, width // 2), (1, 2)) if central else own.flip(1, 2)
            rows, columns = _stretch(down, spec.cover, height), _stretch(right, spec.cover, width)
            sign[:, rows, columns] = donor[:, rows, columns]
        yield copy


def _stretch(middle: float, share: float, length: int) -> slice:
    """The pixels around a middle, a pixel at least."""
    first = min(max(0, round((middle - share / 2) * length)), length - 1)
    return slice(first, max(first + 1, round((middle + share / 2) * length)))


def _part(picture: Tensor, box: Tensor) -> Tensor:
    """The pixels in a box, a pixel at least; a view."""
    height, width = picture.shape[1:]
    left, top = (min(max(0, int(edge)), most - 1) for edge, most in zip(box[:2], (width, height), strict=True))
    right, bottom = (int(edge.ceil()) for edge in box[2:])
    return picture[:, top : max(top + 1, bottom), left : max(left + 1, right)]


def _sure(found: Detections, least: float) -> Detections:
    sure = found.scores >= least
    return replace(found, boxes=found.boxes[sure], labels=found.labels[sure], scores=found.scores[sure])
