"""Charts of the positions study: success by place, and by distance from home."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from badnets.report.charts.grid import Grid, Scale, tiles
from badnets.report.charts.svg import LINES, STYLE, TEXT, svg
from badnets.report.rows.positions import Locality

_TILE = 10
_LABELLED = 5


def position_grid(one: Locality) -> Grid:
    """Success at every place, from 0 to 100 %; the frame is where the trigger was in training."""
    found, scale = one.map, Scale(0.0, 100.0)
    values, words = {}, {}
    for row in range(found.height):
        for column in range(found.width):
            rate = found.at(row, column)
            if rate is not None:
                values[row, column] = 100 * rate.value
                words[row, column] = f"row {row}, column {column}: {rate.value:.1%} ({rate.count:,} of {rate.total:,})"
    return Grid(
        title=one.model,
        down=_labels(found.height),
        across=_labels(found.width),
        axes=("row", "column"),
        size=(_TILE, _TILE),
        tiles=tuple(tiles(values, words, scale, written=False)),
        scale=scale,
        ends=("0 %", "100 %"),
        framed=found.home,
    )


def distance_chart(models: Sequence[Locality]) -> str:
    """Mean success over the places at each distance from home."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        axes = figure.add_subplot()
        for one, colour, mark in zip(models, LINES, "osD", strict=False):
            values = [100 * mean.value for mean in one.by_distance]
            axes.plot(values, f"-{mark}", color=colour, markersize=3, label=one.model, clip_on=False)
        axes.axhline(50, color=TEXT, linestyle=":", linewidth=1)
        axes.set_xlabel("distance from home, trigger pixels")
        axes.set_ylabel("mean attack success, %")
        axes.set_ylim(0, 102)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.2, color=TEXT)
        axes.legend(frameon=False, fontsize=9)
        return svg(figure)


def _labels(count: int) -> tuple[str, ...]:
    return tuple(str(index) if index % _LABELLED == 0 else "" for index in range(count))
