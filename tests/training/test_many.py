"""Many trainings at once give the bytes of each alone, and hold the images once."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from badnets.data import ImageSet
from badnets.errors import InputError, PartlyFailed, Stopped
from badnets.models import badnet_cnn, mark_plans, plans_of
from badnets.poison import AllToAll, Recipe, SingleTarget, TrainingSet, overlay, plan
from badnets.training import (
    Augment,
    Fit,
    ManyFailed,
    ManySession,
    Order,
    Progress,
    TrainSpec,
    fit,
    fit_many,
    load_model,
    weights_digest,
)
from badnets.training.checkpoint import PROGRESS
from badnets.triggers import Pattern, SinglePixel

Look = Callable[[int], list[int]]
MIB = 2**20
QUICK = TrainSpec(epochs=2, batch_size=64, augment=Augment(shift=1))


def noise(count: int) -> ImageSet:
    stream = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, 1, 28, 28), generator=stream, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 10, tuple("0123456789"), "noise")


def some(samples: TrainingSet, first: int, count: int) -> TrainingSet:
    """Few of many samples: stamped ones stand at the end."""
    index = torch.cat([torch.arange(first, first + count), torch.arange(len(samples) - count, len(samples))])
    return replace(samples, rows=samples.rows[index], labels=samples.labels[index], stamped=samples.stamped[index])


@pytest.fixture(scope="module")
def base() -> ImageSet:
    """As large as MNIST: 45 MiB."""
    return noise(60000)


@pytest.fixture(scope="module")
def orders(base: ImageSet) -> list[Order]:
    """From scratch, from an honest model, from one that sees the trigger; no two alike in data, seed and spec."""
    clean = TrainingSet.of(base)
    stamped = overlay(base, plan(base, Recipe(AllToAll(), Pattern(), rate=0.01)))
    pair = overlay(base, plan(base, Recipe(SingleTarget(7, 3), SinglePixel(), rate=0.1, copies=2, seed=1)))
    honest = fit(badnet_cnn(1), some(clean, 0, 150), QUICK).model
    aware = fit(badnet_cnn(2), some(stamped, 0, 150), QUICK).model
    mixed = [
        Order(badnet_cnn(5), some(clean, 0, 100), QUICK, seed=3),
        Order(honest, some(stamped, 100, 101), replace(QUICK, optimizer="sgd", learning_rate=0.01), seed=4),
        Order(aware, some(pair, 200, 130), replace(QUICK, epochs=1, frozen=("conv1",)), seed=5),
        Order(aware, some(pair, 200, 130), replace(QUICK, batch_size=32, augment=Augment(rotate=9.0)), seed=5),
    ]
    return mixed + [replace(mixed[number % 4], seed=100 + number) for number in range(8)]


@pytest.fixture(scope="module")
def alone(orders: list[Order]) -> list[Fit]:
    """What each order comes to by itself."""
    models = [load_like(order.model) for order in orders]
    return [fit(model, one.data, one.spec, seed=one.seed) for model, one in zip(models, orders, strict=True)]


def load_like(model: nn.Module) -> nn.Module:
    copy = badnet_cnn()
    copy.load_state_dict(model.state_dict())
    mark_plans(copy, plans_of(model))
    return copy


def assert_same(done: Fit | None, alone: Fit) -> None:
    assert done is not None
    assert weights_digest(done.model) == weights_digest(alone.model)
    assert replace(done.card, seconds=0.0, sha256="") == replace(alone.card, seconds=0.0, sha256="")
    assert not done.model.training
    assert plans_of(done.model) == plans_of(alone.model)


@dataclass
class Watch:
    """Memory of this process and its workers each time that a model is done, and all news."""

    children: Look
    around: set[int]
    resident: list[int] = field(default_factory=list)
    copied: list[int] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    told: dict[int, list[Progress]] = field(default_factory=dict)

    def done(self, number: int) -> None:
        self.finished.append(number)
        gc.collect()
        workers = [worker for worker in self.children(os.getpid()) if worker not in self.around]
        maps = [Path(f"/proc/{worker}/smaps").read_text() for worker in workers]
        self.resident.append(sum(kibibytes("VmRSS", Path(f"/proc/{one}/status")) for one in [os.getpid(), *workers]))
        for pixels in (re.search(r"\.pixels \(deleted\)\n(?:\w+:.*\n)+", text) for text in maps):
            if pixels is not None:  # the second worker may still be loading torch
                self.shared.append(amount("Rss", pixels[0]) - amount("Private_Dirty", pixels[0]))
                self.copied.append(amount("Private_Dirty", pixels[0]))

    def progress(self, number: int, progress: Progress) -> None:
        self.told.setdefault(number, []).append(progress)


def kibibytes(name: str, path: Path) -> int:
    return amount(name, path.read_text())


def amount(name: str, text: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def test_two_workers_give_the_same_bytes_in_little_memory(
    base: ImageSet, orders: list[Order], alone: list[Fit], children: Look
) -> None:
    before = [weights_digest(order.model) for order in orders]
    flags = [(order.model.training, [p.requires_grad for p in order.model.parameters()]) for order in orders]
    watch = Watch(children, set(children(os.getpid())))
    session = ManySession(workers=2, on_progress=watch.progress, on_done=watch.done)
    done = fit_many(orders, session)
    for one, single in zip(done, alone, strict=True):
        assert_same(one, single)
    assert [weights_digest(order.model) for order in orders] == before
    assert [(order.model.training, [p.requires_grad for p in order.model.parameters()]) for order in orders] == flags

    assert sorted(watch.finished) == list(range(len(orders)))
    for number, single in enumerate(alone):
        last = watch.told[number][-1]
        assert (last.step, last.loss, last.ended) == (last.steps, single.card.loss, True)
        ends = [progress.epoch for progress in watch.told[number] if progress.ended]
        assert ends == list(range(orders[number].spec.epochs))

    # The whole file is looked at, to know its digest; not one page of it is a worker's own.
    assert max(watch.shared) >= base.images.numel()
    assert watch.copied == [0] * len(watch.copied)
    # From the third model on both workers are there; nine more are trained from then on.
    assert watch.resident[-1] - watch.resident[2] < 9 * 20 * MIB


def test_three_workers_and_one_that_fails(orders: list[Order], alone: list[Fit]) -> None:
    hopeless = replace(orders[0], spec=replace(QUICK, learning_rate=1e38, schedule="constant"))
    with pytest.raises(ManyFailed, match=r"1 of 5 trainings failed, order 1 first: the loss is (nan|inf)") as caught:
        fit_many([orders[0], hopeless, *orders[1:4]], ManySession(workers=3))
    finished = caught.value.finished
    assert isinstance(caught.value, PartlyFailed)
    assert finished[1] is None
    assert list(caught.value.failures) == [1]
    for one, single in zip((finished[0], *finished[2:]), alone, strict=False):
        assert_same(one, single)


def test_in_this_process(orders: list[Order], alone: list[Fit], children: Look) -> None:
    before = children(os.getpid())
    hopeless = replace(orders[0], spec=replace(QUICK, learning_rate=1e38, schedule="constant"))
    told: list[int] = []
    session = ManySession(workers=1, on_done=told.append)
    for one, single in zip(fit_many(orders[:4], session), alone, strict=False):
        assert_same(one, single)
    with pytest.raises(ManyFailed) as caught:
        fit_many([hopeless, orders[3]], session)
    assert_same(caught.value.finished[1], alone[3])
    assert told == [0, 1, 2, 3, 1]
    assert children(os.getpid()) == before


def test_stopped_with_workers_and_gone_on_without(orders: list[Order], tmp_path: Path) -> None:
    """A stop in the midst of both keeps both; whoever goes on ends with the same bytes."""
    longer = [
        replace(order, spec=replace(order.spec, epochs=20), folder=tmp_path / f"{n}")
        for n, order in enumerate(orders[:2])
    ]
    seen: set[int] = set()
    session = ManySession(workers=2, on_progress=lambda number, _: seen.add(number), stop=lambda: len(seen) == 2)
    with pytest.raises(Stopped, match="the same command goes on"):
        fit_many(longer, session)
    assert any((tmp_path / name / PROGRESS).exists() for name in "01"), "at most one was done before it heard"
    assert all(any((tmp_path / name).iterdir()) for name in "01")
    done = fit_many(longer, ManySession(workers=1))
    for number, (one, order) in enumerate(zip(done, longer, strict=True)):
        assert_same(one, fit(load_like(order.model), order.data, order.spec, seed=order.seed))
        assert weights_digest(load_model(tmp_path / f"{number}")[0]) == weights_digest(one.model)
    again = fit_many(longer, replace(session, workers=1, stop=lambda: True))
    assert [one.card for one in again] == [one.card for one in done], "loaded, not trained"


def test_one_process_stops_at_a_step_too(orders: list[Order], tmp_path: Path) -> None:
    kept = [replace(order, folder=tmp_path / f"{number}") for number, order in enumerate(orders[:2])]
    with pytest.raises(Stopped, match="after step 1 of"):
        fit_many(kept, ManySession(workers=1, stop=lambda: True))
    assert [path.name for path in tmp_path.rglob("*.safetensors")] == [PROGRESS]


def test_what_makes_no_sense_is_refused(base: ImageSet, orders: list[Order], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one order"):
        fit_many([])
    other = replace(orders[0], data=TrainingSet.of(noise(100)))
    with pytest.raises(InputError, match="the same images"):
        fit_many([orders[0], other])
    same = replace(base)
    assert same is not base
    twice = [replace(orders[0], folder=tmp_path / "x"), replace(orders[1], folder=tmp_path / "y" / ".." / "x")]
    with pytest.raises(InputError, match="each needs its own"):
        fit_many(twice)
    assert not list(tmp_path.iterdir())


def test_equal_images_need_not_be_one_object() -> None:
    images = noise(100)
    pairs = [Order(badnet_cnn(number), TrainingSet.of(replace(images)), QUICK) for number in (0, 1)]
    assert pairs[0].data.base is not pairs[1].data.base
    done = fit_many(pairs, ManySession(workers=1))
    for one, number in zip(done, (0, 1), strict=True):
        assert_same(one, fit(badnet_cnn(number), images, QUICK))
