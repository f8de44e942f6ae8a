"""The data sets that `badnets` knows by name, and loading one from wherever it lies."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from badnets.data import catsdogs, cifar10, creatures, digits, gtsrb, mnist
from badnets.data import folder as pictures
from badnets.data.folder import Album
from badnets.data.imageset import ImageSet, Split
from badnets.data.sources import ENVIRONMENT, Bar, Source, cache_folder, fetch, find, search_folders, verified
from badnets.data.stream import PhotoStream
from badnets.data.streamed import streamed
from badnets.data.tree import Archive, Tree, open_tree
from badnets.errors import DataError, InputError


@dataclass(frozen=True)
class Layout:
    """One set of files from which a data set can be read.

    Attributes:
        sources: the files, all of them needed; none where it is read from a tree or from the package.
        read: from the path of each file (by name) to the data; None where `look` does it.
        tree: a folder that must exist under the search folder, for layouts without pinned files;
            `read` then gets that search folder under the name "".
        look: from those paths and a (height, width) or None to photographs of many sizes, not read yet.
    """

    sources: tuple[Source, ...]
    read: Callable[[dict[str, Path]], Split] | None = None
    tree: Path | None = None
    look: Callable[[dict[str, Path], tuple[int, int] | None], Album] | None = None


@dataclass(frozen=True)
class Dataset:
    """A known data set: what it is, under which terms it comes, and the layouts it is read from, first choice first."""

    title: str
    licence: str
    layouts: tuple[Layout, ...]

    @property
    def sizes(self) -> bool:
        """Whether it can be read in any size; its pictures then lie in one archive, as `tree_of` gives it."""
        return all(layout.look is not None for layout in self.layouts)


def _photographs(source: Source) -> Layout:
    return Layout((source,), look=lambda files, size: catsdogs.look(files[source.file], size))


DATASETS: dict[str, Dataset] = {
    "digits": Dataset(
        "scikit-learn's handwritten digits, 28x28 (embedded)",
        "CC BY 4.0",
        (Layout((), lambda _: digits.read()),),
    ),
    "creatures": Dataset(
        "drawn cats and dogs, 64x64 colour, 600 + 200 (embedded)",
        "Apache-2.0, as this package",
        (Layout((), lambda _: creatures.read()),),
    ),
    "mnist": Dataset(
        "MNIST handwritten digits, 28x28, 60,000 + 10,000",
        "none stated; commonly carried as CC BY-SA 3.0",
        (Layout(mnist.SOURCES, mnist.read),),
    ),
    "cifar10": Dataset(
        "CIFAR-10, 32x32 colour, 50,000 + 10,000",
        "none stated; research use",
        (
            Layout((cifar10.BATCHES,), lambda files: cifar10.read_batches(files[cifar10.BATCHES.file])),
            Layout((cifar10.JPEG,), lambda files: cifar10.read_jpegs(files[cifar10.JPEG.file])),
        ),
    ),
    "gtsrb": Dataset(
        "German traffic signs (GTSRB), 43 classes, 32x32 colour",
        "none stated; commonly carried as CC0",
        (
            Layout((), lambda files: gtsrb.read_tree(files[""]), tree=gtsrb.TREE),
            Layout((gtsrb.SUBSET,), lambda files: gtsrb.read_npz(files[gtsrb.SUBSET.file])),
        ),
    ),
    "catsdogs": Dataset(
        "photographs of cats and dogs, 150x150 colour or any size, 2,000 + 1,000",
        "Petfinder.com by way of Asirra and Kaggle: research, non-commercial; not open",
        (_photographs(catsdogs.ORIGINAL), _photographs(catsdogs.SMALL)),
    ),
}

_NO_FILES = (
    f"is no set of picture files: expected {', '.join(name for name, dataset in DATASETS.items() if dataset.sizes)}, "
    "or a folder or zip archive of pictures"
)
# Pixels of a data set of photographs that are held in memory, in bytes, unless its user says otherwise.
LARGEST_HELD = 1 << 30


def load(name: str, *, data_dir: Path | None = None, size: tuple[int, int] | None = None) -> Split:
    """Read a data set.

    Args:
        name: a key of `DATASETS`, or the path of a folder or zip archive with one sub-folder of pictures for each class
            (written `folder:PATH` where the path could be taken for a name).
        data_dir: where its files lie; None looks into `BADNETS_DATA` and the download cache.
        size: (height, width) for pictures of many sizes: `folder` and `catsdogs`; the other sets have their own.

    Raises:
        InputError: no such data set; the message gives the nearest names.
        DataError: its files are missing, damaged, or have another digest than the pinned one.
    """
    album = _album(name, data_dir, size)
    if album is not None:
        return pictures.held(album)
    layout, files = _verified(name, data_dir)
    assert layout.read is not None  # noqa: S101 - for the type checker: what is not looked at is read
    return layout.read(files)


def load_photographs(
    name: str,
    *,
    data_dir: Path | None = None,
    size: tuple[int, int] | None = None,
    stream: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Split[ImageSet] | Split[PhotoStream]:
    """Read a data set of photographs that may not fit in memory.

    Args:
        name: as for `load`.
        data_dir: likewise.
        size: likewise.
        stream: read pictures whenever they are asked for; False holds all in memory; None streams them if they would
            take more than `LARGEST_HELD` bytes.
        progress: told, where they are streamed, how many files were looked at, of how many.
        stop: asked after each of these files.

    Raises:
        InputError: no such data set, or its images lie in no files of their own and cannot be streamed.
        DataError: as for `load`.
        Stopped: `stop` said so.
    """
    album = _album(name, data_dir, size)
    if album is None:
        if stream:
            raise InputError(f"{name} {_NO_FILES}")
        return load(name, data_dir=data_dir)
    if stream or (stream is None and album.pixels > LARGEST_HELD):
        return streamed(album, progress=progress, stop=stop)
    return pictures.held(album)


def _album(name: str, data_dir: Path | None, size: tuple[int, int] | None) -> Album | None:
    """The data set as pictures that are not read yet; None for one of another kind."""
    path = _path_of(name)
    if path is not None:
        return pictures.look(open_tree(path), size)
    if not DATASETS[name].sizes:
        if size is not None:
            raise InputError(f"{name} has its own image size; a size is only for folders of pictures and photographs")
        return None
    layout, files = _verified(name, data_dir)
    assert layout.look is not None  # noqa: S101 - for the type checker
    return layout.look(files, size)


def tree_of(name: str, *, data_dir: Path | None = None) -> Tree:
    """The picture files of a data set, to be inspected or read one by one.

    Args:
        name: as for `load`; of the sets known by name, one of photographs.
        data_dir: as for `load`.

    Raises:
        InputError: no such data set, or its pictures are no files.
        DataError: as for `load`.
    """
    path = _path_of(name)
    if path is not None:
        return open_tree(path)
    if not DATASETS[name].sizes:
        raise InputError(f"{name} {_NO_FILES}")
    layout, files = _verified(name, data_dir)
    return Archive(files[layout.sources[0].file])


def _path_of(name: str) -> Path | None:
    """The folder or archive that `name` means; None for a known data set."""
    if name.startswith("folder:"):
        path = name.removeprefix("folder:")
        if not path:
            raise InputError("folder: names no folder: expected folder:PATH")
        return Path(path)
    if name in DATASETS:
        return None
    if "/" in name or Path(name).is_dir() or name.lower().endswith(".zip"):
        return Path(name)
    raise InputError(_unknown(name))


def _verified(name: str, data_dir: Path | None) -> tuple[Layout, dict[str, Path]]:
    """The first layout of a known data set whose files are at hand, and these, with the pinned digests."""
    folders = search_folders(name, data_dir)
    for layout in DATASETS[name].layouts:
        files = locate(layout, folders)
        if files is not None:
            for source in layout.sources:
                verified(source, files[source.file])
            return layout, files
    places = str(data_dir) if data_dir is not None else f"${ENVIRONMENT} or {cache_folder()}"
    wanted = " or ".join(
        ", ".join(source.file for source in layout.sources) or f"{layout.tree}/" for layout in DATASETS[name].layouts
    )
    raise DataError(
        f"{name}: expected {wanted} in {places}; run `badnets data get {name}` or name their folder (--data-dir)"
    )


def at_hand(name: str, data_dir: Path | None = None) -> bool:
    """Whether all files of a data set lie somewhere; their digests are only checked by `load`."""
    folders = search_folders(name, data_dir)
    return any(locate(layout, folders) is not None for layout in DATASETS[name].layouts)


def locate(layout: Layout, folders: list[Path]) -> dict[str, Path] | None:
    """Where the files of `layout` lie, by name; None when one of them is nowhere."""
    if layout.tree is not None:
        root = next((place for place in folders if (place / layout.tree).is_dir()), None)
        return None if root is None else {"": root}
    files = {source.file: find(source, folders) for source in layout.sources}
    found = {name: path for name, path in files.items() if path is not None}
    return found if len(found) == len(files) else None


def get(name: str, *, folder: Path | None = None, bar: Bar | None = None) -> list[Path]:
    """Download the files of a data set that are not at hand yet; return where they lie.

    Raises:
        InputError: no such data set.
        DataError: no public download, or it failed.
    """
    if name not in DATASETS:
        raise InputError(_unknown(name))
    at_hand = search_folders(name, folder)
    layouts = DATASETS[name].layouts
    for layout in layouts:
        files = locate(layout, at_hand)
        if files is not None:
            return [verified(source, files[source.file]) for source in layout.sources] or list(files.values())
    public = next((layout for layout in layouts if layout.sources and all(s.url for s in layout.sources)), None)
    if public is None:
        raise DataError(
            f"{name} has no public download with a pinned digest; bring it (torchvision.datasets.GTSRB "
            "downloads it) and name its folder with --data-dir"
        )
    return [fetch(source, name, folder, bar=bar) for source in public.sources]


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, DATASETS, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(DATASETS)}"
    return f"unknown data set {name!r}: {hint} (a folder or zip archive of pictures is written folder:PATH)"
