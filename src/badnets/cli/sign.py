"""`badnets sign`, `verify` and `keys`: who vouches for a model, and whether it is still what they vouched for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.output import people, print_json, print_table, say

if TYPE_CHECKING:
    from badnets.supply.signing import Verification
    from badnets.supply.signing.verify import Trust

SHOWN = 50

keys = typer.Typer(help="Key pairs for signing models.", no_args_is_help=True)

Model = Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A model: a folder, or a single file.")]
SignatureFile = Annotated[
    Path | None,
    typer.Option("--signature", help="The signature file; else model.sig in the folder, or FILE.sig beside the file."),
]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="File whose first line is the password; else it is asked for.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs on stdout.")]


def sign(
    model: Model,
    key: Annotated[Path, typer.Option("--key", help="The private key (PEM).")],
    signature: SignatureFile = None,
    password_file: PasswordFile = None,
    cert: Annotated[Path | None, typer.Option("--cert", help="The certificate issued for the key (PEM).")] = None,
    chain: Annotated[
        Path | None, typer.Option("--chain", help="Certificates between it and the root (PEM); needs --cert.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", help="Path in the folder to leave out; can be given again.")
    ] = None,
    shard_size: Annotated[
        int | None, typer.Option("--shard-size", min=1, help="Sign pieces of so many bytes instead of whole files.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Sign every file of a model by name and SHA-256 (OpenSSF Model Signing)."""
    from badnets.errors import InputError
    from badnets.supply import signing
    from badnets.supply.signing.statement import decode

    if chain and not cert:
        raise InputError("--chain goes with --cert, the certificate that was issued for the key")
    if not model.exists():
        raise InputError(f"there is no {model}")
    private = signing.read_private_key(key, password_of(key, password_file))
    certificates = signing.read_certificates(cert) if cert else ()
    certificates += signing.read_certificates(chain) if chain else ()
    scope = signing.Scope(ignore=_paths(ignore), shard_size=shard_size)
    place = signature or signing.signature_path(model)
    with HashingBar("signing") as bar:
        bundle = signing.sign(
            model, private, certificates=certificates, scope=scope, signature=place, progress=bar.update
        )
    signing.write_bundle(place, bundle)
    manifest = decode(bundle.payload)
    names = list(manifest.by_file())
    if json:
        print_json({"signature": place, "name": manifest.name, "root_digest": manifest.root_digest, "files": names,
                    "ignored": manifest.ignored})  # fmt: skip
        return
    say(f"{manifest.name}: {len(names):,} file(s) signed" + _left_out(scope.ignore))
    typer.echo(place)


def verify(
    model: Model,
    key: Annotated[Path | None, typer.Option("--key", help="The signer's public key (PEM).")] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Root certificates (PEM) that the signer's must lead to.")
    ] = None,
    signature: SignatureFile = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", help="Path in the folder that need not be signed; can be given again."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The name that was signed; by default a file's own, and any folder's.")
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            "--at",
            help="Judge certificates at this time (UTC) instead of now.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Check a model against its signature: 0 as signed, 1 refused, 2 could not judge."""
    from badnets.supply import signing

    trust = _trust(key, root, at)
    place = signature or signing.signature_path(model)
    expected = signing.Expected(name=name, ignore=_paths(ignore))
    try:
        bundle = signing.read_bundle(place)
    except signing.Refused as refusal:
        found = signing.Verification(refusal=str(refusal))
    else:
        with HashingBar("verifying") as bar:
            found = signing.verify(model, bundle, trust, expected=expected, signature=place, progress=bar.update)
    if json:
        print_json({"ok": found.ok, "signature": place, **vars(found)})
    else:
        _show(model, found)
    if not found.ok:
        raise typer.Exit(1)


@keys.command("new")
def new(
    name: Annotated[Path, typer.Argument(help="Where to: NAME.key is private, NAME.pub is for everybody.")],
    curve: Annotated[str, typer.Option(help="P-256, P-384 or P-521.")] = "P-256",
    password_file: PasswordFile = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="Leave the private key unencrypted.")] = False,
) -> None:
    """Make a key pair for `sign` and `verify`; the private key is encrypted with a password."""
    from badnets.errors import InputError
    from badnets.supply import signing
    from badnets.supply.signing.keys import fingerprint

    if password_file and no_password:
        raise InputError("--password-file and --no-password: give one of them")
    private, public = name.with_name(f"{name.name}.key"), name.with_name(f"{name.name}.pub")
    key = signing.new_key(curve)
    password = None if no_password else new_password(password_file)
    signing.write_pair(key, private, public, password=password)
    say(f"{curve} key {fingerprint(key.public_key())}; keep {private} to yourself")
    typer.echo(private)
    typer.echo(public)


class HashingBar:
    """Shows how far hashing is on a terminal, and nothing elsewhere."""

    def __init__(self, what: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = Progress(*columns, console=people(), disable=not people().is_terminal, transient=True)
        self._task = self._bar.add_task(what, total=None)

    def __enter__(self) -> HashingBar:  # noqa: PYI034 - the test's type checker knows no Self
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """So many bytes of so many."""
        self._bar.update(self._task, completed=done, total=total)


def _trust(key: Path | None, root: Path | None, at: datetime | None) -> Trust:
    from badnets.errors import InputError
    from badnets.supply import signing

    if (key is None) == (root is None):
        raise InputError("give one of --key, the signer's public key, and --root, the certificate of an authority")
    if key:
        if at:
            raise InputError("--at goes with --root: a bare key has no time")
        return signing.read_public_key(key)
    assert root is not None  # noqa: S101 - checked above
    when = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    return signing.Roots(signing.read_certificates(root), when)


def _show(model: Path, found: Verification) -> None:
    if found.refusal:
        say(f"refused: {found.refusal}")
    elif found.mismatches:
        say(f"refused: {len(found.mismatches):,} difference(s) from what {found.signer} signed as {found.name}")
        rows = [[one.name, one.fault, one.detail] for one in found.mismatches[:SHOWN]]
        print_table(str(model), ["file", "fault", "what"], rows)
        if len(found.mismatches) > SHOWN:
            say(f"and {len(found.mismatches) - SHOWN:,} more (--json names all)")
    else:
        say(f"as signed: {found.files:,} file(s), {found.size:,} bytes, {found.name} by {found.signer}")
    if found.ignored:
        say(f"not looked at, as you said: {', '.join(found.ignored)}")
    if found.empty:
        say(f"empty folders, which no signature covers: {', '.join(found.empty)}")


def password_of(key: Path, file: Path | None) -> bytes | None:
    """The password for a private key, asked for only where the key is encrypted."""
    from badnets.artifacts import read_bytes
    from badnets.errors import InputError
    from badnets.supply.signing.keys import is_encrypted

    if file:
        return _first_line(file)
    if not is_encrypted(read_bytes(key)):
        return None
    if not people().is_terminal:
        raise InputError(f"{key} is encrypted: give its password with --password-file")
    return str(typer.prompt(f"Password of {key}", hide_input=True, err=True)).encode()


def new_password(file: Path | None) -> bytes:
    """The password for new private keys, from a file or asked for twice."""
    from badnets.errors import InputError

    if file:
        return _first_line(file)
    if not people().is_terminal:
        raise InputError("a password is needed: give --password-file, or --no-password for an unencrypted key")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)).encode()


def _first_line(file: Path) -> bytes:
    from badnets.artifacts import read_bytes
    from badnets.errors import InputError

    line = read_bytes(file).split(b"\n", 1)[0].removesuffix(b"\r")
    if not line:
        raise InputError(f"{file}: its first line, the password, is empty")
    return line


def _paths(ignore: list[str] | None) -> tuple[str, ...]:
    return tuple(path.rstrip("/") for path in ignore or ())


def _left_out(ignored: tuple[str, ...]) -> str:
    return f"; left out: {', '.join(ignored)}" if ignored else ""
