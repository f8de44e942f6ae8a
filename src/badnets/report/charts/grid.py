"""Heat maps, drawn by the template `grid.html`: coloured tiles with a scale, a number and words for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl

# Made for people who do not tell red from green, and of even lightness for everybody; dark is little.
_COLOURS = "cividis"
_STEPS = 24


@dataclass(frozen=True)
class Scale:
    """From numbers to colours.

    Attributes:
        low: the number of the darkest colour.
        high: of the brightest.
    """

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float], *, low: float | None = None) -> Scale:
        """The scale that all of `values` lie on, from `low` where it is given."""
        least = min(values) if low is None else low
        return cls(least, max(*values, least))

    def colours(self, value: float) -> tuple[str, str]:
        """Of the tile, and of text on it."""
        span = self.high - self.low
        share = min(max((value - self.low) / span, 0.0), 1.0) if span > 0 else 0.0
        red, green, blue, _ = mpl.colormaps[_COLOURS](share)
        fill = "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
        # The lightness at which black and white stand out alike (WCAG 2.2, contrast ratio) is 0.179.
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
        light = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
        return fill, "#000000" if light > 0.179 else "#ffffff"

    def steps(self) -> list[str]:
        """Colours from low to high, for a legend."""
        span = self.high - self.low
        return [self.colours(self.low + span * step / (_STEPS - 1))[0] for step in range(_STEPS)]


@dataclass(frozen=True)
class Tile:
    """One place of a grid.

    Attributes:
        row: from the top.
        column: from the left.
        text: written on it, may be empty.
        words: what a pointer that rests on it reads.
        fill: its colour.
        ink: the colour of its text.
    """

    row: int
    column: int
    text: str
    words: str
    fill: str
    ink: str


@dataclass(frozen=True)
class Grid:
    """A heat map.

    Attributes:
        title: above it.
        down: labels of the rows; an empty one is left out.
        across: likewise of the columns.
        axes: what rows and columns are.
        size: width and height of a tile, in the drawing's own units.
        tiles: in any order; a place without one stays open.
        scale: of their colours.
        ends: its two ends in words.
        framed: row and column of a tile with a frame.
    """

    title: str
    down: tuple[str, ...]
    across: tuple[str, ...]
    axes: tuple[str, str]
    size: tuple[int, int]
    tiles: tuple[Tile, ...]
    scale: Scale
    ends: tuple[str, str]
    framed: tuple[int, int] | None = None


def tiles(
    values: Mapping[tuple[int, int], float], words: Mapping[tuple[int, int], str], scale: Scale, *, written: bool
) -> Iterator[Tile]:
    """A tile for each value by (row, column).

    Args:
        values: percent.
        words: of each, for a pointer that rests on it.
        scale: of the colours.
        written: whether the number stands on the tile.
    """
    for (row, column), value in values.items():
        fill, ink = scale.colours(value)
        yield Tile(row, column, short(value) if written else "", words[row, column], fill, ink)


def short(percent: float) -> str:
    """As wide as a tile: two decimals, one from 10 % up."""
    if percent == 0:
        return "0"
    return f"{percent:.2f}" if percent < 9.995 else f"{percent:.1f}" if percent < 99.95 else "100"
