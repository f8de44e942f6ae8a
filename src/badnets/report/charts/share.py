"""Charts of the share study: an error over the share of stamped samples."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from badnets.report.charts.svg import OURS, PAPER, STYLE, TEXT, svg
from badnets.report.rows import Row
from badnets.report.rows.share import ERRORS, over_seeds, table
from badnets.studies import paper
from badnets.studies.share import ShareResult

# Backdoor errors run from everything to nothing: below this many percent the axis is linear, so that 0 has a place.
_LINEAR = 0.1
_HUNDRED = 100.0


def share_charts(result: ShareResult) -> list[str]:
    """Clean error and backdoor error over the share: mean, each seed, the interval over seeds, the paper's points."""
    baseline, *rows = table(result)
    return [
        _chart(result, [row for row in rows if row.what == what], index, baseline) for index, what in enumerate(ERRORS)
    ]


def _chart(result: ShareResult, rows: list[Row], index: int, baseline: Row) -> str:
    shares = [100 * share for share in result.spec.shares]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        if index == 0:
            axes.axhline(baseline.measured, color=TEXT, linestyle=":", linewidth=1, label="honest baseline")
        _bars(axes, shares, rows)
        axes.plot(shares, [row.measured for row in rows], "-", color=OURS, label="measured, mean")
        if len(result.spec.seeds) > 1:
            for seed in range(len(result.spec.seeds)):
                label = "each seed" if seed == 0 else None
                values = [row.seeds[seed] for row in rows]
                axes.plot(shares, values, "o", color=OURS, markersize=3.5, alpha=0.6, label=label)
        points = [(100 * share, given[index]) for share, given in paper.FIGURE_6.items()]
        axes.plot(*zip(*points, strict=True), "D", color=PAPER, markersize=5, label="paper (MNIST)", zorder=3)
        axes.set_xscale("log")
        axes.set_xticks(shares, [f"{share:.4g}" for share in shares], rotation=45)
        axes.minorticks_off()
        axes.set_xlabel("stamped samples in the training set, %")
        axes.set_ylabel(f"{ERRORS[index]}, %")
        if index == 1:
            axes.set_yscale("symlog", linthresh=_LINEAR, linscale=0.4)
            ticks = [0, 0.1, 1, 10, 100]
            axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
            axes.set_ylim(-0.02, 130)
        else:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.2, color=TEXT)
        figure.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=9)
        return svg(figure)


def _bars(axes: Axes, shares: list[float], rows: list[Row]) -> None:
    """The interval over seeds; with a single one, that of the test set."""
    for place, (share, row) in enumerate(zip(shares, rows, strict=True)):
        found = over_seeds(row.seeds)
        low, high = found or row.interval or (row.measured, row.measured)
        label = f"95 % interval {'over seeds' if found else 'of the test set'}" if place == 0 else None
        ends = (max(0.0, low), min(_HUNDRED, high))
        axes.plot([share, share], ends, color=OURS, linewidth=6, alpha=0.4, solid_capstyle="butt", label=label)
