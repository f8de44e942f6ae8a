"""Repairs: one table of cases for all, and a network whose backdoor is one known channel."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.defenses.planted import BACKDOOR, TARGET, Planted, quadrants, right, success
from torch import Tensor, nn

from badnets.data import ImageSet
from badnets.defenses import REPAIRS
from badnets.defenses.clean import divided
from badnets.defenses.repair import (
    AnpSpec,
    ClpSpec,
    FinePruneSpec,
    FineTuneSpec,
    FtSamSpec,
    IBauSpec,
    Recovered,
    Repaired,
    UnlearnSpec,
    anp,
    clp,
    fine_pruning,
    i_bau,
    repaired_or_refused,
    unlearning,
)
from badnets.defenses.repair.clp import lipschitz_bounds
from badnets.defenses.repair.ft_sam import worst_offsets
from badnets.defenses.repair.norms import convolutions_before
from badnets.defenses.repair.unlearning import _filled, _Stamp
from badnets.errors import InputError, Stopped
from badnets.metrics import Rate
from badnets.models import ModelSpec, build
from badnets.training import TrainSpec
from badnets.training.spec import Augment

CLEAN = quadrants(120)
TEST = quadrants(200, seed=9)
SHORT = TrainSpec(epochs=2, batch_size=32, learning_rate=1e-4, augment=Augment())


@dataclass(frozen=True)
class AllTo:
    """What an audit would call its guess."""

    target: int

    def attacked(self, labels: Tensor) -> Tensor:
        return labels != self.target

    def reached(self, predictions: Tensor, labels: Tensor, classes: int) -> Tensor:
        del labels, classes
        return predictions == self.target


@dataclass(frozen=True)
class Guess:
    """A stand-in for what an audit recovers: near the true trigger, not the same."""

    objective: AllTo = AllTo(TARGET)

    @property
    def trigger(self) -> Callable[[Tensor], Tensor]:
        def stamp(images: Tensor) -> Tensor:
            stamped = images.clone()
            white = 255 if images.dtype == torch.uint8 else 1.0
            stamped[..., -1, -2:] = white
            return stamped

        return stamp


SPECS: dict[str, Any] = {
    "fine-tuning": FineTuneSpec(SHORT),
    "fine-pruning": FinePruneSpec(train=SHORT),
    "unlearning": UnlearnSpec((Guess(),), train=SHORT),
    "ft-sam": FtSamSpec(0.1, SHORT),
    "anp": AnpSpec(steps=5),
    "clp": ClpSpec(),
    "i-bau": IBauSpec(rounds=1, inner=3, rate=1e-5),
}
NORMED = {"anp", "clp"}


def repaired(name: str, **options: Any) -> Repaired:  # noqa: ANN401 - as the repair takes them
    model = options.pop("model", None) or Planted(normed=name in NORMED)
    clean = options.pop("clean", CLEAN)
    done = REPAIRS[name](model, clean, options.pop("spec", SPECS[name]), **options)
    assert isinstance(done, Repaired)
    return done


def test_every_repair_is_in_the_table() -> None:
    assert SPECS.keys() == REPAIRS.keys()
    assert isinstance(Guess(), Recovered)


@pytest.mark.parametrize("name", REPAIRS)
def test_a_copy_is_repaired_and_the_model_stays(name: str) -> None:
    model = Planted(normed=name in NORMED).train()
    before = copy.deepcopy(model.state_dict())
    shares: list[float] = []
    done = repaired(name, model=model, seed=1, progress=shares.append)
    assert done.method == name
    assert done.model is not model
    assert not done.model.training
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in done.model.modules())
    assert done.before.total == done.after.total == 24
    assert done.before.value == done.after.value == 1.0
    assert done.done
    assert done.seconds >= 0
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)


@pytest.mark.parametrize("name", REPAIRS)
def test_the_same_seed_gives_the_same_copy(name: str) -> None:
    first, second = (repaired(name, seed=4).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", REPAIRS)
def test_it_can_be_stopped(name: str) -> None:
    with pytest.raises(Stopped, match="nothing was kept"):
        repaired(name, stop=lambda: True)


@pytest.mark.parametrize("name", REPAIRS)
def test_what_cannot_be_repaired(name: str) -> None:
    model = Planted(normed=name in NORMED)
    with pytest.raises(InputError, match="at least two clean images"):
        repaired(name, clean=CLEAN.select(torch.arange(1)))
    two = Planted(normed=name in NORMED, classes=2)
    with pytest.raises(InputError, match="the model only 2 classes"):
        repaired(name, model=two)
    with torch.no_grad():
        model.fc.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="undefined or infinite numbers"):
        repaired(name, model=model)


@pytest.mark.parametrize("name", REPAIRS)
def test_a_class_without_clean_images(name: str) -> None:
    done = repaired(name, clean=CLEAN.select(CLEAN.labels != 3))
    assert done.before.value == done.after.value == 1.0


@pytest.mark.parametrize("name", sorted(NORMED))
def test_without_batch_normalisation_one_line_says_so(name: str) -> None:
    with pytest.raises(InputError, match=rf"^{name} works on batch normalisation, and this network has none: use"):
        repaired(name, model=Planted())


def test_fine_pruning_cuts_the_channel_that_sleeps() -> None:
    model = Planted()
    assert success(model, TEST) == 1
    done = fine_pruning(model, CLEAN, SPECS["fine-pruning"])
    assert isinstance(done.model, Planted)
    assert success(done.model, TEST) == 0
    assert right(done.model, TEST) == 1
    assert not done.model.conv.weight[BACKDOOR].any()
    assert success(model, TEST) == 1


def test_fine_pruning_stops_where_accuracy_falls() -> None:
    """All channels but one can go; a model that needs the channel which sleeps most keeps it."""
    done = fine_pruning(Planted(), CLEAN, SPECS["fine-pruning"])
    assert done.done[0] == "3 of 4 channels of conv cut"
    model = Planted()
    with torch.no_grad():
        model.get_parameter("conv.bias")[1:] = -9  # nothing but channel 0 ever wakes
        model.conv.weight[1:] = 1
    assert right(fine_pruning(model, CLEAN, SPECS["fine-pruning"]).model, TEST) == 1
    with pytest.raises(InputError, match="no convolution 'norm'"):
        fine_pruning(Planted(), CLEAN, FinePruneSpec(layer="norm", train=SHORT))


def test_unlearning_reaches_beyond_what_was_recovered() -> None:
    spec = UnlearnSpec((Guess(),), train=TrainSpec(epochs=60, batch_size=32, learning_rate=0.05, augment=Augment()))
    done = unlearning(Planted(), CLEAN, spec)
    assert success(done.model, TEST) < 0.05
    assert right(done.model, TEST) > 0.98
    assert done.done[0].startswith("recovered trigger 1 moved 100.00% of its images, now ")
    with pytest.raises(InputError, match="a trigger that an audit has recovered"):
        unlearning(Planted(), CLEAN)


def test_the_place_of_a_small_trigger_is_filled_and_nothing_else() -> None:
    grey = ImageSet(torch.full((6, 1, 28, 28), 100, dtype=torch.uint8), torch.arange(6) % 4, tuple("abcd"), "grey")
    stamp = _Stamp.of(Guess(), grey)
    assert stamp.region is not None
    assert {tuple(place) for place in stamp.region[0, 0].nonzero().tolist()} == {
        (row, column) for row in (26, 27) for column in (25, 26, 27)
    }
    pixels = grey.images.float().expand(-1, 3, -1, -1) / 255
    torch.manual_seed(0)
    filled = _filled(pixels.repeat(40, 1, 1, 1), stamp.region)
    changed = (filled != 100 / 255).any(0)
    assert torch.equal(changed.any(0), stamp.region[0, 0] > 0)
    assert set(filled[filled != 100 / 255].tolist()) == {0.0, 1.0}
    assert _Stamp.of(Guess(), CLEAN).region is None  # two pixels of 8x8, and those around them: too much of it


def test_more_is_searched_for_between_rounds() -> None:
    asked: list[int] = []

    def search(model: nn.Module, images: ImageSet, number: int) -> list[Recovered]:
        assert len(images) == 96  # what is held out judges
        assert isinstance(model, Planted)
        asked.append(number)
        return [Guess()] if number < 2 else []

    spec = UnlearnSpec((Guess(),), train=replace(SHORT, epochs=3), search=search, rounds=4)
    done = unlearning(Planted(), CLEAN, spec).done
    assert asked == [1, 2]
    assert done[1:] == (
        "9 steps on 96 clean images", "6 steps on 96 clean images", "nothing more was found in the repaired copy",
    )  # fmt: skip
    assert unlearning(Planted(), CLEAN, replace(spec, search=None)).done[1:] == done[1:2]


def test_clp_silences_the_channel_that_stretches() -> None:
    model = Planted(normed=True)
    assert success(model, TEST) == 1
    done = clp(model, CLEAN)
    assert done.done == ("1 of 16 channels of conv silenced",)
    assert success(done.model, TEST) == 0
    assert right(done.model, TEST) == 1
    with torch.no_grad():
        model.get_parameter("norm.weight").fill_(1)
    assert clp(model, CLEAN).done[0].startswith("no channel of 1 layers stands out")


def test_lipschitz_bounds_are_numpys() -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
    with torch.no_grad():
        norm.weight.uniform_(-2, 2)
        norm.get_buffer("running_var").uniform_(0.1, 3)
    found = lipschitz_bounds(convolution, norm)
    for channel in range(5):
        kernel = convolution.weight[channel].detach().reshape(3, 9).numpy()
        variance = float(norm.get_buffer("running_var")[channel])
        scale = abs(norm.weight[channel].item()) / np.sqrt(variance + norm.eps)
        assert float(found[channel]) == pytest.approx(np.linalg.svd(kernel)[1][0] * scale, rel=1e-5)


def test_pairs_are_found_by_what_flows() -> None:
    """In a residual network with activations first, conv1 feeds norm2 of its own block, and sums feed the others."""
    model = build(ModelSpec("preact_resnet18", 3, 16, 16, 4))
    pairs = convolutions_before(model, torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    assert ("conv1", "stage1.0.norm1") in pairs
    assert ("stage2.1.conv1", "stage2.1.norm2") in pairs
    assert len(pairs) == 9
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_anp_cuts_the_channel_that_errors_hang_on() -> None:
    done = anp(Planted(normed=True), CLEAN, AnpSpec(steps=60, threshold=0.5))
    assert success(done.model, TEST) == 0
    assert right(done.model, TEST) > 0.98


def test_the_worst_place_is_the_formula_and_the_worst() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(6))
    target = torch.randn(6)
    (weight * target).sum().backward()
    (offset,) = worst_offsets([weight], 0.5)
    scale = weight.detach().abs()
    assert float((offset / scale).norm()) == pytest.approx(0.5, rel=1e-5)
    for _ in range(200):
        other = torch.randn(6)
        other = 0.5 * other / other.norm() * scale
        assert float((other * target).sum()) <= float((offset * target).sum()) + 1e-6
    frozen = nn.Parameter(torch.ones(2))
    assert worst_offsets([frozen], 1.0)[0].eq(0).all()


def test_i_bau_unlearns_a_universal_perturbation() -> None:
    """A linear model that one bright pixel turns to class 0."""
    linear = nn.Linear(64, 4)
    model = nn.Sequential(nn.Flatten(), linear)
    with torch.no_grad():
        linear.bias.zero_()
        linear.weight.zero_()
        for label in range(4):
            row, column = divmod(label, 2)
            linear.weight.view(4, 8, 8)[label, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 1
        linear.weight[TARGET, -1] = 10
    assert success(model, TEST) == right(model, TEST) == 1
    done = i_bau(model, CLEAN, IBauSpec(rounds=30, inner=10, radius=1.0, rate=0.1))
    assert success(done.model, TEST) < 0.5
    assert right(done.model, TEST) > 0.95


def test_a_worse_model_is_refused_unless_asked_for() -> None:
    model = nn.Linear(1, 1)
    worse = Repaired("fine-tuning", model, Rate.of(198, 200), Rate.of(190, 200), (), 1.0)
    with pytest.raises(InputError, match=r"from 99.00% to 95.00%, more than the 1.00% that may be lost"):
        repaired_or_refused(worse)
    assert repaired_or_refused(worse, even_if_worse=True) is model
    assert repaired_or_refused(worse, loss=0.04) is model
    assert repaired_or_refused(replace(worse, after=Rate.of(200, 200))) is model
    with pytest.raises(InputError, match="share in"):
        repaired_or_refused(worse, loss=4.0)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.01, 0.99])
@pytest.mark.parametrize("count", [2, 7, 120])
def test_parts_are_drawn_by_class(share: float, count: int) -> None:
    images = quadrants(count)
    rest, drawn = divided(images, share, 3, "test")
    assert len(rest) + len(drawn) == count
    assert abs(len(drawn) - share * count) <= 1
    assert min(len(rest), len(drawn)) >= 1
    every = torch.cat([rest.images, drawn.images]).flatten(1).double()
    assert torch.equal(every.sum(0), images.images.flatten(1).double().sum(0))
    if count == 120:
        of_class = drawn.labels.bincount(minlength=4) - share * images.labels.bincount(minlength=4)
        assert of_class.abs().max() <= 1.01


@pytest.mark.parametrize(
    "make",
    [
        lambda: FinePruneSpec(loss=2.0),
        lambda: UnlearnSpec(stamped=-1.0),
        lambda: UnlearnSpec(filled=2.0),
        lambda: UnlearnSpec(rounds=0),
        lambda: FtSamSpec(0.0),
        lambda: AnpSpec(steps=0),
        lambda: AnpSpec(budget=0.0),
        lambda: ClpSpec(float("nan")),
        lambda: IBauSpec(rounds=0),
        lambda: IBauSpec(rate=float("inf")),
    ],
)
def test_what_cannot_be_asked_for(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()


def test_an_undefined_loss_is_said() -> None:
    with pytest.raises(InputError, match="lower the learning rate"):
        repaired("fine-tuning", spec=FineTuneSpec(replace(SHORT, epochs=20, learning_rate=1e30, optimizer="sgd")))
