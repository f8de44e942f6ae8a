"""A hub's client: python-tuf's `ngclient`, unchanged, with our fetcher, mirrors, folders of files, and an age.

1. Trust starts from the root that `trust` was given. Nothing of it ever comes from the network alone.
2. Every mirror is asked what is newest, so that a frozen one is overruled by any honest one. What a mirror does wrong
   is kept in `Freshness.faults`, also where another one helped out.
3. A model is verified in a hidden place beside its destination and moved there when all of it is right.
4. Where a verdict is pinned on a model, that very verdict comes with it, on these very files, and holds; or nothing.

What TUF cannot stop is told instead: how old the newest metadata is. Within its validity nobody can tell a hub at rest
from one that is held back; and who has the keys of publisher and auditor both is the hub.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.metadata import Root, TargetFile, Timestamp
from tuf.ngclient import Updater

from badnets.artifacts import make_folder, parse_json, read_json, storage, write_json
from badnets.errors import DataError, InputError
from badnets.supply.hub.arrival import arriving, same_file, same_folder
from badnets.supply.hub.content import CUSTOM, FOLDER, LONGEST_LIST, FileList, read_list, target_of
from badnets.supply.hub.draft import signed_at
from badnets.supply.hub.faults import Fault, Refused, explained
from badnets.supply.hub.fetcher import PACE, LocalFetcher, Progress, WebFetcher
from badnets.supply.hub.lock import locked
from badnets.supply.hub.lookup import Origin, origin_of, read_role
from badnets.supply.hub.names import check_files
from badnets.supply.hub.trust import Mirrors, Seen, Trusted
from badnets.supply.transport import Pace

CONTENTS = "bundle.json"
_LONGEST_CONTENTS = 10_000_000
# A clock may differ from the publisher's by so much.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Freshness:
    """How new what a client knows is.

    Attributes:
        version: of the timestamp.
        root: version of the root.
        signed: when the timestamp was signed; None where the hub does not say.
        expires: until when it holds.
        asked: when the client looked.
        faults: what mirrors did wrong, each in a line.
    """

    version: int
    root: int
    signed: datetime | None
    expires: datetime
    asked: datetime
    faults: tuple[str, ...] = ()

    @property
    def age(self) -> timedelta | None:
        """How old the newest metadata is; a hub may have been held back for as long."""
        return self.asked - self.signed if self.signed else None


@dataclass(frozen=True)
class Contents:
    """The models in a bundle. Nobody signs this: it only says what to ask for."""

    models: tuple[str, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Found:
    """A model that the hub offers: its target in TUF's metadata, and who offers it."""

    name: str
    target: TargetFile
    origin: Origin
    freshness: Freshness

    @property
    def custom(self) -> dict[str, Any]:
        """What publisher and auditor signed along with the model, such as the digest of a verdict."""
        return self.target.custom if isinstance(self.target.custom, dict) else {}

    @property
    def is_folder(self) -> bool:
        """Whether the target is the list of a folder's files."""
        own = self.custom.get(CUSTOM)
        return isinstance(own, dict) and own.get("kind") == FOLDER

    @property
    def sha256(self) -> str:
        """Of the file, or of the list of the folder's files."""
        return str(self.target.hashes.get("sha256", ""))


@dataclass(frozen=True)
class Got:
    """A model that was brought: where it is, what it is, its files with their SHA-256, and whether it was there."""

    path: Path
    found: Found
    files: dict[str, str] = field(default_factory=dict)
    already_there: bool = False


class Client:
    """Asks one hub, within a `with`; see the module. Each instance looks for what is newest once.

    Args:
        trusted: the folder that `trust` made.
        source: a folder or a bundle to read the hub from, or addresses, instead of the mirrors.
        pace: how long a file may take.
        progress: told of bytes done and in all of the file that is coming.
        clock: the time.
    """

    def __init__(
        self,
        trusted: Trusted,
        source: Path | Sequence[str] | None = None,
        *,
        pace: Pace = PACE,
        progress: Progress | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._trusted, self._clock = trusted, clock
        self._root = trusted.content()
        self._fetcher: WebFetcher | LocalFetcher
        self._bases: tuple[str, ...]
        if isinstance(source, Path):
            self._fetcher, self._bases = LocalFetcher(source), (LocalFetcher.BASE,)
        else:
            self._fetcher = WebFetcher(trusted.partial, pace, progress)
            self._bases = Mirrors.of(source).mirrors if source else trusted.mirrors()
        if not self._bases:
            raise InputError(f"no mirror is known for {trusted.folder}: name one")
        self._good: list[tuple[str, Updater]] = []
        self._freshness: Freshness | None = None

    @contextmanager
    def at_work(self, wait: float = 60.0) -> Iterator[Client]:
        """Hold the client's folder: two that write into it at once would confuse each other."""
        with locked(self._trusted.folder, "the client's folder", wait=wait):
            for torn in self._trusted.metadata.glob("tmp*"):  # left by a kill
                torn.unlink(missing_ok=True)
            try:
                yield self
            finally:
                if isinstance(self._fetcher, LocalFetcher):
                    self._fetcher.close()

    def refresh(self) -> Freshness:
        """Ask every mirror what is newest.

        Raises:
            Refused: none of them gives metadata that can be accepted, or this machine's clock is wrong.
        """
        if self._freshness:
            return self._freshness
        now = self._clock()
        self._check_clock(now)
        faults: list[Refused] = []
        served: list[tuple[int, str, Updater]] = []
        for base in self._bases:
            try:
                with explained(base), storage(self._trusted.metadata):
                    updater = self._updater(base)
                    updater.refresh()
                served.append((self._timestamp().version, base, updater))
            except Refused as refusal:
                faults.append(refusal)
        if not served:
            raise _worst(faults, now)
        newest = max(version for version, _, _ in served)
        self._good = [(base, updater) for version, base, updater in served if version == newest]
        late = [f"{base}: behind the others" for version, base, _ in served if version < newest]
        self._freshness = self._fresh(now, (*(str(one) for one in faults), *late))
        return self._freshness

    def find(self, name: str) -> Found:
        """What the hub says of a model.

        Raises:
            Refused: it is not offered, was revoked, or metadata cannot be accepted.
        """
        try:
            check_files([name])
        except InputError as error:
            raise Refused(Fault.UNLISTED, f"no model can have this name: {error}") from error
        freshness = self.refresh()
        faults: list[Refused] = []
        for base, updater in self._good:
            try:
                with explained(base), storage(self._trusted.metadata):
                    target = updater.get_targetinfo(name)
                origin = origin_of(self._trusted.metadata, name)
            except Refused as refusal:
                faults.append(refusal)
                continue
            if target is None:
                raise Refused(Fault.UNLISTED, f"the hub offers no model {name}")
            return Found(name, target, origin, freshness)
        raise _worst(faults, freshness.asked)

    def get(self, name: str, out: Path) -> Got:
        """Bring a model to `out`, a file or a folder.

        Args:
            name: of the model.
            out: where to; a file that is there is replaced, a folder is not.

        Raises:
            Refused: what came cannot be accepted; nothing of it is kept.
            InputError: a folder with another content is there.
            StorageError: it cannot be written.
        """
        found = self.find(name)
        if found.is_folder:
            return self._get_folder(found, out)
        if out.is_dir():
            raise InputError(f"{out} is a folder, and {name} is a file: name a file")
        if same_file(out, found.target):
            self._check_pin(found, out)
            return Got(out, found, {out.name: found.sha256}, already_there=True)
        with arriving(out) as place:
            self._download(found.target, place)
            self._check_pin(found, place)
        return Got(out, found, {out.name: found.sha256})

    def held(self) -> tuple[str, ...]:
        """The models that a bundle says it brings. Raises `Refused` where it does not say."""
        with explained("the bundle"):
            content = self._fetcher.download_bytes(f"{self._bases[0]}{CONTENTS}", _LONGEST_CONTENTS)
        try:
            return parse_json(Contents, content, CONTENTS).models
        except DataError as error:
            raise Refused(Fault.MALFORMED, str(error)) from error

    def files_of(self, found: Found) -> FileList:
        """The files of a model that is a folder. Raises `Refused` where the list cannot be accepted."""
        if found.target.length > LONGEST_LIST:
            raise Refused(Fault.MALFORMED, f"{found.name}: a list of files of {found.target.length:,} bytes")
        with arriving(self._trusted.folder / "list", keep=False) as place:
            self._download(found.target, place)
            try:
                return read_list(place.read_bytes(), found.name)
            except DataError as error:
                raise Refused(Fault.MALFORMED, str(error)) from error

    def download(self, target: TargetFile, place: Path) -> None:
        """Bring the file of one target to `place`, from the first mirror that has it right. Raises `Refused`."""
        self.refresh()
        self._download(target, place)

    def _get_folder(self, found: Found, out: Path) -> Got:
        files = self.files_of(found)
        digests = {part.name: part.sha256 for part in files.files}
        if out.exists():
            if same_folder(out, files):
                self._check_pin(found, out)
                return Got(out, found, digests, already_there=True)
            raise InputError(f"{out} is there and is not this version of {found.name}: name another place")
        with arriving(out) as place:
            make_folder(place)
            for part in files.files:
                self._download(target_of(found.name, part), place / part.name)
            self._check_pin(found, place)
        return Got(out, found, digests)

    def _check_pin(self, found: Found, place: Path) -> None:
        from badnets.supply.gate.pin import compare, pin_of  # noqa: PLC0415 - the gate stands on the hub's keys
        from badnets.supply.signing import Refused as NotSo  # noqa: PLC0415 - as above

        try:
            pin = pin_of(found.custom, found.name)
            if pin is not None:
                compare(place, pin, self._clock(), found.name)
        except NotSo as refusal:
            raise Refused(Fault.VERDICT, str(refusal)) from refusal

    def _download(self, target: TargetFile, place: Path) -> None:
        faults: list[Refused] = []
        make_folder(place.parent)
        updater = self._good[0][1]
        # Those that had what is newest first; for its bytes any mirror will do.
        good = [base for base, _ in self._good]
        for base in (*good, *(base for base in self._bases if base not in good)):
            for _ in range(2):
                try:
                    with explained(f"{base} {target.path}"), storage(place), self._fetcher.keeping(_key(target)):
                        updater.download_target(target, str(place), base + "targets/")
                    _flush(place)
                except Refused as refusal:
                    faults.append(refusal)
                    place.unlink(missing_ok=True)
                    if not (refusal.fault == Fault.ALTERED and getattr(self._fetcher, "resumed", False)):
                        break  # else what was left from before may have been the wrong part: once more, from the start
                else:
                    return
        raise _worst(faults, self._clock())

    def _updater(self, base: str) -> Updater:
        make_folder(self._trusted.metadata)
        return Updater(
            str(self._trusted.metadata),
            base + "metadata/",
            target_base_url=base + "targets/",
            fetcher=self._fetcher,
            bootstrap=self._root,
        )

    def _timestamp(self) -> Timestamp:
        return read_role(self._trusted.metadata, Timestamp.type, Timestamp).signed

    def _fresh(self, now: datetime, faults: tuple[str, ...]) -> Freshness:
        timestamp = self._timestamp()
        root = read_role(self._trusted.metadata, Root.type, Root).signed
        signed = signed_at(timestamp)
        if signed and signed > now + _SKEW:
            raise Refused(Fault.CLOCK, f"the hub was signed at {signed}, and here it is {now:%Y-%m-%d %H:%M} UTC")
        write_json(self._trusted.seen, Seen(max(now, signed or now)))
        return Freshness(timestamp.version, root.version, signed, timestamp.expires, now, faults)

    def _check_clock(self, now: datetime) -> None:
        if self._trusted.seen.exists():
            try:
                seen = read_json(Seen, self._trusted.seen).time
            except DataError:  # it helps where it can be read; nothing rests on it
                return
            if now < seen - _SKEW:
                raise Refused(
                    Fault.CLOCK,
                    f"here it is {now:%Y-%m-%d %H:%M} UTC, and this hub was fresh at {seen:%Y-%m-%d %H:%M}: set the "
                    f"clock, or remove {self._trusted.seen} where it was ahead then",
                )


def _key(target: TargetFile) -> str:
    return f"{target.path} {sorted(target.hashes.items())}"


def _flush(path: Path) -> None:
    with storage(path), path.open("rb+") as file:
        os.fsync(file.fileno())


def _worst(faults: list[Refused], now: datetime) -> Refused:
    """The refusal to raise of those of all mirrors: one that accuses, before one that only failed."""
    first = next((one for one in faults if one.judged), faults[0])
    others = f" (and {len(faults) - 1} more from other attempts)" if len(faults) > 1 else ""
    hint = f"; here it is {now:%Y-%m-%d %H:%M} UTC" if first.fault == Fault.EXPIRED else ""
    raised = Refused(first.fault, str(first).removeprefix(f"{first.fault}: ") + hint + others)
    raised.__cause__ = first
    return raised
