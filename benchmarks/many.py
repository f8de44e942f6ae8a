"""Many models at once: workers beside one process, the paper's matrix beside BackdoorBox's way, stacks, memory.

    python benchmarks/many.py [--json] [--rounds 3] [--steps 300] [--models 8] [--part workers] ...

Random pixels of MNIST's shape and random labels, the paper's CNN, one torch thread a process.

1. workers: the same orders (poisoned views of 60,000 images, `--steps` steps each) by `fit_many` with one worker and
   with two. "whole" is a call from start to end, with the seconds that worker processes take to start. "under way" is
   the pace while all workers are at it, from when all are first heard at once until the first one is out of work: what
   a long run has. The bar of 1.8 is asked of the latter, on two idle cores.
2. matrix: models a minute on one core. Ours: one pair cell of `MatrixSpec`'s preset as the runner does it, from its
   start model to weights, measurements and result on disk, and one ninetieth of the training of all that the 90 pairs
   start from. BackdoorBox's way: a loop over a `DataLoader`, one for each model, with the schedule of its MNIST example
   (tests/test_BadNets.py: PIL image, stamped if it is one of the 5 % poisoned, `ToTensor`; batches of 1,024; SGD 0.1,
   momentum 0.9, weight decay 5e-4; 200 epochs), timed over one epoch and multiplied, its tests every ten epochs left
   out. It asks for two loader processes; on one core they gain nothing and none are used.
3. stacking: 16 models as one stack beside a loop of 16 `fit`, on CUDA where there is one (bar 4) and, for information,
   on the CPU.
4. memory: how much further orders of `fit_many` take, each (bar: less than 20 MB), by the largest size that fresh
   processes with few and with many of them ever had; and of stacked models, on a GPU or for information on the CPU.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional as pictures

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.data import ImageSet
from badnets.models import ModelSpec, build
from badnets.poison import Recipe, SingleTarget, TrainingSet, overlay, plan
from badnets.studies import matrix
from badnets.studies.runner import Assignment, carry_out_cell
from badnets.training import ManySession, Order, Progress, Session, TrainSpec, fit, fit_many, limited_threads
from badnets.training.stacked import fit_stacked
from badnets.training.tasks import Hooks
from badnets.triggers import SinglePixel
from benchmarks.rounds import (
    Bar,
    Clocked,
    Outcome,
    Variant,
    compare,
    machine,
    parser,
    plain,
    print_outcome,
    take_turns,
)
from benchmarks.training import random_digits, some

PAIRS = 90
BOX_EPOCHS, BOX_BATCH, BOX_RATE = 200, 1024, 0.05
STACK = 16
MEMORY_BAR = 20.0
_ROOT = Path(__file__).resolve().parents[1]

WORKER_BARS = (
    Bar("two workers, under way", "one worker, under way", 1.8),
    Bar("two workers, whole", "one worker, whole"),
)
MATRIX_BARS = (Bar("badnets, whole matrix", "BackdoorBox's way", 10.0),)


# --- 1. workers ---


def orders(images: ImageSet, count: int, steps: int) -> list[Order]:
    """As many models, each with a view of its own: another pair, as many steps each."""
    spec = TrainSpec(epochs=1)
    classes = len(images.classes)
    found = []
    for number in range(count):
        pair = SingleTarget(number % classes, (number + 1) % classes)
        view = overlay(images, plan(images, Recipe(pair, SinglePixel(), rate=1.0, seed=number)))
        found.append(Order(build(seed=number), some(view, steps * spec.batch_size), spec, number))
    return found


@dataclass
class Meter:
    """Watches a `fit_many` and tells its pace while all workers are at it.

    Attributes:
        news: when, of which order, how many steps it has done.
        ends: when each order was done.
    """

    news: list[tuple[float, int, int]] = field(default_factory=list)
    ends: dict[int, float] = field(default_factory=dict)

    def progress(self, number: int, progress: Progress) -> None:
        """A few times a second."""
        self.news.append((time.perf_counter(), number, progress.step))

    def done(self, number: int) -> None:
        """An order is done."""
        self.ends[number] = time.perf_counter()

    def under_way(self, workers: int) -> tuple[int, float]:
        """Steps, and the seconds they took, from when all workers are first heard at once until one has no more work.

        A worker that starts late is not waited for: the others may have finished orders before it is heard.
        """
        under_way: set[int] = set()
        together = (moment for moment, number, _ in self.news if self._at_once(under_way, moment, number) == workers)
        begun = next(together, float("inf"))
        ended = sorted(self.ends.values())[len(self.ends) - workers]
        if ended <= begun:
            raise SystemExit("the workers were never at it together: give them more --models or --steps")
        return self._steps(ended) - self._steps(begun), ended - begun

    def _at_once(self, under_way: set[int], moment: float, number: int) -> int:
        under_way.add(number)
        under_way -= {other for other, end in self.ends.items() if end <= moment}
        return len(under_way)

    def _steps(self, when: float) -> int:
        last = {number: step for moment, number, step in self.news if moment <= when}
        return sum(last.values())


def trained(work: list[Order], workers: int, *, whole: bool) -> Clocked:
    """Train all orders; images and seconds of the whole call, or of the stretch when all workers were at it."""
    meter = Meter()
    begun = time.perf_counter()
    fit_many(work, ManySession(workers=workers, on_progress=meter.progress, on_done=meter.done))
    seconds = time.perf_counter() - begun
    size = work[0].spec.batch_size
    if whole:
        return Clocked(sum(len(order.data) * order.spec.epochs for order in work), seconds)
    steps, seconds = meter.under_way(workers)
    return Clocked(steps * size, seconds)


def worker_variants(images: ImageSet, count: int, steps: int) -> dict[str, Variant]:
    """One worker and two, whole and under way."""
    work = orders(images, count, steps)
    return {
        "one worker, whole": lambda: trained(work, 1, whole=True),
        "one worker, under way": lambda: trained(work, 1, whole=False),
        "two workers, whole": lambda: trained(work, 2, whole=True),
        "two workers, under way": lambda: trained(work, 2, whole=False),
    }


# --- 2. matrix ---


def start_samples(spec: matrix.MatrixSpec, images: int) -> float:
    """Samples that are trained on before the first pair, for each of the 90 pairs."""
    poisoned = round(spec.rate * images) + images
    epochs_of_starts = (spec.train.epochs + spec.pixel.epochs) * poisoned
    return (epochs_of_starts + spec.train.epochs * images) / PAIRS


@dataclass(frozen=True)
class Matrix:
    """What the pair cell is given, and where its start model lies."""

    train: ImageSet
    test: ImageSet
    spec: matrix.MatrixSpec
    home: Path

    @classmethod
    def prepare(cls, train: ImageSet, test: ImageSet, home: Path) -> Matrix:
        """Keep a start model in `home`; what it has learned has no influence on speed."""
        fit(
            build(ModelSpec.fitting(train)), some(TrainingSet.of(train), 128), TrainSpec(1), session=Session(home / "s")
        )
        return cls(train, test, matrix.preset("mnist"), home)

    def pair(self) -> float:
        """One pair as the runner does it, and its part of the starts: one model, in sixtieths a minute."""
        cell = matrix.pair(self.spec, "pixel", 0, 7, 3)
        hooks = Hooks(lambda progress: None, lambda: False)  # noqa: ARG005 - nobody listens
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            task = Assignment(cell, "key", Path(folder) / "pair", self.home / "s", 1, "cpu")
            carry_out_cell((self.train, self.test), task, hooks)
        self._starts()
        return 60.0

    def _starts(self) -> None:
        view = overlay(self.train, plan(self.train, Recipe(SingleTarget(0, 1), SinglePixel(), 1.0)))
        count = min(len(view), round(start_samples(self.spec, len(self.train))))
        fit(build(ModelSpec.fitting(self.train)), some(view, count), replace(self.spec.train, epochs=1))


class BoxImages(Dataset[tuple[Tensor, int]]):
    """One sample after the other as BackdoorBox makes them: PIL image, stamped if poisoned, tensor."""

    def __init__(self, images: ImageSet, seed: int = 0) -> None:
        self.pixels, self.labels = images.images[:, 0].numpy(), images.labels.tolist()
        picked = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        self.poisoned = frozenset(picked[: int(BOX_RATE * len(images))].tolist())
        self.keep = torch.ones(1, *images.shape[1:])
        self.keep[:, -3:, -3:] = 0
        self.add = 255 * (1 - self.keep)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        image, label = Image.fromarray(self.pixels[position]), self.labels[position]
        if position in self.poisoned:
            stamped = (pictures.pil_to_tensor(image) * self.keep + self.add).type(torch.uint8)
            image, label = Image.fromarray(stamped[0].numpy()), 1
        return pictures.to_tensor(image), label


def box_epoch(images: ImageSet) -> float:
    """One epoch of its loop: that part of a model, in sixtieths a minute."""
    model = build(ModelSpec.fitting(images)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for batch, labels in DataLoader(BoxImages(images), BOX_BATCH, shuffle=True):
        optimizer.zero_grad()
        functional.cross_entropy(model(batch), labels).backward()
        optimizer.step()
    return 60.0 / BOX_EPOCHS


def matrix_variants(train: ImageSet, test: ImageSet, home: Path) -> dict[str, Variant]:
    """Models a minute, in both ways."""
    prepared = Matrix.prepare(train, test, home)
    return {"badnets, whole matrix": prepared.pair, "BackdoorBox's way": lambda: box_epoch(train)}


# --- 3. stacking ---


def stacking_variants(images: ImageSet, device: str, steps: int, count: int = STACK) -> dict[str, Variant]:
    """The same models as a stack and one after the other."""
    work = orders(images, count, steps)
    total = float(sum(len(order.data) for order in work))

    def stacked() -> float:
        fit_stacked(work, ManySession(device=device))
        return total

    def one_by_one() -> float:
        for order in work:
            fit(copy.deepcopy(order.model), order.data, order.spec, seed=order.seed, session=Session(device=device))
        return total

    return {f"stack, {device}": stacked, f"loop, {device}": one_by_one}


# --- 4. memory ---


@dataclass(frozen=True)
class Memory:
    """Largest size in MB after so many models: resident, of the process and its largest child; or on the GPU."""

    way: str
    few: int
    many: int
    before: float
    after: float

    @property
    def each(self) -> float:
        """MB for each further model."""
        return (self.after - self.before) / (self.many - self.few)

    @property
    def verdict(self) -> str:
        """Whether it is under the bar; stacks are for GPUs."""
        if self.way == "stack, cpu":
            return "for information"
        return f"{'met' if self.each < MEMORY_BAR else 'missed'} (bar {MEMORY_BAR:g} MB)"


def peak(way: str, count: int, images: int = 60_000, steps: int = 5) -> float:
    """Train so many models here in that way, and say how large this process and its largest child have ever been."""
    import resource  # noqa: PLC0415 - there is none on Windows

    work = orders(random_digits(images), count, steps)
    with limited_threads(1):
        if way.startswith("stack"):
            fit_stacked(work, ManySession(device=way.removeprefix("stack, ")))
        else:
            fit_many(work, ManySession(workers=1 if way == "one worker" else 2))
    if way == "stack, cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    sizes = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(sizes) / unit


def memory(way: str, few: int = 2, many: int = 18) -> Memory:
    """By fresh processes, as a size that was once reached is never forgotten."""
    sizes = []
    for count in (few, many):
        code = f"from benchmarks.many import peak; print(peak({way!r}, {count}))"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
        sizes.append(float(done.stdout))
    return Memory(way, few, many, *sizes)


# --- all of it ---


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    steps: int
    models: int


def measure_workers(how: Plan) -> Outcome:
    """Part 1."""
    where = machine()
    speeds = take_turns(worker_variants(random_digits(60_000), how.models, how.steps), how.rounds)
    title = f"workers: {how.models} models of {how.steps} steps each by fit_many"
    return Outcome(title, where, speeds, [compare(speeds, bar) for bar in WORKER_BARS], [_load()])


def measure_matrix(how: Plan) -> Outcome:
    """Part 2."""
    where = machine()
    with tempfile.TemporaryDirectory() as folder:
        variants = matrix_variants(random_digits(60_000), random_digits(10_000, seed=1), Path(folder))
        speeds = take_turns(variants, how.rounds)
    notes = [
        f"one core each; {PAIRS} pairs with all that they start from, against {BOX_EPOCHS} epochs a model",
        _load(),
    ]
    found = [compare(speeds, bar) for bar in MATRIX_BARS]
    return Outcome("matrix: models a minute", where, speeds, found, notes, "models/min")


def measure_stacking(how: Plan) -> Outcome:
    """Part 3."""
    where, images = machine(), random_digits(60_000)
    cuda = torch.cuda.is_available()
    # On the CPU for information only: a few steps tell.
    variants = stacking_variants(images, "cpu", max(1, how.steps // 20))
    bars = [Bar("stack, cpu", "loop, cpu")]
    notes = [_load()]
    if cuda:
        variants |= stacking_variants(images, "cuda", how.steps)
        bars.insert(0, Bar("stack, cuda", "loop, cuda", 4.0))
        where |= {"gpu": torch.cuda.get_device_name()}
    else:
        notes.insert(0, "no GPU here: the bar of 4 is not measured")
    speeds = take_turns(variants, how.rounds)
    return Outcome(f"stacking: {STACK} models", where, speeds, [compare(speeds, bar) for bar in bars], notes)


def measure_memory(how: Plan) -> Outcome:
    """Part 4; there are no speeds, only remarks."""
    del how
    stack = "stack, cuda" if torch.cuda.is_available() else "stack, cpu"
    found = [memory(way) for way in ("one worker", "two workers", stack)]
    notes = [
        f"{one.way}: {one.before:,.0f} MB with {one.few} models, {one.after:,.0f} MB with {one.many}: "
        f"{one.each:.2f} MB each, {one.verdict}"
        for one in found
    ]
    return Outcome("memory: largest size with few and many models", machine(), {}, [], notes, "MB")


PARTS: dict[str, Callable[[Plan], Outcome]] = {
    "workers": measure_workers,
    "matrix": measure_matrix,
    "stacking": measure_stacking,
    "memory": measure_memory,
}


def _load() -> str:
    return f"load average at the end: {machine()['load']} on {machine()['cores']} cores"


def main() -> None:
    """Measure and print."""
    options = parser("Speed and memory of many models at once.", rounds=3)
    options.add_argument(
        "--steps", type=int, default=300, help="of the optimiser, for each model (default %(default)s)"
    )
    options.add_argument("--models", type=int, default=8, help="in part 1 (default %(default)s)")
    options.add_argument("--part", action="append", choices=list(PARTS), help="repeat for more (default all)")
    chosen = options.parse_args()
    how = Plan(chosen.rounds, chosen.steps, chosen.models)
    found = []
    for name in chosen.part or list(PARTS):
        with limited_threads(1):
            found.append(PARTS[name](how))
        if not chosen.json:
            print_outcome(found[-1], as_json=False)
    if chosen.json:
        print(json.dumps([plain(outcome) for outcome in found], indent=2))


if __name__ == "__main__":
    main()
