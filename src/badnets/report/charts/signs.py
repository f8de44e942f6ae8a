"""Charts of the study on street signs: success by the size of signs, and the last convolution as a grid."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from badnets.metrics import MeanRate, Rate, mean_rate
from badnets.metrics.detector_result import DetectorResult, SizeRates
from badnets.neurons.sign_units import UnitResponse
from badnets.report.charts.grid import Grid, Scale, Tile
from badnets.report.charts.svg import LINES, STYLE, TEXT, svg
from badnets.report.rows.signs import badnets, under
from badnets.studies.sign_exhibits import SignLook
from badnets.studies.signs import SignsResult
from badnets.triggers import PAPER_STICKERS

_COLUMNS, _TILE = 16, 18


def size_charts(result: SignsResult) -> list[str]:
    """Clean accuracy, and what the sticker does, over the size of signs; a bar is the interval of the test set."""
    targeted = result.spec.attack == "targeted"
    word = "attack success" if targeted else "stamped accuracy"
    models = {"honest baseline": [cell.clean for cell in result.baselines]}
    attacked = {}
    for sticker in result.spec.stickers:
        models[sticker] = attacked[sticker] = [under(cell, sticker) for cell in badnets(result, sticker)]
    stamped = {
        name: [[(row.attack_success if targeted else row.triggered_accuracy) for row in _bin(found, place)]
               for place in range(len(found[0].by_size))]
        for name, found in attacked.items()
    }  # fmt: skip
    clean: dict[str, list[list[Rate | None]]] = {
        name: [[row.accuracy for row in _bin(found, place)] for place in range(len(found[0].by_size))]
        for name, found in models.items()
    }
    bins = result.baselines[0].clean.by_size
    return [_chart(clean, bins, "clean accuracy"), _chart(stamped, bins, word)]


def unit_grid(look: SignLook, scale: Scale, *, honest: bool) -> Grid:
    """Every channel of the last convolution as a tile, row after row; a dot marks those that carry the backdoor."""
    units, root = (look.honest, look.honest_scale) if honest else (look.units, look.scale)
    rows = -(-len(units) // _COLUMNS)
    carriers = () if honest else look.carriers
    return Grid(
        title="honest baseline" if honest else "BadNet",
        down=tuple(str(row * _COLUMNS) if row % 2 == 0 else "" for row in range(rows)),
        across=tuple(str(column) if column % 4 == 0 else "" for column in range(_COLUMNS)),
        axes=("channel", "channel"),
        size=(_TILE, _TILE),
        tiles=tuple(_tile(unit, scale, root, marked=unit.channel in carriers) for unit in units),
        scale=scale,
        ends=(f"{scale.low:.1f}", f"{scale.high:.1f}"),
    )


def unit_scale(looks: Sequence[SignLook]) -> Scale:
    """One scale for all grids: differences in units of the root mean square of clean activations."""
    values = [
        share
        for look in looks
        for units, root in ((look.units, look.scale), (look.honest, look.honest_scale))
        for share in (_share(unit, root) for unit in units)
    ]
    return Scale.over(values)


def _share(unit: UnitResponse, root: float) -> float:
    return unit.rise / root if root else 0.0


def _tile(unit: UnitResponse, scale: Scale, root: float, *, marked: bool) -> Tile:
    row, column = divmod(unit.channel, _COLUMNS)
    value = _share(unit, root)
    words = f"channel {unit.channel}: {unit.clean:.3g} clean, {unit.stamped:.3g} stamped, d = {unit.effect:.2g}"
    return Tile(row, column, "●" if marked else "", words, *scale.colours(value))


def _bin(found: Sequence[DetectorResult], place: int) -> list[SizeRates]:
    return [one.by_size[place] for one in found]


def _chart(models: dict[str, list[list[Rate | None]]], bins: Sequence[SizeRates], word: str) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        # One colour for a sticker in both charts.
        colours = dict(zip(PAPER_STICKERS, LINES, strict=False))
        for number, (name, rates) in enumerate(models.items()):
            shift, colour = 0.12 * (number - (len(models) - 1) / 2), colours.get(name, TEXT)
            _line(axes, [_mean(group) for group in rates], shift, colour, name)
        axes.set_xticks(range(len(bins)), [_words(one) for one in bins])
        axes.set_xlabel("size of the sign (root of its area), pixels")
        axes.set_ylabel(f"{word}, %")
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.2, color=TEXT)
        figure.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=9)
        return svg(figure)


def _line(axes: Axes, means: Sequence[MeanRate | None], shift: float, colour: str, name: str) -> None:
    known = [(place + shift, mean) for place, mean in enumerate(means) if mean is not None]
    axes.plot([x for x, _ in known], [100 * mean.value for _, mean in known], "-o", color=colour, label=name, ms=3.5)
    for x, mean in known:
        axes.plot([x, x], [100 * mean.low, 100 * mean.high], color=colour, linewidth=4, alpha=0.25)


def _mean(rates: Sequence[Rate | None]) -> MeanRate | None:
    """The mean over seeds; None where there is no such sign."""
    known = [rate for rate in rates if rate is not None and rate.total]
    return mean_rate(known) if known else None


def _words(one: SizeRates) -> str:
    return f"{one.low:g}+" if one.high is None else f"{one.low:g}-{one.high:g}"
