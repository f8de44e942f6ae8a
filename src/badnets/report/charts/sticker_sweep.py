"""The curves of a sticker sweep: attack success over size, place, turn, light and distance."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from badnets.report.charts.svg import OURS, PAPER, STYLE, TEXT, svg
from badnets.studies.sticker_sweep import UNITS, SweepCurve, SweepPoint, SweepResult


def sweep_chart(result: SweepResult) -> str:
    """All curves beside each other, as an `<svg>` element."""
    count = max(1, len(result.curves))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.3 * count, 3.4), layout="constrained")
        for place, curve in enumerate(result.curves, 1):
            axes = figure.add_subplot(1, count, place)
            _draw(axes, curve)
            if place == 1:
                axes.set_ylabel("signs, %")
        handles = {
            label: handle
            for axes in figure.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), frameon=False, loc="outside upper left", ncols=3)
        return svg(figure)


def _draw(axes: Axes, curve: SweepCurve) -> None:
    values = [point.value for point in curve.points]

    def percent(of: Callable[[SweepPoint], float]) -> list[float]:
        return [100 * of(point) for point in curve.points]

    axes.fill_between(
        values, percent(lambda point: point.success.low), percent(lambda point: point.success.high), color=OURS,
        alpha=0.15, linewidth=0,
    )  # fmt: skip
    axes.plot(values, percent(lambda point: point.success.value), "o-", color=OURS, markersize=4,
              label="stamped, called the target (95 % interval)")  # fmt: skip
    axes.plot(values, percent(lambda point: point.own.value), "s--", color=PAPER, markersize=3.5,
              label="stamped, called by their own class")  # fmt: skip
    clean = [(point.value, 100 * point.clean.value) for point in curve.points if point.clean is not None]
    if clean:
        axes.plot(*zip(*clean, strict=True), ":", color=TEXT, label="without a sticker, called by their own class")
    axes.set_ylim(-3, 103)
    axes.set_title(curve.axis, loc="left", fontsize=11)
    axes.set_xlabel(
        UNITS[curve.axis].replace(" it was ", "\nit was ").replace(" away from ", "\naway from "), fontsize=8
    )
    axes.grid(alpha=0.2, color=TEXT)
