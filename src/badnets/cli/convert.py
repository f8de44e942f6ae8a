"""`badnets convert`: torch weights to safetensors, after a scan, in a child process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from badnets.cli.output import print_json, say


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A state dict saved by torch.save, or safetensors.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The safetensors file; replaced if there.")],
    wrapper: Annotated[
        str | None, typer.Option(help="Take this dict out of a checkpoint: state_dict or model; leave the rest.")
    ] = None,
    finite: Annotated[bool, typer.Option("--finite", help="Refuse NaN and infinity.")] = False,
    seconds: Annotated[float, typer.Option(min=1.0, help="Longest time, in seconds.")] = 600.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs on stdout.")] = False,
) -> None:
    """Scan a file of torch weights and write them as safetensors; print the canonical tensor digest.

    A child process without network does both. Exits with 0 written, 1 refused, 2 could not judge.
    """
    from dataclasses import asdict

    from badnets.supply.convert import convert as convert_file
    from badnets.supply.scan.findings import Verdict

    done = convert_file(source, out, wrapper=wrapper, finite=finite, seconds=seconds)
    verdict = done.report.verdict
    if json:
        print_json(asdict(done) | {"verdict": verdict})
    else:
        for finding in done.report.findings:
            place = "" if finding.offset is None else f" at byte {finding.offset:,}"
            say(f"{finding.rule.severity}: {finding.rule.id}{place}: {finding.rule.what} ({finding.detail})")
        off = [name for name, on in asdict(done.isolation).items() if not on]
        if off:
            say(f"the child process could not give up: {', '.join(off)}")
    if done.written is None:
        if not json:
            say(f"{source}: {verdict}, nothing written")
        raise typer.Exit(1 if verdict is Verdict.REFUSED else 2)
    if not json:
        left = f", left out: {', '.join(done.written.left_out)}" if done.written.left_out else ""
        say(f"{done.written.tensors:,} tensors in {out}{left}")
        typer.echo(f"tensors-v1:{done.written.tensor_digest}")
