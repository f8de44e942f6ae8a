"""Charts of the digits study."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from badnets.neurons import LayerDifference
from badnets.report.charts.svg import LINES, OURS, PAPER, STYLE, TEXT, svg
from badnets.report.rows import Row


def errors_chart(rows: Sequence[Row]) -> str:
    """Measured errors with their intervals, the paper's as diamonds, one line for each row."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.34 * len(rows) + 0.9), layout="constrained")
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            if row.interval is not None:
                axes.plot(row.interval, [place, place], color=OURS, linewidth=2, alpha=0.55, solid_capstyle="butt")
            label = "measured, 95 % interval" if place == 0 else None
            axes.plot(row.measured, place, "o", color=OURS, label=label, clip_on=False, zorder=3)
            if row.paper is not None:
                first = not any(earlier.paper is not None for earlier in rows[:place])
                label = "paper (MNIST)" if first else None
                # Below the line, so that equal figures do not hide each other.
                lower = place + 0.28
                axes.plot(row.paper, lower, "D", color=PAPER, markersize=4, label=label, clip_on=False, zorder=3)
        axes.set_yticks(range(len(rows)), [f"{row.model}: {row.what}" for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("error, %")
        axes.grid(axis="x", alpha=0.2, color=TEXT)
        figure.legend(frameon=False, loc="outside upper right", ncols=2)
        return svg(figure)


def sparsity_chart(layers: Sequence[LayerDifference], title: str) -> str:
    """How fast the stamped-minus-clean difference falls off over the units of each layer."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for layer, colour in zip(layers, LINES, strict=False):
            axes.plot(layer.ranks, layer.curve, color=colour, label=f"{layer.layer} ({layer.units:,} units)")
        axes.set_xscale("log")
        axes.set_xlabel("units, most changed first")
        axes.set_ylabel("|stamped - clean|, of the largest")
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylim(0, 1.02)
        axes.legend(frameon=False)
        return svg(figure)
