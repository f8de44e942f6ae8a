"""A hub with keys, a model, and a client, all in one folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from badnets.supply.hub import Client, KeyRing, Outcome, Trusted, init, key_id, make_keys, publish, setup_from, trust
from badnets.supply.signing.keys import PublicKey


class Bench:
    """What most tests need: `hub`, `ring` and `keys`; short calls that publish and get."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.hub = folder, folder / "hub"
        self.keys = make_keys(folder / "keys")
        self.ring = KeyRing.folder(folder / "keys")
        init(self.hub, setup_from(self.keys), self.ring)

    def more_keys(self, *names: str) -> dict[str, PublicKey]:
        made = make_keys(self.folder / "keys", names)
        self.ring = KeyRing.folder(self.folder / "keys")
        return made

    def without(self, *names: str) -> KeyRing:
        return self.ring.without(*(self.id(name) for name in names))

    def id(self, name: str) -> str:
        return key_id(self.keys[name])

    def source(self, content: bytes | dict[str, bytes], name: str = "source") -> Path:
        path = self.folder / name
        for part, piece in ({"": content} if isinstance(content, bytes) else content).items():
            file = path / part if part else path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(piece)
        return path

    def publish(
        self, name: str, content: bytes | dict[str, bytes], ring: KeyRing | None = None, now: datetime | None = None
    ) -> Outcome:
        place = self.source(content, f"source-{name.replace('/', '-')}-{len(list(self.folder.iterdir()))}")
        return publish(self.hub, {name: place}, ring or self.ring, now=now)

    def trusted(self, name: str = "home") -> Trusted:
        return trust(self.folder / name, (self.hub / "metadata" / "1.root.json").read_bytes(), [])

    def get(self, name: str, home: str = "home") -> bytes:
        out = self.folder / f"out-{home}"
        with Client(self.trusted(home), self.hub).at_work() as client:
            client.get(name, out)
        content = out.read_bytes()
        out.unlink()
        return content


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
