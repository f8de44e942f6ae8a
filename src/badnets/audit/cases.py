"""What every test is given: a model as a function from pixels to logits, and a few clean images, in two parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from badnets.artifacts import sha256_json
from badnets.data import ImageSource
from badnets.errors import InputError
from badnets.seeds import generator

# More images than these make the search for triggers slower, and no better.
_SEARCHED_A_CLASS, _SEARCHED = 10, 1000


@dataclass(frozen=True)
class Settings:
    """How a model is tested; a suspect and its references share all of it.

    Attributes:
        samples: clean images of each class, 0 for none; a class may have fewer.
        seed: of the choice of images and of all random starts.

    Raises:
        InputError: a number below 0.
    """

    samples: int = 30
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if min(self.samples, self.seed) < 0:
            raise InputError(f"samples and seed are 0 or more, got {self}")


@dataclass(frozen=True, eq=False)
class Images:
    """Clean images in [0, 1] and their classes."""

    pixels: Float[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The clean images of an audit.

    Attributes:
        search: what triggers are looked for on.
        held_out: what they are confirmed on; other images.
        shape: channels, height and width of one.
        classes: the names of the data's classes.
        name: of the set they were taken from.
        digest: SHA-256 over which they are; empty for none.
    """

    search: Images
    held_out: Images
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    name: str
    digest: str

    @property
    def all(self) -> Images:
        """Both parts."""
        return Images(
            torch.cat([self.search.pixels, self.held_out.pixels]), torch.cat([self.search.labels, self.held_out.labels])
        )


@dataclass(frozen=True, eq=False)
class Case:
    """One model before the tests.

    Attributes:
        model: takes (n, c, h, w) in [0, 1] and gives logits (n, k).
        clean: images.
        classes: outputs of the model.
        settings: of the tests.
    """

    model: nn.Module
    clean: Chosen
    classes: int
    settings: Settings


def choose(source: ImageSource, settings: Settings) -> Chosen:
    """Pick the images of an audit: the same source and settings give the same ones, for suspect and references.

    A third of each class, ten at most, is searched on, the rest is held out; an only image is searched on.
    """
    order = torch.randperm(len(source), generator=generator(settings.seed, "audit", "images"))
    labels = source.labels[order]
    number, classes = settings.samples, len(source.classes)
    limit = max(1, min(_SEARCHED_A_CLASS, _SEARCHED // classes, (number + 2) // 3))
    search, held = [], []
    for label in range(classes):
        rows = order[labels == label][:number]
        search.append(rows[:limit])
        held.append(rows[limit:])
    parts = [_taken(source, torch.cat(rows).sort().values) for rows in (search, held)]
    digest = sha256_json([source.digest, settings.samples, settings.seed]) if number else ""
    return Chosen(parts[0], parts[1], source.shape, source.classes, source.name, digest)


def _taken(source: ImageSource, rows: Int64[Tensor, " m"]) -> Images:
    if not len(rows):
        return Images(torch.zeros(0, *source.shape), torch.zeros(0, dtype=torch.int64))
    return Images(source.take(rows).float() / 255, source.labels[rows].clone())
