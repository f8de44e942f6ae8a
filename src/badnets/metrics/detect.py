"""What a detector says about every scene of a set: the one thing that all its measures are taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from badnets.data.sceneset import SceneSet
from badnets.errors import InputError, Stopped
from badnets.models import evaluating
from badnets.models.detections import Detections
from badnets.models.detector import Detector

Told = Callable[[int, int], None]


@torch.no_grad()
def detect(
    model: Detector,
    scenes: SceneSet,
    *,
    batch_size: int = 8,
    on_progress: Told | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[Detections, ...]:
    """Run `model` in evaluation mode over all scenes, in float32, on the model's device; its mode is put back.

    Only pictures of one size share a batch, so that what is said of a scene does not depend on its neighbours.

    Args:
        model: the detector.
        scenes: what it looks at; their objects play no part.
        batch_size: pictures at a time.
        on_progress: told after each batch how many scenes of how many are done.
        stop: asked after each batch.

    Returns:
        One value for each scene, in their order.

    Raises:
        InputError: another number of classes than the scenes have.
        Stopped: `stop` said so.
    """
    if model.spec.classes != len(scenes.classes):
        raise InputError(f"the detector is for {model.spec.classes} classes, {scenes.name} has {len(scenes.classes)}")
    found: list[Detections] = []
    with evaluating(model):
        for pictures in _batches(scenes, batch_size):
            found += model(pictures)
            if on_progress is not None:
                on_progress(len(found), len(scenes))
            if stop is not None and stop() and len(found) < len(scenes):
                raise Stopped(f"stopped after {len(found)} of {len(scenes)} scenes; the same command begins them again")
    return tuple(found)


def _batches(scenes: SceneSet, size: int) -> Iterator[list[Tensor]]:
    batch: list[Tensor] = []
    for index in range(len(scenes)):
        picture = scenes.pictures[index]
        if batch and (len(batch) == size or batch[0].shape != picture.shape):
            yield batch
            batch = []
        batch.append(picture)
    yield batch
