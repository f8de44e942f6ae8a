"""Train many small models at once, each on its own poisoned view of the same images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from badnets.data import ImageSource
from badnets.errors import InputError, PartlyFailed
from badnets.models import mark_plans
from badnets.poison import TrainingSet
from badnets.training.checkpoint import plans_on
from badnets.training.loop import Fit, fit
from badnets.training.machine import this_machine
from badnets.training.processes import Processes, default_workers
from badnets.training.session import Progress, Session
from badnets.training.spec import TrainSpec
from badnets.training.stacked import fit_stacked
from badnets.training.tasks import Engine, Failure, Hooks, Images, Inline, Task


@dataclass(frozen=True, eq=False)
class Order:
    """One model to be trained; the arguments of `fit`.

    Attributes:
        model: start weights; it is left as it is.
        data: images, labels and stamps. All orders of one call look at the same images.
        spec: schedule and step.
        seed: of order, augmentation and dropout.
        folder: where its progress and the finished model are kept; None keeps nothing.
    """

    model: nn.Module
    data: TrainingSet
    spec: TrainSpec = TrainSpec()
    seed: int = 0
    folder: Path | None = None


@dataclass(frozen=True)
class ManySession:
    """How many trainings are run; nothing here has an influence on the weights but the machine.

    Attributes:
        workers: processes on the CPU, one thread each; None takes `default_workers`, 1 stays in this process.
        device: "cpu", "cuda", ... On a GPU the models are stacked, see `fit_stacked`.
        save_seconds: the longest stretch of work of each training that a kill can cost.
        on_progress: called with the number of an order and how far it is.
        on_done: called with the number of an order that is finished.
        stop: asked all the time; when it says yes, progress is saved and `Stopped` is raised.
    """

    workers: int | None = None
    device: str = "cpu"
    save_seconds: float = 20.0
    on_progress: Callable[[int, Progress], None] | None = None
    on_done: Callable[[int], None] | None = None
    stop: Callable[[], bool] | None = None


class ManyFailed(PartlyFailed):
    """Some of many trainings have no result; the others were finished.

    Attributes:
        finished: what came out, None where there is no result.
        failures: why, by the number of the order.
    """

    def __init__(self, finished: tuple[Fit | None, ...], failures: dict[int, Failure]) -> None:
        number, failure = next(iter(failures.items()))
        super().__init__(f"{len(failures)} of {len(finished)} trainings failed, order {number} first: {failure.reason}")
        self.finished, self.failures = finished, failures


def fit_many(orders: Sequence[Order], session: ManySession = ManySession()) -> tuple[Fit, ...]:
    """Train the model of every order, by whichever way is fastest on the device.

    On the CPU each is trained by `fit` in one of several worker processes that share the images in memory, and comes
    out with the same bytes as from `fit` alone. On a GPU models of one architecture and schedule are stacked; they
    agree with `fit` up to rounding. In either way the images are there once; beyond them an order takes its rows,
    labels and stamps (17 bytes a sample) and its model.

    Args:
        orders: what to train.
        session: workers, device, callbacks.

    Returns:
        What `fit` would have returned for each order, in their order.

    Raises:
        InputError: no orders, different images, or a folder that two orders share.
        ManyFailed: some orders could not be carried out; the others are in its `finished`.
        Stopped: `session.stop` said so; the same call goes on where folders are given.
    """
    if not orders:
        raise InputError("there is nothing to train: expected at least one order")
    base = orders[0].data.base
    if any(order.data.base is not base and order.data.base.digest != base.digest for order in orders):
        raise InputError("all orders of one call look at the same images: make one call for each image set")
    folders = [order.folder.resolve() for order in orders if order.folder is not None]
    if len(set(folders)) < len(folders):
        raise InputError("two orders name one folder: each needs its own")
    if this_machine(session.device).device != "cpu":
        return fit_stacked(orders, session)
    workers = session.workers or default_workers(len(orders))
    engine: Engine = Inline() if workers == 1 else Processes(workers)
    queue = _Orders(orders, session)
    engine.carry_out(carry_out_order, (base,), queue)
    if queue.failures:
        raise ManyFailed(tuple(queue.finished), queue.failures)
    return tuple(one for one in queue.finished if one is not None)


@dataclass(frozen=True, eq=False)
class _Payload:
    """An order without its images, which all processes have."""

    model: nn.Module
    samples: tuple[Any, ...]
    spec: TrainSpec
    seed: int
    session: Session

    @classmethod
    def of(cls, order: Order, session: ManySession) -> _Payload:
        data = order.data
        return cls(
            order.model,
            (data.rows, data.labels, data.stamped, data.trigger, data.plan),
            order.spec,
            order.seed,
            Session(order.folder, session.save_seconds),
        )


def carry_out_order(images: Images, payload: _Payload, hooks: Hooks) -> Fit:
    """The work of a worker: `fit` on the first of the shared image sets."""
    base: ImageSource = images[0]
    # Here and not in the caller: in this process the model of the order is to stay as it is.
    model = copy.deepcopy(payload.model)
    session = replace(payload.session, on_progress=hooks.progress, stop=hooks.stop)
    return fit(model, TrainingSet(base, *payload.samples), payload.spec, seed=payload.seed, session=session)


@dataclass
class _Orders:
    """The queue of one `fit_many`."""

    orders: Sequence[Order]
    session: ManySession
    begun_so_far: int = 0
    finished: list[Fit | None] = field(init=False)
    failures: dict[int, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.finished = [None] * len(self.orders)

    def next(self) -> Task | None:
        if self.begun_so_far == len(self.orders):
            return None
        number, self.begun_so_far = self.begun_so_far, self.begun_so_far + 1
        return Task(number, _Payload.of(self.orders[number], self.session))

    def begun(self, number: int) -> None:
        """Nobody asked to be told."""

    def progress(self, number: int, progress: Progress) -> None:
        if self.session.on_progress is not None:
            self.session.on_progress(number, progress)

    def done(self, number: int, value: Fit) -> None:
        mark_plans(value.model, plans_on(value.card))
        self.finished[number] = value
        if self.session.on_done is not None:
            self.session.on_done(number)

    def failed(self, number: int, failure: Failure) -> None:
        self.failures[number] = failure

    def stop(self) -> bool:
        return self.session.stop is not None and self.session.stop()
