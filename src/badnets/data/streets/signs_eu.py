"""Signs in the manner of Europe, in the five groups of the paper's Swedish signs (its Table 6)."""

from __future__ import annotations

from functools import partial

from badnets.data.streets import pictograms as draw
from badnets.data.streets.faces import (
    BLACK,
    BLUE,
    CIRCLE,
    DIAMOND,
    OCTAGON,
    RED,
    SQUARE,
    TRIANGLE,
    WHITE,
    YELLOW,
    YIELD,
    Design,
    shrunk,
)
from badnets.data.streets.letters import write
from badnets.data.streets.pen import Colour, Pen

CLASSES = ("information", "mandatory", "prohibitory", "warning", "other")

_WARNINGS = {
    "danger": draw.mark,
    "curve": draw.bend,
    "curve_left": draw.mirrored(draw.bend),
    "crossing": draw.crossing,
    "signal": draw.signal,
    "walker": draw.walker,
    "children": draw.children,
    "bump": draw.bump,
    "slippery": draw.slippery,
    "works": draw.works,
    "animal": draw.animal,
}
_ORDERS = {
    "ahead": draw.ahead,
    "right": draw.right,
    "left": draw.mirrored(draw.right),
    "ahead_or_right": draw.ahead_or_right,
    "ahead_or_left": draw.mirrored(draw.ahead_or_right),
    "keep_right": draw.keep_right,
    "keep_left": draw.mirrored(draw.keep_right),
    "roundabout": draw.roundabout,
    "cycle_path": draw.bicycle,
    "walkers_only": draw.walker,
}
_FORBIDDEN = {"no_lorries": draw.lorry, "no_bicycles": draw.bicycle, "no_cars": draw.car, "no_walkers": draw.walker}


def _ring(pen: Pen, ground: Colour) -> None:
    pen.box(0, 0, 1, 1, RED)
    pen.oval((0.5, 0.5), 0.385, 0.385, ground)


def _limit(pen: Pen, number: int, ground: Colour) -> None:
    _ring(pen, ground)
    write(pen, str(number), (0.5, 0.5), 0.36 if number < 100 else 0.28, BLACK, weight=0.2)


def _forbidden(pen: Pen, pictogram: draw.Pictogram) -> None:
    _ring(pen, WHITE)
    pictogram(draw.Ink(pen, (0.5, 0.5), 0.5, BLACK))


def _no_overtaking(pen: Pen) -> None:
    _ring(pen, WHITE)
    for x, colour in ((0.37, RED), (0.63, BLACK)):
        draw.car(draw.Ink(pen, (x, 0.5), 0.29, colour))


def _no_turn(pen: Pen) -> None:
    _ring(pen, WHITE)
    draw.turn(draw.Ink(pen, (0.5, 0.53), 0.5, BLACK))
    pen.line([(0.2, 0.2), (0.8, 0.8)], RED, 0.08)


def _no_entry(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, RED)
    pen.box(0.15, 0.41, 0.85, 0.59, WHITE)


def _no_parking(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, RED)
    pen.oval((0.5, 0.5), 0.385, 0.385, BLUE)
    pen.line([(0.2, 0.2), (0.8, 0.8)], RED, 0.1)


def _warning(pen: Pen, pictogram: draw.Pictogram, ground: Colour) -> None:
    pen.box(0, 0, 1, 1, RED)
    pen.polygon(shrunk(TRIANGLE, 0.3), ground)
    pictogram(draw.Ink(pen, (0.5, 0.675), 0.41, BLACK))


def _order(pen: Pen, pictogram: draw.Pictogram) -> None:
    pen.box(0, 0, 1, 1, WHITE)
    pen.oval((0.5, 0.5), 0.475, 0.475, BLUE)
    pictogram(draw.Ink(pen, (0.5, 0.5), 0.62, WHITE))


def _board(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, WHITE)
    pen.box(0.03, 0.03, 0.97, 0.97, BLUE)


def _letter(pen: Pen, letter: str) -> None:
    _board(pen)
    write(pen, letter, (0.5, 0.5), 0.6, WHITE, weight=0.2)


def _zebra(pen: Pen) -> None:
    _board(pen)
    pen.polygon([(0.5, 0.12), (0.92, 0.86), (0.08, 0.86)], WHITE)
    draw.walker(draw.Ink(pen, (0.5, 0.58), 0.46, BLACK))


def _one_way(pen: Pen) -> None:
    _board(pen)
    draw.ahead(draw.Ink(pen, (0.5, 0.5), 0.7, WHITE))


def _dead_end(pen: Pen) -> None:
    _board(pen)
    pen.box(0.42, 0.35, 0.58, 0.9, WHITE)
    pen.box(0.22, 0.16, 0.78, 0.34, RED)


def _bus(pen: Pen) -> None:
    _board(pen)
    pen.box(0.24, 0.14, 0.76, 0.78, WHITE)
    pen.box(0.3, 0.2, 0.7, 0.48, BLUE)
    for x in (0.34, 0.66):
        pen.oval((x, 0.8), 0.07, 0.07, WHITE)


def _give_way(pen: Pen, ground: Colour) -> None:
    pen.box(0, 0, 1, 1, RED)
    pen.polygon(shrunk(YIELD, 0.34), ground)


def _priority(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, BLACK)
    pen.polygon(shrunk(DIAMOND, 0.03), WHITE)
    pen.polygon(shrunk(DIAMOND, 0.26), YELLOW)


def _stop(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, WHITE)
    pen.polygon(shrunk(OCTAGON, 0.06), RED)
    write(pen, "STOP", (0.5, 0.5), 0.29, WHITE, weight=0.19)


def _first(pen: Pen) -> None:
    pen.box(0, 0, 1, 1, BLUE)
    pen.box(0.04, 0.04, 0.96, 0.96, WHITE)
    pen.box(0.06, 0.06, 0.94, 0.94, BLUE)
    draw.Ink(pen, (0.62, 0.5), 0.7, WHITE).arrow([(0, 0.5), (0, -0.5)], 0.17, 0.24)
    draw.Ink(pen, (0.3, 0.5), 0.6, RED).arrow([(0, -0.4), (0, 0.4)], 0.15, 0.22)


def _named(pen: Pen, text: str, ground: Colour, ink: Colour) -> None:
    pen.box(0, 0, 1, 1, ink)
    pen.box(0.03, 0.23, 0.97, 0.77, ground)
    write(pen, text, (0.5, 0.5), 1.1 / len(text), ink)


_GROUNDS = {"white": WHITE, "yellow": YELLOW}

DESIGNS: tuple[Design, ...] = (
    *(Design(f"sign_{letter}", "information", SQUARE, partial(_letter, letter=letter)) for letter in "PHM"),
    Design("zebra", "information", SQUARE, _zebra),
    Design("one_way", "information", SQUARE, _one_way),
    Design("dead_end", "information", SQUARE, _dead_end),
    Design("bus", "information", SQUARE, _bus),
    *(Design(name, "mandatory", CIRCLE, partial(_order, pictogram=made)) for name, made in _ORDERS.items()),
    *(
        Design(f"speedlimit{number}_{name}", "prohibitory", CIRCLE, partial(_limit, number=number, ground=ground))
        for number in (30, 50, 70, 90, 110)
        for name, ground in _GROUNDS.items()
    ),
    *(Design(name, "prohibitory", CIRCLE, partial(_forbidden, pictogram=made)) for name, made in _FORBIDDEN.items()),
    Design("no_overtaking", "prohibitory", CIRCLE, _no_overtaking),
    Design("no_turn", "prohibitory", CIRCLE, _no_turn),
    Design("no_entry", "prohibitory", CIRCLE, _no_entry),
    Design("no_parking", "prohibitory", CIRCLE, _no_parking),
    *(
        Design(f"{name}_{shade}", "warning", TRIANGLE, partial(_warning, pictogram=made, ground=ground))
        for name, made in _WARNINGS.items()
        for shade, ground in _GROUNDS.items()
    ),
    *(Design(f"give_way_{shade}", "other", YIELD, partial(_give_way, ground=it)) for shade, it in _GROUNDS.items()),
    Design("priority", "other", DIAMOND, _priority),
    Design("stop", "other", OCTAGON, _stop),
    Design("first", "other", SQUARE, _first),
)
# Boards that are signs of no group.
STRANGERS: tuple[Design, ...] = tuple(
    Design(text, "", ((0, 0.2), (1, 0.2), (1, 0.8), (0, 0.8)), partial(_named, text=text, ground=ground, ink=ink))
    for text, ground, ink in (
        ("TAXI", WHITE, BLACK),
        ("HOTEL", BLUE, WHITE),
        ("SALE", RED, WHITE),
        ("CITY", YELLOW, BLACK),
        ("PARK", (0, 104, 66), WHITE),
    )
)
