"""How much of the bare training step's speed `fit` keeps, and how it compares with a usual DataLoader loop.

    python benchmarks/training.py [--json] [--rounds 7] [--steps 200]

Random pixels of MNIST's shape (60,000 of 1x28x28) and random labels, the paper's CNN, the default `TrainSpec`,
one thread; all variants but the usual loop take the same step of the optimiser in the same precision. `fit` is
timed as a whole, with the digest of the start weights, the order of the samples and the card; only the digest of
the data, which an `ImageSet` computes once in its life, is left to the round that is thrown away.

Variants:

1. fit: `training.fit` on clean data.
2. bare step: the same optimiser steps on one resident, finished batch.
3. usual loop: what a torchvision user writes. A DataLoader without workers over PIL images, the same augmentation
   (`RandomAffine`, bilinear) then `ToTensor`, one by one; float32, `torch.optim.Adam` as it comes.
4. DataLoader: the same loader, but with our step: fused optimiser, channels last, our precision.
5. DataLoader, tensors first: the same with `ToTensor` before `RandomAffine`, the slower order.
6. fit, poisoned: all-to-all, `Pattern`, rate 0.5, stamped as the batches are made.
7. fit, not augmented: what augmentation costs.

The bar of 2 is asked of both loops. Against the DataLoader with our own step it can hardly be met: the bare step over
the DataLoader is the most that any `fit` could reach, and that ratio is printed too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.data import ImageSet
from badnets.models import build
from badnets.poison import AllToAll, Recipe, TrainingSet, overlay, plan
from badnets.training import Augment, TrainSpec, fit, limited_threads, this_machine
from badnets.training.batches import make_batch, steps_per_epoch
from badnets.training.loop import train_step
from badnets.training.optimizer import State, make_optimizer
from badnets.triggers import Pattern
from benchmarks.rounds import Bar, Outcome, Variant, compare, machine, parser, print_outcome, take_turns

BARS = (
    Bar("fit", "bare step", 0.85),
    Bar("fit", "usual loop", 2.0),
    Bar("fit", "DataLoader", 2.0),
    Bar("bare step", "DataLoader"),
    Bar("fit", "DataLoader, tensors first"),
    Bar("fit, poisoned", "fit"),
    Bar("fit, not augmented", "fit"),
    Bar("fit, not augmented", "bare step"),
)


@dataclass(frozen=True)
class Work:
    """What each variant trains on: one pass over `samples`, in the batches of `spec`."""

    samples: TrainingSet
    spec: TrainSpec

    @property
    def steps(self) -> int:
        """Of the optimiser."""
        return steps_per_epoch(len(self.samples), self.spec.batch_size) * self.spec.epochs


class PilImages(Dataset[tuple[Tensor, int]]):
    """Samples as torchvision's own data sets hand them out: a PIL image, transformed, and a label."""

    def __init__(self, samples: TrainingSet, transform: transforms.Compose) -> None:
        self.pixels = samples.base.take(torch.arange(len(samples.base)))[:, 0].numpy()
        self.rows, self.labels, self.transform = samples.rows.tolist(), samples.labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[self.rows[position]])), self.labels[position]


def random_digits(count: int, seed: int = 0) -> ImageSet:
    """Pixels and labels without any meaning, in MNIST's shape."""
    stream = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=stream, dtype=torch.uint8)
    return ImageSet(images, torch.randint(0, 10, (count,), generator=stream), tuple("0123456789"), "random")


def some(samples: TrainingSet, count: int) -> TrainingSet:
    """`count` samples, picked from all over the set."""
    picked = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))[:count]
    return replace(samples, rows=samples.rows[picked], labels=samples.labels[picked], stamped=samples.stamped[picked])


def poisoned(images: ImageSet) -> TrainingSet:
    """All-to-all with the paper's pattern at rate 0.5: every third sample is stamped."""
    return overlay(images, plan(images, Recipe(AllToAll(), Pattern(), rate=0.5)))


def usual_transform(how: Augment, size: int, *, tensors_first: bool = False) -> transforms.Compose:
    """`how` in the words of torchvision (without `flip`), and float32 in [0, 1] before or after it."""
    share = how.shift / size
    affine = transforms.RandomAffine(
        how.rotate,
        translate=(share, share),
        scale=(1 - how.scale, 1 + how.scale),
        interpolation=transforms.InterpolationMode.BILINEAR,
    )
    return transforms.Compose([transforms.ToTensor(), affine] if tensors_first else [affine, transforms.ToTensor()])


def usual_loader(work: Work, *, tensors_first: bool = False) -> DataLoader[tuple[Tensor, int]]:
    """The samples in batches, shuffled, made in this process."""
    transform = usual_transform(work.spec.augment, work.samples.base.shape[2], tensors_first=tensors_first)
    images = PilImages(work.samples, transform)
    return DataLoader(images, work.spec.batch_size, shuffle=True, generator=torch.Generator().manual_seed(0))


def with_fit(work: Work) -> int:
    """Train by `fit`; return how many images were trained on."""
    fit(build(), work.samples, work.spec)
    return len(work.samples) * work.spec.epochs


def with_bare_steps(work: Work) -> int:
    """Take as many steps on a batch that is there already."""
    index = torch.arange(work.spec.batch_size)
    images, labels = make_batch(work.samples, index, work.spec.augment, torch.Generator().manual_seed(0))
    state, where = fresh_state(work), this_machine(precision=work.spec.precision)
    for step in range(work.steps):
        train_step(state, step, images, labels, where)
    return len(labels) * work.steps


def with_loader(work: Work, *, tensors_first: bool = False) -> int:
    """Take the same steps on the batches of a DataLoader."""
    state, where, images_seen = fresh_state(work), this_machine(precision=work.spec.precision), 0
    for step, (images, labels) in enumerate(usual_loader(work, tensors_first=tensors_first)):
        train_step(state, step, images, labels, where)
        images_seen += len(labels)
    return images_seen


def with_usual_loop(work: Work) -> int:
    """Train as tutorials do: float32, the optimiser as it comes, images one by one."""
    model, images_seen = build().train(), 0
    optimizer = torch.optim.Adam(model.parameters(), lr=work.spec.learning_rate)
    for images, labels in usual_loader(work):
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        images_seen += len(labels)
    return images_seen


def fresh_state(work: Work) -> State:
    """The network and optimiser that `fit` starts with."""
    model = build()
    model.to(memory_format=torch.channels_last).train()
    return State(model, make_optimizer(model, work.spec), work.spec, work.steps)


def variants(images: ImageSet, steps: int) -> dict[str, Variant]:
    """All of them, with as many steps each."""
    spec = TrainSpec(epochs=1)
    count = steps * spec.batch_size
    clean = Work(some(TrainingSet.of(images), count), spec)
    stamped = Work(some(poisoned(images), count), spec)
    still = replace(clean, spec=replace(spec, augment=Augment()))
    return {
        "fit": lambda: with_fit(clean),
        "bare step": lambda: with_bare_steps(clean),
        "usual loop": lambda: with_usual_loop(clean),
        "DataLoader": lambda: with_loader(clean),
        "DataLoader, tensors first": lambda: with_loader(clean, tensors_first=True),
        "fit, poisoned": lambda: with_fit(stamped),
        "fit, not augmented": lambda: with_fit(still),
    }


def main() -> None:
    """Measure and print."""
    options = parser("Speed of training.fit, of its bare step and of a DataLoader loop.", rounds=7)
    options.add_argument("--steps", type=int, default=200, help="of the optimiser, each time (default %(default)s)")
    chosen = options.parse_args()
    where = machine()
    with limited_threads(1):
        speeds = take_turns(variants(random_digits(60_000), chosen.steps), chosen.rounds)
    precision = this_machine().precision
    title = f"training: the paper's CNN, batches of {TrainSpec().batch_size}, one thread, {precision}"
    notes = [f"{chosen.steps} steps each time; ratios are taken within a round"]
    outcome = Outcome(title, where, speeds, [compare(speeds, bar) for bar in BARS], notes)
    print_outcome(outcome, as_json=chosen.json)


if __name__ == "__main__":
    main()
