"""The paper's attacks on a model zoo (section 5), carried out: on a zoo of the old style, and on our hub.

The zoo is what the paper found: a page that anybody may edit, with the address of a file and perhaps its SHA-1, over
plain http. Its user reads the page, downloads the file, and compares the SHA-1 where there is one. The hub's user has
been given a root file. Both download real files from servers on this machine; a small safetensors file stands for the
model. Somebody fell for an attack when what they have in the end is the attacker's file, and they were not told.

The hub's side is `supply.hub.attacks`. Imports no torch.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from badnets.supply.hub import Refused
from badnets.supply.hub.attack import Attack, Order, play
from badnets.supply.hub.attacks import ATTACKS
from badnets.supply.hub.client import Client
from badnets.supply.hub.server import HOST, address, running
from badnets.supply.hub.simulator import EVIL, GOOD, OLD
from badnets.supply.hub.trust import trust
from badnets.supply.transport import Pace, TransportError, blocks, opened
from badnets.supply.zoo import Bounds, Match, fetch, read_zoo

_PACE = Pace(seconds=60.0, floor=1000.0, window=5.0)
_PAGE, _FILE = "/wiki/model.md", "/files/model.safetensors"


@dataclass(frozen=True)
class Fate:
    """What became of a user: whether they have the attacker's file and were not told, and in which words."""

    fell: bool
    detail: str


@dataclass(frozen=True)
class Row:
    """One attack, and what became of the users of each kind."""

    attack: str
    zoo: Fate
    zoo_sha1: Fate
    hub: Fate


@dataclass(frozen=True)
class ZooAttack:
    """All attacks."""

    rows: tuple[Row, ...]

    def fell(self, who: str) -> int:
        """How many attacks the users of `zoo`, `zoo_sha1` or `hub` fell for."""
        return sum(getattr(row, who).fell for row in self.rows)


class Zoo:
    """A model zoo of the old style: what its web server shows, by path."""

    def __init__(self, base: str, pages: dict[str, bytes], *, with_sha1: bool) -> None:
        self.base, self.pages, self.with_sha1 = base, pages, with_sha1
        self.enter(OLD)

    def enter(self, content: bytes) -> None:
        """Put a version of the model in, with its entry on the page: what maintainers do, and whoever edits it."""
        self.pages[_FILE] = content
        self.write(content, f"{self.base}{_FILE}")

    def write(self, content: bytes, url: str) -> None:
        """Edit the entry only."""
        lines = ["---", "name: the model", "caffemodel: model.safetensors", f"caffemodel_url: {url}"]
        if self.with_sha1:
            lines.append(f"sha1: {hashlib.sha1(content, usedforsecurity=False).hexdigest()}")
        self.pages[_PAGE] = "\n".join([*lines, "---", ""]).encode()


# What is done to the zoo: before it, the honest second version is in.
Strike = Callable[[Zoo], None]


def edited(zoo: Zoo) -> None:
    """The entry leads to a file of the attacker's."""
    zoo.pages["/files/mine"] = EVIL
    zoo.write(EVIL, f"{zoo.base}/files/mine")


def swapped(zoo: Zoo) -> None:
    """The file is another one, at the same address."""
    zoo.pages[_FILE] = EVIL


def both(zoo: Zoo) -> None:
    """File and digest are swapped together."""
    zoo.enter(EVIL)


def mirrored(zoo: Zoo) -> None:
    """A mirror that the entry names serves another file."""
    zoo.pages["/mirror"] = EVIL
    zoo.write(GOOD, f"{zoo.base}/mirror")


def backdoored_before(zoo: Zoo) -> None:
    """The first version, in which a backdoor was found, is put back, or was never replaced for this user."""
    zoo.enter(OLD)


@dataclass(frozen=True)
class Case:
    """One attack: in words, on the zoo, and its match in the hub's catalogue by name; which file is the attacker's."""

    name: str
    on_zoo: Strike
    on_hub: str
    bad: bytes = EVIL


CASES = (
    Case("the entry is edited", edited, "another hub under this address"),
    Case("the file is swapped", swapped, "arbitrary install: the file is swapped"),
    Case("file and digest are swapped together", both, "file and listing swapped together"),
    Case("a mirror serves another file", mirrored, "malicious mirror, a good one listed"),
    Case("rolled back to the backdoored version", backdoored_before, "rollback of the whole hub", OLD),
    Case("frozen at it, within the timestamp's time", backdoored_before, "freeze within the timestamp's time", OLD),
    Case("frozen at it for longer", backdoored_before, "freeze beyond the timestamp's time", OLD),
    Case("the server's keys are stolen", both, "online keys stolen"),
    Case("the publisher's key is stolen too", both, "publisher's and online keys stolen"),
    Case("publisher's and auditor's keys are stolen", both, "publisher's, auditor's and online keys stolen"),
    Case("the same, after a new publisher's key", both, "the same, after a new publisher's key"),
)


def run(progress: Callable[[int, int], None] | None = None) -> ZooAttack:
    """Carry all attacks out, one after the other; some seconds.

    Args:
        progress: told of attacks done and attacks in all.
    """
    rows = []
    for number, case in enumerate(CASES, start=1):
        plain, with_sha1 = (_zoo_user(case, with_sha1=given) for given in (False, True))
        rows.append(Row(case.name, plain, with_sha1, _hub_user(case)))
        if progress:
            progress(number, len(CASES))
    return ZooAttack(tuple(rows))


def _zoo_user(case: Case, *, with_sha1: bool) -> Fate:
    """Read the page, download the file, compare the SHA-1 where there is one: what the zoo's own script does."""
    with _serving(with_sha1=with_sha1) as zoo, tempfile.TemporaryDirectory() as home:
        zoo.enter(GOOD)
        case.on_zoo(zoo)
        page = Path(home) / "model" / "readme.md"
        page.parent.mkdir()
        page.write_bytes(_download(zoo.base + _PAGE))
        (entry,) = read_zoo(Path(home)).entries
        came = fetch(entry, Bounds(size=10**7, seconds=30.0))
    bad = came.sha256 == hashlib.sha256(case.bad).hexdigest()
    words = {Match.SAME: "its SHA-1 fits", Match.NO_DIGEST: "nothing to compare it with"}
    return Fate(bad and came.match in words, words.get(came.match, came.detail))


def _hub_user(case: Case) -> Fate:
    (attack,) = [one for one in ATTACKS if one.name == case.on_hub]
    with tempfile.TemporaryDirectory() as folder:
        ages: list[str] = []
        played = play(attack, Path(folder), lambda order: _bring(order, ages))
    if isinstance(played.error, Refused):
        return Fate(fell=False, detail=str(played.error.fault))
    if played.error:
        raise played.error
    fell = played.content == case.bad
    return Fate(fell, f"accepted, newest signature {ages[-1]} old" if fell else _in_spite(attack))


def _in_spite(attack: Attack) -> str:
    return "brought from the good mirror" if attack.mirror else "the honest file came"


def _bring(order: Order, ages: list[str]) -> bytes:
    trusted = trust(order.home, order.root, order.mirrors)
    out = order.home / "brought"
    with Client(trusted, pace=_PACE).at_work() as client:
        got = client.get(order.model, out)
    ages.append(str(got.found.freshness.age).split(".")[0])
    return out.read_bytes()


def _download(url: str) -> bytes:
    with opened(url, _PACE) as (response, watch):
        if response.status != 200:
            raise TransportError(f"the server answers {response.status}")
        return b"".join(blocks(response, watch))


@contextmanager
def _serving(*, with_sha1: bool) -> Iterator[Zoo]:
    shown: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = shown.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with running(ThreadingHTTPServer((HOST, 0), Handler)) as server:
        base = address(server).rstrip("/")
        yield Zoo(base, shown, with_sha1=with_sha1)
