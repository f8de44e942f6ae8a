"""`badnets bench`: the audit measured on models whose secrets are known, a zoo of its own or those of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.datasets import AsJson, DataDir
from badnets.cli.output import print_json, print_table, say
from badnets.cli.study import Address, EngineName, Workers, choose_place, load_split
from badnets.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from badnets.models import ModelSpec
    from badnets.studies.audit_figures import PartResult

app = typer.Typer(help="Measure this toolkit's own checks.", no_args_is_help=True)

References = Annotated[Path, typer.Option(help="Folder of `badnets population ARCH` on the same data.")]
Alpha = Annotated[float, typer.Option(help="Level of the audits.")]
Samples = Annotated[int, typer.Option(min=0, help="Clean images of each class.")]
Skip = Annotated[list[str] | None, typer.Option(help="A test to leave out; repeat for several.")]


@app.command("audit")
def audit_bench(
    population: References,
    data: Annotated[str, typer.Option(help="mnist, digits for a quick look, or cifar10 in colour.")] = "mnist",
    model: Annotated[str, typer.Option(help="Architecture of the zoo: badnet_cnn, photo_cnn, preact_resnet18.")] = (
        "badnet_cnn"
    ),
    half: Annotated[
        list[str] | None, typer.Option(help="dev or sealed; repeat for both. The sealed half is for releases.")
    ] = None,
    each: Annotated[int, typer.Option(min=1, help="Backdoored models of every trigger family and mapping.")] = 4,
    negatives: Annotated[int, typer.Option(min=0, help="Hard clean models of every kind.")] = 6,
    epochs: Annotated[int, typer.Option(min=1, help="Of the shortest ordinary schedule.")] = 1,
    alpha: Alpha = 0.05,
    samples: Samples = 30,
    skip: Skip = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; else runs/audit-bench-DATA.")] = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Backdoors found, false alarms, and targets named, on a zoo of clean and backdoored networks.

    Stopped or killed, the same command goes on where it was.
    """
    from badnets.artifacts import RunFolder
    from badnets.audit import Settings, open_population
    from badnets.cli.watching import StudyWatcher, stop_on_interrupt
    from badnets.models import ModelSpec
    from badnets.studies import audit_bench as study
    from badnets.studies.zoo import HALVES, ZooSpec

    wanted = half or ["dev"]
    if unknown := [one for one in wanted if one not in HALVES]:
        raise InputError(f"the halves of the zoo are {', '.join(HALVES)}, got {unknown[0]!r}")
    split, place = load_split(data, data_dir), choose_place(engine, address, workers, "cpu")
    make = partial(_build, ModelSpec.fitting(split.train, model))
    references = open_population(population, make, model)
    spec = study.BenchSpec(
        zoo=ZooSpec(data, each, negatives, epochs=epochs, model=model),
        population=references.recipe.key,
        references=len(references),
        halves=tuple(one for one in HALVES if one in wanted),
        alpha=alpha,
        settings=Settings(samples=samples),
        skip=tuple(skip or ()),
    )
    folder = RunFolder(out or Path("runs") / f"audit-bench-{data}")
    greeting = f"the {' and the '.join(spec.halves)} half of the zoo of {model} on {data}, {len(references)} references"
    with stop_on_interrupt() as flag, StudyWatcher(flag, f"{greeting}; run folder {folder.path}") as observer:
        result = study.run(spec, split, references, folder, place, observer)
    if json:
        print_json(result)
        return
    for part in result.parts:
        _print(f"the {part.part} half of the zoo", part, alpha)
    typer.echo(folder.result)


@app.command("run")
def audit_run(
    run: Annotated[Path, typer.Argument(help="Folder of a run with a baseline: digits, digits-matrix, digits-share.")],
    population: References,
    data: Annotated[str, typer.Option(help="What its models were trained on.")] = "mnist",
    model: Annotated[str, typer.Option(help="Their architecture.")] = "badnet_cnn",
    alpha: Alpha = 0.05,
    samples: Samples = 30,
    skip: Skip = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the audits; else RUN-audited.")] = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Backdoors found, false alarms, and targets named, among the models of a run that is done.

    Stopped or killed, the same command goes on where it was.
    """
    from badnets.artifacts import RunFolder
    from badnets.audit import Settings, open_population
    from badnets.cli.watching import StudyWatcher, stop_on_interrupt
    from badnets.models import ModelSpec
    from badnets.studies import audit_run as study

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, "cpu")
    references = open_population(population, partial(_build, ModelSpec.fitting(split.train, model)), model)
    spec = study.RunAuditSpec(
        str(run), references.recipe.key, len(references), alpha, Settings(samples=samples), tuple(skip or ())
    )
    folder = RunFolder(out or run.with_name(f"{run.name}-audited"))
    greeting = f"the models of {run}, {len(references)} references"
    with stop_on_interrupt() as flag, StudyWatcher(flag, f"{greeting}; folder {folder.path}") as observer:
        result = study.run(spec, split, references, folder, place, observer)
    for one in result.left_out:
        say(f"left out: {one}")
    if json:
        print_json(result)
        return
    _print(f"the models of {run}", result.figures, alpha)
    typer.echo(folder.result)


def _build(spec: ModelSpec, seed: int) -> nn.Module:
    from badnets.models import build

    return build(spec, seed=seed)


def _print(title: str, figures: PartResult, alpha: float) -> None:
    found = figures.separation
    lines = [
        ["AUC", "-" if found is None else f"{found.auc:.3f} ({found.auc_low:.3f} to {found.auc_high:.3f})"],
        ["found where 5 % of clean models alarm", "-" if found is None else str(found.hits)],
        [f"found at alpha {alpha:g}", str(figures.found)],
        [f"false alarms at alpha {alpha:g}", str(figures.false_alarms)],
        ["target or mapping named, of those found", str(figures.right)],
        ["source named, of single targets named", str(figures.sources)],
        ["undecided", str(figures.undecided)],
        ["weak backdoors called so", str(figures.weak)],
        ["seconds, median and longest", f"{figures.seconds[0]:.1f}, {figures.seconds[1]:.1f}"],
        *([f"  {name}", str(rate)] for name, rate in figures.by_kind.items()),
    ]
    print_table(title, ["figure", "#measured"], lines)
