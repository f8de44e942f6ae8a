"""Letters and digits as strokes, drawn for this package: road signs need few of them."""

from __future__ import annotations

from badnets.data.streets.pen import Colour, Number, Pen, Point, arc

Stroke = list[Point]

# Each sign is written in a cell 0.6 wide and 1 high, its strokes through their middles. M and W are wider.
_WIDTHS = {"I": 0.0, "1": 0.26, "M": 0.76, "W": 0.8, " ": 0.3, "L": 0.5, "E": 0.52, "F": 0.52}
_WIDTH = 0.6

_GLYPHS: dict[str, list[Stroke]] = {
    "A": [[(0, 1), (0.3, 0), (0.6, 1)], [(0.12, 0.66), (0.48, 0.66)]],
    "C": [arc((0.3, 0.3), (0.3, 0.3), -20, -180) + arc((0.3, 0.7), (0.3, 0.3), 180, 20)],
    "D": [[(0, 0), *arc((0.25, 0.35), (0.35, 0.35), -90, 0), *arc((0.25, 0.65), (0.35, 0.35), 0, 90), (0, 1), (0, 0)]],
    "E": [[(0.52, 0), (0, 0), (0, 1), (0.52, 1)], [(0, 0.49), (0.44, 0.49)]],
    "F": [[(0.52, 0), (0, 0), (0, 1)], [(0, 0.49), (0.44, 0.49)]],
    "G": [arc((0.3, 0.3), (0.3, 0.3), -20, -180) + arc((0.3, 0.7), (0.3, 0.3), 180, 0) + [(0.6, 0.55), (0.34, 0.55)]],
    "H": [[(0, 0), (0, 1)], [(0.6, 0), (0.6, 1)], [(0, 0.5), (0.6, 0.5)]],
    "I": [[(0, 0), (0, 1)]],
    "K": [[(0, 0), (0, 1)], [(0.58, 0), (0, 0.6)], [(0.2, 0.42), (0.6, 1)]],
    "L": [[(0, 0), (0, 1), (0.5, 1)]],
    "M": [[(0, 1), (0, 0), (0.38, 0.7), (0.76, 0), (0.76, 1)]],
    "N": [[(0, 1), (0, 0), (0.6, 1), (0.6, 0)]],
    "O": [arc((0.3, 0.3), (0.3, 0.3), -180, 0) + arc((0.3, 0.7), (0.3, 0.3), 0, 180) + [(0, 0.3)]],
    "P": [[(0, 1), (0, 0), *arc((0.33, 0.27), (0.27, 0.27), -90, 90), (0, 0.54)]],
    "R": [[(0, 1), (0, 0), *arc((0.33, 0.26), (0.27, 0.26), -90, 90), (0, 0.52)], [(0.3, 0.52), (0.6, 1)]],
    "S": [arc((0.3, 0.26), (0.3, 0.26), -20, -250) + arc((0.3, 0.74), (0.3, 0.25), -80, 160)],
    "T": [[(0, 0), (0.6, 0)], [(0.3, 0), (0.3, 1)]],
    "U": [[(0, 0), *arc((0.3, 0.7), (0.3, 0.3), 180, 0), (0.6, 0)]],
    "W": [[(0, 0), (0.18, 1), (0.4, 0.25), (0.62, 1), (0.8, 0)]],
    "X": [[(0, 0), (0.6, 1)], [(0.6, 0), (0, 1)]],
    "Y": [[(0, 0), (0.3, 0.5), (0.6, 0)], [(0.3, 0.5), (0.3, 1)]],
    "0": [arc((0.3, 0.3), (0.3, 0.3), -180, 0) + arc((0.3, 0.7), (0.3, 0.3), 0, 180) + [(0, 0.3)]],
    "1": [[(0, 0.22), (0.26, 0), (0.26, 1)]],
    "2": [[*arc((0.3, 0.29), (0.29, 0.29), -165, 35), (0, 1), (0.6, 1)]],
    "3": [arc((0.29, 0.25), (0.27, 0.25), -160, 90), arc((0.29, 0.74), (0.3, 0.26), -90, 160)],
    "4": [[(0.46, 1), (0.46, 0), (0, 0.7), (0.62, 0.7)]],
    "5": [[(0.54, 0), (0.08, 0), (0.04, 0.46), *arc((0.29, 0.68), (0.3, 0.32), -130, 155)]],
    "6": [[(0.48, 0.02), *arc((0.32, 0.7), (0.32, 0.62), -120, -180), *arc((0.3, 0.69), (0.3, 0.31), -180, 180)]],
    "7": [[(0, 0), (0.6, 0), (0.22, 1)]],
    "8": [arc((0.3, 0.24), (0.26, 0.24), 90, 450), arc((0.3, 0.74), (0.3, 0.26), -90, 270)],
    "9": [[*arc((0.3, 0.31), (0.3, 0.31), 0, 360), *arc((0.28, 0.3), (0.32, 0.66), 0, 65)]],
}
LETTERS = tuple(_GLYPHS)


def write(pen: Pen, text: str, centre: Point, height: Number, colour: Colour, *, weight: Number = 0.17) -> None:
    """Write `text` in capitals and digits around `centre`.

    Args:
        pen: what to write with.
        text: of the letters in `LETTERS`, and spaces.
        centre: of the text.
        height: of a letter, in the pen's units.
        colour: of the strokes.
        weight: of a stroke, as a share of the height.
    """
    gap = 0.16 + weight
    # Strokes are drawn through their middles: the ends of the letters reach half a stroke further.
    tall = height * (1 - weight)
    widths = [_WIDTHS.get(letter, _WIDTH) for letter in text]
    left = centre[0] - tall * (sum(widths) + gap * (len(text) - 1)) / 2
    top = centre[1] - tall / 2
    for letter, width in zip(text, widths, strict=True):
        for stroke in _GLYPHS.get(letter, []):
            points = [(left + x * tall, top + y * tall) for x, y in stroke]
            pen.line(points, colour, weight * height, round_ends=True)
        left += tall * (width + gap)
