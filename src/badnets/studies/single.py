"""What cells have in common whose work is no training: a judgement, a test, a defense on a model that is there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Once:
    """What is done once has one epoch."""

    epochs: int = 1


class Single:
    """A cell that starts from no other of its queue, and is told from others by its label alone; see `AnyCell`."""

    @property
    def start(self) -> None:
        """It starts from no other cell."""
        return

    @property
    def pretrained(self) -> None:
        """It starts from no weights."""
        return

    @property
    def train(self) -> Once:
        """It is done once."""
        return Once()

    @property
    def apart(self) -> str:
        """Nothing else tells it from others."""
        return ""

    def check(self, classes: int) -> None:
        """What does not fit was refused when its model was made, or is said by the work itself."""
