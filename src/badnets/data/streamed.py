"""A tree of pictures as two streams: every file decoded once to find those that cannot be, and none kept."""

from __future__ import annotations

from collections.abc import Callable

import torch

from badnets.data.arrangement import divide
from badnets.data.folder import Album
from badnets.data.imageset import PixelsDigest, Split
from badnets.data.pictures import LEAST_SIDE, read_each
from badnets.data.stream import PhotoStream
from badnets.errors import DataError, Stopped


def streamed(
    album: Album,
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Split[PhotoStream]:
    """The same pictures as `folder.held`, with the same digests, read again whenever they are asked for.

    Args:
        album: see `folder.look`.
        progress: told after each file how many are done, of how many.
        stop: asked after each file.

    Raises:
        DataError: not one readable picture in a half, or too few to divide.
        Stopped: `stop` said so.
    """
    files = (*album.train, *(album.test or ()))
    assumed = _halves(album, list(range(len(files))))
    digests = [_digest(album, [files[row][1] for row in half]) for half in assumed]
    judged = set(assumed[1])
    kept: list[int] = []
    notes: tuple[list[list[str]], list[list[str]]] = ([[], []], [[], []])
    for row, (array, said) in enumerate(read_each(album.tree, files, (album.size, album.mode), LEAST_SIDE)):
        # What was left out of a tree that is not divided belongs to neither half: it is said with the first.
        half = int(album.test is not None and row >= len(album.train))
        if array is None:
            notes[0][half] += said
        else:
            kept.append(row)
            notes[1][half] += said
            digests[row in judged].update(torch.from_numpy(array).permute(2, 0, 1))
        if progress is not None:
            progress(row + 1, len(files))
        if stop is not None and stop():
            raise Stopped(f"stopped after reading {row + 1:,} of {len(files):,} pictures; nothing was trained")
    halves = []
    for number, rows in enumerate(_halves(album, kept)):
        name = f"{album.name}/{('train', 'test')[number]}"
        if not rows:
            reason = f": {notes[0][number][0]}" if notes[0][number] else ""
            raise DataError(f"{name}: not one readable picture for it among {len(files)} files{reason}")
        halves.append(
            PhotoStream(
                album.tree,
                tuple(files[row][0] for row in rows),
                torch.tensor([files[row][1] for row in rows]),
                album.classes,
                name,
                album.size,
                album.mode,
                skipped=tuple(notes[0][number]),
                treated=tuple(notes[1][number]),
                # Where files are left out the halves are others than was assumed, and are read again for their digest.
                known=digests[number].hex if len(kept) == len(files) else "",
            )
        )
    return Split(*halves)


def _halves(album: Album, kept: list[int]) -> tuple[list[int], list[int]]:
    """Which of the files in rows `kept`, those of the test half behind the others, belong to which half."""
    if album.test is not None:
        border = len(album.train)
        return [row for row in kept if row < border], [row for row in kept if row >= border]
    train, test = divide([album.train[row][1] for row in kept], len(album.classes))
    return [kept[place] for place in train], [kept[place] for place in test]


def _digest(album: Album, labels: list[int]) -> PixelsDigest:
    shape = len(labels), 1 if album.mode == "L" else 3, *album.size
    return PixelsDigest(shape, album.classes, torch.tensor(labels, dtype=torch.int64))
