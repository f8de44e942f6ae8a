"""What the results of all studies have in common."""

from __future__ import annotations

from dataclasses import dataclass

from badnets.data import ImageSource, Split
from badnets.studies import paper


@dataclass(frozen=True)
class DataNote:
    """Which data a study used.

    Attributes:
        train: name, digest and size of the training set.
        test: the same of the test set.
        classes: their names.
    """

    train: tuple[str, str, int]
    test: tuple[str, str, int]
    classes: tuple[str, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @classmethod
    def of(cls, split: Split[ImageSource]) -> DataNote:
        """The note on `split`."""
        train, test = ((half.name, half.digest, len(half)) for half in (split.train, split.test))
        return cls(train, test, split.train.classes)

    @property
    def on_mnist(self) -> bool:
        """Whether the test set is the paper's, by its digest."""
        return self.test[1] == paper.MNIST_TEST
