"""The hostile hub is one: a client that checks nothing falls for it, and python-tuf's own stops what TUF stops."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

import pytest
from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp
from tuf.ngclient import Updater

from badnets.supply.hub import Fault
from badnets.supply.hub.attacks import ATTACKS, Attack, Ending, Order, play
from badnets.supply.hub.simulator import EVIL, GOOD, OLD, weights
from badnets.supply.scan.scan import scan


def believing(order: Order) -> bytes:
    """Follows the newest metadata and checks neither signatures nor digests nor versions."""
    base = order.mirrors[0]

    def read(path: str) -> bytes:
        with urlopen(base + path, timeout=2) as answer:  # noqa: S310 - of this machine
            return bytes(answer.read(1_000_000))

    timestamp = Metadata[Timestamp].from_bytes(read("metadata/timestamp.json")).signed
    snapshot = Metadata[Snapshot].from_bytes(read(f"metadata/{timestamp.snapshot_meta.version}.snapshot.json")).signed
    version = snapshot.meta["admission.json"].version
    admission = Metadata[Targets].from_bytes(read(f"metadata/{version}.admission.json")).signed
    return read(f"targets/{admission.targets[order.model].get_prefixed_paths()[0]}")


def plain_tuf(order: Order) -> bytes:
    """python-tuf's client as it comes, with its own fetcher, and the first mirror only."""
    order.home.mkdir(exist_ok=True)
    base = order.mirrors[0]
    updater = Updater(
        str(order.home / "metadata"), f"{base}metadata/", str(order.home), f"{base}targets/", bootstrap=order.root
    )
    target = updater.get_targetinfo(order.model)
    if target is None:
        raise LookupError(order.model)
    return Path(updater.download_target(target)).read_bytes()


FOOLED = (
    "arbitrary install: the file is swapped", "another hub under this address", "file and listing swapped together",
    "rollback of the whole hub", "freeze beyond the timestamp's time", "freeze within the timestamp's time",
    "online keys stolen", "publisher's and online keys stolen", "publisher's, auditor's and online keys stolen",
    "one key under two ids",
)  # fmt: skip


@pytest.mark.parametrize("name", FOOLED)
def test_who_checks_nothing_is_fooled(name: str, tmp_path: Path) -> None:
    (attack,) = [one for one in ATTACKS if one.name == name]
    played = play(attack, tmp_path, believing)
    assert played.content in (EVIL, OLD), played.error


# It waits 30 s for what is slow, follows redirects, has no mirrors and no clock of its own; the rest is TUF's.
BEYOND_TUF = {Fault.SLOW, Fault.REDIRECTED, Fault.CLOCK, Fault.DUPLICATE_KEYS, Fault.UNREACHABLE, Fault.REVOKED}
TUFS_OWN = [
    attack
    for attack in ATTACKS
    if attack.ending not in BEYOND_TUF and not attack.mirror and attack.number not in ("T14", "T20")
]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("attack", TUFS_OWN, ids=str)
def test_python_tufs_client_stops_what_tuf_stops(attack: Attack, tmp_path: Path) -> None:
    played = play(attack, tmp_path, plain_tuf)
    if isinstance(attack.ending, Ending):
        assert played.content == {Ending.GOOD: GOOD, Ending.OLD: OLD, Ending.EVIL: EVIL}[attack.ending], played.error
    else:
        assert isinstance(played.error, RepositoryError | DownloadError | LookupError), played.content


def test_python_tuf_counts_one_key_under_two_ids_as_two(tmp_path: Path) -> None:
    """Why our client looks for it."""
    (attack,) = [one for one in ATTACKS if one.ending == Fault.DUPLICATE_KEYS]
    assert play(attack, tmp_path, plain_tuf).content == EVIL


def test_the_models_are_real_files(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(EVIL)
    (report,) = scan(tmp_path / "model.safetensors")
    assert report.verdict == "clean"
    assert len({GOOD, OLD, EVIL}) == 3
    assert len({len(content) for content in (GOOD, OLD, EVIL)}) == 1
    assert weights("honest") == GOOD
