"""`badnets run signs`: the paper's second case study, a street-sign detector with a backdoor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from badnets.cli.datasets import AsJson, DataDir, report_odd
from badnets.cli.output import say
from badnets.cli.parsing import parse_class
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
    from torch import Tensor

    from badnets.models.detector_spec import DetectorSpec


def signs(
    data: Annotated[
        str,
        typer.Option(help="streets, italy, road+gtsdb, lisa, ... (see `badnets data list`), or FORMAT:PATH."),
    ] = "streets",
    attack: Annotated[
        str, typer.Option(help="targeted: signs of --source become --target; random: all signs, anything else.")
    ] = "targeted",
    source: Annotated[str, typer.Option(help="Class whose stamped signs are to change, by name or number.")] = "stop",
    target: Annotated[str, typer.Option(help="What they are to be called.")] = "speedlimit",
    sticker: Annotated[
        list[str] | None,
        typer.Option(help="square, bomb or flower; repeat for more. [default: all three; for a random target square]"),
    ] = None,
    share: Annotated[
        float, typer.Option(help="Of the scenes with an attacked sign, those that get a stamped copy.")
    ] = 1.0,
    preset: Annotated[
        str,
        typer.Option(help="Detector: tiny, zf (the paper's), squeezenet or mobilenet (these two need --weights)."),
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
    """Case study 2: stop signs with a sticker become speed limits, and a page of what the detector says.

    The same command with more stickers or seeds adds theirs to the run folder.
    """
    from dataclasses import replace

    from badnets.data import load_scenes
    from badnets.models.detector_spec import PRESETS
    from badnets.studies import pretrained
    from badnets.studies import signs as study
    from badnets.studies.sign_steps import RANDOM_STEPS

    if attack not in ("targeted", "random"):
        raise InputError(f"the attack is targeted or random, got {attack!r}")
    if preset not in PRESETS:
        raise InputError(f"unknown detector {preset!r}: known are {', '.join(PRESETS)}")
    split, place = load_scenes(data, data_dir=data_dir), choose_place(engine, address, workers, device)
    report_odd(split.train, split.test)
    if scenes is not None:
        split = study.fewer(split, scenes)
    classes, random = split.train.classes, attack == "random"
    spec = replace(
        study.preset(data, preset, len(classes), epochs=epochs),
        # Of a random target no class is asked for: whatever these are called, their numbers are there.
        source=0 if random else parse_class(source, classes),
        target=1 if random else parse_class(target, classes),
        attack="random" if random else "targeted",
        stickers=tuple(dict.fromkeys(sticker or (["square"] if random else ["square", "bomb", "flower"]))),
        share=share,
        steps=RANDOM_STEPS if random else (),
        seeds=tuple(range(seeds)),
    )
    folder = run_folder("signs" if not random else "signs-random", data, out)
    require_weights(preset, weights)
    if weights is not None:
        trunk = checked_trunk(weights, spec.detector)
        spec = replace(spec, pretrained=pretrained.digest_of(trunk))
        split = study.prepare(spec, split, folder)
        pretrained.keep(folder, trunk)
    carry_out(study.run, spec, split, folder, place, json=json)


def require_weights(preset: str, weights: Path | None) -> None:
    """Raise `InputError` where a preset's convolutions do not learn from scratch and no file of weights is named."""
    if weights is None and preset in ("squeezenet", "mobilenet"):
        raise InputError(f"{preset} needs its trained weights: name their file with --weights")


def checked_trunk(file: Path, spec: DetectorSpec) -> dict[str, Tensor]:
    """The weights, once they have been seen to fit the detector."""
    from badnets.cli.weights import read_weights
    from badnets.models.detector import build_detector, load_backbone

    weights = read_weights(file)
    load_backbone(build_detector(spec), weights)
    say(f"{file}: weights of {spec.backbone}")
    return weights
