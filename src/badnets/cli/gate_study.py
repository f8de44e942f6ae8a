"""`badnets run gate`: BadNets and their clean twins before the real gate: who comes in?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from badnets.cli.attack import DataName
from badnets.cli.datasets import AsJson, DataDir
from badnets.cli.output import say
from badnets.cli.study import Address, EngineName, Out, Seeds, Workers, choose_place, load_split, run_folder, show


def gate(
    data: DataName = "digits",
    seeds: Seeds = 1,
    attack: Annotated[
        list[str] | None, typer.Option(help="all-to-one, all-to-all or single-target; repeat. [default: all three]")
    ] = None,
    references: Annotated[
        int, typer.Option(min=2, help="Clean reference models: 19 for a level of 5 %, 99 for 1 %.")
    ] = 19,
    epochs: Annotated[
        int, typer.Option(min=1, help="Of the median model, reference or suspect; others have half to twice as many.")
    ] = 40,
    alpha: Annotated[float, typer.Option(help="How often a clean model may be refused.")] = 0.05,
    population: Annotated[
        Path | None, typer.Option(help="Folder of the reference models, made where it is not there; else in the run's.")
    ] = None,
    out: Out = None,
    workers: Workers = None,
    engine: EngineName = "local",
    address: Address = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """BadNets and their clean twins through the whole gate, with an audit that clean models calibrate.

    Who is admitted, who is refused, by which rule, and what `load_admitted` then says. Stopped or killed, the same
    command goes on where it was; more seeds or attacks add theirs.
    """
    from badnets.cli.watching import StudyWatcher, stop_on_interrupt
    from badnets.studies import gate as study
    from badnets.training import ManySession

    split, place = load_split(data, data_dir), choose_place(engine, address, workers, "cpu")
    wanted = tuple(attack) if attack else study.ATTACKS
    spec = study.GateSpec(data, tuple(range(seeds)), wanted, references, epochs, alpha)
    folder = run_folder("gate", data, out)
    home = population or folder.path / "population"
    greeting = f"{len(split.train):,} images of {split.train.name}; {place.engine!r}; run folder {folder.path}"
    with stop_on_interrupt() as flag, StudyWatcher(flag, greeting) as observer:
        session = ManySession(workers, on_done=lambda number: say(f"reference model {number} is there"), stop=flag)
        clean = study.references(spec, split, home, session)
        result = study.run(spec, split, clean, folder, place, observer)
    show(result, folder, json=json)
