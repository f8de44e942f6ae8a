"""`badnets scan`: judge model files and folders without loading them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from badnets.supply.scan.findings import FileReport

_CODES = {"clean": 0, "refused": 1, "unjudged": 2}


def scan(
    paths: Annotated[list[Path], typer.Argument(help="Model files, or folders of which every file is judged.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs on stdout.")] = False,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF 2.1.0 to this file; replaced if there.")] = None,
    max_seconds: Annotated[
        float, typer.Option(min=0.001, help="Time for each file, plus 1 s for every 64 MiB.")
    ] = 60.0,
) -> None:
    """Admit only files whose every byte is explained. Nothing is loaded, run or unpickled.

    Exits with 0 if all are clean, 1 if any is refused, 2 if none is but something could not be judged.
    """
    from badnets.artifacts import write_json
    from badnets.supply.scan.report import as_plain, verdict
    from badnets.supply.scan.scan import scan as judge
    from badnets.supply.scan.source import Limits

    reports = [report for path in paths for report in judge(path, limits=Limits(seconds=max_seconds))]
    if sarif is not None:
        from badnets.supply.scan.sarif import as_sarif

        write_json(sarif, as_sarif(reports))
    if json:
        print_json(as_plain(reports))
    else:
        _print(reports)
    raise typer.Exit(_CODES[verdict(reports)])


def _print(reports: list[FileReport]) -> None:
    rows = [
        [report.path, "-" if report.size is None else f"{report.size:,}", report.format, str(report.verdict)]
        for report in reports
    ]
    print_table("Scan", ["file", "#bytes", "format", "verdict"], rows)
    for report in reports:
        for finding in report.findings:
            member = f" in {finding.member}" if finding.member else ""
            place = "" if finding.offset is None else f" at byte {finding.offset:,}"
            say(f"{report.path}{member}{place}: {finding.rule.id}: {finding.rule.what}: {finding.detail}")
            say(f"  {finding.rule.remedy}")
    counts = [f"{sum(r.verdict == kind for r in reports)} {kind}" for kind in _CODES]
    say(f"{len(reports)} file(s): {', '.join(counts)}")
