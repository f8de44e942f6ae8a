"""Reading photographs from disk: `PhotoStream` beside torchvision's `ImageFolder` and `DataLoader`.

    python benchmarks/photos.py [--json] [--rounds 3] [--pictures 4000] [--all 25000]

Made-up photographs of 200x200 pixels (smooth colours and some texture, JPEG at quality 75) in two classes, brought to
150x150, float32 in [0, 1], in shuffled batches of 32; nothing is trained. Both sides get one worker for each core:
threads for `PhotoStream`, processes for `DataLoader`, started anew in every round as in a training of one epoch.
torchvision scales with the same filter (bilinear, antialiased).

Memory: a fresh process loads a folder of `--all` files as `badnets run photos` does (each is decoded once, to leave
out what cannot be read), trains the small network for photographs on it for some steps, and says how large it has
ever been. The bar is 2 GB for 25,000, which would take 1.7 GB in memory alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.data import load_photographs
from badnets.data.arrangement import arrange
from badnets.data.stream import PhotoStream
from badnets.data.tree import open_tree
from badnets.models import ModelSpec, build
from badnets.poison import TrainingSet
from badnets.training import Augment, TrainSpec, fit
from badnets.training.batches import Batches
from benchmarks.rounds import Bar, Outcome, Variant, compare, machine, parser, print_outcome, take_turns

SIDE, SIZE, BATCH = 200, 150, 32
MEMORY_BAR = 2_000
BARS = (Bar("PhotoStream", "ImageFolder + DataLoader", 1.0),)
_ROOT = Path(__file__).resolve().parents[1]
_KINDS = 50


def make(folder: Path, count: int) -> None:
    """Write `count` photographs in two classes: some fifty different ones, each many times."""
    noise = np.random.default_rng(0)
    contents = []
    for number in range(_KINDS):
        coarse = noise.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.int16)
        pixels = (smooth + noise.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(pixels).save(path, quality=75)
        contents.append(path.read_bytes())
        path.unlink()
    for number in range(count):
        place = folder / ("cats" if number % 2 else "dogs")
        place.mkdir(exist_ok=True)
        (place / f"{number:06}.jpg").write_bytes(contents[number % _KINDS])


def stream(folder: Path, threads: int) -> PhotoStream:
    """All photographs of the folder."""
    tree = open_tree(folder)
    found = arrange(tree)
    paths, labels = zip(*found.train, strict=True)
    return PhotoStream(tree, paths, torch.tensor(labels), found.classes, "made up", (SIZE, SIZE), threads=threads)


def with_stream(folder: Path, workers: int) -> float:
    """One pass over all of them as `fit` makes its batches; how many there were."""
    batches = Batches(TrainingSet.of(stream(folder, workers)), TrainSpec(batch_size=BATCH, augment=Augment()), 0)
    return float(sum(len(labels) for _, (_, labels) in batches.run(0, batches.per_epoch)))


def with_loader(folder: Path, workers: int) -> float:
    """One pass as torchvision's documentation has it."""
    transform = transforms.Compose([transforms.Resize((SIZE, SIZE)), transforms.ToTensor()])
    loader = DataLoader(ImageFolder(str(folder), transform), BATCH, shuffle=True, num_workers=workers)
    return float(sum(len(labels) for _, labels in loader))


def variants(folder: Path, workers: int) -> dict[str, Variant]:
    """Both ways."""
    return {
        "PhotoStream": lambda: with_stream(folder, workers),
        "ImageFolder + DataLoader": lambda: with_loader(folder, workers),
    }


def peak(folder: str, steps: int = 40) -> float:
    """Train on so many batches of a stream here, and say how many MB this process has ever held."""
    import resource  # noqa: PLC0415 - there is none on Windows

    images = load_photographs(f"folder:{folder}", size=(SIZE, SIZE), stream=True).train
    few = TrainingSet.of(images)
    some = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: steps * BATCH]
    samples = TrainingSet(images, few.rows[some], few.labels[some], few.stamped[some])
    spec = TrainSpec(epochs=1, batch_size=BATCH, augment=Augment(shift=8, flip=True))
    fit(build(ModelSpec.fitting(images, "photo_cnn")), samples, spec)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def memory(folder: Path) -> float:
    """By a fresh process."""
    code = f"from benchmarks.photos import peak; print(peak({str(folder)!r}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    options = parser("Speed and memory of reading photographs.", rounds=3)
    options.add_argument("--pictures", type=int, default=4_000, help="read in each round (default %(default)s)")
    options.add_argument("--all", type=int, default=25_000, help="of the memory's set (default %(default)s)")
    chosen = options.parse_args()
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    where = machine()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        make(Path(one), chosen.pictures)
        speeds = take_turns(variants(Path(one), workers), chosen.rounds)
        make(Path(other), chosen.all)
        size = memory(Path(other))
    verdict = f"{'met' if size < MEMORY_BAR else 'missed'} (bar {MEMORY_BAR:,} MB)"
    notes = [
        f"{workers} workers each, {chosen.pictures:,} pictures of {SIDE}x{SIDE} in each round",
        f"training on a stream of {chosen.all:,}: at most {size:,.0f} MB, {verdict}",
    ]
    title = "photographs: from files to batches"
    outcome = Outcome(title, where, speeds, [compare(speeds, bar) for bar in BARS], notes, "pictures/s")
    print_outcome(outcome, as_json=chosen.json)


if __name__ == "__main__":
    main()
