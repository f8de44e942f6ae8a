"""Time, hubs of an older kind, and what a client keeps on its own disk: T18 to T20."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from badnets.supply.hub.attack import Attack, Ending, Visit
from badnets.supply.hub.attacks_files import on_file
from badnets.supply.hub.attacks_metadata import evil_root
from badnets.supply.hub.commit import assemble, write
from badnets.supply.hub.draft import Places, read_draft
from badnets.supply.hub.faults import Fault
from badnets.supply.hub.keys import ADMISSION
from badnets.supply.hub.simulator import EVIL, GOOD, MODEL, OLD, HostileHub, sends


def from_the_future(hub: HostileHub, _: Visit) -> None:
    """The hub was signed two days from now, or this machine's clock is two days late."""
    hub.publish({MODEL: GOOD}, later=timedelta(days=2))


def without_consistent_snapshots(folder: Path) -> HostileHub:
    """A hub of an older kind, whose files have no versions in their names."""
    hub = HostileHub(folder)
    draft = read_draft(Places(hub.honest), hub.now)
    draft.edit_root().consistent_snapshot = False
    write(draft, *assemble(draft, hub.ring))
    _plain_names(hub)
    return hub


def swapped_without_snapshots(hub: HostileHub, _: Visit) -> None:
    """The file of such a hub is swapped."""
    hub.answer(f"targets/{MODEL}", sends(EVIL))


def garbage_at_home(hub: HostileHub, visit: Visit) -> None:
    """What the client keeps is overwritten with garbage."""
    visit()
    hub.publish({MODEL: GOOD})
    for path in (hub.home / "metadata").glob("*.json"):
        if not path.is_symlink():
            path.write_bytes(b"{" * 1000)


def evil_at_home(hub: HostileHub, visit: Visit) -> None:
    """What the client keeps lists the attacker's file, which the server has too."""
    visit()
    hub.publish({MODEL: GOOD})
    folder = hub.forge(hub.stolen(), hub.list_evil)
    forged = max(folder.glob(f"metadata/*.{ADMISSION}.json"), key=lambda path: int(path.name.split(".")[0]))
    (hub.home / "metadata" / f"{ADMISSION}.json").write_bytes(forged.read_bytes())
    hub.be_honest()


def root_at_home(hub: HostileHub, visit: Visit) -> None:
    """The attacker's next root is put where the client keeps those that it has verified."""
    visit()
    hub.publish({MODEL: GOOD})
    (hub.home / "metadata" / "root_history" / "2.root.json").write_bytes(evil_root(hub))


def _plain_names(hub: HostileHub) -> None:
    """Copies of the newest metadata and of the model under names without versions and digests."""
    metadata = hub.honest / "metadata"
    for role in ("snapshot", "targets", ADMISSION):
        (metadata / f"{role}.json").write_bytes((hub.honest / hub.newest(role)).read_bytes())
    (hub.honest / "targets" / MODEL).write_bytes(OLD)


STATE = (
    Attack("T18", "the clock is two days late", from_the_future, Fault.CLOCK),
    Attack(
        "T19",
        "no consistent snapshots, swapped file",
        swapped_without_snapshots,
        Fault.ALTERED,
        make=without_consistent_snapshots,
    ),
    Attack("T20", "garbage in what the client keeps", garbage_at_home, Ending.GOOD),
    Attack("T20", "evil admissions in what the client keeps", evil_at_home, Ending.GOOD),
    Attack("T20", "an evil root in what the client keeps", root_at_home, Ending.GOOD),
    Attack("T20", "a swapped file, after an honest visit", on_file(sends(EVIL)), Fault.ALTERED),
)
