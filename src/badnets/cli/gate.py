"""`badnets gate`: one decision about one model; `badnets waive`: a person's signed word that a rule need not hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.gate_telling import tell
from badnets.cli.hub_client import SECONDS, SPEED, Hub, MaxSeconds, MinSpeed, Repo, State
from badnets.cli.output import say
from badnets.cli.sign import AsJson, PasswordFile, password_of

if TYPE_CHECKING:
    from badnets.supply.gate.intake import Bring
    from badnets.supply.gate.policy import Policy
    from badnets.supply.signing.keys import PrivateKey

USAGE = 64
CODES = {"admit": 0, "refuse": 1, "undecided": 2, "review": 3}

PolicyOption = Annotated[Path, typer.Option("--policy", help="The policy, a TOML file.")]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Where decisions and admitted models are kept; else BADNETS_STORE, or yours."),
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", envvar="BADNETS_GATE_KEY", help="The gate's private key (PEM).")
]
Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for another gate at this store.")]


def gate(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A file, a folder, a hub's model, or hf:ORG/NAME@COMMIT.")
    ],
    policy: PolicyOption,
    key: KeyOption = None,
    password_file: PasswordFile = None,
    store: StoreOption = None,
    audit: Annotated[
        list[Path] | None, typer.Option("--audit", help="The verdict of an audit of these weights; can be given again.")
    ] = None,
    audit_data: Annotated[
        str | None, typer.Option(help="Have the audit run here with these clean images, where --audit gives none.")
    ] = None,
    audit_arch: Annotated[str | None, typer.Option(help="Architecture for that audit, as for `badnets audit`.")] = None,
    audit_population: Annotated[
        Path | None,
        typer.Option(help="Folder of `badnets population` for that audit; without it: uncalibrated."),
    ] = None,
    audit_seconds: Annotated[
        float, typer.Option(min=0, help="Seconds after which that audit begins no further test.")
    ] = 3600.0,
    waiver: Annotated[
        list[Path] | None, typer.Option("--waiver", help="A waiver that counts under the policy; can be given again.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option("--signature", help="Else model.sig in the folder, or FILE.sig beside the file.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what every rule made of which evidence.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide without a verdict; nothing is logged or admitted.")
    ] = False,
    pin: Annotated[
        Path | None, typer.Option(help="Write what a hub signs along with the model: for hub publish --custom.")
    ] = None,
    hub: Hub = None,
    repo: Repo = None,
    state: State = None,
    max_seconds: MaxSeconds = SECONDS,
    min_speed: MinSpeed = SPEED,
    wait: Wait = 60.0,
    json: AsJson = False,
) -> None:
    """Decide whether a model may come in, and print where it is when it may.

    Exits with 0 admitted, 1 refused, 2 undecided (so not admitted), 3 a person must look at it, 64 wrong use.
    """
    from badnets.cli.gate_audit import AuditOrder
    from badnets.cli.gate_evidence import read_audits, read_waivers
    from badnets.cli.gate_sources import bring_from
    from badnets.errors import InputError
    from badnets.supply.gate.examine import Extras
    from badnets.supply.gate.gate import Keeper
    from badnets.supply.gate.gate import gate as decide
    from badnets.supply.gate.policy import read_policy
    from badnets.supply.gate.store import Store, default_store

    with _usage(), ExitStack() as held:
        terms = read_policy(policy)
        if key is None and not dry_run:
            raise InputError("a verdict is signed: give --key or BADNETS_GATE_KEY, or --dry-run to decide without one")
        private = None if dry_run or key is None else _signer(key, password_file, terms)
        extras = Extras(
            _signature(source, signature),
            read_audits(audit or (), terms),
            read_waivers(waiver or (), terms),
            AuditOrder(audit_data, audit_arch, audit_population, audit_seconds) if audit_data else None,
        )
        place = Store(store or default_store())
        bring: Bring = bring_from(source, hub, repo, state, (max_seconds, min_speed), held)
        decision = decide(bring, Keeper(terms, place, private, wait), extras=extras)
        tell(decision, explain=explain, pin=pin, json=json)
    raise typer.Exit(CODES[decision.word])


def waive(
    model: Annotated[str, typer.Argument(help="Digest of the model, which `gate --explain` shows.")],
    rule: Annotated[str, typer.Option(help="Name of the rule, such as audit or review.")],
    reason: Annotated[str, typer.Option(help="Why it need not hold for this model.")],
    key: Annotated[Path, typer.Option("--key", help="Your private key (PEM), which the policy must know.")],
    out: Annotated[Path, typer.Option(help="The waiver to write; replaced if there.")],
    days: Annotated[float, typer.Option(min=0.01, help="That it holds.")] = 7.0,
    password_file: PasswordFile = None,
) -> None:
    """Sign that one rule of a policy need not hold for one model, for some days; it says whose waivers count."""
    from datetime import UTC, datetime, timedelta

    from badnets.artifacts import write_text
    from badnets.supply.gate.envelope import render
    from badnets.supply.gate.waiver import Waiver, seal_waiver
    from badnets.supply.signing import read_private_key

    now = datetime.now(UTC).replace(microsecond=0)
    made = Waiver(model, rule, reason, now, now + timedelta(days=days))
    private = read_private_key(key, password_of(key, password_file))
    write_text(out, render(seal_waiver(made, private)) + "\n")
    say(f"{rule} is waived for {model[:16]}... until {made.expires:%Y-%m-%d %H:%M} UTC, where a policy lets you")
    typer.echo(out)


@contextmanager
def _usage() -> Iterator[None]:
    """What was asked wrongly ends with 64, what was refused before a decision with 1; other errors end with 2."""
    from badnets.errors import InputError
    from badnets.supply.hub import Refused

    try:
        yield
    except InputError as error:
        say(f"badnets: {error}")
        raise typer.Exit(USAGE) from error
    except Refused as refusal:
        if not refusal.judged:
            raise
        say(f"badnets: refused: {refusal}")
        raise typer.Exit(CODES["refuse"]) from refusal


def _signer(key: Path, password_file: Path | None, policy: Policy) -> PrivateKey:
    from badnets.errors import InputError
    from badnets.supply.signing import read_private_key
    from badnets.supply.signing.keys import fingerprint

    private = read_private_key(key, password_of(key, password_file))
    known = {fingerprint(one) for one in policy.keys(policy.terms.verdict.signers).values()}
    if fingerprint(private.public_key()) not in known:
        raise InputError(
            f"{key} is none of the signers under [verdict] in {policy.name}: nobody who goes by it would believe you"
        )
    return private


def _signature(source: str, named: Path | None) -> Path | None:
    beside = Path(f"{source}.sig")
    return named or (beside if Path(source).is_file() and beside.is_file() else None)
