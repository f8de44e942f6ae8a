"""One attack on a client of a hub, and how it is played against any client."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from badnets.supply.hub.faults import Fault
from badnets.supply.hub.server import serving
from badnets.supply.hub.simulator import MODEL, HostileHub


class Ending(StrEnum):
    """How an attack ends that nothing is refused for."""

    GOOD = "good"  # the honest model is brought in spite of it
    OLD = "old"  # TUF cannot stop it: an older model is brought, and the metadata's age is all there is to see
    EVIL = "evil"  # TUF cannot stop it: who has that many keys is the publisher


@dataclass(frozen=True)
class Order:
    """What a client is asked for.

    Attributes:
        root: the root file that it was given by a person.
        mirrors: addresses of folders with `metadata/` and `targets/`.
        model: the name of the target.
        home: a folder for what it keeps between calls.
    """

    root: bytes
    mirrors: tuple[str, ...]
    model: str
    home: Path


# Brings the content of a model, or raises.
AnyClient = Callable[[Order], bytes]
Visit = Callable[[], None]


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        number: in the catalogue, T01 to T20.
        name: in a few words.
        strike: what the attacker does; it lets the client come by before, with the second argument, where that matters.
        ending: why a good client refuses it, or how it ends otherwise.
        make: makes the hub in an empty folder.
        mirror: whether the client knows an honest mirror beside.
        model: what the client asks for.
    """

    number: str
    name: str
    strike: Callable[[HostileHub, Visit], None]
    ending: Fault | Ending
    make: Callable[[Path], HostileHub] = HostileHub
    mirror: bool = False
    model: str = MODEL

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


@dataclass(frozen=True)
class Played:
    """What became of it: the content that the client brought, or what it raised; seconds, and paths it asked for."""

    content: bytes | None
    error: Exception | None
    seconds: float
    asked: tuple[str, ...]


def play(attack: Attack, folder: Path, client: AnyClient) -> Played:
    """Play an attack against a client, in an empty folder.

    Errors of the client are an answer; those of its visits before the strike are raised.
    """
    with ExitStack() as running:
        hub = running.enter_context(attack.make(folder))
        mirrors = [hub.url]
        if attack.mirror:
            mirrors.append(running.enter_context(serving(hub.honest)))
        order = Order(hub.root, tuple(mirrors), attack.model, hub.home)

        def visit() -> None:
            client(order)

        attack.strike(hub, visit)
        begun = time.monotonic()
        content, error = None, None
        try:
            content = client(order)
        except Exception as caught:  # noqa: BLE001 - whatever a foreign client raises is its answer
            error = caught
        return Played(content, error, time.monotonic() - begun, tuple(hub.asked))
