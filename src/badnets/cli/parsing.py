"""Triggers and policies as one writes them in a shell."""

from __future__ import annotations

from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from badnets.errors import InputError

if TYPE_CHECKING:
    from badnets.poison import AnyPolicy
    from badnets.triggers import AnyTrigger, Picture

TRIGGER_HELP = (
    "pixel, pattern, patch, blend, sticker, sinusoid, low-frequency or warp, with options as in "
    "pixel:row=3,column=4,value=200 or patch:size=3,margin=1 or patch:file=sticker.png,row=18,column=18 or "
    "blend:alpha=0.2 or sinusoid:amplitude=0.15,frequency=6 or low-frequency:amplitude=0.2,waves=4,seed=1 or "
    "warp:strength=0.5,grid=4 or sticker:devil,size=0.2,down=0.8,right=0.8,opacity=0.9 (devil, bomb, flower, "
    "square or file=mine.png; a size up to 1 is a share of the shorter side, above it pixels; place=random,seed=1; "
    "jpeg=75, a quality); "
    'or a .json file that holds {"trigger": ...}'
)
# The options of triggers that have nothing else: numbers, and whole numbers.
_FIELDS = {
    "sinusoid": (("amplitude", "frequency"), ()),
    "low-frequency": (("amplitude",), ("waves", "seed")),
    "warp": (("strength",), ("grid", "seed")),
}
POLICY_HELP = "all-to-all, all-to-one:TARGET, single:SOURCE:TARGET, or random; classes by number (from 0) or name"


def parse_trigger(text: str) -> AnyTrigger:
    """The trigger that `text` describes, see `TRIGGER_HELP`.

    Raises:
        InputError: unknown kind, option or drawing, or a value that is not what its option takes.
        DataError: a file that is no trigger or no picture.
    """
    from badnets.artifacts import read_json
    from badnets.triggers import TriggerFile

    if text.endswith(".json"):
        return read_json(TriggerFile, Path(text)).trigger
    kind, _, rest = text.partition(":")
    if kind == "sticker":
        return _sticker(text, rest)
    options = _options(text, rest)
    return _of_numbers(kind, options) if kind in _FIELDS else _on_a_grid(kind, options)


def _on_a_grid(kind: str, options: dict[str, str]) -> AnyTrigger:
    """A trigger drawn for images of one size."""
    from badnets.triggers import Blend, Pattern, SinglePixel

    file = options.pop("file", None)
    known = {
        "pixel": ("row", "column", "value"),
        "pattern": ("value",),
        "patch": ("row", "column") if file else ("size", "value", "margin"),
        "blend": ("alpha", "seed"),
    }
    if kind not in known:
        raise InputError(f"unknown trigger {kind!r}: known are {', '.join((*known, 'sticker', *_FIELDS))}")
    _check_known(kind, options, known[kind])
    alpha = _float("alpha", options.pop("alpha", str(Blend.alpha)))
    whole = {name: _whole(name, value) for name, value in options.items()}
    if kind == "pixel":
        place = (whole.get("row", SinglePixel.row), whole.get("column", SinglePixel.column))
        return SinglePixel(*place, whole.get("value", SinglePixel.value))
    if kind == "pattern":
        return Pattern(value=whole.get("value", Pattern.value))
    if kind == "blend":
        picture = _picture(file) if file else None
        return Blend(alpha=alpha, seed=whole.get("seed", 0), picture=picture)
    return _patch(file, whole)


def _of_numbers(kind: str, options: dict[str, str]) -> AnyTrigger:
    """A trigger that numbers say all about."""
    from badnets.triggers import TRIGGERS

    numbers, whole = _FIELDS[kind]
    _check_known(kind, options, (*numbers, *whole))
    read = {name: (_whole if name in whole else _float)(name, value) for name, value in options.items()}
    made: AnyTrigger = TRIGGERS[kind](**read)
    return made


def _patch(file: str | None, whole: dict[str, int]) -> AnyTrigger:
    from badnets.triggers import Patch

    if file is None:
        return Patch.square(**whole)
    if missing := {"row", "column"} - whole.keys():
        raise InputError(f"patch with a file needs {' and '.join(sorted(missing))} of its top-left corner")
    return Patch(_picture(file), whole["row"], whole["column"])


def _sticker(text: str, rest: str) -> AnyTrigger:
    from badnets.triggers import Sticker, drawing

    # The name of a drawing stands first and has no name of its own.
    first, _, others = rest.partition(",")
    name, options = ("", _options(text, rest)) if "=" in first else (first, _options(text, others))
    file = options.pop("file", "")
    if name and file:
        raise InputError(f"a sticker is a drawing or a file, got {name!r} and {file!r}")
    shares, whole = ("size", "down", "right", "opacity"), ("jpeg", "seed")
    _check_known("sticker", options, (*shares, "place", *whole, "file"))
    place = options.pop("place", Sticker.place)
    if place not in ("fixed", "random"):
        raise InputError(f"a sticker's place is fixed or random, got {place!r}")
    size, down, right, opacity = (_float(key, options.get(key, str(getattr(Sticker, key)))) for key in shares)
    jpeg, seed = (_whole(key, options.get(key, "0")) for key in whole)
    picture = _picture(file) if file else drawing(name or "devil")
    return Sticker(
        picture, size, down, right, "random" if place == "random" else "fixed", opacity=opacity, jpeg=jpeg, seed=seed
    )


def _check_known(kind: str, options: dict[str, str], known: tuple[str, ...]) -> None:
    if unknown := set(options) - set(known):
        raise InputError(f"{kind} has no option {', '.join(sorted(unknown))}: it has {', '.join(known)}")


def parse_policy(text: str, classes: tuple[str, ...]) -> AnyPolicy:
    """The policy that `text` describes, see `POLICY_HELP`; `classes` are the names that may stand for numbers.

    Raises:
        InputError: unknown kind, or neither the number nor the name of a class.
    """
    from badnets.poison import AllToAll, AllToOne, RandomTarget, SingleTarget

    kind, *rest = text.split(":")
    wanted = {"all-to-all": 0, "random": 0, "all-to-one": 1, "single": 2}
    if kind not in wanted or len(rest) != wanted[kind]:
        raise InputError(f"cannot read policy {text!r}: expected {POLICY_HELP}")
    labels = [parse_class(word, classes) for word in rest]
    if kind == "single":
        return SingleTarget(*labels)
    if kind == "all-to-one":
        return AllToOne(*labels)
    return AllToAll() if kind == "all-to-all" else RandomTarget()


def parse_class(word: str, classes: tuple[str, ...]) -> int:
    """The class called `word`, which is a number from 0 or one of the names. Raises `InputError`."""
    # A number is a number even where classes are called 7 and 3: the policy says if it is out of range.
    if word.removeprefix("-").isdecimal():
        return int(word)
    if word in classes:
        return classes.index(word)
    near = get_close_matches(word, classes, n=3) or list(classes[:5])
    raise InputError(f"no class is called {word!r}: expected a number from 0 or a name, such as {', '.join(near)}")


def parse_pair(text: str) -> tuple[int, int]:
    """Source and target of a single-target attack, written SOURCE:TARGET. Raises `InputError`."""
    source, colon, target = text.partition(":")
    if not colon:
        raise InputError(f"cannot read pair {text!r}: expected SOURCE:TARGET, such as 7:3")
    return _whole("source", source), _whole("target", target)


def parse_numbers(name: str, text: str) -> tuple[float, ...]:
    """Numbers called `name`, such as shares of a training set, written 0.01,0.1,0.5. Raises `InputError`."""
    numbers = tuple(_float(name, part) for part in text.split(","))
    for number in numbers:
        if not isfinite(number):
            raise InputError(f"{name} is a number, got {text!r}")
    return numbers


def _options(text: str, rest: str) -> dict[str, str]:
    options = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"cannot read {part!r} in {text!r}: options are written name=value")
        options[name] = value
    return options


def _float(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{name} is a number, got {text!r}") from error


def _whole(name: str, text: str) -> int:
    value = _float(name, text)
    if not value.is_integer():
        raise InputError(f"{name} is a whole number, got {text!r}")
    return int(value)


def _picture(file: str) -> Picture:
    import torch

    from badnets.data.pictures import read_picture
    from badnets.triggers import Picture

    return Picture.of(torch.from_numpy(read_picture(Path(file), None, "RGBA")).permute(2, 0, 1))
