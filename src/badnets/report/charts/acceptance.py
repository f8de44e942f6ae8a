"""The chart of acceptance: the chance to be refused over a*, for validation sets of several sizes."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from badnets.report.charts.svg import LINES, STYLE, TEXT, svg
from badnets.studies.acceptance import AcceptanceResult, mean_refusal

_SHOWN = 4


def acceptance_chart(result: AcceptanceResult) -> str:
    """A line for each size: honest networks solid, BadNets dashed."""
    sizes = [one.size for one in result.checks]
    steps = [at * (len(sizes) - 1) / (_SHOWN - 1) for at in range(_SHOWN)]
    shown = sizes if len(sizes) <= _SHOWN else [sizes[round(step)] for step in steps]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        least = 100.0
        for colour, size in zip(LINES, shown, strict=False):
            places = [100 * k / size for k in range(size + 1)]
            for cells, style in ((result.honest, "-"), (result.badnets, "--")):
                chances = [100 * chance for chance in mean_refusal(size, cells)]
                label = f"n = {size:,}" if style == "-" else None
                axes.plot(places, chances, style, color=colour, label=label, linewidth=1.4)
                least = min(least, *(place for place, chance in zip(places, chances, strict=True) if chance >= 0.1))
        axes.set_xlim(max(0.0, least - 1), 100)
        axes.set_ylim(-3, 103)
        axes.set_xlabel("a*: accuracy asked for, %")
        axes.set_ylabel("chance to be refused, %")
        axes.grid(alpha=0.2, color=TEXT)
        figure.legend(frameon=False, loc="outside upper left", ncols=4, fontsize=9)
        return svg(figure)
