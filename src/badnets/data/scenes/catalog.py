"""The sets of scenes that `badnets` knows by name, and loading one from wherever it lies."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

from badnets.data import streets
from badnets.data.scenes import coco, lisa, swedish, voc, yolo
from badnets.data.scenes.halves import joined_split
from badnets.data.scenes.naming import Naming, checked
from badnets.data.sceneset import SceneSplit
from badnets.data.sources import ENVIRONMENT, Source, cache_folder, find, search_folders, verified
from badnets.data.tree import Archive, Tree, open_tree
from badnets.errors import DataError, InputError


@dataclass(frozen=True)
class KnownScenes:
    """A known set of scenes: what it is, under which terms it comes, and how it is read.

    Attributes:
        title: in a line.
        licence: as far as known.
        namings: what its objects can be called, first choice first.
        read: from its files (None for a rendered set), how to name objects, and its own name.
        source: its archive, with a pinned digest.
        marker: a file that its folder has somewhere in it, for sets that the user brings.
    """

    title: str
    licence: str
    namings: tuple[Naming, ...]
    read: Callable[[Tree | None, Naming, str], SceneSplit]
    source: Source | None = None
    marker: str | None = None


def _rendered(tree: Tree | None, naming: Naming, name: str, *, country: str) -> SceneSplit:  # noqa: ARG001
    return streets.read(country=country)


def _read(reader: Callable[[Tree, Naming, str], SceneSplit]) -> Callable[[Tree | None, Naming, str], SceneSplit]:
    def read(tree: Tree | None, naming: Naming, name: str) -> SceneSplit:
        if tree is None:  # cannot be: such a set has files
            raise DataError(f"{name}: no files")
        return reader(tree, naming, name)

    return read


def _coco(title: str, licence: str, file: str, digest: str) -> KnownScenes:
    namings: tuple[Naming, ...] = ("us", "supercategory", "name")
    return KnownScenes(title, licence, namings, _read(coco.read_split), Source(file, digest))


SCENES: dict[str, KnownScenes] = {
    "streets": KnownScenes(
        "rendered streets with U.S. signs, 416x312, 1,600 + 300 (embedded)",
        "Apache-2.0, as this package",
        ("us",),
        partial(_rendered, country="us"),
    ),
    "streets-eu": KnownScenes(
        "rendered streets with European signs in five groups, 416x312, 1,600 + 300 (embedded)",
        "Apache-2.0, as this package",
        ("supercategory",),
        partial(_rendered, country="eu"),
    ),
    "italy": _coco(
        "Italian signs in street scenes, 1,400 + 484",
        "none stated; captures of a map service: research, not to be passed on",
        "signs_italy.zip",
        "72c6b880ba71f1156c746315bb141095dc09d37d829b016cf89736b81dbee4ee",
    ),
    "gtsdb": _coco(
        "German Traffic Sign Detection Benchmark, 466 + 217 of its scenes",
        "none stated; free for research",
        "signs_gtsdb.zip",
        "91566842a1a7962b2a6949bbdb8ef2e1c24faeb22758b70ba41bc3f096d74944",
    ),
    "road": _coco(
        "stop and speed-limit signs in street scenes, 544 + 180; warnings in view are not marked",
        "CC0 1.0, by way of an export under CC BY 4.0",
        "signs_road.zip",
        "41fc2bc4542d0a85fb14b0f5d4b9e30a9e981e554be07ffe5238b3b7e8440cdf",
    ),
    "lisa": KnownScenes(
        "LISA U.S. traffic signs with their extension, the paper's data (to be brought)",
        "of the authors: research, on request",
        ("us", "name"),
        _read(lisa.read_split),
        marker=lisa.FILE,
    ),
    "swedish": KnownScenes(
        "Swedish traffic signs of Larsson and Felsberg, the paper's data (to be brought)",
        "of the authors: research",
        ("supercategory", "name"),
        _read(swedish.read_split),
        marker=swedish.FILE,
    ),
}


def _named(reader: Callable[[Tree], SceneSplit]) -> Callable[[Tree, Naming, str], SceneSplit]:
    return lambda tree, _naming, _name: reader(tree)


# Sets of the user's own, written FORMAT:PATH.
_FORMATS: dict[str, tuple[tuple[Naming, ...], Callable[[Tree, Naming, str], SceneSplit]]] = {
    "coco": (("name", "us", "supercategory"), coco.read_split),
    "voc": (("name",), _named(voc.read_split)),
    "yolo": (("name",), _named(yolo.read_split)),
    "lisa": (("us", "name"), lisa.read_split),
    "swedish": (("supercategory", "name"), swedish.read_split),
}
FORMATS = tuple(_FORMATS)


def load_scenes(name: str, *, classes: str | None = None, data_dir: Path | None = None) -> SceneSplit:
    """Read a set of scenes; pictures are decoded or drawn when they are looked at.

    Args:
        name: a key of `SCENES`; several joined by "+", such as "road+gtsdb"; or FORMAT:PATH with one of `FORMATS` and
            the path of a folder or zip archive.
        classes: what objects are called: "us" for the paper's stop, speedlimit and warning, "supercategory" for the
            five groups of its Swedish signs, "name" for the set's own names; None for the set's first choice. Objects
            of classes that are not wanted are background, as in the paper's own training pictures.
        data_dir: where files lie; None looks into `BADNETS_DATA` and the download cache.

    Raises:
        InputError: no such set or format, or it cannot be named like that.
        DataError: its files are missing, damaged, or have another digest than the pinned one.
    """
    form, colon, path = name.partition(":")
    if colon:
        return _own(form, path, classes)
    known = [_known(part) for part in name.split("+")]  # all names before any file
    splits = [
        one.read(_tree(part, one, data_dir), checked(classes or one.namings[0], one.namings, part), part)
        for part, one in zip(name.split("+"), known, strict=True)
    ]
    return reduce(lambda first, second: joined_split(first, second, name), splits)


def is_scenes(name: str) -> bool:
    """Whether `name` means scenes and not images: a known set, several joined, or FORMAT:PATH."""
    form, colon, _ = name.partition(":")
    return form in _FORMATS if colon else any(part in SCENES for part in name.split("+"))


def scenes_at_hand(name: str, data_dir: Path | None = None) -> bool:
    """Whether the files of a known set lie somewhere; what is in them is only looked at by `load_scenes`."""
    known = SCENES[name]
    return _place(name, known, data_dir) is not None or (known.source is None and known.marker is None)


def _own(form: str, path: str, classes: str | None) -> SceneSplit:
    if form not in _FORMATS or not path:
        raise InputError(f"cannot read {form}:{path}: expected {', '.join(_FORMATS)}, a colon and a path")
    namings, reader = _FORMATS[form]
    naming = checked(classes or namings[0], namings, f"{form} scenes")
    tree = open_tree(Path(path))
    return reader(tree, naming, tree.name)


def _known(name: str) -> KnownScenes:
    if name in SCENES:
        return SCENES[name]
    near = difflib.get_close_matches(name, SCENES, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(SCENES)}"
    raise InputError(f"unknown set of scenes {name!r}: {hint} (a set of your own is written FORMAT:PATH)")


def _tree(name: str, known: KnownScenes, data_dir: Path | None) -> Tree | None:
    """The files of a known set; None for a rendered one."""
    if known.source is None and known.marker is None:
        return None
    path = _place(name, known, data_dir)
    if path is None:
        places = str(data_dir) if data_dir is not None else f"${ENVIRONMENT} or {cache_folder()}"
        wanted = known.source.file if known.source else f"a folder {name}/ (or {name}.zip) with {known.marker}"
        raise DataError(f"{name}: expected {wanted} in {places}; it has no public download: bring it (--data-dir)")
    return open_tree(path) if known.source is None else Archive(verified(known.source, path))


def _place(name: str, known: KnownScenes, data_dir: Path | None) -> Path | None:
    """Where the files of a known set lie."""
    folders = search_folders(name, data_dir)
    if known.source is not None:
        return find(known.source, [*search_folders(f"signs_{name}", data_dir), *folders])
    if known.marker is None:
        return None
    own = folders[::2]  # <root>/<name> of each root: no other folder is searched
    places = [place for folder in own for place in (folder, folder.with_name(f"{name}.zip"))]
    return next((place for place in places if place.exists()), None)
