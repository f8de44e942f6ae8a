"""The pin of a verdict: what publisher and auditor of a hub sign along with a model, and what must then come with it.

A verdict is a file, and can be exchanged: for that of another model, for one that was found earlier under weaker rules,
for none. The pin is in the hub's metadata (`targets.custom`), which cannot. So a client that gets a model with a pin
gets this very verdict with it, on these very files, as long as it holds - or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from badnets.artifacts import canonical_json, parse_json, read_bytes, sha256_bytes, sha256_file
from badnets.errors import DataError, InputError
from badnets.supply.gate.outcome import Word
from badnets.supply.gate.store import MODEL
from badnets.supply.gate.verdict import VERDICT, stated
from badnets.supply.hashing import list_folder
from badnets.supply.signing.refusal import Refused
from badnets.supply.signing.strict_json import read_object

# The part of a target's `custom` that is the gate's.
CUSTOM = "gate"


@dataclass(frozen=True)
class Pin:
    """What a hub signs of a verdict.

    Attributes:
        verdict_sha256: of the verdict's file.
        policy_sha256: digest of the policy under which it was found.
        word: that was decided.
        expires: until when it holds.
    """

    verdict_sha256: str
    policy_sha256: str
    word: Word
    expires: datetime

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.expires.tzinfo is None:
            raise InputError("a time without its zone")


def pin_of(custom: Mapping[str, object], where: str) -> Pin | None:
    """The pin in what a hub signs along with a model; None where there is none.

    Raises:
        Refused: there is something in its place that is no pin.
    """
    if CUSTOM not in custom:
        return None
    try:
        return parse_json(Pin, canonical_json(custom[CUSTOM]), f"{where}: the pin of a verdict")
    except DataError as error:
        raise Refused(str(error)) from error


def read_pin(path: Path) -> Pin:
    """The pin in a file that `badnets gate --pin` or `badnets hub get --pin` wrote.

    Raises:
        InputError: no such file.
        DataError: its content is no pin.
    """
    try:
        pin = pin_of(read_object(read_bytes(path), str(path)), str(path))
    except Refused as refusal:
        raise DataError(str(refusal)) from refusal
    if pin is None:
        raise DataError(f"{path} holds no pin of a verdict: expected a part {CUSTOM!r}")
    return pin


def compare(folder: Path, pin: Pin, now: datetime, where: str) -> None:
    """Refuse what came unless it is the admitted model that the pinned verdict speaks of.

    Args:
        folder: what came.
        pin: what the hub signed along with it.
        now: the time.
        where: what it is called, for the message.

    Raises:
        Refused: no verdict came, or another one; it admits nothing, does not hold any more, or speaks of other files.
    """
    if pin.word != Word.ADMIT:
        raise Refused(f"{where}: the verdict that is pinned on it is {pin.word}")
    if not now < pin.expires:
        raise Refused(
            f"{where}: the verdict that is pinned on it expired at {pin.expires:%Y-%m-%d %H:%M} UTC, and here it is "
            f"{now:%Y-%m-%d %H:%M}: its publisher must let the gate decide again"
        )
    if not (folder / VERDICT).is_file():
        raise Refused(f"{where}: a verdict is pinned on it, and no {VERDICT} came with it")
    content = read_bytes(folder / VERDICT)
    check_digest(pin, content, where)
    verdict = stated(content, where)
    if (verdict.word, verdict.policy, verdict.expires) != (pin.word, pin.policy_sha256, pin.expires):
        raise Refused(f"{where}: its verdict and the pin of it contradict each other")
    expected = {f"{MODEL}/{name}": digest for name, digest in verdict.admitted.items()}
    here = _files(folder, where)
    for name in sorted({*here, *expected}):
        if here.get(name) != expected.get(name):
            raise Refused(f"{where}: its verdict speaks of other files: {name} is not what was admitted")


def _files(folder: Path, where: str) -> dict[str, str]:
    """All files of what came, but for the verdict, by name and SHA-256."""
    listing = list_folder(folder)
    if listing.odd:
        raise Refused(f"{where}: {listing.odd[0][0]} is {listing.odd[0][1]}")
    return {file.name: sha256_file(file.path) for file in listing.files if file.name != VERDICT}


def check_digest(pin: Pin, content: bytes, where: str) -> None:
    """Refuse a verdict's file that is not the pinned one. Raises `Refused`."""
    found = sha256_bytes(content)
    if found != pin.verdict_sha256:
        raise Refused(
            f"{where}: the verdict {pin.verdict_sha256[:16]}... is pinned on it, and {found[:16]}... came with it"
        )
