"""`badnets repair`: a suspect model without its backdoor, or the reason why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.architectures import ARCH_HELP
from badnets.cli.audit import Samples, Seed, clean_images, named_convention, references_in, suspect
from badnets.cli.datasets import AsJson, DataDir
from badnets.cli.output import print_json, print_table, say
from badnets.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from badnets.studies.repair_report import RepairReport
    from badnets.studies.repairing import Finding


def repair(
    weights: Annotated[
        Path,
        typer.Argument(
            metavar="WEIGHTS",
            help="A .safetensors file, a state dict of torch.save (scanned first), or a model folder.",
        ),
    ],
    data: Annotated[str, typer.Option("--data", help="Clean images: as for train; the half kept for testing is used.")],
    out: Annotated[Path, typer.Option(help="Folder for the repaired weights, repair.json and report.html.")],
    arch: Annotated[str | None, typer.Option(help=f"{ARCH_HELP}. A folder's card names its own.")] = None,
    verdict: Annotated[
        Path | None,
        typer.Option(help="Folder of `badnets audit --out`, or its verdict.json; else it is audited first."),
    ] = None,
    population: Annotated[
        Path | None, typer.Option(help="Folder of `badnets population`; without it audits are uncalibrated.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="fine-tuning, fine-pruning, ft-sam, i-bau, anp, clp or unlearning. [default: unlearning of what the "
            "audit recovered]"
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=2, help="Clean images to repair with; others judge.")] = 1000,
    loss: Annotated[float, typer.Option(help="Accuracy that the repair may cost, as a share.")] = 0.01,
    anyway: Annotated[bool, typer.Option("--anyway", help="Repair although the audit found nothing.")] = False,
    even_if_worse: Annotated[
        bool, typer.Option("--even-if-worse", help="Hand over a model that came out worse; it is marked.")
    ] = False,
    convention: Annotated[str | None, typer.Option(help="Of the model's pixels, as for audit; else found.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A test of the audits to leave out; repeat for more.")] = None,
    samples: Samples = 30,
    seed: Seed = 0,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Repair a suspect model with clean images alone: unlearn what an audit recovered, and audit it again.

    Exits with 0 when the last audit says clean, 1 when the model came out worse (and is not handed over), 2 undecided.
    """
    from badnets.artifacts import write_json, write_text
    from badnets.audit import Options, Settings, Watch
    from badnets.cli.watching import stop_on_interrupt
    from badnets.report.repair import repair_page
    from badnets.studies.repair_report import RepairOptions
    from badnets.studies.repairing import Known
    from badnets.studies.repairing import repair as carry_out
    from badnets.training import limited_threads

    if weights.suffix == ".onnx":
        raise InputError("an ONNX graph cannot be written back: repair the weights that it was exported from")
    options = RepairOptions(
        method=method,
        images=images,
        loss=loss,
        anyway=anyway,
        even_if_worse=even_if_worse,
        seed=seed,
        audit=Options(
            skip=tuple(skip or ()),
            convention=named_convention(convention),
            settings=Settings(samples=samples, seed=seed),
        ),
    )
    clean = clean_images(data, data_dir)
    model, declared, architecture = suspect(weights, arch, clean)
    known = Known(declared, references_in(population, architecture), _finding(verdict))
    with stop_on_interrupt() as flag, limited_threads(1):
        watch = Watch((lambda _: None) if json else (lambda line: say(f"  {line} ...")), flag)
        done = carry_out(model, clean, known=known, options=options, watch=watch)
    if done.model is not None and done.report.repaired:
        _write(out, done.model, done.report)
    write_json(out / "repair.json", done.report)
    write_text(out / "report.html", repair_page(done.report, weights.name))
    if json:
        print_json(done.report)
    else:
        _print(done.report, weights, out)
    raise typer.Exit(done.report.exit_code)


def _finding(file: Path | None) -> Finding | None:
    """The verdict and the triggers that lie beside it."""
    from badnets.artifacts import read_json
    from badnets.audit.verdict import read_verdict
    from badnets.studies.repairing import Finding
    from badnets.triggers import TriggerFile

    if file is None:
        return None
    verdict = read_verdict(file)
    folder = file if file.is_dir() else file.parent
    names = [one.trigger for one in verdict.suspicions if one.trigger]
    if odd := [name for name in names if Path(name).name != name]:
        raise InputError(f"{file} names a trigger outside its folder: {odd[0]!r}")
    return Finding(verdict, {name: read_json(TriggerFile, folder / name).trigger for name in names})


def _write(out: Path, model: nn.Module, report: RepairReport) -> None:
    from safetensors.torch import save

    from badnets.artifacts import write_bytes

    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    write_bytes(out / "model.safetensors", save(tensors, {"format": "pt", "badnets repair": report.outcome}))


def _print(report: RepairReport, weights: Path, out: Path) -> None:
    rows = [["accuracy", str(report.before), str(report.after)]]
    rows += [[f"moved by the trigger for {one.what}", str(one.before), str(one.after)] for one in report.moved]
    if report.method:
        rows.append(["audit", report.first.word, report.second.word if report.second else "-"])
        print_table(f"Repair of {weights} by {report.method}", ["on other images", "before", "after"], rows)
    for line in report.done:
        say(line)
    if report.relearned is not None:
        say(f"re-learning: after one epoch with a few stamped images the trigger moves {report.relearned}")
    say(f"page: {out / 'report.html'}")
    typer.echo(f"{report.outcome}: {report.reason}")
