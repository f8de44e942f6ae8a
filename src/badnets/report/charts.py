"""Charts as inline SVG that take the colours of the page around them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from badnets.neurons import LayerDifference
from badnets.report.rows import Row

# Matplotlib wants a colour; the page gives text its own. This one stands for it and is replaced.
_TEXT = "#010203"
_PAPER, _OURS = "#d95f02", "#1f78b4"
_LINES = ("#1f78b4", "#d95f02", "#33a02c", "#9467bd", "#b15928")
_STYLE: Any = {
    "svg.hashsalt": "badnets",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def errors_chart(rows: Sequence[Row]) -> str:
    """Measured errors with their intervals, the paper's as diamonds, one line for each row."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 0.34 * len(rows) + 0.9), layout="constrained")
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            low, high = row.interval
            axes.plot([low, high], [place, place], color=_OURS, linewidth=2, alpha=0.55, solid_capstyle="butt")
            label = "measured, 95 % interval" if place == 0 else None
            axes.plot(row.measured, place, "o", color=_OURS, label=label, clip_on=False, zorder=3)
            if row.paper is not None:
                first = not any(earlier.paper is not None for earlier in rows[:place])
                label = "paper (MNIST)" if first else None
                # Below the line, so that equal figures do not hide each other.
                lower = place + 0.28
                axes.plot(row.paper, lower, "D", color=_PAPER, markersize=4, label=label, clip_on=False, zorder=3)
        axes.set_yticks(range(len(rows)), [f"{row.model}: {row.what}" for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("error, %")
        axes.grid(axis="x", alpha=0.2, color=_TEXT)
        figure.legend(frameon=False, loc="outside upper right", ncols=2)
        return _svg(figure)


def sparsity_chart(layers: Sequence[LayerDifference], title: str) -> str:
    """How fast the stamped-minus-clean difference falls off over the units of each layer."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for layer, colour in zip(layers, _LINES, strict=False):
            axes.plot(layer.ranks, layer.curve, color=colour, label=f"{layer.layer} ({layer.units:,} units)")
        axes.set_xscale("log")
        axes.set_xlabel("units, most changed first")
        axes.set_ylabel("|stamped - clean|, of the largest")
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylim(0, 1.02)
        axes.legend(frameon=False)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    drawing = buffer.getvalue()
    # The XML prologue has no place inside HTML, and a fixed size would not shrink with the window.
    drawing = drawing[drawing.index("<svg") :]
    return drawing.replace(_TEXT, "currentColor")
