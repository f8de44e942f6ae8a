"""Charts of transfer learning: accuracy over the strength of the units, and over the epochs of the victim."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from badnets.metrics import mean_rate
from badnets.report.charts.svg import LINES, OURS, PAPER, STYLE, TEXT, svg
from badnets.report.rows.transfer import clean, triggered
from badnets.studies import paper
from badnets.studies.cells import CellResult
from badnets.studies.transfer_digits import VARIANTS, TransferResult

VARIANT_WORDS = {"last": "last layer", "head": "all fully connected", "whole": "whole network"}


def transfer_charts(result: TransferResult) -> list[str]:
    """Table 7 as curves beside the paper's, then the victims' learning curves."""
    return [_strength(result), _lengths(result)]


def _strength(result: TransferResult) -> str:
    gains = list(result.spec.gains)
    with mpl.rc_context(STYLE):
        figure, axes = _axes()
        cells = [result.of("badnet", gain) for gain in gains]
        _line(axes, gains, cells, OURS, "this study")
        control = [result.of("honest", gain) for gain in gains]
        axes.plot(gains, _values(control, stamped=True), ":", color=TEXT, label="honest network, triggered")
        for place, style in enumerate(("-", "--")):
            label = "paper (signs)" if place == 0 else None
            axes.plot(
                list(paper.TABLE_7), [both[place] for both in paper.TABLE_7.values()], style, color=PAPER, marker="D",
                markersize=4, label=label,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xticks(gains, [f"{gain:g}" for gain in gains])
        axes.set_xlabel("k: input weights of the backdoor units, times")
        return _finished(figure, axes)


def _lengths(result: TransferResult) -> str:
    epochs = list(result.spec.lengths)
    with mpl.rc_context(STYLE):
        figure, axes = _axes()
        for colour, variant in zip(LINES, VARIANTS, strict=False):
            cells = [result.of("badnet", result.spec.curve_gain, variant, length) for length in epochs]
            _line(axes, [float(length) for length in epochs], cells, colour, VARIANT_WORDS[variant])
        axes.set_xscale("log")
        axes.set_xticks(epochs, [str(length) for length in epochs])
        axes.set_xlabel(f"epochs of the victim, k = {result.spec.curve_gain:g}")
        return _finished(figure, axes)


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
    return figure, figure.add_subplot()


def _line(axes: Axes, places: list[float], cells: list[list[CellResult]], colour: str, label: str) -> None:
    axes.plot(places, _values(cells, stamped=False), "-", color=colour, label=label)
    axes.plot(places, _values(cells, stamped=True), "--", color=colour)
    for place, group in zip(places, cells, strict=True):
        values = [100 * rate.value for rate in triggered(group)]
        axes.plot([place] * len(values), values, "o", color=colour, markersize=3.5, alpha=0.6)


def _values(cells: list[list[CellResult]], *, stamped: bool) -> list[float]:
    return [100 * mean_rate((triggered if stamped else clean)(group)).value for group in cells]


def _finished(figure: Figure, axes: Axes) -> str:
    axes.minorticks_off()
    axes.set_ylabel("accuracy, %")
    axes.set_ylim(0, 103)
    axes.grid(alpha=0.2, color=TEXT)
    figure.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=9)
    return svg(figure)
