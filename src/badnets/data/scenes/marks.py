"""From boxes as files note them to a `SceneSet`: the rules for damaged annotation, the same for every format.

1. A picture that is missing or that `badnets.data.pictures` leaves out: the scene is left out with its boxes. An odd
   one is treated as that module says.
2. A picture of another size than the annotation states: left out, as its boxes speak of another picture.
3. A picture noted twice: left out, as what is in it is open.
4. A box with a number that is none, or not finite, or without area: left out.
5. A box partly outside the picture: clipped to it; with less than a pixel a side inside: left out.
6. A box of a class that the file does not know: left out.
7. The same box with the same class twice in one scene: kept once.
8. Objects of known classes that are not wanted are left out and counted: they are background.

Whatever is left out is named in `skipped`, whatever is changed in `treated`.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import UInt8
from torch import Tensor

from badnets.data.parallel import each
from badnets.data.pictures import decode, read_picture
from badnets.data.remarks import Remark
from badnets.data.sceneset import Objects, SceneSet
from badnets.data.tree import Tree, as_text
from badnets.errors import DataError

Corners = tuple[float, float, float, float]

# Boxes are written with two digits or as float32: what sticks out by less is rounding.
_ROUNDING = 0.01


@dataclass(frozen=True)
class Mark:
    """One object as a file notes it.

    Attributes:
        where: what messages call it, such as "annotation 17" or "line 3".
        box: left, top, right, bottom in pixels, or as shares of the picture where the scene says so.
        label: its class; None where that is known and not wanted.
        ignored: as in `Objects`.
    """

    where: str
    box: Corners
    label: str | None
    ignored: bool = False


@dataclass(frozen=True)
class Noted:
    """One scene as a file notes it.

    Attributes:
        path: of the picture, within the tree.
        marks: the objects in it.
        size: (height, width) that the file states; None where it does not.
        shares: whether boxes are given as shares of the picture's size.
    """

    path: str
    marks: tuple[Mark, ...]
    size: tuple[int, int] | None = None
    shares: bool = False


@dataclass
class Log:
    """What was left out, and what was changed, each as "where: reason"."""

    skipped: list[str] = field(default_factory=list)
    treated: list[str] = field(default_factory=list)

    def skip(self, where: str, reason: str) -> None:
        """Something is left out."""
        self.skipped.append(f"{where}: {reason}: left out")

    def treat(self, where: str, what: str) -> None:
        """Something is in, but changed."""
        self.treated.append(f"{where}: {what}")


@dataclass(frozen=True, eq=False)
class PictureFiles:
    """Pictures decoded as they are asked for, RGB, in their own sizes.

    Attributes:
        tree: where the files are.
        paths: of the files, within the tree.
    """

    tree: Tree
    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 h w"]:
        """The pixels. Raises `DataError` where the file can no longer be read."""
        path = self.paths[index]
        content = io.BytesIO(self.tree.read(path))
        pixels = read_picture(content, None, "RGB", where=as_text(self.tree.where(path)))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def gather(tree: Tree, noted: Sequence[Noted], classes: tuple[str, ...], name: str, log: Log) -> SceneSet:
    """The scenes whose pictures can be read, by the rules of this module. Every picture is decoded once, in threads.

    Args:
        tree: where the pictures are.
        noted: the scenes.
        classes: their names, in label order.
        name: of the set.
        log: what was left out or changed before; what is here goes there too.

    Raises:
        DataError: no scene is left.
    """
    times = Counter(scene.path for scene in noted)
    once = [scene for scene in noted if times[scene.path] == 1]
    for path, count in times.items():
        if count > 1:
            log.skip(as_text(tree.where(path)), f"noted {count} times")
    there = frozenset(tree.files())
    paths: list[str] = []
    objects: list[Objects] = []
    unwanted = 0
    for scene, (size, remarks) in zip(once, each(lambda one: _size(tree, one, there), once), strict=True):
        where = as_text(tree.where(scene.path))
        if size is None:
            log.skipped += [f"{where}: {remark}: left out" for remark in remarks]
            continue
        log.treated += [f"{where}: {remark}" for remark in remarks]
        unwanted += sum(mark.label is None for mark in scene.marks)
        paths.append(scene.path)
        objects.append(_objects(scene, size, classes, (where, log)))
    if unwanted:
        log.skip(name, f"{unwanted:,} objects of classes that are not wanted, which are background")
    if not paths:
        fault = f": {log.skipped[0]}" if log.skipped else ""
        raise DataError(f"{name}: not one scene can be read{fault}")
    pictures = PictureFiles(tree, tuple(paths))
    return SceneSet(pictures, tuple(objects), classes, name, tuple(log.skipped), tuple(log.treated))


def _size(tree: Tree, scene: Noted, there: frozenset[str]) -> tuple[tuple[int, int] | None, list[str]]:
    """Height and width of a picture as it is decoded, and what was odd; None and why where it cannot be used."""
    if scene.path not in there:
        return None, ["no such picture"]
    try:
        found = decode(tree.read(scene.path), scene.path, mode="RGB")
    except DataError as error:
        return None, [str(error).removeprefix(f"{tree.where(scene.path)}: ")]
    if isinstance(found, Remark):
        return None, [found.found]
    size = found.picture.height, found.picture.width
    if scene.size is not None and scene.size != size:
        return None, [f"{_text(size)} pixels, noted as {_text(scene.size)}"]
    return size, [str(remark) for remark in found.remarks]


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _objects(scene: Noted, size: tuple[int, int], classes: tuple[str, ...], told: tuple[str, Log]) -> Objects:
    """The objects of one scene that can be used."""
    where, log = told
    seen: dict[tuple[Corners, str], bool] = {}
    for mark in scene.marks:
        if mark.label is None:
            continue
        here = f"{where}, {mark.where}"
        if mark.label not in classes:
            log.skip(here, f"unknown class {mark.label!r}")
            continue
        box = _clipped(_in_pixels(mark.box, size) if scene.shares else mark.box, size, (here, log))
        if box is None:
            continue
        if (box, mark.label) in seen:
            log.skip(here, "the same box with the same class again")
            continue
        seen[box, mark.label] = mark.ignored
    return Objects(
        torch.tensor([box for box, _ in seen], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([classes.index(label) for _, label in seen], dtype=torch.int64),
        torch.tensor(list(seen.values()), dtype=torch.bool),
    )


def _in_pixels(box: Corners, size: tuple[int, int]) -> Corners:
    height, width = size
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height


def _clipped(box: Corners, size: tuple[int, int], told: tuple[str, Log]) -> Corners | None:
    """The box within the picture; None where it cannot be used."""
    here, log = told
    height, width = size
    if not all(map(math.isfinite, box)):
        log.skip(here, f"a box of numbers that are not finite, {_numbers(box)}")
        return None
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        log.skip(here, f"a box without area, {_numbers(box)}")
        return None
    inside = (max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom))
    moved = max(abs(one - other) for one, other in zip(inside, box, strict=True))
    if moved <= _ROUNDING:
        return _as_held(inside, here, log)
    if inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
        log.skip(here, f"a box outside the picture of {_text(size)}, {_numbers(box)}")
        return None
    log.treat(here, f"a box partly outside the picture of {_text(size)}, {_numbers(box)}: clipped")
    return inside


def _as_held(box: Corners, here: str, log: Log) -> Corners | None:
    """A box still has an area in float32, in which it is held; else None."""
    left, top, right, bottom = torch.tensor(box, dtype=torch.float32).tolist()
    if right > left and bottom > top:
        return box
    log.skip(here, f"a box without area, {_numbers(box)}")
    return None


def _numbers(box: Corners) -> str:
    return "(" + ", ".join(f"{number:g}" for number in box) + ")"
