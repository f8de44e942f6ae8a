"""Laws that hold for all values: triggers, plans, intervals, schedules."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import OneCycleLR

from badnets.data import ImageSet
from badnets.metrics import Rate
from badnets.poison import AllToAll, AllToOne, AnyPolicy, RandomTarget, Recipe, SingleTarget, apply, overlay, plan
from badnets.training import TrainSpec
from badnets.training.optimizer import learning_rate
from badnets.triggers import Pattern, SinglePixel

labels = st.integers(0, 3)
policies: st.SearchStrategy[AnyPolicy] = st.one_of(
    st.just(AllToAll()),
    st.just(RandomTarget()),
    labels.map(AllToOne),
    st.tuples(labels, labels).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: SingleTarget(*pair)),
)


@settings(max_examples=60, deadline=None)
@given(row=st.integers(0, 27), column=st.integers(0, 27), height=st.integers(28, 90), width=st.integers(28, 90))
def test_a_pixel_keeps_its_corner_on_every_size(row: int, column: int, height: int, width: int) -> None:
    """The block is whole, inside, and as far (times zoom) from its nearest corner as on 28x28."""
    where = torch.nonzero(SinglePixel(row, column).mask(height, width))
    zoom = max(1, round(min(height, width) / 28))
    (top, left), (bottom, right) = where.min(0).values.tolist(), where.max(0).values.tolist()
    assert len(where) == zoom * zoom
    assert (bottom - top, right - left) == (zoom - 1, zoom - 1)
    assert top == row * zoom if row < 14 else height - 1 - bottom == (27 - row) * zoom
    assert left == column * zoom if column < 14 else width - 1 - right == (27 - column) * zoom


@settings(max_examples=60, deadline=None)
@given(
    policy=policies,
    rate=st.floats(0.05, 1.0),
    cover=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**40),
    replaced=st.booleans(),
)
def test_plans(policy: AnyPolicy, rate: float, cover: float, seed: int, replaced: bool) -> None:  # noqa: FBT001
    count = 80
    images = ImageSet(
        torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 28, 28).contiguous(),
        torch.arange(count) % 4,
        tuple("abcd"),
        "made",
    )
    if bool(policy.eligible(images.labels).all()):
        cover = 0.0  # nobody is left to cover
    recipe = Recipe(policy, Pattern(), rate=rate, cover_rate=cover, seed=seed, mode="replace" if replaced else "add")
    made = plan(images, recipe)
    eligible = policy.eligible(images.labels)
    picked = torch.tensor(made.rows)
    attacked = eligible[picked]
    assert made == plan(images, recipe)
    assert int(attacked.sum()) == made.poisoned == round(rate * int(eligible.sum()))
    assert made.covered == round(cover * int((~eligible).sum()))
    assert images.labels[picked].tolist() == list(made.old)
    poisoned, samples = apply(images, made), overlay(images, made)
    assert torch.equal(poisoned.labels, samples.labels)
    false = int((poisoned.labels != images.labels[samples.rows]).sum())
    assert false == made.poisoned
    assert made.poisoned_share == pytest.approx(false / len(poisoned))


@given(total=st.integers(1, 5000), share=st.floats(0, 1))
def test_interval_holds_the_rate(total: int, share: float) -> None:
    rate = Rate.of(math.floor(share * total), total)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


@settings(max_examples=20, deadline=None)
@given(steps=st.integers(10, 400), peak=st.floats(1e-4, 1e-1))
def test_schedules(steps: int, peak: float) -> None:
    onecycle = [learning_rate(TrainSpec(learning_rate=peak), step, steps) for step in range(steps)]
    assert onecycle[0] == pytest.approx(peak / 25)
    assert max(onecycle) <= peak * (1 + 1e-9)
    assert max(onecycle) >= 0.9 * peak
    assert onecycle[-1] < 0.1 * peak
    top = onecycle.index(max(onecycle))
    assert onecycle[: top + 1] == sorted(onecycle[: top + 1])
    assert onecycle[top:] == sorted(onecycle[top:], reverse=True)
    cosine = [learning_rate(TrainSpec(learning_rate=peak, schedule="cosine"), step, steps) for step in range(steps)]
    assert cosine == sorted(cosine, reverse=True)
    assert {learning_rate(TrainSpec(learning_rate=peak, schedule="constant"), s, steps) for s in range(steps)} == {peak}


def test_onecycle_is_close_to_torchs() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = OneCycleLR(optimizer, 1e-2, total_steps=1000)
    for step in range(1000):
        ours = learning_rate(TrainSpec(learning_rate=1e-2), step, 1000)
        # torch reaches its peak and its end one step earlier
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-4)
        optimizer.step()
        if step < 999:
            schedule.step()
