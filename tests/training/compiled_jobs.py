"""Trains one small model in several ways, in a process that checks no types as it runs; prints what came out."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from badnets.data import load
from badnets.errors import Stopped
from badnets.models import badnet_cnn
from badnets.training import Session, TrainSpec, fit, weights_digest

folder = Path(sys.argv[1])
digits = load("digits").train.select(torch.arange(600))  # 4 whole batches of 128 and one of 88
spec = TrainSpec(epochs=2, compiled="yes", precision="float32")


def trained(spec: TrainSpec, folder: Path | None = None, seed: int = 0) -> torch.nn.Module:
    return fit(badnet_cnn(0), digits, spec, seed=seed, session=Session(folder)).model


def distance(one: torch.nn.Module, other: torch.nn.Module) -> float:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


once = trained(spec)
usual = trained(replace(spec, compiled="no"))
other_seed = trained(spec, seed=1)
held = replace(spec, frozen=("conv1",))
steps = iter([False] * 6 + [True])
session = Session(folder, save_seconds=0, stop=lambda: next(steps, False))
try:
    fit(badnet_cnn(0), digits, spec, session=session)
    stopped = False
except Stopped:
    stopped = True
report = {
    "stopped": stopped,
    "from usual": distance(once, usual),
    "from another seed": distance(once, other_seed),
    "frozen, from usual": distance(trained(held), trained(replace(held, compiled="no"))),
    "again": weights_digest(trained(spec)) == weights_digest(once),
    "resumed": weights_digest(trained(spec, folder)) == weights_digest(once),
}
print(json.dumps(report))  # noqa: T201 - what the test reads
