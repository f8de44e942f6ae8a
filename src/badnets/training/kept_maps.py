"""What a frozen trunk makes of scenes, computed once: the rest of a detector is then trained on that."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from badnets.models.detector import Detector, Mapped
from badnets.training.detect_spec import DetectTrainSpec
from badnets.training.scene_batches import SceneBatch, View

# Bytes of maps that a training holds: 3,400 scenes of 320x240 at a stride of 8 and with 64 channels.
ROOM = 1 << 30
# What is kept of a view: its map, its size and its scale, see `Mapped`.
Kept = tuple[Tensor, tuple[int, int], tuple[float, float]]


def can_keep(spec: DetectTrainSpec) -> bool:
    """Whether a scene's map is the same whenever it is looked at: the trunk is frozen, and no light is changed.

    A scene with left and right swapped is a view of its own, so that a training with flips needs twice the room.
    """
    return "trunk" in spec.frozen and not spec.augment.light


class KeptMaps:
    """Maps that were computed so far, each view's once while there is room; then anew each time.

    Every view is passed alone, so that what is kept does not depend on which others were asked for with it, and a
    training that is stopped goes on to the same weights.

    Args:
        model: its trunk is frozen, and in evaluation mode.
        room: bytes.
    """

    def __init__(self, model: Detector, room: int = ROOM) -> None:
        self.model, self.room = model, room
        self._kept: dict[View, Kept] = {}

    @torch.no_grad()
    def of(self, batch: SceneBatch) -> Mapped:
        """The maps of a batch; pictures of several sizes, which are padded together, are passed as they come."""
        if len({picture.shape for picture in batch.pictures}) > 1:
            return self.model.mapped(batch.pictures)
        return _together([self._one(*pair) for pair in zip(batch.views, batch.pictures, strict=True)])

    def _one(self, view: View, picture: Tensor) -> Kept:
        if view in self._kept:
            return self._kept[view]
        mapped = self.model.mapped([picture])
        found = mapped.values[0], mapped.sizes[0], mapped.scales[0]
        if found[0].nbytes <= self.room:
            self.room -= found[0].nbytes
            self._kept[view] = found
        return found


def _together(found: Sequence[Kept]) -> Mapped:
    values, sizes, scales = zip(*found, strict=True)
    return Mapped(torch.stack(values).contiguous(memory_format=torch.channels_last), list(sizes), list(scales))
