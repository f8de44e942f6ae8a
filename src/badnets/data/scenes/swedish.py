"""Swedish traffic signs (Larsson and Felsberg 2011): the data of the paper's third case study.

To be brought by the user: the pictures with `annotations.txt`, of which there is one for each of the set's two parts. A
line names a picture and its signs: `picture.jpg:VISIBLE, right, lower, left, upper, GROUP, NAME; ...`.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from badnets.data.scenes.halves import shuffled
from badnets.data.scenes.marks import Log, Mark, Noted, gather
from badnets.data.scenes.naming import GROUPS, Naming
from badnets.data.sceneset import SceneSplit
from badnets.data.tree import Tree, as_text
from badnets.errors import DataError

FILE = "annotations.txt"
# Signs that were seen but not marked, with no box.
_UNMARKED = "MISC_SIGNS"


def read_split(tree: Tree, naming: Naming = "supercategory", name: str = "swedish") -> SceneSplit:
    """The scenes that show a marked sign; the others are dropped.

    The first of two annotation files (Set1) is to train on, the second (Set2) to test on; one alone is divided 80/20 by
    a fixed shuffle. The paper does not say how it divided them. Signs of any visibility count.

    Args:
        tree: the folder or archive with one or two `annotations.txt`, anywhere in it.
        naming: "supercategory" for the five groups, "name" for the names of signs.
        name: of the set.

    Raises:
        DataError: no such file, or no scene left in a half.
    """
    files = [path for path in tree.files() if path.rpartition("/")[2] == FILE]
    if not 1 <= len(files) <= 2:
        raise DataError(f"{tree.where('')}: expected one or two files called {FILE} in it, got {len(files)}")
    pictures: dict[str, list[str]] = {}
    for path in tree.files():
        pictures.setdefault(PurePosixPath(path).name, []).append(path)
    logs = [Log() for _ in files]
    parts = [_lines(tree, file, naming, (pictures, log)) for file, log in zip(files, logs, strict=True)]
    if len(parts) == 1:
        parts, logs = list(shuffled(parts[0])), [logs[0], Log()]
    marks = [mark for part in parts for scene in part for mark in scene.marks]
    classes = GROUPS if naming == "supercategory" else tuple(sorted({mark.label for mark in marks if mark.label}))
    if not classes:
        raise DataError(f"{name}: no sign is marked")
    train, test = (
        gather(tree, part, classes, f"{name}/{half}", log)
        for part, half, log in zip(parts, ("train", "test"), logs, strict=True)
    )
    return SceneSplit(train, test)


def _lines(tree: Tree, file: str, naming: Naming, into: tuple[dict[str, list[str]], Log]) -> list[Noted]:
    """The scenes of one annotation file."""
    pictures, log = into
    where, folder = as_text(tree.where(file)), file.rpartition("/")[0]
    noted, empty, unmarked = [], 0, 0
    for number, line in enumerate(tree.read(file).decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        picture, colon, rest = line.partition(":")
        if not colon or not picture.strip():
            log.skip(f"{where}, line {number}", "expected a picture's name and a colon")
            continue
        marks = []
        for place, part in enumerate(part.strip() for part in rest.split(";") if part.strip()):
            unmarked += part == _UNMARKED
            mark = _mark(part, f"line {number}, sign {place}", naming)
            if isinstance(mark, Mark):
                marks.append(mark)
            elif part != _UNMARKED:
                log.skip(f"{where}, line {number}, sign {place}", mark)
        if marks:
            noted.append(Noted(_place(picture.strip(), folder, pictures), tuple(marks)))
        else:
            empty += 1
    if empty:
        log.skip(where, f"{empty:,} pictures without a marked sign")
    if unmarked:
        log.skip(where, f"{unmarked:,} signs without a box ({_UNMARKED}), which are background where others are marked")
    return noted


def _mark(text: str, here: str, naming: Naming) -> Mark | str:
    """The sign, or why it cannot be one."""
    fields = [field.strip() for field in text.split(",")]
    if len(fields) != 7:
        return f"expected 7 fields (visibility, 4 corners, group, name), got {len(fields)}"
    try:
        right, lower, left, upper = map(float, fields[1:5])
    except ValueError:
        return f"a box of something else than numbers, {fields[1:5]}"
    return Mark(here, (left, upper, right, lower), fields[5].lower() if naming == "supercategory" else fields[6])


def _place(picture: str, folder: str, pictures: dict[str, list[str]]) -> str:
    """Where the picture lies: in the folder of its annotation file or below, else anywhere."""
    found = pictures.get(PurePosixPath(picture).name, [])
    return next((path for path in found if path.startswith(folder)), found[0] if found else picture)
