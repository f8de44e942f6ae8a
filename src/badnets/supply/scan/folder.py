"""Scans a model folder, such as a Hugging Face repository: every file is judged, hidden ones too.

What belongs together is judged together: weights of an ONNX model in another file, shards that an index names, names
that differ only in their case.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from badnets.supply.scan import names, onnx, onnx_rules, refused, texts
from badnets.supply.scan.archives_zip import TWINS
from badnets.supply.scan.dispatch import BOUND
from badnets.supply.scan.findings import FileReport, Finding, Rule, Severity, Verdict
from badnets.supply.scan.onnx_tensor import External
from badnets.supply.scan.scan import CHANGED, LINK, OPEN_FLAGS, UNREADABLE, Progress, scan_file, shown
from badnets.supply.scan.source import Budget, Exhausted, Limits, Source

EMPTY = Rule(
    "folder-empty",
    Severity.UNJUDGED,
    "A folder without any file: there is nothing to judge.",
    "Name the folder that holds the model.",
    cwe="CWE-754",
)
LINK_OUTSIDE = Rule(
    "link-outside",
    Severity.REFUSE,
    "A link out of the folder: what it points to is another file on every machine.",
    "Put the file itself there.",
    cwe="CWE-59",
    atlas="AML.T0010.003",
)
SHARD_MISSING = Rule(
    "shard-missing",
    Severity.UNJUDGED,
    "An index names weights that are not here.",
    "Get the missing files and scan the folder again.",
    cwe="CWE-353",
    atlas="AML.T0010.003",
)
RULES = (EMPTY, LINK_OUTSIDE, SHARD_MISSING)

_DEEPEST = 40
# Writers align tensors to a page, at most to this.
_ALIGNMENT = 2**16


@dataclass(frozen=True)
class _Item:
    """Something in the folder: its path from there, and whether it is a link or cannot be listed."""

    path: PurePosixPath
    problem: Finding | None = None


def scan_folder(root: Path, limits: Limits, progress: Progress | None) -> list[FileReport]:
    """Judge every file under `root`; see `scan.scan`."""
    reports: dict[str, FileReport] = {}
    seen: dict[str, str] = {}
    budget = Budget(limits)
    for item in _items(root, PurePosixPath(), budget):
        name = str(item.path)
        if item.problem:
            report = FileReport(shown(Path(name)), "unknown", None, None, (item.problem,))
        else:
            report = scan_file(root / name, limits, name=name, shown=shown(Path(name)))
        twin = seen.setdefault(names.twin_key(name), name)
        if twin != name:
            report = replace(report, findings=(Finding(TWINS, f"{twin!a} and {name!a}"), *report.findings))
        reports[name] = report
    if not reports:
        return [FileReport(".", "folder", None, None, (Finding(EMPTY, "no files"),))]
    _join_onnx(root, reports, limits)
    _join_shards(root, reports)
    if progress:
        for report in reports.values():
            progress(report)
    return list(reports.values())


def _items(root: Path, folder: PurePosixPath, budget: Budget) -> Iterator[_Item]:
    try:
        with os.scandir(root / folder) as listing:
            entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield _Item(folder, Finding(UNREADABLE, error.strerror or str(error)))
        return
    for entry in entries:
        path = folder / entry.name
        try:
            budget.count_member()
        except Exhausted as error:
            yield _Item(path, Finding(BOUND, str(error)))
            return
        if entry.is_symlink():
            yield _Item(path, _link(root, path))
        elif not entry.is_dir(follow_symlinks=False):
            yield _Item(path)
        elif len(path.parts) > _DEEPEST:
            yield _Item(path, Finding(BOUND, f"folders nested deeper than {_DEEPEST}"))
        else:
            yield from _items(root, path, budget)


def _link(root: Path, path: PurePosixPath) -> Finding:
    """A link is not followed; where it leaves the folder by its text, it is refused."""
    try:
        target = (root / path).readlink()
    except OSError as error:
        return Finding(UNREADABLE, error.strerror or str(error))
    inside = PurePosixPath(os.path.normpath(path.parent / target))
    if target.is_absolute() or inside.parts[:1] == ("..",):
        return Finding(LINK_OUTSIDE, f"to {str(target)!a}")
    return Finding(LINK, f"to {str(target)!a}")


def _join_onnx(root: Path, reports: dict[str, FileReport], limits: Limits) -> None:
    """Weights beside an ONNX model are explained by it, where its tensors and zeros between them are all they hold."""
    for name, report in list(reports.items()):
        if report.format != "onnx" or onnx_rules.EXTERNAL not in {finding.rule for finding in report.findings}:
            continue
        try:
            externals = _externals(root / name, limits)
            _explain_all(root, reports, name, externals, limits)
        except (OSError, Exhausted) as error:
            reports[name] = replace(report, findings=(*report.findings, Finding(CHANGED, str(error))))


def _explain_all(
    root: Path, reports: dict[str, FileReport], name: str, externals: tuple[External, ...], limits: Limits
) -> None:
    missing = set[str]()
    spans: dict[str, list[tuple[int, int]]] = {}
    for external in externals:
        place = str(PurePosixPath(name).parent / external.location)
        other = reports.get(place)
        if other is None or other.size is None or external.offset + external.length > other.size:
            missing.add(place)
        spans.setdefault(place, []).append((external.offset, external.length))
    explained = {
        place: _explained(root / place, reports[place], spans[place], limits)
        for place in sorted(spans.keys() - missing)
    }
    kept = [finding for finding in reports[name].findings if finding.rule is not onnx_rules.EXTERNAL]
    kept += [Finding(SHARD_MISSING, f"{place!a}, or as many bytes of it") for place in sorted(missing)]
    reports[name] = replace(reports[name], findings=tuple(kept))
    reports.update(explained)


def _externals(path: Path, limits: Limits) -> tuple[External, ...]:
    with _reopened(path) as file:
        return onnx.inspect(Source(file, 0, os.fstat(file.fileno()).st_size, Budget(limits))).externals


def _explained(path: Path, report: FileReport, spans: list[tuple[int, int]], limits: Limits) -> FileReport:
    """The report on a file of weights: as it is where a reader knew it, clean where the spans cover it."""
    unknown = refused.BY_FORMAT["unknown"]
    if [finding.rule for finding in report.findings] != [unknown] or report.size is None:
        return report
    with _reopened(path) as file:
        source = Source(file, 0, report.size, Budget(limits))
        at = 0
        for start, length in [*sorted(spans), (report.size, 0)]:
            gap = start - at
            blank = all(not piece.strip(b"\0") for piece in source.pieces(at, max(0, gap)))
            if gap > _ALIGNMENT or not blank:
                finding = Finding(unknown, "between the model's tensors", offset=at, length=gap)
                return replace(report, findings=(finding,))
            at = max(at, start + length)
    return replace(report, format="onnx-data", findings=())


def _join_shards(root: Path, reports: dict[str, FileReport]) -> None:
    """Every shard that an index names must be here."""
    for name, report in list(reports.items()):
        if not name.endswith(".index.json") or report.verdict is not Verdict.CLEAN:
            continue
        try:
            with _reopened(root / name) as file:
                shards = texts.shards(json.loads(file.read()))
        except (OSError, ValueError) as error:
            reports[name] = replace(report, findings=(Finding(CHANGED, str(error)),))
            continue
        folder = PurePosixPath(name).parent
        missing = [shard for shard in shards if str(folder / shard) not in reports]
        reports[name] = replace(report, findings=tuple(Finding(SHARD_MISSING, f"{shard!a}") for shard in missing[:100]))


def _reopened(path: Path) -> BinaryIO:
    """A file that was judged already, once more; still no link. Raises `OSError`."""
    return os.fdopen(os.open(path, OPEN_FLAGS), "rb", buffering=0)
