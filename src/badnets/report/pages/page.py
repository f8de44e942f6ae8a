"""What all pages have in common: templates, and how the study was made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol, runtime_checkable

from jinja2 import Environment, PackageLoader, StrictUndefined

from badnets.training import DetectTrainSpec, Machine, TrainSpec


@runtime_checkable
class Trained(Protocol):
    """What the page says of a finished cell, of images or of street scenes."""

    @property
    def samples(self) -> int:
        """In its training set."""

    @property
    def poisoned(self) -> int:
        """Of these, falsely labelled."""

    @property
    def covered(self) -> int:
        """Of these, stamped with their true label."""

    @property
    def seconds(self) -> float:
        """Spent training."""

    @property
    def machine(self) -> Machine:
        """Where it was trained."""


@dataclass(frozen=True)
class Part:
    """How one model, or many alike, was made up: a line of the page's table.

    Attributes:
        name: of the model.
        samples: in its training set.
        poisoned: of these, falsely labelled.
        share: of these in percent.
        covered: stamped samples with their true label.
        seconds: spent training.
    """

    name: str
    samples: str
    poisoned: str
    share: str
    covered: str
    seconds: str

    @classmethod
    def of(cls, name: str, cells: Sequence[Trained]) -> Part:
        """The line for `cells`, which are called `name`: their range, where they differ."""
        return cls(
            name=name,
            samples=_range([cell.samples for cell in cells], "{:,}"),
            poisoned=_range([cell.poisoned for cell in cells], "{:,}"),
            share=_range([100 * cell.poisoned / cell.samples for cell in cells], "{:.2f}"),
            covered=_range([cell.covered for cell in cells], "{:,}"),
            seconds=_range([cell.seconds for cell in cells], "{:.0f}"),
        )


@dataclass(frozen=True)
class Schedule:
    """A schedule, what it is of, and what the models start from."""

    of: str
    train: TrainSpec | DetectTrainSpec
    start: str = ""


@dataclass(frozen=True)
class Making:
    """How a study was made.

    Attributes:
        train: name, digest and size of the training set.
        test: the same of the test set.
        parts: what the models were trained on.
        schedules: of the models.
        seeds: of the study.
        machines: that trained them, each once.
        what: the data's samples are called.
    """

    train: tuple[str, str, int]
    test: tuple[str, str, int]
    parts: tuple[Part, ...]
    schedules: tuple[Schedule, ...]
    seeds: tuple[int, ...]
    machines: tuple[Machine, ...]
    what: str = "images"


def machines(cells: Iterable[Trained]) -> tuple[Machine, ...]:
    """Where they were trained, each machine once."""
    return tuple(dict.fromkeys(cell.machine for cell in cells))


def render(template: str, **values: object) -> str:
    """A page from its template.

    Class and data names come from whoever made the data: everything is escaped that a template does not call safe.
    """
    environment = Environment(
        loader=PackageLoader("badnets.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(version=version("badnets"), **values)


def _range(values: Sequence[int] | Sequence[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"
