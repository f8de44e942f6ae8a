"""Pictures that a tree holds more than once: the same bytes, the same pixels, or nearly the same looks.

A copy of a training picture among those that the model is judged by makes the judgement too kind: such a pair *leaks*.
A picture that is called two things teaches a contradiction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from badnets.data.fingerprint import MIRROR, signs
from badnets.data.inspection import Item
from badnets.errors import InputError

# Measured on the 3,000 photographs of `catsdogs` at 160x160, which make 4,498,500 pairs. Strangers differ in 32.0 bits
# on average (standard deviation 4.2): no pair in 9 or fewer, 2 in up to 10, 9 in up to 12, 194 in up to 15; nearly
# the same with one of them mirrored. (One pair differs in 1 bit, and is one photograph twice: dog.74 and dog.180.) Of
# copies of 300, these are within 8 bits: all of JPEG quality 10 and more, all scaled, squashed, made grey or mirrored,
# 99.3 % made brighter, and cropped by 1 % on every side 99.7 %, by 2 % 96.7 %, by 4 % 63 %; turned by 2 degrees 86 %.
# With a sticker that covers 4 % of it a copy is found in one case of three: this finds copies, not stamps. The number
# of strangers falls to some 40 % with each bit, so among 25,000 pictures some dozens of pairs are expected within 8.
NEAR = 8
MOST_LISTED = 10_000
_BLOCK = 128


@dataclass(frozen=True)
class Same:
    """Files of one content.

    Attributes:
        paths: within the tree, two or more.
        by: "bytes" where the files are equal, "pixels" where only the upright decoded pictures are.
        leaks: whether some are trained on and others judged by.
        labels: their classes; more than one where a picture is called two things.
    """

    paths: tuple[str, ...]
    by: Literal["bytes", "pixels"]
    leaks: bool
    labels: tuple[str, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Near:
    """Two pictures that look nearly the same.

    Attributes:
        paths: of both, within the tree.
        distance: bits in which their fingerprints differ, of 64.
        mirrored: whether they do so once one of them is mirrored, left for right.
        leaks: whether one is trained on and the other judged by.
        labels: their classes, one or two.
    """

    paths: tuple[str, str]
    distance: int
    mirrored: bool
    leaks: bool
    labels: tuple[str, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as in Same


@dataclass(frozen=True)
class Duplicates:
    """All that is there more than once.

    Attributes:
        threshold: bits in which the fingerprints of a near pair differ at most.
        same: groups of equal pictures, leaks first.
        near: pairs of pictures that are not equal, leaks first, then the nearest first.
        unlisted: near pairs beyond those listed.
    """

    threshold: int
    same: tuple[Same, ...]
    near: tuple[Near, ...]
    unlisted: int

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as in Same

    @property
    def leaks(self) -> tuple[Same | Near, ...]:
        """Those that lie on both sides, training and judging."""
        return tuple(one for one in self._all if one.leaks)

    @property
    def contradictions(self) -> tuple[Same | Near, ...]:
        """Those of more than one class."""
        return tuple(one for one in self._all if len(one.labels) > 1)

    @property
    def _all(self) -> tuple[Same | Near, ...]:
        return *self.same, *self.near


def duplicates(items: Iterable[Item], *, near: int = NEAR, most: int = MOST_LISTED) -> Duplicates:
    """Find equal and nearly equal pictures among those that are kept, within and across halves and classes.

    Each fingerprint is compared with every other, as products of matrices: time grows with the square of their number.
    A picture of one colour has no fingerprint and is compared by bytes and pixels only.

    Args:
        items: of an inventory.
        near: bits in which the fingerprints of a near pair differ at most, 0..31.
        most: near pairs that are listed.

    Raises:
        InputError: `near` or `most` is out of range.
    """
    if not 0 <= near < 32:
        raise InputError(f"near is a number of bits from 0 to 31 (unrelated pictures differ in some 32), got {near}")
    if most < 1:
        raise InputError(f"at least one near pair is listed, got most={most}")
    kept = [item for item in items if item.kept]
    groups: defaultdict[str, list[Item]] = defaultdict(list)
    for item in kept:
        groups[item.pixels].append(item)
    same = [_same(group) for group in groups.values() if len(group) > 1]
    # Equal pictures are told already: one of each half and class stands for all.
    apart = list({(item.pixels, item.half, item.label): item for item in reversed(kept) if item.fingerprint}.values())
    apart.reverse()
    pairs, unlisted = _near(apart, near, most)
    return Duplicates(near, tuple(sorted(same, key=lambda one: (not one.leaks, one.paths))), tuple(pairs), unlisted)


def _same(group: Sequence[Item]) -> Same:
    return Same(
        paths=tuple(item.path for item in group),
        by="bytes" if len({item.sha256 for item in group}) == 1 else "pixels",
        leaks=len({item.half for item in group}) > 1,
        labels=tuple(sorted({item.label for item in group})),
    )


def _near(items: Sequence[Item], threshold: int, most: int) -> tuple[list[Near], int]:
    """The first `most` near pairs, leaks first, then the nearest first; and how many more there are."""
    if not items:
        return [], 0
    known = {pixels: number for number, pixels in enumerate(dict.fromkeys(item.pixels for item in items))}
    pixels = np.array([known[item.pixels] for item in items])
    judged = np.array([item.half == "test" for item in items])
    count, total = len(items), 0
    # One number for each pair, in whose order they are listed: a tree of nothing but copies has millions.
    found = np.empty(0, dtype=np.int64)
    for first, second, distance in _close(signs([item.fingerprint or "" for item in items]), threshold):
        within = judged[first] == judged[second]
        places = ((within * 64 + distance) * count + first) * count + second
        places = places[pixels[first] != pixels[second]]
        total += len(places)
        found = np.concatenate([found, places])
        if len(found) > most:
            found = np.partition(found, most - 1)[:most]
    found.sort()
    rest, second = np.divmod(found, count)
    rest, first = np.divmod(rest, count)
    rows = zip(rest.tolist(), first.tolist(), second.tolist(), strict=True)
    return [_pair(items[i], items[j], head % 64, leaks=head < 64) for head, i, j in rows], total - len(found)


def _pair(one: Item, other: Item, bits: int, *, leaks: bool) -> Near:
    plain = _bits(one, other)
    labels = tuple(sorted({one.label, other.label}))
    return Near((one.path, other.path), bits, mirrored=plain != bits, leaks=leaks, labels=labels)


def _bits(one: Item, other: Item) -> int:
    return (int(one.fingerprint or "0", 16) ^ int(other.fingerprint or "0", 16)).bit_count()


def _close(rows: np.ndarray, threshold: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """First and second row of each pair that differs in up to `threshold` bits, and in how many; block by block."""
    for start in range(0, len(rows), _BLOCK):
        block, rest = rows[start : start + _BLOCK], rows[start:]
        agreement = np.maximum(block @ rest.T, (block * MIRROR) @ rest.T)
        first, second = np.nonzero(agreement >= 64 - 2 * threshold)
        once = second > first
        first, second = first[once], second[once]
        distance = (64 - agreement[first, second]).astype(np.int64) // 2
        yield first + start, second + start, distance
