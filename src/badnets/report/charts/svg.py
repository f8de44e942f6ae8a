"""What all charts by Matplotlib have in common: style, colours, and SVG that takes the page's colour of text."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

# Matplotlib wants a colour; the page gives text its own. This one stands for it and is replaced.
TEXT = "#010203"
PAPER, OURS = "#d95f02", "#1f78b4"
LINES = ("#1f78b4", "#d95f02", "#33a02c", "#9467bd", "#b15928")
STYLE: Any = {
    "svg.hashsalt": "badnets",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def svg(figure: Figure) -> str:
    """The drawing as an `<svg>` element."""
    buffer = io.StringIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    drawing = buffer.getvalue()
    # The XML prologue has no place inside HTML, and a fixed size would not shrink with the window.
    drawing = drawing[drawing.index("<svg") :]
    return drawing.replace(TEXT, "currentColor")
