"""Charts of the study on photographs: clean accuracy and attack success over the share of poisoned pictures."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from badnets.report.charts.svg import LINES, STYLE, TEXT, svg
from badnets.report.rows.photos import ATTACKERS, model_name, table
from badnets.studies.photos import PhotosResult


def photos_charts(result: PhotosResult) -> list[str]:
    """One chart for each figure: a line for each attacker, a dot for each seed, the honest twin dotted."""
    return [_chart(result, what) for what in ("clean accuracy", "attack success")]


def _chart(result: PhotosResult, what: str) -> str:
    rows = {(row.model, row.what): row for row in table(result)}
    honest = table(result)[0 if what == "clean accuracy" else 1]
    shares = [100 * share for share in result.spec.shares]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(honest.measured, color=TEXT, linestyle=":", linewidth=1, label="honest twin")
        for colour, threat in zip(LINES, result.spec.threats, strict=False):
            found = [rows[model_name(result, threat, share), what] for share in result.spec.shares]
            axes.plot(shares, [row.measured for row in found], "-", color=colour, label=ATTACKERS[threat])
            for share, row in zip(shares, found, strict=True):
                axes.plot([share] * len(row.seeds), row.seeds, "o", color=colour, markersize=3.5, alpha=0.6)
                if row.interval:
                    axes.plot([share, share], row.interval, color=colour, linewidth=5, alpha=0.25)
        axes.set_xscale("log")
        axes.set_xticks(shares, [f"{share:.4g}" for share in shares])
        axes.minorticks_off()
        axes.set_xlabel("poisoned pictures of the source class, %")
        axes.set_ylabel(f"{what}, %")
        axes.set_ylim(-3 if what == "attack success" else 45, 103)
        axes.grid(alpha=0.2, color=TEXT)
        figure.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=9)
        return svg(figure)
