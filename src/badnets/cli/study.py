"""`badnets run`, `report` and `table`: the paper's experiments, their pages, and their figures in other formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from badnets.cli.attack import DataName
from badnets.cli.datasets import AsJson, DataDir, report_odd
from badnets.cli.output import print_json, print_table, say
from badnets.cli.parsing import parse_numbers, parse_pair
from badnets.errors import InputError

if TYPE_CHECKING:
    from badnets.artifacts import RunFolder
    from badnets.data import SceneSplit, Split
    from badnets.report.studies import AnyResult
    from badnets.studies.matrix import TriggerName
    from badnets.studies.runner import Observer, Place

Spec = TypeVar("Spec")

app = typer.Typer(help="Run an experiment of the paper, from data to report.", no_args_is_help=True)

Out = Annotated[Path | None, typer.Option(help="Run folder; else runs/STUDY-DATA.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many times everything is trained.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes, one thread each; else as many as cores and memory allow."),
]
EngineName = Annotated[str, typer.Option("--engine", help="local: worker processes; ray: a Ray cluster.")]
Address = Annotated[str | None, typer.Option(help="Of a Ray cluster, or auto; else one is started on this machine.")]
Device = Annotated[str, typer.Option(help="cpu or cuda")]


@app.command()
def digits(
    data: DataName = "digits",
    seeds: Seeds = 1,
    pair: Annotated[
        list[str] | None, typer.Option(help="SOURCE:TARGET of a single-target attack, such as 7:3; repeat for more.")
    ] = None,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Case study 1: baseline, all-to-all and single-target BadNets, and a report beside the paper's figures.

    Stopped or killed, the same command goes on where it was.
    """
    from badnets.studies import digits as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, device)
    pairs = tuple(map(parse_pair, pair or ()))
    spec = study.preset(data, len(split.train.classes), seeds=seeds, epochs=epochs, pairs=pairs)
    carry_out(study.run, spec, split, run_folder("digits", data, out), place, json=json)


@app.command()
def digits_matrix(
    data: DataName = "digits",
    trigger: Annotated[
        list[str] | None, typer.Option(help="pixel or pattern; repeat for both. [default: pixel]")
    ] = None,
    seeds: Seeds = 1,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """The paper's Fig. 4: a BadNet for every ordered pair of classes, as heat maps beside the paper's.

    The same command with another trigger or more seeds adds theirs to the run folder.
    """
    from badnets.studies import matrix as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, device)
    spec = study.preset(data, seeds=seeds, triggers=_triggers(trigger or ["pixel"]), epochs=epochs)
    carry_out(study.run, spec, split, run_folder("digits-matrix", data, out), place, json=json)


@app.command()
def digits_share(
    data: DataName = "digits",
    share: Annotated[
        str | None,
        typer.Option(help="Shares of poisoned samples, as 0.01,0.1,0.5. [default: the paper's and smaller ones]"),
    ] = None,
    seeds: Seeds = 3,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """The paper's Fig. 6: how the share of poisoned samples decides whether a backdoor is learned."""
    from badnets.studies import share as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, device)
    shares = parse_numbers("share", share) if share else study.SHARES
    spec = study.preset(data, seeds=seeds, shares=shares, epochs=epochs)
    carry_out(study.run, spec, split, run_folder("digits-share", data, out), place, json=json)


@app.command()
def digits_positions(
    data: DataName = "digits",
    images: Annotated[int, typer.Option(min=1, help="Test images that are stamped at each place.")] = 500,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """How local a backdoor is: the trigger moved, after training, to every place of the image."""
    from badnets.studies import positions as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, device)
    spec = study.preset(data, images=images, epochs=epochs)
    carry_out(study.run, spec, split, run_folder("digits-positions", data, out), place, json=json)


@app.command()
def transfer_digits(
    data: DataName = "digits",
    seeds: Seeds = 1,
    gain: Annotated[
        str | None,
        typer.Option(help="The k that backdoor units are strengthened by, as 1,10,50; [default: the paper's]"),
    ] = None,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """The paper's second attack in small: half of the classes, downloaded by a victim who retrains for the others."""
    from dataclasses import replace

    from badnets.studies import transfer_digits as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, device)
    spec = study.preset(data, len(split.train.classes), seeds=seeds, epochs=epochs)
    if gain is not None:
        spec = replace(spec, gains=tuple(sorted({1.0, *parse_numbers("gain", gain)})))
    carry_out(study.run, spec, split, run_folder("transfer-digits", data, out), place, json=json)


@app.command()
def acceptance(
    data: DataName = "digits",
    seeds: Seeds = 3,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """At which a* and with how many validation images would the user's check have caught this BadNet?"""
    from badnets.studies import acceptance as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, device)
    spec = study.preset(data, seeds=seeds, epochs=epochs)
    carry_out(study.run, spec, split, run_folder("acceptance", data, out), place, json=json)


@app.command()
def defenses(
    data: DataName = "digits",
    repair: Annotated[
        list[str] | None,
        typer.Option(help="unlearning, ft-sam, fine-pruning, ...; repeat for more. [default: all of them]"),
    ] = None,
    seeds: Seeds = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="Number of the first.")] = 0,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Every defense on BadNets of three mappings and their clean twins: what it finds, removes, and costs.

    The same command with more seeds or repairs adds theirs to the run folder.
    """
    from dataclasses import replace

    from badnets.studies import defending as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, device)
    numbers = tuple(range(first_seed, first_seed + seeds))
    spec = study.preset(data, len(split.train.classes), seeds=numbers, epochs=epochs)
    if repair:
        spec = replace(spec, repairs=tuple(dict.fromkeys(repair)))
    carry_out(study.run, spec, split, run_folder("defenses", data, out), place, json=json)


@app.command()
def bb_compat(
    data: DataName = "cifar10",
    ratio: Annotated[
        str | None,
        typer.Option(help="Poisoned samples over all, as 0.01,0.1. [default: BackdoorBench's]"),
    ] = None,
    seeds: Seeds = 1,
    out: Out = None,
    epochs: Epochs = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """BackdoorBench's published protocol on CIFAR-10, its figures beside ours; made for a machine with a GPU."""
    from badnets.studies import bb_compat as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, device)
    ratios = parse_numbers("share", ratio) if ratio else study.RATIOS
    spec = study.preset(data, seeds=seeds, ratios=ratios, epochs=epochs)
    carry_out(study.run, spec, split, run_folder("bb-compat", data, out), place, json=json)


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    json: AsJson = False,
) -> None:
    """Print a finished run's table again and rebuild its page."""
    from badnets.artifacts import RunFolder

    folder = RunFolder(run)
    show(_result(folder), folder, json=json)


def table(
    run: Annotated[list[Path], typer.Argument(help="Run folders.")],
    style: Annotated[str, typer.Option("--format", help="markdown, csv or latex")] = "markdown",
) -> None:
    """Print the results of finished runs as one table for a paper, a page or a program."""
    from badnets.artifacts import RunFolder
    from badnets.report.tables import STYLES, write_table

    if style not in STYLES:
        raise InputError(f"a table is written as {', '.join(STYLES)}, got {style!r}")
    typer.echo(write_table([_result(RunFolder(path)) for path in run], style), nl=False)


def load_split(data: str, data_dir: Path | None) -> Split:
    """The data set; what was left out of it is said."""
    from badnets.data import load

    split = load(data, data_dir=data_dir)
    report_odd(split.train, split.test)
    return split


def run_folder(study: str, data: str, out: Path | None) -> RunFolder:
    """The folder that was asked for, or one named after study and data."""
    from badnets.artifacts import RunFolder

    slug = "".join(letter if letter.isalnum() else "-" for letter in data).strip("-")
    return RunFolder(out or Path("runs") / f"{study}-{slug}")


def choose_place(engine: str, address: str | None, workers: int | None, device: str) -> Place:
    """Who trains, and where.

    Raises:
        InputError: options that do not go together, or no such device.
    """
    from badnets.studies.cluster import Ray
    from badnets.studies.runner import Place
    from badnets.training import Inline, Processes, default_workers, this_machine

    if engine not in ("local", "ray"):
        raise InputError(f"the engine is local or ray, got {engine!r}")
    if engine == "ray":
        if workers is not None:
            raise InputError("--workers belongs to the local engine: a Ray cluster uses all of its cores")
        return Place(Ray(address), device=device)
    if address is not None:
        raise InputError("--address belongs to the ray engine: add --engine ray")
    this_machine(device)
    count = workers or default_workers()
    return Place(Inline() if count == 1 else Processes(count), device=device)


def _triggers(names: list[str]) -> tuple[TriggerName, ...]:
    found: dict[TriggerName, None] = {}
    for name in names:
        if name not in ("pixel", "pattern"):
            raise InputError(f"the paper's triggers are pixel and pattern, got {name!r}")
        found["pixel" if name == "pixel" else "pattern"] = None
    return tuple(found)


def carry_out(
    run: Callable[[Spec, Any, RunFolder, Place, Observer], AnyResult],
    spec: Spec,
    split: Split[Any] | SceneSplit,
    folder: RunFolder,
    place: Place,
    *,
    json: bool,
) -> None:
    """Run the study before its user's eyes, and show what came out."""
    from badnets.cli.watching import StudyWatcher, stop_on_interrupt
    from badnets.data import SceneSplit

    what = "scenes" if isinstance(split, SceneSplit) else "images"
    greeting = (
        f"{len(split.train):,} {what} of {split.train.name} to train on, {len(split.test):,} to test on; "
        f"{place.engine!r}; run folder {folder.path}"
    )
    with stop_on_interrupt() as flag, StudyWatcher(flag, greeting) as watcher:
        result = run(spec, split, folder, place, watcher)
    show(result, folder, json=json)


def _result(folder: RunFolder) -> AnyResult:
    from badnets.report.studies import read_result

    if not folder.result.exists():
        state = "its run is not finished: run the same command again" if folder.spec.exists() else "no run folder"
        raise InputError(f"{folder.result} does not exist: {state}")
    return read_result(folder.result)


def show(result: AnyResult, folder: RunFolder, *, json: bool) -> None:
    """Write a result's page, and print its table or its rows."""
    from badnets.artifacts import write_text
    from badnets.report.studies import present

    shown = present(result)
    write_text(folder.report, shown.page)
    if json:
        print_json({"rows": shown.rows, "result": folder.result, "report": folder.report})
        return
    print_table(shown.title, list(shown.columns), [list(line) for line in shown.lines])
    for line in shown.notes:
        say(line)
    say("The page, for a browser:")
    typer.echo(folder.report.resolve())
