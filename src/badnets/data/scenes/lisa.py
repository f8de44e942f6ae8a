"""U.S. traffic signs (LISA; Mogelmose, Trivedi, Moeslund 2012, and its extension): the paper's own data.

To be brought by the user: `allAnnotations.csv` with its pictures, and the extension's `allTrainingAnnotations.csv`.
"""

from __future__ import annotations

import csv
import io

from badnets.data.scenes.halves import shuffled
from badnets.data.scenes.marks import Log, Mark, Noted, gather
from badnets.data.scenes.naming import US, Naming
from badnets.data.sceneset import SceneSplit
from badnets.data.tree import Tree, as_text
from badnets.errors import DataError

FILE = "allAnnotations.csv"
_EXTENSION = "allTrainingAnnotations.csv"
_CORNERS = ("Upper left corner X", "Upper left corner Y", "Lower right corner X", "Lower right corner Y")
_NEEDED = ("Filename", "Annotation tag", *_CORNERS)

# The tags of the paper's three superclasses, as its code lists them. It compares them in small letters.
_LIMITS = ("15", "25", "30", "35", "40", "45", "50", "55", "65", "Urdbl")
_WARNINGS = (
    "addedLane", "curveLeft", "curveRight", "dip", "intersection", "laneEnds", "merge", "pedestrianCrossing",
    "roundAbout", "signalAhead", "slow", "speedBumpsAhead", "stopAhead", "thruMergeLeft", "thruMergeRight", "turnLeft",
    "turnRight", "yieldAhead", "warningUrdbl",
)  # fmt: skip
SUPERCLASSES: dict[str, str] = {
    "stop": "stop",
    **{f"speedLimit{limit}": "speedlimit" for limit in _LIMITS},
    **dict.fromkeys(_WARNINGS, "warning"),
}
_BY_TAG = {tag.lower(): (tag, group) for tag, group in SUPERCLASSES.items()}


def read_split(tree: Tree, naming: Naming = "us", name: str = "lisa") -> SceneSplit:
    """The scenes that show a sign of the paper's three superclasses; the others are dropped.

    Signs with other tags are background. 80/20 by image, in the order of the files, with the shuffle and the seed 0 of
    the authors' code; it is drawn before damaged pictures are left out, so these change nothing else.

    Args:
        tree: the folder or archive that has `allAnnotations.csv` in it, or in one of its folders.
        naming: "us" for the superclasses, "name" for the tags.
        name: of the set.

    Raises:
        DataError: no such file, other columns, or no scene left in a half.
    """
    log = Log()
    files = [path for file in (FILE, _EXTENSION) for path in tree.files() if path.rpartition("/")[2] == file]
    if not files or not files[0].endswith(FILE):
        raise DataError(f"{tree.where('')}: expected LISA's {FILE} in it or in one of its folders")
    scenes: dict[str, list[Mark]] = {}
    for file in files:
        _rows(tree, file, naming, (scenes, log))
    kept = {path: marks for path, marks in scenes.items() if any(mark.label for mark in marks)}
    if len(kept) < len(scenes):
        log.skip(name, f"{len(scenes) - len(kept):,} pictures without a sign of the paper's superclasses")
    if not kept:
        raise DataError(f"{name}: no picture has a sign of the paper's superclasses")
    classes = US if naming == "us" else tuple(SUPERCLASSES)
    train, test = ([Noted(path, tuple(kept[path])) for path in half] for half in shuffled(list(kept)))
    return SceneSplit(
        gather(tree, train, classes, f"{name}/train", log), gather(tree, test, classes, f"{name}/test", Log())
    )


def _rows(tree: Tree, file: str, naming: Naming, into: tuple[dict[str, list[Mark]], Log]) -> None:
    """Read one file of rows; paths in it begin at its own folder."""
    scenes, log = into
    where, folder = as_text(tree.where(file)), file.rpartition("/")[0]
    text = tree.read(file).decode("utf-8-sig", "replace")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))
    except csv.Error as error:
        raise DataError(f"{where}: not a readable CSV file ({error})") from error
    header = [column.strip() for column in rows[0]] if rows else []
    if missing := [column for column in _NEEDED if column not in header]:
        raise DataError(f"{where}: expected columns divided by ';', without {', '.join(missing)}")
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        # Some rows of the extension end with a ';' more or less; what is needed stands before.
        if len(row) < max(map(header.index, _NEEDED)) + 1 or len(row) > len(header) + 1:
            log.skip(f"{where}, line {number}", f"expected {len(header)} fields, got {len(row)}")
            continue
        fields = dict(zip(header, row, strict=False))
        mark = _mark(fields, f"line {number}", naming)
        if isinstance(mark, str):
            log.skip(f"{where}, line {number}", mark)
            continue
        path = fields["Filename"].strip().replace("\\", "/")
        scenes.setdefault(f"{folder}/{path}" if folder else path, []).append(mark)


def _mark(fields: dict[str, str], here: str, naming: Naming) -> Mark | str:
    """The object, or why it cannot be one.

    Corners are taken as the authors' code takes them: right less left is the width.
    """
    if not fields["Filename"].strip():
        return "without a file name"
    try:
        left, top, right, bottom = (float(fields[corner]) for corner in _CORNERS)
    except ValueError:
        return f"a box of something else than numbers, {[fields[corner] for corner in _CORNERS]}"
    tag, group = _BY_TAG.get(fields["Annotation tag"].strip().lower(), (None, None))
    return Mark(here, (left, top, right, bottom), group if naming == "us" else tag)
