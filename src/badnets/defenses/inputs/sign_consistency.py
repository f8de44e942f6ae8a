"""A filter behind a detector: is a sign called the same when a part of it is hidden, or its surroundings change?

After TRACE (Zhang et al., CVPR 2025), which looks at how steady boxes are under other backgrounds and under small
patches. A sign whose class hangs on a sticker loses that class as soon as something covers the sticker, and nowhere
else; a clean sign keeps it, whatever quarter of a side is hidden. Surroundings say less: a sign's class hardly hangs on
them, stamped or not, and only what changes under them is taken off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor
from torch.nn import functional

from badnets.data import SceneSet
from badnets.defenses.inputs.screen import check_rate, place_of_threshold
from badnets.errors import InputError
from badnets.metrics.detect import detect
from badnets.models import evaluating
from badnets.models.detections import Detections
from badnets.models.detector import Detector
from badnets.seeds import generator

# Around a box, so much of its side stays when the surroundings are changed.
_RIM = 0.1
# Places nearer to a sign's middle than this, as a share of its side, are opposite to themselves.
_CENTRAL = 0.2


@dataclass(frozen=True)
class SignConsistencySpec:
    """How signs are looked at.

    Attributes:
        places: a sign is covered at places x places places, one after the other.
        cover: side of what covers it, as a share of the sign's.
        backgrounds: clean scenes that its surroundings are taken from.
        least_score: detections below it are not looked at.
        false_rejections: share of clean detections that may be turned away, in (0, 1).

    Raises:
        InputError: a value outside its range.
    """

    places: int = 4
    cover: float = 0.34
    backgrounds: int = 3
    least_score: float = 0.5
    false_rejections: float = 0.05

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        check_rate(self.false_rejections)
        if not 1 <= self.places <= 16 or not 0 < self.cover <= 1 or not 0 <= self.backgrounds <= 64:
            raise InputError(f"places are 1..16, the cover's side in (0, 1], backgrounds 0..64, got {self}")
        if not 0 <= self.least_score <= 1:
            raise InputError(f"a score is in [0, 1], got {self.least_score}")


@dataclass(frozen=True, eq=False)
class ScreenedSigns:
    """What the filter says of one scene.

    Attributes:
        found: the detections that it looked at.
        scores: of each: how much of its class's probability hangs on one place, less what surroundings change; higher
            is more suspicious.
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


def sign_consistency(
    model: Detector, clean: SceneSet, spec: SignConsistencySpec = SignConsistencySpec(), *, seed: int = 0
) -> SignScreen:
    """The filter for a detector; its threshold is set on what the detector finds in clean scenes.

    Cost: one pass of the convolutions for each place, each background and the scene itself.

    Args:
        model: it stays as it is, and is told nothing of any sticker.
        clean: scenes that the user trusts; some are used as backgrounds, the others set the threshold.
        spec: see there.
        seed: of the choice of backgrounds.

    Raises:
        InputError: too few clean scenes or detections for that rate, or classes that do not fit.
    """
    if len(clean) <= spec.backgrounds:
        raise InputError(f"sign-consistency: {spec.backgrounds} backgrounds leave none of {len(clean)} clean scenes")
    order = torch.randperm(len(clean), generator=generator(seed, "sign-consistency")).tolist()
    backgrounds = [clean.pictures[row] for row in order[: spec.backgrounds]]
    rest = clean.select(sorted(order[spec.backgrounds :]))

    def score(picture: Tensor, found: Detections) -> Float64[Tensor, " n"]:
        return consistency_scores(model, picture, found, backgrounds, spec)

    def look(scenes: SceneSet) -> Iterator[Detections]:
        return (_sure(found, spec.least_score) for found in detect(model, scenes))

    scores = torch.cat([score(rest.pictures[row], found) for row, found in enumerate(look(rest))]).sort().values
    place = place_of_threshold("sign-consistency", len(scores), spec.false_rejections)
    passes = 1 + spec.places**2 + spec.backgrounds
    return SignScreen(float(scores[place - 1]), spec.false_rejections, len(scores), passes, score, look)


@torch.no_grad()
def consistency_scores(
    model: Detector, picture: Tensor, found: Detections, backgrounds: list[Tensor], spec: SignConsistencySpec
) -> Float64[Tensor, " n"]:
    """For each detection: p(its class) less the least p under a cover, less what backgrounds change on average.

    Args:
        model: the detector.
        picture: a scene.
        found: boxes and classes in it.
        backgrounds: other scenes, brought to its size.
        spec: how.
    """
    if not len(found.boxes):
        return torch.zeros(0, dtype=torch.float64)
    with evaluating(model):
        own = _chances(model, picture, found)
        covered = [_chances(model, copy, found) for copy in _covered(picture, found.boxes, spec)]
        elsewhere = [_chances(model, _moved(picture, found.boxes, other), found) for other in backgrounds]
    focal = own - torch.stack(covered).min(0).values
    change = torch.stack([(own - other).abs() for other in elsewhere]).mean(0) if elsewhere else torch.zeros(len(own))
    return (focal - change).double()


def _chances(model: Detector, picture: Tensor, found: Detections) -> Float[Tensor, " n"]:
    """What the box head gives each detection's class, on its box as it is."""
    regions = model.regions
    logits: Tensor = regions.box_predictor(regions.box_head(model.features_in([picture], [found.boxes])))[0]
    return logits.softmax(1).cpu().gather(1, found.labels[:, None] + 1)[:, 0]


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


def _moved(picture: Tensor, boxes: Tensor, other: Tensor) -> Tensor:
    """The boxes and a rim around them before another scene."""
    size = list(picture.shape[1:])
    copy = functional.interpolate(other[None].float(), size, mode="bilinear", align_corners=False)[0]
    copy = copy.round().to(picture.dtype)
    rims = (boxes[:, 2:] - boxes[:, :2]) * _RIM
    for box in torch.cat([boxes[:, :2] - rims, boxes[:, 2:] + rims], 1):
        _part(copy, box)[:] = _part(picture, box)
    return copy


def _part(picture: Tensor, box: Tensor) -> Tensor:
    """The pixels in a box, a pixel at least; a view."""
    height, width = picture.shape[1:]
    left, top = (min(max(0, int(edge)), most - 1) for edge, most in zip(box[:2], (width, height), strict=True))
    right, bottom = (int(edge.ceil()) for edge in box[2:])
    return picture[:, top : max(top + 1, bottom), left : max(left + 1, right)]


def _sure(found: Detections, least: float) -> Detections:
    sure = found.scores >= least
    return replace(found, boxes=found.boxes[sure], labels=found.labels[sure], scores=found.scores[sure])
