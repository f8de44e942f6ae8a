"""A victim's retraining: new layers on features that were computed once, beside passing the frozen layers every time.

    python benchmarks/transfer.py [--json] [--rounds 3] [--images 120] [--epochs 30]

Two networks: SqueezeNet with fresh weights on 150x150 colour noise, a linear layer retrained (as `run photos` does with
a trained trunk); and the network for digits, its fully connected layers retrained (as `run transfer-digits` does).
Both sides train the same layers on the same images with the same seed, and come out equal to rounding: a test says so.
The frozen layers get no gradients on either side. The bar is 20 times; it cannot be more than the number of epochs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.data import ImageSet
from badnets.models import ModelSpec, build
from badnets.training import Augment, TrainSpec, fit, limited_threads
from benchmarks.rounds import Bar, Outcome, Variant, compare, machine, parser, print_outcome, take_turns

BATCH, BAR = 32, 20.0


class Whole(nn.Module):
    """A network in two parts that does not say so: nothing of it is kept."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        """Its logits."""
        logits: Tensor = self.inner(images)
        return logits


@dataclass(frozen=True)
class Task:
    """A network to retrain, and made-up images for it."""

    name: str
    spec: ModelSpec

    def images(self, count: int) -> ImageSet:
        """Noise, and labels."""
        stream = torch.Generator().manual_seed(0)
        shape = count, self.spec.channels, self.spec.height, self.spec.width
        pixels = torch.randint(0, 256, shape, generator=stream, dtype=torch.uint8)
        labels = torch.randint(0, self.spec.classes, (count,), generator=stream)
        return ImageSet(pixels, labels, tuple(str(label) for label in range(self.spec.classes)), "noise")


TASKS = (
    Task("SqueezeNet, last layer", ModelSpec("torchvision:squeezenet1_0", 3, 150, 150, 2)),
    Task("digits, fully connected layers", ModelSpec("badnet_cnn/head", classes=5)),
)


def retrain(task: Task, count: int, epochs: int, *, kept: bool) -> nn.Module:
    """The network after retraining."""
    model = build(task.spec, seed=1)
    frozen = ("trunk",) if kept else ("inner.trunk",)
    spec = TrainSpec(epochs=epochs, batch_size=BATCH, augment=Augment(), frozen=frozen, precision="float32")
    fit(model if kept else Whole(model), task.images(count), spec, seed=1)
    return model


def variants(count: int, epochs: int) -> dict[str, Variant]:
    """Both ways for each task; the amount is images times epochs."""

    def way(task: Task, *, kept: bool) -> Variant:
        def work() -> float:
            retrain(task, count, epochs, kept=kept)
            return float(count * epochs)

        return work

    names = {True: "kept features", False: "through the trunk"}
    return {f"{task.name}: {names[kept]}": way(task, kept=kept) for task in TASKS for kept in (True, False)}


def main() -> None:
    """Measure and print."""
    options = parser("Speed of retraining new layers.", rounds=3)
    options.add_argument("--images", type=int, default=120, help="of the training set (default %(default)s)")
    options.add_argument("--epochs", type=int, default=30, help="of the retraining (default %(default)s)")
    chosen = options.parse_args()
    where = machine()
    with limited_threads(1):
        speeds = take_turns(variants(chosen.images, chosen.epochs), chosen.rounds)
    bars = [Bar(f"{task.name}: kept features", f"{task.name}: through the trunk", BAR) for task in TASKS]
    notes = [f"one thread, {chosen.images:,} images, {chosen.epochs} epochs, computing the features counted in"]
    outcome = Outcome("retraining new layers", where, speeds, [compare(speeds, bar) for bar in bars], notes)
    print_outcome(outcome, as_json=chosen.json)


if __name__ == "__main__":
    main()
