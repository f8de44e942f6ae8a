"""Every file of a tree of pictures looked at before anything is trained on it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from badnets.data.arrangement import arrange, divide, has_picture_ending
from badnets.data.fingerprint import fingerprint
from badnets.data.parallel import each
from badnets.data.pictures import LEAST_SIDE, decode
from badnets.data.remarks import Remark, remark
from badnets.data.tree import Tree, as_text
from badnets.errors import DataError, Stopped

Half = Literal["train", "test"]


@dataclass(frozen=True)
class Item:
    """One file in a class folder.

    Attributes:
        path: within the tree.
        label: the name of its class.
        half: which half it belongs to; None for a file that is left out of a tree that is not divided.
        bytes: its size.
        sha256: of its bytes, in hex; "" where it cannot be read.
        form: format of its content, such as "JPEG"; "" where it is left out.
        width: of the upright picture in pixels; 0 where it is left out.
        height: the same.
        pixels: SHA-256 of its size and its upright RGB pixels, in hex; "" where it is left out.
        fingerprint: see `badnets.data.fingerprint`; None where it is left out or of one colour.
        remarks: what is odd about it, and what is done.
    """

    path: str
    label: str
    half: Half | None
    bytes: int = 0
    sha256: str = ""
    form: str = ""
    width: int = 0
    height: int = 0
    pixels: str = ""
    fingerprint: str | None = None
    remarks: tuple[Remark, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def kept(self) -> bool:
        """Whether it is read as a picture of its class."""
        return bool(self.pixels)


@dataclass(frozen=True)
class Count:
    """Files of one class in one half.

    Attributes:
        half: None where the tree is not divided.
        label: the name of the class.
        found: files that are pictures by their ending or content, readable or not.
        kept: those of them that are read.
    """

    half: Half | None
    label: str
    found: int
    kept: int

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as in Item


@dataclass(frozen=True)
class Inventory:
    """What a tree of pictures holds.

    Attributes:
        name: of the tree.
        classes: the names of the class folders.
        divided: whether the tree itself has two halves; else the halves are those that `load` makes of it.
        balance: files by half and class, before and after leaving out.
        items: one for each picture, readable or not, in the order of the tree.
        aside: paths of files that are no pictures by name or content, or lie in no class folder: passed over.
    """

    name: str
    classes: tuple[str, ...]
    divided: bool
    balance: tuple[Count, ...]
    items: tuple[Item, ...]
    aside: tuple[str, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as in Item

    @property
    def left_out(self) -> tuple[Item, ...]:
        """The pictures that are not read, each with a remark that says why."""
        return tuple(item for item in self.items if not item.kept)

    def pictures(self, half: Half) -> tuple[tuple[str, int], ...]:
        """Path and class number of each picture of that half that is kept, in the order in which `load` has them."""
        numbers = {label: number for number, label in enumerate(self.classes)}
        return tuple((item.path, numbers[item.label]) for item in self.items if item.kept and item.half == half)


def inspect(
    tree: Tree,
    *,
    least: int = LEAST_SIDE,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Inventory:
    """Read and decode every file in the class folders of `tree`, a few at a time.

    The pictures themselves are not kept: memory holds a few for each thread, whatever the size of the tree.

    Args:
        tree: see `arrange` for the ways in which it may be laid out.
        least: pixels a side; a smaller picture is left out. `load` has 8.
        threads: that decode; None for one a core.
        progress: told after each file how many are done, of how many.
        stop: asked after each file.

    Raises:
        DataError: the tree has no two class folders, or cannot be read at all.
        Stopped: `stop` said so.
    """
    found = arrange(tree)
    files: list[tuple[str, Half, int]] = [(path, "train", label) for path, label in found.train]
    files += [(path, "test", label) for path, label in found.test or ()]

    def look(file: tuple[str, Half, int]) -> tuple[Item, bool]:
        path, half, label = file
        return _look(tree, path, Item(as_text(path), found.classes[label], half), least)

    items: list[Item] = []
    grey: list[bool] = []
    aside = [as_text(path) for path in found.aside]
    for done, (item, is_grey) in enumerate(each(look, files, threads), start=1):
        if _is_other(item):
            aside.append(item.path)
        else:
            items.append(item)
            grey.append(is_grey)
        if progress is not None:
            progress(done, len(files))
        if stop is not None and stop():
            raise Stopped(f"stopped after {done:,} of {len(files):,} files; the next inspection begins anew")
    items = _told_grey(items, grey)
    divided = found.test is not None
    balance = tuple(_balance(items, found.classes, divided=divided))
    if not divided:
        items = _in_halves(items, found.classes)
    return Inventory(tree.name, found.classes, divided, balance, tuple(items), tuple(sorted(aside)))


def _look(tree: Tree, path: str, item: Item, least: int) -> tuple[Item, bool]:
    """What one file holds, and whether its picture is grey."""
    try:
        content = tree.read(path)
    except DataError as error:
        reason = as_text(str(error)).removeprefix(f"{as_text(tree.where(path))}: ")
        return replace(item, remarks=(remark("damaged", reason),)), False
    item = replace(item, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    decoded = decode(content, path, least=least)
    if isinstance(decoded, Remark):
        return replace(item, remarks=(decoded,)), False
    picture = decoded.picture
    pixels = hashlib.sha256(repr(picture.size).encode())
    pixels.update(picture.convert("RGB").tobytes())
    looks = replace(
        item,
        form=decoded.form,
        width=picture.width,
        height=picture.height,
        pixels=pixels.hexdigest(),
        fingerprint=fingerprint(picture),
        remarks=decoded.remarks,
    )
    return looks, decoded.grey


def _is_other(item: Item) -> bool:
    """A file that nobody calls a picture and that is none: `load` passes it over too."""
    unknown = not item.sha256 or any(told.kind in ("no picture", "empty") for told in item.remarks)
    return unknown and not has_picture_ending(item.path)


def _told_grey(items: list[Item], grey: list[bool]) -> list[Item]:
    """With a remark for each grey picture, if there are others: it is only odd among those."""
    if all(is_grey or not item.kept for item, is_grey in zip(items, grey, strict=True)):
        return items
    told = remark("grey", "grey levels among colour pictures")
    return [
        replace(item, remarks=(*item.remarks, told)) if is_grey else item
        for item, is_grey in zip(items, grey, strict=True)
    ]


def _balance(items: list[Item], classes: tuple[str, ...], *, divided: bool) -> Iterable[Count]:
    found = Counter((item.half, item.label) for item in items)
    kept = Counter((item.half, item.label) for item in items if item.kept)
    halves: tuple[Half, ...] = ("train", "test") if divided else ("train",)
    for half in halves:
        for label in classes:
            yield Count(half if divided else None, label, found[half, label], kept[half, label])


def _in_halves(items: list[Item], classes: tuple[str, ...]) -> list[Item]:
    """With the halves that `load` makes of a tree that has none: of its readable pictures, in their order."""
    readable = [item for item in items if item.kept]
    _, test = divide([classes.index(item.label) for item in readable], len(classes))
    judged = {readable[row].path for row in test}
    return [replace(item, half=None if not item.kept else "test" if item.path in judged else "train") for item in items]
