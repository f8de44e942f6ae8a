"""Hostile files missed and harmless ones refused, by our scan and by other scanners, and what a file costs.

    python benchmarks/scan.py [--json] [--rounds 5] [--sample n]
    python benchmarks/scan.py --make-rivals FOLDER     # once: each rival in an environment of its own, by pip
    python benchmarks/scan.py --rivals FOLDER

Every file of the tests' catalogues of hostile files, and harmless files as torch, safetensors and numpy write them, are
written into a temporary folder, each into a folder of its own under the name that its users would know, and judged by

1. badnets.supply.scan: our `scan`, in this process.
2. badnets scan: its command, and the commands of picklescan (as it comes, and `--strict`), modelscan, fickling and
   modelaudit. Each file is judged by a fork of one process that has its imports behind it, within 20 seconds; "ms a
   call" is what a call costs with the start of Python, on one harmless file.

A gate reads exit codes, so they are what counts: 1 refuses, 0 passes. Apart from those are counted the answers of a
scanner that looked into nothing ("nothing scanned": picklescan's exit code is 0 then, modelscan's 3), errors (any other
code, or a traceback; our "unjudged") and those that came too late. A hostile file is missed where the answer is
"passed"; a harmless one is a false alarm where it is refused. The hostile files are ours: of the rivals they tell only
how they do on what our scan was written to refuse. Many carry no program, but parts that contradict each other, which
most rivals do not set out to find: look at the families too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.errors import BadnetsError
from badnets.supply.scan.report import verdict
from badnets.supply.scan.scan import scan
from benchmarks.rounds import machine, parser
from benchmarks.scan_files import Sample, even, samples, write
from benchmarks.scan_tools import (
    OURS,
    RIVALS,
    Answer,
    Call,
    alone,
    judge_all,
    make_rivals,
    python_of,
    version_of,
    whole_calls,
)

IN_PROCESS = "badnets.supply.scan"
_ANSWERS = {"clean": Answer.PASSED, "refused": Answer.REFUSED, "unjudged": Answer.ERROR}


@dataclass(frozen=True)
class Row:
    """What one scanner said.

    Attributes:
        name: of the scanner.
        version: of its package.
        hostile: its answers to the hostile files.
        benign: its answers to the harmless ones.
        families: how many files were not stopped, passed or not scanned, by family, "so many of all".
        milliseconds: median and 95th percentile for a file by the clock.
        processor: the same of the processor, which other work on the machine does not stretch.
        call: median of a whole call in milliseconds; None where there is none.
    """

    name: str
    version: str
    hostile: dict[str, int]
    benign: dict[str, int]
    families: dict[str, str]
    milliseconds: tuple[float, float]
    processor: tuple[float, float]
    call: float | None = None


def in_process(file: Path) -> Call:
    """What `scan` says in this process."""
    begun, worked = time.perf_counter(), time.process_time()
    try:
        answer = _ANSWERS[verdict(scan(file))]
    except BadnetsError:
        answer = Answer.ERROR
    return Call(answer, time.perf_counter() - begun, time.process_time() - worked)


def row(tool: tuple[str, str], judged: list[Sample], calls: list[Call], whole: list[float] | None = None) -> Row:
    """What a scanner, by name and version, said of the samples."""
    sides: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    asked: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for sample, call in zip(judged, calls, strict=True):
        sides[sample.hostile][str(call.answer)] += 1
        if sample.hostile:
            family = f"{sample.group}: {sample.family}"
            asked[family] += 1
            missed[family] += call.answer in (Answer.PASSED, Answer.NOTHING)
    return Row(
        *tool,
        hostile={str(answer): sides[True][answer] for answer in Answer},
        benign={str(answer): sides[False][answer] for answer in Answer},
        families={family: f"{missed[family]} of {count}" for family, count in asked.items()},
        milliseconds=_spread([call.seconds for call in calls]),
        processor=_spread([call.processor for call in calls]),
        call=1000 * statistics.median(whole) if whole else None,
    )


def _spread(seconds: list[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    return 1000 * statistics.median(ordered), 1000 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def compare(chosen: argparse.Namespace, folder: Path) -> tuple[list[Row], list[str]]:
    """The rows of all scanners that are there, and remarks."""
    judged = even(samples(), chosen.sample)
    files = []
    for number, sample in enumerate(judged):
        own = folder / f"{number:04}"
        own.mkdir()
        files.append(write(sample, own))
    home = folder / "home"
    home.mkdir()
    in_process(files[-1])
    rows = [row((IN_PROCESS, version_of(OURS, Path(sys.executable)) or "?"), judged, [in_process(f) for f in files])]
    notes = [f"{len(judged)} files, {sum(sample.hostile for sample in judged)} of them hostile"]
    notes.append("commands had no network" if alone() else "commands could reach the network: no `unshare` here")
    for tool in (OURS, *RIVALS):
        share = even(judged, chosen.slow_sample) if tool.name == "modelaudit" else judged
        kept = {id(sample) for sample in share}
        asked = [file for file, sample in zip(files, judged, strict=True) if id(sample) in kept]
        python = python_of(tool, chosen.rivals)
        said = python and version_of(tool, python)
        if not python or not said:
            notes.append(f"{tool.name} is not installed")
            continue
        print(f"{tool.name}: {len(asked)} files", file=sys.stderr)
        calls = judge_all(tool, python, asked, home)
        rows.append(
            row((tool.name, said), share, calls, list(whole_calls(tool, python, asked[-1], home, chosen.rounds)))
        )
        if len(asked) < len(judged):
            notes.append(f"{tool.name} judged an even sample of {len(asked)}")
    return rows, notes


def print_rows(rows: list[Row], notes: list[str], where: dict[str, str]) -> None:
    """Print them for people."""
    print("scan: hostile files missed and harmless ones refused")
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    titles = [*(f"hostile {answer}" for answer in Answer), *(f"benign {answer}" for answer in Answer)]
    titles += ["ms a file (p95)", "ms of processor (p95)", "ms a call"]
    for found in rows:
        print(f"{found.name} {found.version}")
        cells = [*map(str, found.hostile.values()), *map(str, found.benign.values())]
        cells += [f"{middle:.1f} ({late:.1f})" for middle, late in (found.milliseconds, found.processor)]
        cells.append("-" if found.call is None else f"{found.call:.0f}")
        print("  " + ", ".join(f"{title} {cell}" for title, cell in zip(titles, cells, strict=True) if cell != "0"))
    print("not stopped by family (passed, or nothing scanned)")
    for family in rows[0].families:
        cells = [f"{found.name} {found.families[family]}" for found in rows if family in found.families]
        print(f"  {family}: {', '.join(cells)}")
    for note in notes:
        print(f"  {note}")


def main() -> None:
    """Measure and print."""
    options = parser("Hostile files missed and harmless ones refused, by scanner.", rounds=5)
    options.add_argument("--rivals", type=Path, help="folder with an environment for each rival")
    options.add_argument("--make-rivals", type=Path, metavar="FOLDER", help="make these environments and end")
    options.add_argument("--sample", type=int, default=0, help="judge an even sample of so many files")
    options.add_argument("--slow-sample", type=int, default=0, help="the same for modelaudit, which takes long")
    chosen = options.parse_args()
    if chosen.make_rivals:
        make_rivals(chosen.make_rivals)
        return
    if chosen.rivals:
        chosen.rivals = chosen.rivals.resolve()
    where = {name: value for name, value in machine().items() if name in ("processor", "cores", "load", "python")}
    with tempfile.TemporaryDirectory() as folder:
        rows, notes = compare(chosen, Path(folder))
    if hasattr(os, "getloadavg"):
        where["load at the end"] = f"{os.getloadavg()[0]:.1f}"
    if chosen.json:
        print(json.dumps({"machine": where, "rows": [asdict(found) for found in rows], "notes": notes}, indent=2))
    else:
        print_rows(rows, notes, where)


if __name__ == "__main__":
    main()
