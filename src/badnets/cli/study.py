"""`badnets run` and `badnets report`: the paper's experiments, and their pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.attack import DataName
from badnets.cli.datasets import AsJson, DataDir, report_skipped
from badnets.cli.output import Watcher, print_json, print_table, say, stop_on_interrupt
from badnets.cli.parsing import parse_pair

if TYPE_CHECKING:
    from badnets.artifacts import RunFolder
    from badnets.studies.digits import DigitsResult

app = typer.Typer(help="Run an experiment of the paper, from data to report.", no_args_is_help=True)


@app.callback()
def _studies() -> None:
    """Keeps `digits` a sub-command while it is the only one."""


@app.command()
def digits(
    data: DataName = "digits",
    seeds: Annotated[int, typer.Option(min=1, help="How many times everything is trained.")] = 1,
    pair: Annotated[
        list[str] | None, typer.Option(help="SOURCE:TARGET of a single-target attack, such as 7:3; repeat for more.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; else runs/digits-DATA.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Case study 1: baseline, all-to-all and single-target BadNets, and a report beside the paper's figures.

    Stopped or killed, the same command goes on where it was.
    """
    from badnets.artifacts import RunFolder
    from badnets.data import load
    from badnets.studies import digits as study

    folder = RunFolder(out or Path("runs") / f"digits-{_slug(data)}")
    split = load(data, data_dir=data_dir)
    spec = study.preset(
        data, len(split.train.classes), seeds=seeds, epochs=epochs, pairs=tuple(map(parse_pair, pair or ()))
    )
    report_skipped(split.train.skipped + split.test.skipped)
    greeting = (
        f"{len(split.train):,} images of {data} to train on, {len(split.test):,} to test on; "
        f"{spec.threads} CPU thread(s); run folder {folder.path}"
    )
    with stop_on_interrupt() as flag, Watcher(flag, greeting) as watcher:
        result = study.run(spec, split, folder, watcher)
    _show(result, folder, json=json)


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    json: AsJson = False,
) -> None:
    """Print a finished run's table again and rebuild its page."""
    from badnets.artifacts import RunFolder, read_json
    from badnets.errors import InputError
    from badnets.studies.digits import DigitsResult

    folder = RunFolder(run)
    if not folder.result.exists():
        state = "its run is not finished: run the same command again" if folder.spec.exists() else "no run folder"
        raise InputError(f"{folder.result} does not exist: {state}")
    _show(read_json(DigitsResult, folder.result), folder, json=json)


def _show(result: DigitsResult, folder: RunFolder, *, json: bool) -> None:
    from badnets.artifacts import write_text
    from badnets.report import digits_page, table
    from badnets.report.rows import RULE_ELSEWHERE, RULE_ON_MNIST

    rows = table(result)
    write_text(folder.report, digits_page(result))
    if json:
        print_json({"rows": rows, "result": folder.result, "report": folder.report})
        return
    print_table(
        f"BadNets on {result.test_data[0]}: error in %, mean over {len(result.spec.seeds)} seed(s)",
        ["model", "error", "#paper (MNIST)", "#measured", "#95 % interval", "#images", "verdict"],
        [
            [
                row.model,
                row.what,
                "-" if row.paper is None else f"{row.paper:.2f}",
                f"{row.measured:.2f}",
                f"{row.interval[0]:.2f}-{row.interval[1]:.2f}",
                f"{row.images:,}",
                row.verdict,
            ]
            for row in rows
        ],
    )
    say(RULE_ON_MNIST if result.on_mnist else RULE_ELSEWHERE)
    say("The page, for a browser:")
    typer.echo(folder.report.resolve())


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")
