"""One self-contained HTML page from a repair: before and after, what was done, and both audits."""

from __future__ import annotations

from badnets.report.pages.page import render
from badnets.studies.repair_report import RepairReport

_WORDS = {
    "repaired": ("Repaired", "clean"),
    "left": ("Left as it is", ""),
    "refused": ("Refused", "backdoored"),
    "worse": ("Worse, and handed over all the same", "backdoored"),
}


def repair_page(report: RepairReport, name: str) -> str:
    """The report as HTML.

    Args:
        report: what came out.
        name: of the file that was repaired; like all names it is escaped.
    """
    word, tone = _WORDS[report.outcome]
    return render("repair.html", report=report, name=name, word=word, tone=tone)
