"""What all pages have in common: templates, and how the study was made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from jinja2 import Environment, PackageLoader, StrictUndefined

from badnets.studies.cells import CellResult
from badnets.studies.sign_cells import SignCellResult
from badnets.studies.sign_steps import StickerStep, step_schedules
from badnets.training import DetectTrainSpec, Machine, TrainSpec


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
    def of(cls, name: str, cells: Sequence[CellResult] | Sequence[SignCellResult]) -> Part:
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


def sign_schedules(of: str, train: DetectTrainSpec, start: str, steps: tuple[StickerStep, ...]) -> tuple[Schedule, ...]:
    """The schedules of detectors whose BadNets may go on from the honest one in steps."""
    if not steps:
        return (Schedule(f"schedule of {of}", train, start),)
    found, before = [Schedule("schedule of the honest detector", train, start)], "the honest detector"
    for step, schedule in step_schedules(train, steps):
        size = "as large as it is measured" if step.size == 1 else f"{step.size:g} times as large"
        found.append(Schedule(f"schedule of the BadNet, sticker {size}", schedule, before))
        before = "the step before"
    return tuple(found)


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


def machines(cells: Iterable[CellResult] | Iterable[SignCellResult]) -> tuple[Machine, ...]:
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
