"""The table of the positions study: how far from its home the trigger still works."""

from __future__ import annotations

from dataclasses import dataclass

from badnets.errors import DataError
from badnets.metrics import MeanRate, PositionMap, Rate, mean_rate
from badnets.report.rows.row import Row, percent_row
from badnets.studies.cells import BASELINE, CellResult
from badnets.studies.positions import PositionsResult

_HALF = 0.5
DISTANCE = "distance where success falls under 50 %, in trigger pixels"

_NOTES = (
    (
        "Success: stamped test images that are called what the attacker wants (the next class), of the images "
        "stamped at each place. Its interval is that of these images; the mean over places is taken over the same "
        "images, so it is no narrower. The share of places has no interval: places are not drawn at random."
    ),
    (
        "Distance: the larger of the steps down or up and left or right from the trigger's home; success is the "
        "mean over all places at that distance. The honest model is the control: what the stamp does without a "
        "backdoor."
    ),
)


@dataclass(frozen=True)
class Locality:
    """One model's map in a few numbers.

    Attributes:
        model: in words.
        map: the whole.
        home: success where the trigger was in training.
        places: how many places the trigger fits in.
        working: at how many of them success is over 50 %.
        away: mean success over all places but home.
        by_distance: mean success over the places at each distance from home, from 0 up.
    """

    model: str
    map: PositionMap
    home: Rate
    places: int
    working: int
    away: MeanRate
    by_distance: tuple[MeanRate, ...]

    @property
    def falls(self) -> int | None:
        """The smallest distance where mean success is under 50 %; None where it never is."""
        return next((step for step, mean in enumerate(self.by_distance) if mean.value < _HALF), None)


def title(result: PositionsResult) -> str:
    """What the table is called."""
    return f"The trigger moved on {result.data.test[0]}: attack success in %"


def localities(result: PositionsResult) -> list[Locality]:
    """The models, the honest one first.

    Raises:
        DataError: a model has no map, or a map without its home.
    """
    return [_locality(cell) for cell in result.cells]


def table(result: PositionsResult) -> list[Row]:
    """Four rows for each model; three where success never falls under 50 %."""
    return [row for one in localities(result) for row in _rows(one)]


def notes(result: PositionsResult) -> tuple[str, ...]:
    """What is said beside the table."""
    everywhere = [one.model for one in localities(result) if one.falls is None]
    never = (f"Success never falls under 50 %: {'; '.join(everywhere)}.",) if everywhere else ()
    return (*_NOTES, *never)


def number(row: Row) -> str:
    """What was measured, as text: a distance is whole."""
    return f"{row.measured:.0f}" if row.what == DISTANCE else f"{row.measured:.2f}"


def _locality(cell: CellResult) -> Locality:
    found = cell.places
    home = found.at(*found.home) if found else None
    if found is None or home is None:
        raise DataError(f"this result's model {cell.name} has no map of places around its home: run the study again")
    at_distance: dict[int, list[Rate]] = {}
    for row in range(found.height):
        for column in range(found.width):
            rate = found.at(row, column)
            if rate is not None:
                step = max(abs(row - found.home[0]), abs(column - found.home[1]))
                at_distance.setdefault(step, []).append(rate)
    rates = [rate for step in at_distance.values() for rate in step]
    return Locality(
        model=_words(cell),
        map=found,
        home=home,
        places=len(rates),
        working=sum(rate.value > _HALF for rate in rates),
        away=mean_rate([rate for step, some in at_distance.items() if step for rate in some]),
        by_distance=tuple(mean_rate(at_distance[step]) for step in sorted(at_distance)),
    )


def _words(cell: CellResult) -> str:
    return "honest baseline" if cell.name == BASELINE else cell.name.replace("all-to-all-", "all-to-all, ")


def _rows(one: Locality) -> list[Row]:
    home, images = mean_rate([one.home]), one.map.images
    share, places = 100 * one.working / one.places, f"share of {one.places:,} places with success over 50 %"
    found = [
        percent_row((one.model, "success at home"), None, home, [home.value], "measured"),
        Row(one.model, places, None, share, (share,), None, images, "measured"),
        percent_row((one.model, "mean success away from home"), None, one.away, [one.away.value], "measured"),
    ]
    if one.falls is not None:
        falls = float(one.falls)
        found.append(Row(one.model, DISTANCE, None, falls, (falls,), None, images, "measured"))
    return found
