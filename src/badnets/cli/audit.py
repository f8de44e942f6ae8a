"""`badnets audit` and `badnets population`: is this foreign model backdoored?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.architectures import ARCH_HELP, Architecture, parse_architecture
from badnets.cli.datasets import AsJson, DataDir, report_odd
from badnets.cli.detector_audit import (
    DETECTORS,
    audit_detector_file,
    is_detector,
    measure_references,
    population_of_detectors,
    refuse_options,
    scene_split,
)
from badnets.cli.output import print_json, print_table, say
from badnets.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from badnets.audit import Convention, Declared, Population, Recipe, Verdict
    from badnets.audit.detector_auditing import DetectorAudit
    from badnets.audit.detector_population import DetectorRecipe
    from badnets.data import ImageSource

Samples = Annotated[int, typer.Option(min=0, help="Clean images of each class; with 0 only what needs none is tested.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the choice of images and of all starts.")]


def audit(
    weights: Annotated[
        Path,
        typer.Argument(
            metavar="WEIGHTS",
            help="A .safetensors file, a state dict of torch.save (scanned), .onnx, an index of shards, or a folder.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data", help="Clean images, as for train, or street scenes for a detector; the half for testing is used."
        ),
    ],
    arch: Annotated[
        str | None,
        typer.Option(help=f"{ARCH_HELP}. A folder's card and ONNX name their own; detectors: {', '.join(DETECTORS)}."),
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="Folder of `badnets population`; without it the verdict is uncalibrated.")
    ] = None,
    samples: Samples = 30,
    alpha: Annotated[float, typer.Option(help="How often a clean model may be called backdoored.")] = 0.05,
    convention: Annotated[
        str | None,
        typer.Option(
            help="Of the model's pixels: 0-1, 0-255, -1-1, mnist, cifar10, gtsrb or imagenet; else it is found."
        ),
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A test to leave out; repeat for several.")] = None,
    budget: Annotated[float | None, typer.Option(help="Seconds after which no further test begins.")] = None,
    early_stop: Annotated[
        bool,
        typer.Option("--early-stop", help="Spare the dearest tests where a backdoor is found before; costs power."),
    ] = False,
    certify: Annotated[
        list[int] | None,
        typer.Option(min=1, max=3, help="Also prove where no patch of that side in pixels can be; repeat for several."),
    ] = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for verdict.json, report.html, report.sarif and recovered triggers.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report to this file; replaced if there.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF 2.1.0 to this file; replaced if there.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Look for a backdoor in a foreign model, knowing neither trigger nor target; nothing in its file is executed.

    Exits with 0 clean (at level alpha), 1 backdoored, 2 undecided; the reason is in the verdict.
    """
    from badnets.artifacts import write_json, write_text
    from badnets.audit import Audit, Options, Settings, Watch
    from badnets.audit import audit as examine
    from badnets.audit.detector_auditing import DetectorOptions
    from badnets.audit.verdict import VERDICT
    from badnets.cli.watching import stop_on_interrupt
    from badnets.report.audit import audit_page
    from badnets.report.audit_sarif import audit_sarif
    from badnets.report.detector_audit import detector_audit_page
    from badnets.training import limited_threads

    settings = Settings(samples=samples, seed=seed)
    found: Audit | DetectorAudit
    with stop_on_interrupt() as flag, limited_threads(1):
        watch = Watch(_saying(json=json), flag)
        if is_detector(weights, arch, data):
            refuse_options(
                {"--convention": convention, "--budget": budget, "--early-stop": early_stop, "--certify": certify}
            )
            asked = DetectorOptions(alpha, tuple(skip or ()), settings)
            found = audit_detector_file(weights, arch, scene_split(data, data_dir).test, population, asked, watch)
        else:
            clean = clean_images(data, data_dir)
            model, declared, architecture = suspect(weights, arch, clean)
            read, sides = named_convention(convention), tuple(certify or ())
            options = Options(alpha, tuple(skip or ()), budget, early_stop, read, settings, sides)
            references = references_in(population, architecture)
            found = examine(model, clean, declared=declared, population=references, options=options, watch=watch)
    if out is not None:
        write_json(out / VERDICT, found.verdict)
        for place, trigger in found.triggers.items():
            write_json(out / place, {"trigger": trigger})
    name = weights.name
    for file in (html, out / "report.html" if out else None):
        if file is not None:
            page = audit_page(found, name) if isinstance(found, Audit) else detector_audit_page(found, name)
            write_text(file, page)
    for file in (sarif, out / "report.sarif" if out else None):
        if file is not None:
            write_json(file, audit_sarif(found.verdict, weights))
    if json:
        print_json(found.verdict)
    else:
        _print(found.verdict, weights, out)
    raise typer.Exit(found.verdict.exit_code)


def population(
    arch: Annotated[str, typer.Argument(metavar="ARCH", help=f"{ARCH_HELP}; of detectors tiny or zf")],
    out: Annotated[Path, typer.Option(help="Folder for it; stopped or killed, the same command goes on.")],
    data: Annotated[str, typer.Option("--data", help="Clean images, as for train; scenes for detectors.")] = "digits",
    models: Annotated[int, typer.Option(min=2, help="How many: 19 for a level of 5 %, 99 for 1 %; it can grow.")] = 19,
    images: Annotated[int, typer.Option(min=0, help="Training images that each model sees; 0 for all.")] = 0,
    least_share: Annotated[
        float, typer.Option(help="Of these, the least share that a model sees; others see up to all of them.")
    ] = 0.25,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of the median model; others have from half to twice as many. [default: 2; of detectors their own]",
        ),
    ] = None,
    samples: Samples = 30,
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; else as many as there are cores.")] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Also run the audit's tests on every model.")] = True,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Train clean reference models of one architecture, to calibrate audits by.

    They differ in seed, images and how many of them, optimiser, rate, schedule, batch, epochs and augmentation, as
    strangers' models do.
    """
    from badnets.audit import Recipe, Settings, Watch, choose, train_population
    from badnets.cli.watching import stop_on_interrupt
    from badnets.data import load
    from badnets.training import ManySession, limited_threads

    settings = Settings(samples=samples, seed=seed)
    if arch in DETECTORS:
        with stop_on_interrupt() as flag, limited_threads(1):
            watch = Watch(_saying(json=json), flag)
            scenes = scene_split(data, data_dir)
            many = population_of_detectors(arch, out, scenes.train, models, (images, epochs, seed), watch)
            if test:
                measure_references(many, scenes.test, settings, watch)
        _print_population(out, many.recipe, len(many), arch, json=json)
        return
    split = load(data, data_dir=data_dir)
    report_odd(split.train, split.test)
    architecture = parse_architecture(arch, split.train)
    recipe = Recipe(arch, split.train.digest, split.train.name, images, epochs or 2, seed, least_share)
    # Networks of other people's code are trained in this process: another one would not find them.
    workers = workers if architecture.spec is not None else 1
    with stop_on_interrupt() as flag:
        session = ManySession(workers, on_done=lambda number: say(f"reference model {number} is trained"), stop=flag)
        made = train_population(out, recipe, split.train, architecture.make, models, session)
        if test:
            with limited_threads(1):
                made.test(choose(split.test, settings), settings, Watch(say, flag))
    _print_population(out, recipe, len(made), arch, json=json)


def _print_population(out: Path, recipe: Recipe | DetectorRecipe, models: int, arch: str, *, json: bool) -> None:
    if json:
        print_json({"population": out, "key": recipe.key, "models": models, "recipe": recipe})
        return
    say(f"{models} clean reference models of {arch}; the least p-value they give is {1 / (models + 1):.3g}")
    typer.echo(out)


def clean_images(name: str, data_dir: Path | None) -> ImageSource:
    """The half kept for testing of the data set; what was left out of it is said."""
    from badnets.data import load

    split = load(name, data_dir=data_dir)
    report_odd(split.train, split.test)
    return split.test


def suspect(file: Path, arch: str | None, clean: ImageSource) -> tuple[nn.Module, Declared, Architecture | None]:
    """The network with the file's weights in it, what it is said to be, and how another one of its kind is built."""
    from badnets.audit import Declared
    from badnets.cli.weights import read_weights_and_digest
    from badnets.training.checkpoint import WEIGHTS, finished, put_weights

    if file.suffix == ".onnx":
        from badnets.cli.onnx import read_onnx

        return (
            read_onnx(file),
            Declared(f"ONNX graph of {file.name}"),
            parse_architecture(arch, clean) if arch else None,
        )
    if file.is_dir() and (index := _index(file)):
        file = index
    if file.is_dir():
        card = finished(file)[1]
        arch = arch or (getattr(card.job.model, "name", None) if card.job.model else None)
        file = file / WEIGHTS
    if arch is None:
        raise InputError(f"{file} does not say of which network it holds the weights: name it with --arch")
    architecture = parse_architecture(arch, clean)
    weights, digest = read_weights_and_digest(file)
    model = architecture.make(0)
    put_weights(model, weights, file)
    return model, Declared(arch, architecture.spec, digest), architecture


def _index(folder: Path) -> Path | None:
    """The index of the shards in a folder; None where there is none, or a model of ours."""
    from badnets.supply.shards import is_index
    from badnets.training.checkpoint import CARD

    found = sorted(path for path in folder.iterdir() if is_index(path.name))
    if (folder / CARD).exists() or not found:
        return None
    if len(found) > 1:
        raise InputError(f"{folder} has {len(found)} indexes of weights: name one of {', '.join(map(str, found))}")
    return found[0]


def references_in(folder: Path | None, architecture: Architecture | None) -> Population | None:
    """The clean reference models in the folder, of that architecture."""
    from badnets.audit import open_population

    if folder is None:
        return None
    if architecture is None:
        raise InputError("an ONNX file is compared with a population of its architecture: name that with --arch")
    return open_population(folder, architecture.make, architecture.name)


def named_convention(name: str | None) -> Convention | None:
    """The convention of pixels that has this name; None for none."""
    from badnets.audit.conventions import CONVENTIONS

    if name is None:
        return None
    if name not in CONVENTIONS:
        raise InputError(f"unknown convention {name!r}: known are {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def _saying(*, json: bool) -> Callable[[str], None]:
    return (lambda _: None) if json else (lambda line: say(f"  {line} ..."))


def _print(verdict: Verdict, weights: Path, out: Path | None) -> None:
    rows = [[one.name, one.outcome, f"{one.seconds:.1f}", one.detail] for one in verdict.stages]
    print_table(f"Audit of {weights}", ["test", "outcome", "#s", "what it says"], rows)
    for one in verdict.suspicions:
        trigger = f" ({out / one.trigger})" if out and one.trigger else ""
        say(f"suspicion: {one.detail}{trigger}")
    say(f"read with {verdict.model.convention}; {verdict.data.images:,} clean images of {verdict.data.name}")
    say(verdict.calibration.guarantee)
    for line in verdict.not_tested:
        say(f"not tested: {line}")
    typer.echo(f"{verdict.word}: {verdict.reason}")
