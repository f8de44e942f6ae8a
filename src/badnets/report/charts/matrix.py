"""Heat maps of the matrix study: source down, target to the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from badnets.report.charts.grid import Grid, Scale, short, tiles
from badnets.report.rows.matrix import BACKDOOR, CLEAN, ERRORS, PairError, pair_errors, pair_words
from badnets.studies import paper
from badnets.studies.matrix import MatrixResult, TriggerName

_WIDE, _HIGH = 31, 23
_READABLE = 12  # classes: with more, numbers and names do not fit
_NAME = 3  # letters that fit beside a tile
_DIGITS = 10


@dataclass(frozen=True)
class Maps:
    """One error with one trigger.

    Attributes:
        trigger: its name.
        what: the error.
        grids: the paper's where it has one, and ours.
        images: the fewest and the most images that a pair is measured on.
    """

    trigger: str
    what: str
    grids: tuple[Grid, ...]
    images: tuple[int, int]


def matrix_maps(result: MatrixResult) -> list[Maps]:
    """All heat maps. An error has the same colours with every trigger and in the paper, so that they compare."""
    found = []
    for trigger in result.spec.triggers:
        for what in ERRORS:
            errors = pair_errors(result, trigger, what)
            if errors:
                scale = _scale(result, what)
                grids = [_ours(result, what, errors, scale)]
                if _beside_the_paper(result, trigger, what):
                    grids.insert(0, _papers(result, what, scale))
                totals = [error.rates[0].total for error in errors]
                found.append(Maps(trigger, what, tuple(grids), (min(totals), max(totals))))
    return found


def numbered(result: MatrixResult) -> bool:
    """Whether the maps call classes by number, because names are long or strange."""
    classes = result.data.classes
    return not all(0 < len(name) <= _NAME and name.isascii() and name.isprintable() for name in classes)


def _scale(result: MatrixResult, what: str) -> Scale:
    values = [
        100 * error.mean.value for trigger in result.spec.triggers for error in pair_errors(result, trigger, what)
    ]
    if any(_beside_the_paper(result, trigger, what) for trigger in result.spec.triggers):
        values += _paper_values(what).values()
    return Scale.over(values, low=None if what == CLEAN else 0.0)


def _ours(result: MatrixResult, what: str, errors: list[PairError], scale: Scale) -> Grid:
    values = {(error.source, error.target): 100 * error.mean.value for error in errors}
    words = {(error.source, error.target): f"{pair_words(result, error)}: {_counts(error)}" for error in errors}
    return _grid(result, f"measured, {what} in %", values, words, scale)


def _papers(result: MatrixResult, what: str, scale: Scale) -> Grid:
    values = _paper_values(what)
    words = {pair: f"{pair[0]} → {pair[1]}: {value:.2f} %" for pair, value in values.items()}
    return _grid(result, f"paper (Fig. 4), {what} in %", values, words, scale)


def _grid(
    result: MatrixResult,
    title: str,
    values: dict[tuple[int, int], float],
    words: dict[tuple[int, int], str],
    scale: Scale,
) -> Grid:
    count = len(result.data.classes)
    labels = tuple(str(index) for index in range(count)) if numbered(result) else result.data.classes
    written = count <= _READABLE
    if not written:
        labels = tuple(label if index % 5 == 0 else "" for index, label in enumerate(labels))
    return Grid(
        title=title,
        down=labels,
        across=labels,
        axes=("source", "target"),
        size=(_WIDE, _HIGH) if written else (10, 10),
        tiles=tuple(tiles(values, words, scale, written=written)),
        scale=scale,
        ends=(f"{short(scale.low)} %", f"{short(scale.high)} %"),
    )


def _counts(error: PairError) -> str:
    return ", ".join(f"{rate.value:.2%} ({rate.count:,} of {rate.total:,})" for rate in error.rates)


def _beside_the_paper(result: MatrixResult, trigger: TriggerName, what: str) -> bool:
    return result.data.on_mnist and trigger == "pixel" and what in (CLEAN, BACKDOOR)


def _paper_values(what: str) -> dict[tuple[int, int], float]:
    given: Callable[[int, int], float] = paper.single_target_clean if what == CLEAN else paper.single_target_backdoor
    return {(i, j): given(i, j) for i in range(_DIGITS) for j in range(_DIGITS) if i != j}
