"""The catalogue of attacks on a client of a hub, to be played against any client, see `attack.play`."""

from badnets.supply.hub.attack import Attack, Ending, Order, Played, play
from badnets.supply.hub.attacks_files import FILES
from badnets.supply.hub.attacks_metadata import METADATA
from badnets.supply.hub.attacks_state import STATE

ATTACKS = tuple(sorted((*FILES, *METADATA, *STATE), key=lambda attack: attack.number))

__all__ = ["ATTACKS", "Attack", "Ending", "Order", "Played", "play"]
