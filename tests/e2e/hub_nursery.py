"""Publishes, changes keys and gets models in children that it kills: `hub_nursery.py <job> <folder> <kills> <step>`.

A program of its own, started by test_hub_kill.py. With kills 0 each child dies just before another touch of the disk
below the folder, every `step`-th, until one comes to its end; otherwise so many die at random moments, and `step` is
the seed. After each death it looks at what is left, lets the job run to its end, and looks again. It prints one JSON
line for each child. Step 1 tries every touch there is: some minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from badnets.supply.hub import (
    Client,
    KeyRing,
    Trusted,
    init,
    key_id,
    make_keys,
    publish,
    rotate,
    setup_from,
    status,
    trust,
)
from badnets.supply.hub.server import address, server_of

OLD, NEW = b"old" * 1000, b"new" * 1000
# What Python tells of before it does it; fsync is not among it.
TOUCHES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate", "os.link"}
ROLES = ("timestamp", "snapshot", "targets", "root", "admission")


def make(base: Path) -> None:
    """A hub with a model in two versions' sources, keys for all roles twice, and a client that has come by."""
    names = ["root", "targets", "snapshot", "timestamp", "publisher", "auditor"]
    keys = make_keys(base / "keys", names)
    make_keys(base / "keys", [f"{name}-2" for name in (*ROLES[:4], "auditor")])
    (base / "old").write_bytes(OLD)
    (base / "new").write_bytes(NEW)
    (base / "many").mkdir()
    for name in ("a", "b", "c"):
        (base / "many" / name).write_bytes(name.encode() * 1000)
    init(base / "hub", setup_from(keys), ring(base))
    publish(base / "hub", {"model": base / "old", "many": base / "many"}, ring(base))
    trusted = trust(base / "home", (base / "hub" / "metadata" / "1.root.json").read_bytes(), ["http://127.0.0.1:1/"])
    with Client(trusted, base / "hub").at_work() as client:
        client.get("model", base / "brought")


def ring(folder: Path) -> KeyRing:
    return KeyRing.folder(folder / "keys")


def publish_new(folder: Path, _: str) -> None:
    publish(folder / "hub", {"model": folder / "new", "more": folder / "many"}, ring(folder))


def rotate_all(folder: Path, _: str) -> None:
    """Each role gets its second key; what is done already is found done."""
    found = {path.stem: path for path in (folder / "keys").glob("*.pub")}
    keys = make_keys(folder / "keys", list(found))
    for role in ROLES:
        name = "auditor" if role == "admission" else role
        rotate(folder / "hub", role, key_id(keys[name]), keys[f"{name}-2"], ring(folder))


def rotate_lost(folder: Path, _: str) -> None:
    """The timestamp's key is lost: the root must go first."""
    keys = make_keys(folder / "keys", ["timestamp", "timestamp-2"])
    have = ring(folder).without(key_id(keys["timestamp"]))
    rotate(folder / "hub", "timestamp", key_id(keys["timestamp"]), keys["timestamp-2"], have)


def get_both(folder: Path, url: str) -> None:
    with Client(Trusted(folder / "home"), [url]).at_work() as client:
        client.get("model", folder / "brought")
        client.get("more", folder / "brought-folder")


JOBS: dict[str, Callable[[Path, str], None]] = {
    "publish": publish_new, "rotate": rotate_all, "rotate-lost": rotate_lost, "get": get_both,
}  # fmt: skip


def born(job: str, folder: Path, url: str, touch: int) -> int:
    """Start a life of the job, which ends before that touch of the disk (0: never)."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if touch:
                die_before(touch, str(folder))
            JOBS[job](folder, url)
            code = 0
        finally:
            os._exit(code)
    return child


def die_before(touch: int, folder: str) -> None:
    count = 0

    def touched(name: str) -> None:
        nonlocal count
        count += 1
        if count == touch:
            os.kill(os.getpid(), signal.SIGKILL)
        del name

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        if event in TOUCHES and any(str(argument).startswith(folder) for argument in arguments[:2]):
            touched(event)

    sys.addaudithook(heard)
    sync = os.fsync

    def syncing(handle: int) -> None:
        touched("fsync")
        sync(handle)

    setattr(os, "fsync", syncing)  # noqa: B010 - mypy knows that it has another signature


def ended(child: int) -> int:
    """How it went: 0 done, -9 killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def look(folder: Path) -> dict[str, object]:
    """What a new client, and one that has come by before, get from the hub as it is; and the client's own file."""
    seen: dict[str, object] = {}
    shutil.copytree(folder / "home", folder / "look-home", symlinks=True)
    new = trust(folder / "look-new", (folder / "hub" / "metadata" / "1.root.json").read_bytes(), [])
    for name, trusted in (("known", Trusted(folder / "look-home")), ("new", new)):
        try:
            with Client(trusted, folder / "hub").at_work() as client:
                client.get("model", folder / "look")
            seen[name] = (folder / "look").read_bytes()[:3].decode()
        except Exception as error:  # noqa: BLE001 - it is told, and the test judges
            seen[name] = f"{type(error).__name__}: {error}"
        (folder / "look").unlink(missing_ok=True)
        shutil.rmtree(trusted.folder)
    seen["brought"] = (folder / "brought").read_bytes()[:3].decode()
    seen["versions"] = [role.version for role in status(folder / "hub").roles]
    return seen


def live(job: str, base: Path, folder: Path, url: str, touch: int, seconds: float) -> dict[str, object]:
    """One life that is cut short, what is left of it, and a second one to the end."""
    shutil.copytree(base, folder, symlinks=True)
    child = born(job, folder, url, touch)
    if not touch:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    told: dict[str, object] = {"code": ended(child), "left": look(folder)}
    told["second"] = ended(born(job, folder, url, 0))
    told["after"] = look(folder)
    told["stray"] = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if ".incoming-" in path.name or path.name.endswith(".arriving") or path.parent.name == "partial"
        or path.name == ".staged.json" or (path.parent.name == "metadata" and path.name.startswith("tmp"))
    ]  # fmt: skip
    told["folder"] = sorted(path.name for path in (folder / "brought-folder").glob("*"))
    shutil.rmtree(folder)
    return told


def serve(hub: Path) -> tuple[int, str]:
    """A child that serves the hub; its process number and address."""
    server = server_of(hub)
    child = os.fork()
    if child == 0:
        try:
            server.serve_forever()
        finally:
            os._exit(0)
    url = address(server)
    server.server_close()
    return child, url


def main(job: str, folder: Path, kills: int, step: int) -> None:
    base = folder / "base"
    base.mkdir()
    make(base)
    if job == "get":
        publish_new(base, "")
    server, url = serve(base / "hub")
    try:
        if not kills:
            touch, code = step, -9
            while code:
                told = live(job, base, folder / "life", url, touch, 0.0)
                print(json.dumps(told), flush=True)  # noqa: T201
                touch, code = touch + step, int(str(told["code"]))
            return
        shutil.copytree(base, folder / "life", symlinks=True)
        begun = time.monotonic()
        assert ended(born(job, folder / "life", url, 0)) == 0
        long = time.monotonic() - begun
        shutil.rmtree(folder / "life")
        random = Random(step)  # noqa: S311 - moments, not secrets
        for _ in range(kills):
            print(json.dumps(live(job, base, folder / "life", url, 0, random.random() * long)), flush=True)  # noqa: T201
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), int(sys.argv[3]), int(sys.argv[4]))
