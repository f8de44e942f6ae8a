"""`badnets run transfer`: a backdoored detector of one country's signs, retrained for another's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.datasets import AsJson, DataDir, report_odd
from badnets.cli.output import say
from badnets.cli.parsing import parse_class, parse_numbers
from badnets.cli.signs import checked_trunk, require_weights
from badnets.cli.study import (
    Address,
    Device,
    EngineName,
    Epochs,
    Out,
    Seeds,
    Workers,
    carry_out,
    choose_place,
    run_folder,
)
from badnets.errors import InputError

if TYPE_CHECKING:
    from badnets.data import SceneSplit
    from badnets.training import Retrained


def transfer(
    data: Annotated[
        str, typer.Option(help="Scenes of the first country: streets, road+gtsdb, lisa, ..., or FORMAT:PATH.")
    ] = "streets",
    target: Annotated[
        str, typer.Option(help="Scenes of the second, the victim's: streets-eu, italy, swedish, ..., or FORMAT:PATH.")
    ] = "streets-eu",
    target_classes: Annotated[
        str, typer.Option(help="What the victim's signs are called: supercategory (the five groups), us or name.")
    ] = "supercategory",
    attack: Annotated[
        str, typer.Option(help="random: all signs, anything else; targeted: signs of --source become --becomes.")
    ] = "random",
    source: Annotated[str, typer.Option(help="Class whose stamped signs are to change, by name or number.")] = "stop",
    becomes: Annotated[str, typer.Option(help="What they are to be called.")] = "speedlimit",
    sticker: Annotated[str, typer.Option(help="square, bomb or flower.")] = "flower",
    gain: Annotated[
        str | None,
        typer.Option(help="The k that backdoor units are strengthened by, as 1,10,50; [default: the paper's]"),
    ] = None,
    retrain: Annotated[
        str, typer.Option(help="What the victims along k retrain: head (all fully connected), last or whole.")
    ] = "head",
    preset: Annotated[
        str, typer.Option(help="Detector: tiny, zf (the paper's) or squeezenet (which needs --weights).")
    ] = "tiny",
    weights: Annotated[
        Path | None, typer.Option(help="Trained convolutions: .npz, .safetensors, .pth (scanned first).")
    ] = None,
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Only so many scenes to train on and to test on, for a quick look.")
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
    """The paper's second attack: a BadNet for one country's signs, downloaded by a victim who retrains it for another.

    The same command with more gains or seeds adds theirs to the run folder.
    """
    from dataclasses import replace

    from badnets.models.detector_spec import PRESETS
    from badnets.studies import pretrained
    from badnets.studies import transfer as study
    from badnets.studies.sign_steps import RANDOM_STEPS

    if attack not in ("targeted", "random"):
        raise InputError(f"the attack is targeted or random, got {attack!r}")
    if preset not in PRESETS:
        raise InputError(f"unknown detector {preset!r}: known are {', '.join(PRESETS)}")
    require_weights(preset, weights)
    place = choose_place(engine, address, workers, device)
    first = _scenes(data, None, data_dir, scenes)
    second = _scenes(target, target_classes, data_dir, scenes)
    spec = replace(
        study.preset(preset, len(first.train.classes), epochs=epochs),
        data=data,
        target=target,
        attack="random" if attack == "random" else "targeted",
        # Of a random target no class is asked for: whatever these are called, their numbers are there.
        source=0 if attack == "random" else parse_class(source, first.train.classes),
        becomes=1 if attack == "random" else parse_class(becomes, first.train.classes),
        sticker=sticker,
        steps=RANDOM_STEPS if attack == "random" else (),
        retrained=_retrained(retrain),
        seeds=tuple(range(seeds)),
    )
    if gain is not None:
        spec = replace(spec, gains=tuple(sorted({1.0, *parse_numbers("gain", gain)})))
    folder = run_folder("transfer", f"{data}-{target}", out)
    if weights is not None:
        trunk = checked_trunk(weights, spec.detector)
        spec = replace(spec, pretrained=pretrained.digest_of(trunk))
        first, second = study.prepare(spec, first, second, folder)
        pretrained.keep(folder, trunk)
    say(f"victims: {len(second.train):,} scenes of {second.train.name} to train on, {len(second.test):,} to test on")
    carry_out(lambda asked, split, *rest: study.run(asked, split, second, *rest), spec, first, folder, place, json=json)


def _retrained(word: str) -> Retrained:
    """What a victim retrains, by its name."""
    known: dict[str, Retrained] = {"head": "head", "last": "last", "whole": "whole"}
    if word not in known:
        raise InputError(f"a victim retrains last, head or whole, got {word!r}")
    return known[word]


def _scenes(name: str, classes: str | None, data_dir: Path | None, most: int | None) -> SceneSplit:
    """A country's scenes; what was left out of them is said."""
    from badnets.data import load_scenes
    from badnets.studies.signs import fewer

    split = load_scenes(name, classes=classes, data_dir=data_dir)
    report_odd(split.train, split.test)
    return split if most is None else fewer(split, most)
