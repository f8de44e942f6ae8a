"""Every attack of the catalogue against our client: stopped under its name, or told with the age of what was seen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from badnets.supply.hub import Client, Fault, Found, Refused, trust
from badnets.supply.hub.attacks import ATTACKS, Attack, Ending, Order, play
from badnets.supply.hub.simulator import EVIL, GOOD, OLD
from badnets.supply.transport import Pace

# A drip of two bytes a second is cut off after the window.
QUICK = Pace(seconds=5.0, floor=1000.0, window=0.4)
CONTENTS = {Ending.GOOD: GOOD, Ending.OLD: OLD, Ending.EVIL: EVIL}


class OurClient:
    """Our client as the simulator calls it; it keeps what it found."""

    def __init__(self) -> None:
        self.found: list[Found] = []

    def __call__(self, order: Order) -> bytes:
        trusted = trust(order.home, order.root, order.mirrors)
        out = order.home / "brought"
        with Client(trusted, pace=QUICK).at_work() as client:
            got = client.get(order.model, out)
        self.found.append(got.found)
        return out.read_bytes()


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack(attack: Attack, tmp_path: Path) -> None:
    client = OurClient()
    visits = tmp_path / "home" / "brought"
    played = play(attack, tmp_path, client)
    if isinstance(attack.ending, Fault):
        assert isinstance(played.error, Refused), (played.error, played.content)
        assert played.error.fault == attack.ending, played.error
        assert "\n" not in str(played.error)
        assert not visits.exists() or visits.read_bytes() in (OLD, GOOD), (
            "what was there before stays, nothing else comes"
        )
    else:
        assert played.error is None, played.error
        assert played.content == CONTENTS[attack.ending]
        age = client.found[-1].freshness.age
        assert age is not None
        assert timedelta() <= age < timedelta(hours=3)
    # Bounded time, bounded disk, a clean quarantine.
    assert played.seconds < 30  # at two bytes a second it would be a quarter of an hour
    home = tmp_path / "home"
    assert not list(home.glob(".*.arriving"))
    left = list((home / "partial").glob("*"))
    assert sum(path.stat().st_size for path in left) < len(GOOD)
    if left:
        assert played.error is not None
        assert isinstance(played.error, Refused)
        assert played.error.fault in (Fault.SLOW, Fault.UNREACHABLE), "only what broke off is kept, to go on with"


def test_the_whole_catalogue_is_there() -> None:
    assert sorted({attack.number for attack in ATTACKS}) == [f"T{number:02}" for number in range(1, 21)]


def test_exactly_two_kinds_cannot_be_stopped() -> None:
    unstopped = [attack for attack in ATTACKS if attack.ending in (Ending.OLD, Ending.EVIL)]
    assert [attack.number for attack in unstopped] == ["T07", "T16"]
