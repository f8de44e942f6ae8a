"""The chart of transfer learning on street signs: accuracy of the victims over the strength of the units."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from badnets.metrics import Rate, mean_rate
from badnets.report.charts.svg import OURS, PAPER, STYLE, TEXT, svg
from badnets.report.rows.sign_transfer import clean, of, triggered
from badnets.studies import paper
from badnets.studies.transfer import SignTransferResult


def strength_chart(result: SignTransferResult) -> str:
    """Table 7 as curves, ours beside the paper's; a bar is the interval of the test set."""
    gains = list(result.spec.gains)
    cells = [of(result, "badnet", gain) for gain in gains]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        _line(axes, gains, [clean(one) for one in cells], "-", "this study, clean")
        _line(axes, gains, [triggered(one) for one in cells], "--", "this study, triggered")
        for place, (style, word) in enumerate((("-", "clean"), ("--", "triggered"))):
            values = [both[place] for both in paper.TABLE_7.values()]
            axes.plot(list(paper.TABLE_7), values, style, color=PAPER, marker="D", ms=4, label=f"paper, {word}")
        level = 100 * mean_rate(triggered(of(result, "honest"))).value
        axes.axhline(level, linestyle=":", color=TEXT, label="victim of the honest detector, triggered")
        axes.set_xscale("log")
        axes.set_xticks(gains, [f"{gain:g}" for gain in gains])
        axes.minorticks_off()
        axes.set_xlabel("k: input weights of the backdoor units, times")
        axes.set_ylabel("accuracy, %")
        axes.set_ylim(0, 103)
        axes.grid(alpha=0.2, color=TEXT)
        figure.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=9)
        return svg(figure)


def _line(axes: Axes, places: Sequence[float], rates: Sequence[Sequence[Rate]], style: str, label: str) -> None:
    means = [mean_rate(group) for group in rates]
    axes.plot(places, [100 * mean.value for mean in means], style, color=OURS, marker="o", ms=3.5, label=label)
    for place, mean in zip(places, means, strict=True):
        axes.plot([place, place], [100 * mean.low, 100 * mean.high], color=OURS, linewidth=4, alpha=0.25)
