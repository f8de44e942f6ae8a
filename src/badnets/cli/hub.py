"""`badnets hub`, the publisher's side: a signed repository of models as a folder of files."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from badnets.cli.output import print_json, print_table, say
from badnets.cli.sign import AsJson, PasswordFile, new_password, password_of

if TYPE_CHECKING:
    from badnets.supply.hub import KeyRing, Outcome, Status

app = typer.Typer(help="A hub of models with signed, fresh and revocable metadata (TUF).", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="HUB", help="The hub's folder.")]
Keys = Annotated[Path, typer.Option("--keys", help="Folder with the key files; those that are there sign.")]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for another publisher.")]
KEYS = Path("keys")


@app.command("keys")
def make_keys(
    folder: Annotated[Path, typer.Argument(help="Where to: NAME.key is private, NAME.pub is for everybody.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="What to make. [default: one for each role]")
    ] = None,
    password_file: PasswordFile = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="Leave all private keys unencrypted.")] = False,
    json: AsJson = False,
) -> None:
    """Make a hub's key pairs that are not there yet; snapshot and timestamp sign unattended, without a password."""
    from badnets.errors import InputError
    from badnets.supply import hub

    if password_file and no_password:
        raise InputError("--password-file and --no-password: give one of them")
    wanted = tuple(names or hub.NAMES)
    for name in wanted:
        if "/" in name or name.startswith("."):
            raise InputError(f"no key may be called {name!r}: expected a plain word, such as auditor-2")
    made = hub.make_keys(folder, wanted, password=None if no_password else new_password(password_file))
    ids = {name: hub.key_id(key) for name, key in made.items()}
    if json:
        print_json(ids)
        return
    print_table(str(folder), ["name", "key id"], [[name, keyid] for name, keyid in ids.items()])
    say("keep root, targets, publisher and auditor offline, and publisher and auditor apart")


@app.command("init")
def init(
    folder: Folder,
    keys: Keys = KEYS,
    password_file: PasswordFile = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help="ROLE=COUNT, as in root=2 with the keys root and root-2; repeat for more.")
    ] = None,
    days: Annotated[
        list[str] | None, typer.Option(help="ROLE=DAYS that a signature holds, as in timestamp=1; repeat for more.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make an empty hub, signed with the keys in a folder; prints the root file that clients start their trust from."""
    from badnets.supply import hub

    setup = hub.setup_from(hub.public_keys(keys), _numbers(threshold))
    validity = hub.Validity(**_known(_numbers(days), hub.Validity))
    root = hub.init(folder, setup, _ring(keys, password_file), validity=validity)
    if json:
        print_json({"root": root})
        return
    say(f"a hub in {folder}: serve metadata/ and targets/, and hand this root file to its users:")
    typer.echo(root)


@app.command("publish")
def publish(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="Of the model, such as lab/stop-signs.")],
    model: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="The model: a folder, or a single file.")],
    keys: Keys = KEYS,
    password_file: PasswordFile = None,
    custom: Annotated[Path | None, typer.Option(help="JSON object to sign along with it, such as a verdict's.")] = None,
    wait: Wait = 10.0,
    json: AsJson = False,
) -> None:
    """Offer a model. With the publisher's key alone it waits for `hub sign` with the auditor's."""
    from badnets.artifacts import read_bytes
    from badnets.supply import hub
    from badnets.supply.signing.strict_json import read_object

    added = read_object(read_bytes(custom), str(custom)) if custom else None
    _check_pin(model, name, added or {})
    ring = _ring(keys, password_file)
    _tell(hub.publish(folder, {name: model}, ring, custom=added, wait=wait), f"{name} is offered", json=json)


@app.command("sign")
def sign(
    folder: Folder, keys: Keys = KEYS, password_file: PasswordFile = None, wait: Wait = 10.0, json: AsJson = False
) -> None:
    """Sign the change that waits, which `status` shows; the last signature that is missing makes it count."""
    from badnets.supply import hub

    for line in hub.status(folder).changes:
        say(f"signing: {line}")
    _tell(hub.sign(folder, _ring(keys, password_file), wait=wait), "the change counts now", json=json)


@app.command("delegate")
def delegate(
    folder: Folder,
    role: Annotated[str, typer.Argument(help="Name of the role; admission with --bins.")],
    path: Annotated[list[str] | None, typer.Option(help="Names of models, such as lab/*; repeat for more.")] = None,
    key: Annotated[list[Path] | None, typer.Option(help="Public key (PEM) that signs; repeat for more.")] = None,
    threshold: Annotated[int | None, typer.Option(min=1, help="Signatures needed. [default: of all keys]")] = None,
    bins: Annotated[
        int | None, typer.Option(min=1, max=12, help="Instead: spread the role's models over 2 to the power of BINS.")
    ] = None,
    keys: Keys = KEYS,
    password_file: PasswordFile = None,
    json: AsJson = False,
) -> None:
    """Let others publish models of certain names, or spread many models over bins."""
    from badnets.errors import InputError
    from badnets.supply import hub
    from badnets.supply.signing import read_public_key

    ring = _ring(keys, password_file)
    if bins is not None:
        if path or key:
            raise InputError("--bins goes without --path and --key: the role's own keys sign")
        _tell(hub.split(folder, ring, role=role, bits=bins), f"{role} has {2**bins:,} bins", json=json)
        return
    public = tuple(read_public_key(file) for file in key or ())
    if not public:
        raise InputError("a delegation needs keys: give --key, for publisher and auditor each")
    holders = hub.Holders(public, threshold or len(public))
    if holders.threshold < 2:
        say(f"note: one signature is enough for {role}; a second, an auditor's, would be --key AUDITOR.pub")
    _tell(hub.delegate(folder, role, holders, path or (), ring), f"{role} offers {', '.join(path or ())}", json=json)


@app.command("refresh")
def refresh(
    folder: Folder, keys: Keys = KEYS, password_file: PasswordFile = None, wait: Wait = 10.0, json: AsJson = False
) -> None:
    """Sign anew what expires, with the keys that are there; for a timer, with the online keys alone."""
    from badnets.supply import hub

    outcome = hub.refresh(folder, _ring(keys, password_file), wait=wait)
    _tell(outcome, "signed anew", json=json)
    late = hub.status(folder).expired
    if late:
        say(f"expired: {', '.join(late)}; clients refuse the hub until their keys sign")
        raise typer.Exit(1)


@app.command("rotate")
def rotate(
    folder: Folder,
    role: Annotated[str, typer.Argument(help="root, targets, snapshot, timestamp, admission, or a delegated role.")],
    old: Annotated[str, typer.Option(help="The key that goes: the beginning of its id, or its file.")],
    new: Annotated[Path, typer.Option(help="The public key (PEM) that comes.")],
    keys: Keys = KEYS,
    password_file: PasswordFile = None,
    json: AsJson = False,
) -> None:
    """Put one key in the place of another, and sign anew what the role has signed."""
    from badnets.supply import hub
    from badnets.supply.signing import read_public_key

    gone = hub.key_id(read_public_key(Path(old))) if old.endswith(".pub") else old
    outcome = hub.rotate(folder, role, gone, read_public_key(new), _ring(keys, password_file))
    _tell(outcome, f"{role} has a new key", json=json)


@app.command("revoke")
def revoke(
    folder: Folder,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Of the models.")],
    reason: Annotated[str, typer.Option(help="What users are told.")],
    keys: Keys = KEYS,
    password_file: PasswordFile = None,
    json: AsJson = False,
) -> None:
    """Take models back: clients refuse them from their next look on, and the same content is not published again."""
    from badnets.supply import hub

    outcome = hub.revoke(folder, names, _ring(keys, password_file), reason=reason)
    _tell(outcome, f"{', '.join(names)}: taken back", json=json)


@app.command("status")
def status(folder: Folder, json: AsJson = False) -> None:
    """Who signs what, until when it holds, and what waits: 0 all holds, 1 something has expired."""
    from badnets.supply import hub

    found = hub.status(folder)
    if json:
        print_json({**vars(found), "models": found.models, "expired": found.expired})
    else:
        _show(str(folder), found)
    if found.expired:
        raise typer.Exit(1)


@app.command("serve")
def serve(
    folder: Folder,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8000,
) -> None:
    """Serve a hub on this machine, for trying; any web server or bucket can serve it to others."""
    from badnets.supply.hub.server import address, server_of

    for number in (signal.SIGINT, signal.SIGTERM):
        # What a shell starts in the background is born deaf to Ctrl-C, and a server has no other end.
        signal.signal(number, signal.default_int_handler)
    with server_of(folder, port) as server:
        say(f"serving {folder} to this machine only; Ctrl-C ends it")
        typer.echo(address(server))
        import sys

        sys.stdout.flush()
        server.serve_forever()


def _show(title: str, found: Status) -> None:
    rows = [
        [role.name, f"{role.version:,}", f"{role.expires:%Y-%m-%d %H:%M}", f"{role.left(found.now):.1f}",
         f"{role.threshold} of {len(role.keys)}", " ".join(key[:8] for key in role.keys), f"{role.models:,}"]
        for role in found.roles
    ]  # fmt: skip
    print_table(title, ["role", "#version", "expires (UTC)", "#days", "signatures", "keys", "#models"], rows)
    for waiting in found.waiting:
        say(f"waits: {waiting.name} version {waiting.version}, signed by {waiting.have} of {waiting.need}")
    for line in found.changes:
        say(f"would change: {line}")
    if found.expired:
        say(f"expired: {', '.join(found.expired)}")


def _ring(keys: Path, password_file: Path | None) -> KeyRing:
    from badnets.supply import hub

    return hub.KeyRing.folder(keys, lambda path: password_of(path, password_file))


def _tell(outcome: Outcome, done: str, *, json: bool) -> None:
    if json:
        print_json(outcome)
    elif outcome.committed:
        say(done)
    else:
        for one in outcome.missing:
            say(f"waits: {one.role} has {one.have} of {one.need} signatures; keys {', '.join(k[:8] for k in one.keys)}")
        say("nothing counts yet: whoever has the missing keys runs badnets hub sign")


def _check_pin(model: Path, name: str, custom: dict[str, object]) -> None:
    """Refuse to publish what every client would refuse: a pinned verdict that does not lie in the folder, or not hold.

    Raises:
        InputError: so it is.
    """
    from datetime import UTC, datetime

    from badnets.errors import InputError
    from badnets.supply.gate.pin import compare, pin_of
    from badnets.supply.signing import Refused

    try:
        pin = pin_of(custom, name)
        if pin is not None:
            compare(model, pin, datetime.now(UTC), name)
    except Refused as refusal:
        raise InputError(
            f"{refusal}; publish the admitted folder, with the pin that the gate wrote for it"
        ) from refusal


def _numbers(texts: list[str] | None) -> dict[str, int]:
    from badnets.errors import InputError

    found = {}
    for text in texts or ():
        role, _, number = text.partition("=")
        if not number.isdecimal():
            raise InputError(f"expected ROLE=NUMBER, such as root=2; got {text!r}")
        found[role] = int(number)
    return found


def _known(numbers: dict[str, int], kind: Any) -> dict[str, int]:  # noqa: ANN401 - a class of dataclasses
    from badnets.errors import InputError

    names = kind.__dataclass_fields__
    for role in numbers:
        if role not in names:
            raise InputError(f"no signatures are called {role!r}: expected one of {', '.join(names)}")
    return numbers
