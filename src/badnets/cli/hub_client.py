"""`badnets hub`, the users' side: trust a hub once, and get models from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.output import print_json, say
from badnets.cli.sign import AsJson, HashingBar

if TYPE_CHECKING:
    from datetime import timedelta

    from badnets.supply.hub import Client, Freshness, Got, Trusted

Hub = Annotated[str | None, typer.Option("--hub", help="Name of the trusted hub; needed where there are several.")]
State = Annotated[
    Path | None, typer.Option("--state", help="Folder of trusted hubs; else BADNETS_HUBS names it, or it is yours.")
]
Repo = Annotated[
    str | None, typer.Option("--repo", help="Address, folder or bundle to read instead of the hub's mirrors.")
]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Of models.")]
MaxSeconds = Annotated[float, typer.Option(min=0.1, help="Most seconds for one file.")]
MinSpeed = Annotated[float, typer.Option(min=0, help="Bytes a second that must come, over 10 seconds.")]
SECONDS, SPEED = 3600.0, 1000.0


def trust(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The root file, from somebody you trust.")],
    repo: Annotated[
        list[str] | None,
        typer.Option("--repo", help="Address of the hub; repeat for mirrors, the first is asked first."),
    ] = None,
    name: Annotated[str, typer.Option("--hub", help="Name for it.")] = "default",
    state: State = None,
    json: AsJson = False,
) -> None:
    """Trust a hub from now on, by its root file; nothing of this trust ever comes from the network."""
    from badnets.artifacts import read_bytes
    from badnets.supply import hub
    from badnets.supply.hub.trust import check_root

    with _judged():
        content = read_bytes(root)
        trusted = hub.trust(_folder(state) / _plain(name), content, repo or ())
        found = check_root(content)
    held = {role: f"{one.threshold} of {len(one.keyids)}" for role, one in found.roles.items()}
    if json:
        print_json({"folder": trusted.folder, "mirrors": trusted.mirrors(), "version": found.version, "roles": held})
        return
    say(f"trusted as {name!r}: root version {found.version}, signed by {held['root']} keys")
    if found.expires.timestamp() < _now():
        say("this root has expired: the hub's newer roots must lead on from it")
    typer.echo(trusted.folder)


def get(
    name: Annotated[str, typer.Argument(help="Of the model.")],
    out: Annotated[Path | None, typer.Option(help="Where to; else the last part of the name, here.")] = None,
    pin: Annotated[
        Path | None, typer.Option(help="Write the pin of its verdict to this file, for `load_admitted`.")
    ] = None,
    name_of_hub: Hub = None,
    repo: Repo = None,
    state: State = None,
    max_seconds: MaxSeconds = SECONDS,
    min_speed: MinSpeed = SPEED,
    json: AsJson = False,
) -> None:
    """Bring a model: 0 here and as signed, 1 refused, 2 could not be had. Broken off, the same command goes on."""
    trusted = trusted_hub(state, name_of_hub, repo)
    with _judged(), client_at_work(trusted, repo, max_seconds, min_speed) as client:
        got = client.get(name, out or Path(name.rpartition("/")[2]))
    if pin is not None:
        _write_pin(got, pin)
    if json:
        print_json(_plain_got(got))
        return
    origin = got.found.origin
    there = "is there already, " if got.already_there else ""
    say(
        f"{name}: {there}{len(got.files):,} file(s) as signed, role {origin.role} ({origin.threshold} of {origin.keys})"
    )
    _say_fresh(got.found.freshness)
    typer.echo(got.path)


def export(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Of models.")],
    out: Annotated[Path, typer.Option(help="The bundle to write, a zip file.")],
    name_of_hub: Hub = None,
    repo: Repo = None,
    state: State = None,
    max_seconds: MaxSeconds = SECONDS,
    min_speed: MinSpeed = SPEED,
    json: AsJson = False,
) -> None:
    """Write models and their metadata to one file, to carry to a machine without a network."""
    from badnets.supply import hub

    trusted = trusted_hub(state, name_of_hub, repo)
    with _judged(), client_at_work(trusted, repo, max_seconds, min_speed) as client:
        fresh = hub.export(client, trusted, names, out)
    if json:
        print_json({"bundle": out, "models": names, "freshness": _plain_fresh(fresh)})
        return
    _say_fresh(fresh)
    typer.echo(out)


def bring(
    bundle: Annotated[Path, typer.Argument(help="A bundle that `hub export` wrote.")],
    names: Names = None,
    out: Annotated[Path, typer.Option(help="Folder for the models, each under its name.")] = Path("models"),
    name_of_hub: Hub = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Bring the models of a bundle, checked as from a server; says how old it is, and refuses it once expired."""
    from badnets.errors import InputError
    from badnets.supply import hub

    if not bundle.is_file():
        raise InputError(f"there is no bundle {bundle}")
    trusted = trusted_hub(state, name_of_hub, None)
    with _judged(), client_at_work(trusted, str(bundle), SECONDS, SPEED) as client:
        brought = hub.bring_all(client, names or (), out)
    if json:
        print_json([_plain_got(got) for got in brought])
        return
    _say_fresh(brought[0].found.freshness)
    for got in brought:
        typer.echo(got.path)


@contextmanager
def client_at_work(trusted: Trusted, repo: str | None, max_seconds: float, min_speed: float) -> Iterator[Client]:
    """A client of a trusted hub, with a bar on a terminal."""
    from badnets.supply import hub
    from badnets.supply.transport import Pace

    source: Path | list[str] | None = None
    if repo is not None:
        source = [repo] if "://" in repo else Path(repo)
    with HashingBar("getting") as bar:
        pace = Pace(max_seconds, min_speed, min(10.0, max_seconds))
        with hub.Client(trusted, source, pace=pace, progress=bar.update).at_work() as client:
            yield client


@contextmanager
def _judged() -> Iterator[None]:
    """What was looked at and is wrong ends with 1; what could not be looked at is an error, which ends with 2."""
    from badnets.supply.hub import Refused

    try:
        yield
    except Refused as refusal:
        if not refusal.judged:
            raise
        say(f"badnets: refused: {refusal}")
        raise typer.Exit(1) from refusal


def _folder(state: Path | None) -> Path:
    from badnets.supply.hub import default_folder

    return state or default_folder()


def known_hubs(state: Path | None) -> list[str]:
    """The names of the hubs that are trusted."""
    return sorted(path.parent.name for path in _folder(state).glob("*/root.json"))


def trusted_hub(state: Path | None, name: str | None, repo: str | None) -> Trusted:
    """The hub of that name, or that has this mirror, or the only one."""
    from badnets.errors import InputError
    from badnets.supply.hub import Trusted

    folder = _folder(state)
    known = known_hubs(state)
    if name is None and repo is not None and "://" in repo:
        having = [one for one in known if repo.rstrip("/") + "/" in Trusted(folder / one).mirrors()]
        name = having[0] if len(having) == 1 else None
    if name is None:
        if len(known) != 1:
            say(f"trusted hubs in {folder}: {', '.join(known) or 'none'}")
            todo = "name one with --hub" if known else "give a root file to badnets hub trust"
            raise InputError(f"{len(known)} hubs are trusted: {todo}")
        name = known[0]
    return Trusted(folder / _plain(name))


def _write_pin(got: Got, file: Path) -> None:
    from badnets.artifacts import write_json
    from badnets.errors import InputError
    from badnets.supply.gate.pin import CUSTOM

    if CUSTOM not in got.found.custom:
        raise InputError(f"no verdict is pinned on {got.found.name}: it is at {got.path}, and there is no pin to write")
    write_json(file, {CUSTOM: got.found.custom[CUSTOM]})


def _plain(name: str) -> str:
    from badnets.errors import InputError

    if not name.replace("-", "").replace("_", "").isalnum() or len(name) > 60:
        raise InputError(f"no hub may be called {name[:60]!r}: expected letters, digits, - and _")
    return name


def _plain_got(got: Got) -> dict[str, object]:
    found = got.found
    return {
        "name": found.name, "path": got.path, "files": got.files, "sha256": found.sha256, "custom": found.custom,
        "already_there": got.already_there, "origin": found.origin, "freshness": _plain_fresh(found.freshness),
    }  # fmt: skip


def _plain_fresh(fresh: Freshness) -> dict[str, object]:
    return {**vars(fresh), "age_seconds": fresh.age.total_seconds() if fresh.age else None}


def _say_fresh(fresh: Freshness) -> None:
    for fault in fresh.faults:
        say(f"note: {fault}")
    until = f"holds until {fresh.expires:%Y-%m-%d %H:%M} UTC"
    if fresh.age is None:
        say(f"the hub does not say when it was signed; it {until}")
    else:
        say(f"the hub's newest signature is {_words(fresh.age)} old and {until}: news since then would not be seen")


def _words(age: timedelta) -> str:
    seconds = max(age.total_seconds(), 0)
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{int(seconds)} seconds"


def _now() -> float:
    import time

    return time.time()
