"""A hub of models: a TUF repository as a folder of files, its publishers' side and its clients'."""

from badnets.supply.hub.bundle import bring_all, export
from badnets.supply.hub.client import Client, Found, Freshness, Got
from badnets.supply.hub.commit import Missing, Outcome
from badnets.supply.hub.draft import Validity
from badnets.supply.hub.faults import Fault, Refused
from badnets.supply.hub.keys import NAMES, Holders, KeyRing, Setup, key_id, make_keys, public_keys, setup_from
from badnets.supply.hub.publisher import delegate, init, publish, refresh, revoke, rotate, sign, split
from badnets.supply.hub.server import serving
from badnets.supply.hub.status import Status, offered, status
from badnets.supply.hub.trust import Trusted, default_folder, trust

__all__ = [
    "NAMES",
    "Client",
    "Fault",
    "Found",
    "Freshness",
    "Got",
    "Holders",
    "KeyRing",
    "Missing",
    "Outcome",
    "Refused",
    "Setup",
    "Status",
    "Trusted",
    "Validity",
    "bring_all",
    "default_folder",
    "delegate",
    "export",
    "init",
    "key_id",
    "make_keys",
    "offered",
    "public_keys",
    "publish",
    "refresh",
    "revoke",
    "rotate",
    "serving",
    "setup_from",
    "sign",
    "split",
    "status",
    "trust",
]
