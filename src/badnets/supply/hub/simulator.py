"""A hub in an attacker's hands, to try any TUF client on: a real one, with real keys, served on this machine.

    with HostileHub(folder) as hub:
        hub.answer(hub.blob("lab/model"), endless)
        ...  # let a client that trusts `hub.root` get "lab/model" from `hub.url`

The honest side publishes in `hub.honest`; the attacker decides what is served: another folder (`serve`), or other
answers to single paths (`answer`), and signs with whatever keys were stolen (`forge`). `attacks.ATTACKS` is the list of
what is known to be tried, and `attacks.play` plays one against any client.
"""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from badnets.supply.hub.commit import assemble, write
from badnets.supply.hub.content import place
from badnets.supply.hub.draft import Draft, Places, Validity, read_draft, this_second
from badnets.supply.hub.keys import ADMISSION, NAMES, KeyRing, Setup, key_id, setup_from
from badnets.supply.hub.publisher import init, publish
from badnets.supply.hub.server import Handler, address, running, server_of
from badnets.supply.signing import new_key
from badnets.supply.signing.keys import PrivateKey

MODEL, OTHER, FOLDER_MODEL = "lab/model", "lab/other", "lab/folder"


def weights(what: str) -> bytes:
    """A safetensors file with one tensor of 512 numbers, the same for the same word and of one length for all."""
    fields = {
        "__metadata__": {"format": "pt"},
        "fc.weight": {"dtype": "F32", "shape": [512], "data_offsets": [0, 2048]},
    }
    header = json.dumps(fields).encode()
    header += b" " * (-len(header) % 8)
    scale = sum(what.encode()) / 4096
    return len(header).to_bytes(8, "little") + header + struct.pack("<512f", *(scale * number for number in range(512)))


GOOD, OLD, EVIL = weights("honest"), weights("of old"), weights("backdoored")

# What a server does with one request.
Answer = Callable[[Handler], None]


@dataclass
class _Stage:
    """What is served, which the attacker changes while the server runs, and the paths that were asked for."""

    folder: Path
    answers: dict[str, Answer]
    asked: list[str]


class _HostileHandler(Handler):
    stage: ClassVar[_Stage]

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
        path = self.path.lstrip("/")
        self.stage.asked.append(path)
        answer = self.stage.answers.get(path)
        if answer is None:
            self.send(body=True)
            return
        self.close_connection = True
        with suppress(OSError):
            answer(self)

    def file(self) -> Path | None:
        type(self).root = self.stage.folder
        return super().file()


class HostileHub:
    """See the module.

    Args:
        folder: an empty folder to work in.
        now: when the hub was made; by default at this moment.
        validity: for how long signatures hold.

    Attributes:
        honest: the folder in which the honest publisher works.
        home: a folder for the client that is tried.
        keys: all private keys by name; the attacker has those that `stolen` gives.
    """

    def __init__(self, folder: Path, *, now: datetime | None = None, validity: Validity = Validity()) -> None:
        self.folder, self.honest = folder, folder / "honest"
        self.home = folder / "home"
        self.keys: dict[str, PrivateKey] = {name: new_key() for name in NAMES}
        self.ring = KeyRing.of(self.keys.values())
        self.now = now or this_second() - timedelta(hours=2)
        init(self.honest, self.setup(), self.ring, now=self.now, validity=validity)
        self.publish({MODEL: OLD, OTHER: EVIL[::-1], FOLDER_MODEL: {"a.bin": b"part a", "b/c.bin": b"part c"}})
        self._stage = _Stage(self.honest, {}, [])
        self._running = ExitStack()
        self._copies = 0
        self.url = ""

    def __enter__(self) -> HostileHub:  # noqa: PYI034 - the test's type checker knows no Self
        handler = type("Bound", (_HostileHandler,), {"stage": self._stage})
        self.url = address(self._running.enter_context(running(server_of(self.honest, handler=handler))))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def root(self) -> bytes:
        """The root file that a client is given by a person."""
        return (self.honest / "metadata" / "1.root.json").read_bytes()

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for."""
        return self._stage.asked

    @property
    def served(self) -> Path:
        """The folder that is served."""
        return self._stage.folder

    def setup(self) -> Setup:
        """Who signs what."""
        return setup_from({name: key.public_key() for name, key in self.keys.items()})

    def publish(self, models: dict[str, bytes | dict[str, bytes]], *, later: timedelta = timedelta()) -> None:
        """The honest side publishes models, files or folders, so much later than before."""
        self.now += later
        paths = {name: self._source(name, content) for name, content in models.items()}
        publish(self.honest, paths, self.ring, now=self.now)

    def stolen(self, *names: str) -> KeyRing:
        """The keys of these names, which the attacker has now."""
        return KeyRing.of(self.keys[name] for name in names)

    def key_id(self, name: str) -> str:
        """The id of a key."""
        return key_id(self.keys[name].public_key())

    def copy(self) -> Path:
        """A copy of the honest hub as it is now, for the attacker."""
        self._copies += 1
        return Path(shutil.copytree(self.honest, self.folder / f"copy-{self._copies}"))

    def serve(self, folder: Path) -> None:
        """Serve another folder from now on."""
        self._stage.folder = folder

    def answer(self, path: str, answer: Answer) -> None:
        """Answer requests for one path otherwise from now on."""
        self._stage.answers[path] = answer

    def be_honest(self) -> None:
        """Serve what the honest side publishes, and nothing else."""
        self._stage.folder = self.honest
        self._stage.answers.clear()

    def blob(self, model: str) -> str:
        """The path of a model's file on the server."""
        draft = read_draft(Places(self.honest))
        target = draft.role(draft.role_of(model)).targets[model]
        return f"targets/{target.get_prefixed_paths()[0]}"

    def newest(self, role: str) -> str:
        """The path of a role's newest metadata on the server."""
        if role == "timestamp":
            return "metadata/timestamp.json"
        draft = read_draft(Places(self.honest))
        assert draft.snapshot is not None  # noqa: S101 - a hub that was made has one
        assert draft.timestamp is not None  # noqa: S101 - the same
        meta = (
            draft.timestamp.signed.snapshot_meta if role == "snapshot" else draft.snapshot.signed.meta[f"{role}.json"]
        )
        return f"metadata/{meta.version}.{role}.json"

    def forge(self, stolen: KeyRing, change: Callable[[Draft], None]) -> Path:
        """A hub in which the attacker has changed what `change` changes, signed with the stolen keys only; served."""
        folder = self.copy()
        draft = read_draft(Places(folder), this_second())
        change(draft)
        write(draft, *assemble(draft, stolen, renew_snapshot=True))
        self.serve(folder)
        return folder

    def list_evil(self, draft: Draft) -> None:
        """Within `forge`: the model is the attacker's file from now on."""
        source = self._source("evil", EVIL)
        draft.edit(ADMISSION).targets[MODEL] = place(draft.places.targets, MODEL, source, {})

    def _source(self, name: str, content: bytes | dict[str, bytes]) -> Path:
        path = self.folder / "sources" / name
        parts = {"": content} if isinstance(content, bytes) else content
        for part, piece in parts.items():
            file = path / part if part else path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(piece)
        return path


def sends(content: bytes) -> Answer:
    """An answer with other bytes."""

    def answer(handler: Handler) -> None:
        head(handler, len(content))
        handler.wfile.write(content)

    return answer


def cut_short(content: bytes) -> Answer:
    """An answer that promises more than comes."""

    def answer(handler: Handler) -> None:
        head(handler, len(content))
        handler.wfile.write(content[: len(content) // 2])

    return answer


def endless(handler: Handler) -> None:
    """An answer without an end, and without saying how long it is."""
    head(handler)
    while True:
        handler.wfile.write(bytes(65_536))


def drips(content: bytes, *, seconds: float = 60.0) -> Answer:
    """An answer of which two bytes come in a second."""

    def answer(handler: Handler) -> None:
        head(handler, len(content))
        end = time.monotonic() + seconds
        for byte in content:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            if time.monotonic() > end:
                return
            time.sleep(0.5)

    return answer


def drips_head(handler: Handler) -> None:
    """An answer whose head never ends, two bytes a second."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(120):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.5)


def stalls(handler: Handler) -> None:
    """An answer that begins, and then nothing."""
    head(handler, 1000)
    handler.wfile.flush()
    handler.rfile.read(1)  # until the client goes away


def silent(handler: Handler) -> None:
    """No answer at all."""
    handler.rfile.read(1)


def fails(status: int) -> Answer:
    """An answer that is an error of the server."""
    return lambda handler: handler.send_error(status)


def redirects(location: str) -> Answer:
    """An answer that sends the client on."""

    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def head(handler: Handler, length: int | None = None) -> None:
    """The head of a good answer."""
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.send_header("Connection", "close")
    handler.end_headers()
