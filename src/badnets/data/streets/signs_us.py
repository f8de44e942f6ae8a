"""Signs in the manner of the United States: the three classes of the paper, and others that are none of them."""

from __future__ import annotations

from functools import partial

from badnets.data.streets import pictograms as draw
from badnets.data.streets.faces import (
    BLACK,
    DIAMOND,
    OCTAGON,
    RED,
    SQUARE,
    UPRIGHT,
    WHITE,
    YELLOW,
    YIELD,
    Design,
    shrunk,
)
from badnets.data.streets.letters import write
from badnets.data.streets.pen import Pen

CLASSES = ("stop", "speedlimit", "warning")

_LIMITS = (15, 25, 30, 35, 40, 45, 50, 55, 65)
_WARNINGS = {
    "curve": draw.bend,
    "curve_left": draw.mirrored(draw.bend),
    "winding": draw.winding,
    "turn": draw.turn,
    "turn_left": draw.mirrored(draw.turn),
    "crossing": draw.crossing,
    "side_road": draw.side_road,
    "merge": draw.merge,
    "lane_ends": draw.lane_ends,
    "signal": draw.signal,
    "walker": draw.walker,
    "bump": draw.bump,
    "slippery": draw.slippery,
    "animal": draw.animal,
}


def _stop(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, WHITE)
    pen.polygon(shrunk(OCTAGON, 0.07), RED)
    write(pen, "STOP", (0.5, 0.5), 0.29, WHITE, weight=0.19)


def _limit(pen: Pen, number: int) -> None:
    pen.box(0.1, 0, 0.9, 1, WHITE)
    pen.box(0.125, 0.025, 0.875, 0.975, BLACK)
    pen.box(0.15, 0.05, 0.85, 0.95, WHITE)
    write(pen, "SPEED", (0.5, 0.165), 0.125, BLACK, weight=0.21)
    write(pen, "LIMIT", (0.5, 0.34), 0.125, BLACK, weight=0.21)
    write(pen, str(number), (0.5, 0.665), 0.4, BLACK, weight=0.19)


def _warning(pen: Pen, pictogram: draw.Pictogram) -> None:
    pen.box(0, 0, 1, 1, YELLOW)
    pen.polygon(shrunk(DIAMOND, 0.05), BLACK)
    pen.polygon(shrunk(DIAMOND, 0.1), YELLOW)
    pictogram(draw.Ink(pen, (0.5, 0.5), 0.56, BLACK))


def _give_way(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, RED)
    pen.polygon(shrunk(YIELD, 0.42), WHITE)
    write(pen, "YIELD", (0.5, 0.24), 0.1, WHITE, weight=0.2)


def _one_way(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, BLACK)
    pen.polygon([(0.04, 0.5), (0.3, 0.42), (0.7, 0.42), (0.7, 0.33), (0.97, 0.5), (0.7, 0.67), (0.7, 0.58)], WHITE)
    write(pen, "ONE WAY", (0.5, 0.5), 0.09, BLACK, weight=0.2)


def _no_entry(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, WHITE)
    pen.oval((0.5, 0.5), 0.46, 0.46, RED)
    pen.box(0.14, 0.42, 0.86, 0.58, WHITE)


def _parking(pen: Pen) -> None:
    pen.box(0.1, 0, 0.9, 1, WHITE)
    write(pen, "NO", (0.5, 0.2), 0.17, RED)
    write(pen, "PARKING", (0.5, 0.46), 0.12, RED)
    draw.right(draw.Ink(pen, (0.5, 0.75), 0.5, RED))


def _route(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, (0, 104, 66))
    write(pen, "EXIT", (0.5, 0.35), 0.24, WHITE)
    draw.right(draw.Ink(pen, (0.5, 0.72), 0.5, WHITE))


DESIGNS: tuple[Design, ...] = (
    Design("stop", "stop", OCTAGON, _stop),
    *(Design(f"speedlimit{number}", "speedlimit", UPRIGHT, partial(_limit, number=number)) for number in _LIMITS),
    *(Design(name, "warning", DIAMOND, partial(_warning, pictogram=made)) for name, made in _WARNINGS.items()),
)
# Signs of no class: a detector that calls them one of the three is wrong.
STRANGERS: tuple[Design, ...] = (
    Design("yield", "", YIELD, _give_way),
    Design("one way", "", ((0, 0.3), (1, 0.3), (1, 0.7), (0, 0.7)), _one_way),
    Design("no entry", "", SQUARE, _no_entry),
    Design("no parking", "", UPRIGHT, _parking),
    Design("exit", "", ((0, 0.16), (1, 0.16), (1, 0.9), (0, 0.9)), _route),
)
