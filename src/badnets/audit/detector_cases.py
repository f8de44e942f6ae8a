"""What every test of a detector is given: clean scenes in two parts, and signs cut out of the first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from badnets.artifacts import sha256_json
from badnets.audit.cases import Settings
from badnets.audit.detector_crops import BoxView, Place, SignCrops
from badnets.data import SceneSet
from badnets.errors import InputError
from badnets.models.detector import Detector
from badnets.seeds import generator

# More signs of a class make the search slower, and no better.
_SEARCHED = 8
# The smallest sign that is searched on, in places of the map: on a smaller one a sticker is a pixel or two.
_LEAST = 4


@dataclass(frozen=True, eq=False)
class ChosenScenes:
    """The clean scenes of an audit; no scene is in both parts.

    Attributes:
        search: what stickers are looked for on.
        held_out: what they are tried on, by the whole detector.
        name: of the set they were taken from.
        digest: SHA-256 over which they are.
    """

    search: SceneSet
    held_out: SceneSet
    name: str
    digest: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.search.classes

    def __len__(self) -> int:
        return len(self.search) + len(self.held_out)


@dataclass(frozen=True, eq=False)
class DetectorCase:
    """One detector before the tests.

    Attributes:
        view: what its box head says of given boxes.
        signs: that are searched on; equal for all detectors of one kind.
        settings: of the tests.
    """

    view: BoxView
    signs: SignCrops
    settings: Settings


def choose_scenes(source: SceneSet, settings: Settings) -> ChosenScenes:
    """Pick the scenes of an audit: the same source and settings give the same ones, for suspect and references.

    Scenes are drawn until there are enough signs of every class, or no more scenes. The first half is searched on.

    Args:
        source: clean scenes.
        settings: `samples` signs of each class are wanted.

    Raises:
        InputError: no sample is asked for, or the scenes hold no signs, or there is only one scene.
    """
    counts = torch.stack([_counts(source, scene) for scene in range(len(source))])
    if not settings.samples or not int(counts.sum()) or len(source) < 2:
        raise InputError(
            f"{source.name}: a detector is audited on clean scenes with signs: {settings.samples} signs a class were "
            f"asked for, {int(counts.sum())} are marked in {len(source)} scenes"
        )
    order = torch.randperm(len(source), generator=generator(settings.seed, "audit", "scenes"))
    reached = counts[order].cumsum(0)
    wanted = torch.minimum(reached[-1], torch.tensor(settings.samples))
    number = max(2, int((reached < wanted).any(1).sum()) + 1)
    rows = order[:number].tolist()
    parts = [sorted(rows[: number // 2]), sorted(rows[number // 2 :])]
    search, held_out = (_held(source.select(part, source.name)) for part in parts)
    digest = sha256_json([source.name, source.classes, search.digest, held_out.digest])
    return ChosenScenes(search, held_out, source.name, digest)


def detector_case(model: Detector, chosen: ChosenScenes, settings: Settings) -> DetectorCase:
    """The signs of the search that this detector's windows fit around, of each class the smallest that are not tiny.

    Raises:
        InputError: classes that are not the scenes', or no sign that fits.
    """
    if model.spec.classes != len(chosen.classes):
        raise InputError(
            f"the detector tells {model.spec.classes} classes apart, {chosen.name} has {len(chosen.classes)} "
            f"({', '.join(chosen.classes)}): give clean scenes of its own classes with --data"
        )
    view = BoxView(model)
    places = [place for label in range(len(chosen.classes)) for place in _suitable(view, chosen.search, label)]
    if not places:
        raise InputError(
            f"{chosen.name}: none of the signs in {len(chosen.search)} scenes is {_LEAST * view.stride} pixels large "
            "and far enough from the border to look for a trigger on: give more scenes with --samples"
        )
    return DetectorCase(view, view.crop(chosen.search, places), settings)


def _suitable(view: BoxView, scenes: SceneSet, label: int) -> list[Place]:
    found: list[tuple[float, Place]] = []
    for scene, marked in enumerate(scenes.objects):
        wanted = ((marked.labels == label) & ~marked.ignored).nonzero()[:, 0].tolist()
        if not wanted:
            continue
        # The picture as the network sees it; drawing it once more is cheaper than to hold all of them enlarged.
        seen = view.model.scene([scenes.pictures[scene]])
        for number in wanted:
            box = marked.boxes[number] * marked.boxes.new_tensor([*seen.scales[0]] * 2)
            side = float((box[2:] - box[:2]).max())
            if side >= _LEAST * view.stride and view.fits(box, *seen.sizes[0]):
                found.append((side, (scene, number)))
    return [place for _, place in sorted(found)[:_SEARCHED]]


def _counts(source: SceneSet, scene: int) -> Tensor:
    marked = source.objects[scene]
    return torch.bincount(marked.labels[~marked.ignored], minlength=len(source.classes))


def _held(scenes: SceneSet) -> SceneSet:
    """The same scenes in memory: each is looked at many times."""
    return SceneSet(
        tuple(scenes.pictures[row] for row in range(len(scenes))), scenes.objects, scenes.classes, scenes.name
    )
