"""`badnets admitted`: what the gate let in; `badnets log`: what it decided, and whether that record is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.gate import KeyOption, PolicyOption, StoreOption, Wait
from badnets.cli.output import print_json, print_table, say
from badnets.cli.sign import AsJson, PasswordFile, password_of

if TYPE_CHECKING:
    from badnets.supply.gate.log import Entry
    from badnets.supply.gate.store import Store

admitted = typer.Typer(help="Models that the gate let in: list, check and take back.", no_args_is_help=True)
log = typer.Typer(help="The gate's log of decisions.", no_args_is_help=True)


@admitted.command("list")
def list_admitted(store: StoreOption = None, json: AsJson = False) -> None:
    """The models in the store, with what the log says of each."""
    from badnets.supply.gate.log import sound

    place = _store(store)
    last = {entry.admitted: entry for entry in sound(place.log).entries if entry.admitted}
    here = [entry for name, entry in last.items() if (place.admitted / name).is_dir()]
    if json:
        print_json(here)
        return
    rows = [[one.admitted, one.source, f"{one.time:%Y-%m-%d %H:%M}", "UNSAFE" if one.unsafe else ""] for one in here]
    print_table(str(place.admitted), ["entry", "source", "admitted (UTC)", "mark"], rows)


@admitted.command("check")
def check(
    path: Annotated[Path, typer.Argument(help="Folder of an admitted model, in a store or copied from one.")],
    policy: PolicyOption,
    json: AsJson = False,
) -> None:
    """Whether every file is as it was admitted, under this policy, and the verdict still holds: 0 yes, 1 no."""
    from badnets.supply.gate.admitted import NotAdmitted, check_entry
    from badnets.supply.gate.policy import read_policy

    try:
        verdict = check_entry(path, read_policy(policy))
    except NotAdmitted as refusal:
        say(f"badnets: not admitted: {refusal}")
        raise typer.Exit(1) from refusal
    if json:
        print_json({name: value for name, value in vars(verdict).items() if name != "predicate"})
        return
    mark = " UNSAFE: nothing was asked of it." if verdict.unsafe else ""
    until = f"{verdict.expires:%Y-%m-%d %H:%M} UTC"
    say(f"admitted: {len(verdict.admitted)} file(s), by {verdict.signer}, until {until}.{mark}")


@admitted.command("revoke")
def revoke(
    entry: Annotated[str, typer.Argument(help="Name of the model in the store, as `admitted list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why, in one line.")],
    key: KeyOption = None,
    password_file: PasswordFile = None,
    store: StoreOption = None,
    wait: Wait = 60.0,
) -> None:
    """Take a model back: it leaves the store, and these files and tensors are not admitted again."""
    from badnets.errors import InputError
    from badnets.supply.gate.gate import revoke as take_back
    from badnets.supply.signing import read_private_key

    if key is None:
        raise InputError("a revocation is signed: give --key or BADNETS_GATE_KEY")
    private = read_private_key(key, password_of(key, password_file))
    line = take_back(Path(entry).name, reason, _store(store), private, wait=wait)
    say(f"taken back in entry {line.number} of the log; copies elsewhere hold until their verdicts expire")


@log.command("verify")
def verify(
    store: StoreOption = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Check the statements' signatures by the signers of this policy.")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Digest of the newest line when it was last looked at, kept elsewhere.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Whether the log is whole and fits the signed statements beside it: 0 yes, 1 no. Prints its head."""
    from badnets.supply.gate.log import check as check_log
    from badnets.supply.gate.log import read_log
    from badnets.supply.gate.store import anchors
    from badnets.supply.signing import Refused

    place = _store(store)
    history = read_log(place.log)
    try:
        faults = check_log(history, anchors(place), head) + _unsigned(place, policy)
    except Refused as refusal:
        faults = (*history.faults, str(refusal))
    if json:
        print_json({"ok": not faults, "entries": len(history.entries), "head": history.head, "torn": history.torn,
                    "faults": faults})  # fmt: skip
    else:
        for fault in faults:
            say(f"fault: {fault}")
        if history.torn:
            say(f"note: {history.torn} bytes of a line that was cut off; the next decision removes them")
        if not faults:
            anchored = "" if head else "; keep this head elsewhere: without one, nothing shows that the end was cut off"
            say(f"{len(history.entries):,} entries, whole{anchored}")
        typer.echo(history.head)
    if faults:
        raise typer.Exit(1)


@log.command("show")
def show(store: StoreOption = None, json: AsJson = False) -> None:
    """The decisions, oldest first."""
    from badnets.supply.gate.log import sound

    entries = sound(_store(store).log).entries
    if json:
        print_json(entries)
        return
    rows = [_row(one) for one in entries]
    print_table("Decisions", ["#", "time (UTC)", "word", "source", "reason"], rows)


def _row(entry: Entry) -> list[str]:
    word = f"{entry.word} UNSAFE" if entry.unsafe else entry.word
    return [str(entry.number), f"{entry.time:%Y-%m-%d %H:%M}", word, entry.source, entry.reason]


def _store(named: Path | None) -> Store:
    from badnets.supply.gate.store import Store, default_store

    return Store(named or default_store())


def _unsigned(store: Store, policy: Path | None) -> tuple[str, ...]:
    """The statements of the store that no signer of the policy signed."""
    if policy is None:
        return ()
    from badnets.supply.gate.envelope import opened
    from badnets.supply.gate.policy import read_policy
    from badnets.supply.gate.verdict import VERDICT, read_lines
    from badnets.supply.signing import Refused

    terms = read_policy(policy)
    keys = terms.keys(terms.terms.verdict.signers)
    faults = []
    for path in sorted(store.evidence.glob(f"*/{VERDICT}")):
        try:
            for envelope in read_lines(path.read_bytes(), str(path)):
                opened(envelope, keys, str(path))
        except Refused as refusal:
            faults.append(str(refusal))
    return tuple(faults)
