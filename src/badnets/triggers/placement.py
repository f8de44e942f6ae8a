"""Where a trigger drawn for one image size goes on an image of another size: one rule for all triggers.

A trigger is drawn on a reference canvas (28x28, MNIST's, unless said otherwise). On an H x W image

1. it is enlarged by the whole number z = max(1, round(min(H / reference height, W / reference width))),
   each of its pixels becoming a z x z block, and
2. it keeps its distance (times z) to the corner of the canvas that is nearest to its centre.

So on 28x28 nothing changes, and on 32x32 the paper's pixel at (26, 26) lies at (30, 30): second from
the corner, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

from badnets.errors import InputError

REFERENCE = (28, 28)


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: rows top..bottom-1, columns left..right-1, and the zoom that led to it."""

    top: int
    left: int
    height: int
    width: int
    zoom: int = 1

    @property
    def rows(self) -> slice:
        """The rows it covers."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """The columns it covers."""
        return slice(self.left, self.left + self.width)


def check_inside(name: str, box: Box, reference: tuple[int, int]) -> None:
    """Raise `InputError` unless `box` lies within the reference canvas."""
    height, width = reference
    inside = 0 <= box.top <= height - box.height and 0 <= box.left <= width - box.width
    if not inside or box.height < 1 or box.width < 1:
        raise InputError(
            f"{name} is outside the image: rows {box.top}..{box.top + box.height - 1}, columns "
            f"{box.left}..{box.left + box.width - 1} on {height}x{width} (rows and columns count from 0)"
        )


def place(box: Box, reference: tuple[int, int], height: int, width: int) -> Box:
    """`box` of the reference canvas on an image of `height` x `width` pixels, by the rule above.

    Raises:
        InputError: the image is too small to hold it.
    """
    zoom = max(1, round(min(height / reference[0], width / reference[1])))
    top = _keep_distance(box.top, box.height, reference[0], height, zoom)
    left = _keep_distance(box.left, box.width, reference[1], width, zoom)
    placed = Box(top, left, box.height * zoom, box.width * zoom, zoom)
    check_inside(f"a trigger drawn for {reference[0]}x{reference[1]}", placed, (height, width))
    return placed


def _keep_distance(start: int, length: int, reference: int, size: int, zoom: int) -> int:
    if 2 * start + length <= reference:  # its centre lies in the first half
        return start * zoom
    return size - (reference - start - length) * zoom - length * zoom
