"""Units that sleep on clean images: counted, made stronger, and woken by hand.

The BadNets hypothesis (section 4.1.3 of the paper): a backdoor lives in units that clean images leave silent. Three
tests follow from it, all without gradients:

1. dormancy: which channels of a layer hardly answer to any clean image;
2. gain sweep: their input weights times k, as the paper strengthens a backdoor (section 5.3.3), until clean images go
   wrong: what a backdoor listens to has heavy weights behind it, so that a small k is enough;
3. stimulation: one channel at a time is held at a high level on clean images, and by how much more it lifts one class
   than any other is looked at (ABS; Liu et al., CCS 2019, section 4.2), in units of the margin that the model has on
   clean images, since a longer training makes all of them larger.

Channels are looked at behind each convolution or fully connected layer but the last, behind its batch normalisation
where one is registered next, and through a ReLU: whether that is a module or a function makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from badnets.audit.inversion_budget import Watch
from badnets.audit.samples import Samples
from badnets.errors import InputError
from badnets.neurons import recorded

# A channel sleeps whose mean answer is below this share of the loudest channel's.
ASLEEP = 0.05
# By half again each time, up to 3,325.
GAINS = tuple(1.5**number for number in range(1, 21))
_SMALL = 1e-6
_WEIGHED = (nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_BATCH = 512

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """How the channels of one layer answer to clean images.

    Attributes:
        name: of the module whose output they are.
        mean: of each channel behind a ReLU, over images and places.
        peak: the largest value of each, likewise.
    """

    name: str
    mean: tuple[float, ...]
    peak: tuple[float, ...]

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def asleep(self) -> tuple[int, ...]:
        """The channels whose mean is below a twentieth of the loudest one's, the quietest first."""
        least = ASLEEP * max(self.mean)
        quiet = [channel for channel, mean in enumerate(self.mean) if mean <= least]
        return tuple(sorted(quiet, key=lambda channel: self.mean[channel]))


@dataclass(frozen=True)
class Collapse:
    """What clean images become when something inside the model is changed.

    Attributes:
        layer: where.
        unit: the channel that was held; None where all sleeping ones were strengthened.
        level: the factor of the weights, or for one channel the value it was held at.
        target: the class that most of the images leave their own for; of one channel the one that it lifts most.
        share: of the images of other classes that the model gets right, those that go to the target.
        changed: those that go to any other class than their own, as a share of all that it gets right.
        lift: by how much more the mean logit of the target rises than that of any other class, in units of the median
            margin of clean images; 0 where sleeping channels were strengthened.
    """

    layer: str
    unit: int | None
    level: float
    target: int
    share: float
    changed: float
    lift: float = 0.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Dormancy:
    """All three tests.

    Attributes:
        layers: what was looked at, in the order of registration.
        sweep: for each layer with sleeping channels, one collapse for each gain up to the one that breaks the model.
        stimulated: for each layer and level the channels whose stimulation has the largest lift, the largest first.
        images: how many there were.
    """

    layers: tuple[Layer, ...]
    sweep: tuple[Collapse, ...]
    stimulated: tuple[Collapse, ...]
    images: int

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def gain(self, layer: str, broken: float) -> float | None:
        """The gain at which a share `broken` of clean images leaves its class, between two that were tried.

        None where no gain that was tried does it.
        """
        before, share = 1.0, 0.0
        for one in self.sweep:
            if one.layer != layer:
                continue
            if one.changed >= broken:
                part = (broken - share) / (one.changed - share)
                return float(before * (one.level / before) ** part)
            before, share = one.level, one.changed
        return None

    def lift(self, layer: str) -> float:
        """The largest lift of one channel of a layer, at the lowest level; 0 without any."""
        its = [one for one in self.stimulated if one.layer == layer]
        lowest = min((one.level for one in its), default=0.0)
        return max((one.lift for one in its if one.level == lowest), default=0.0)


@dataclass(frozen=True)
class DormantBudget:
    """How much is tried.

    Attributes:
        gains: of the sweep, ascending.
        broken: share of clean images that leaves its class at the gain where a sweep ends.
        levels: stimulation, as multiples of the layer's largest clean value.
        units: channels of each layer that are stimulated at most: those that answer least to clean images.
        images: for each stimulated channel at most.
        keep: how many stimulated channels are returned for each layer and level.

    Raises:
        InputError: a value outside its range.
    """

    gains: tuple[float, ...] = GAINS
    broken: float = 0.1
    levels: tuple[float, ...] = (1.0,)
    units: int = 512
    images: int = 20
    keep: int = 3

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if min((*self.gains, *self.levels), default=0) <= 0 or min(self.images, self.keep) < 1 or self.units < 0:
            raise InputError(f"gains, levels, images and keep are above 0, units at least 0, got {self!r}")
        if not 0 < self.broken <= 1:
            raise InputError(f"the share of images that breaks a model is above 0 and at most 1, got {self.broken}")


def dormant(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    budget: DormantBudget = DormantBudget(),
    watch: Watch = Watch(),
) -> Dormancy:
    """Look for units that sleep on clean images and wake up to one class.

    Args:
        model: as in `invert`.
        images: clean ones; the more there are, the surer is it that a unit sleeps.
        labels: their classes.
        budget: how much is tried.
        watch: progress and stop.

    Returns:
        Without any layer of weights but the last, or any image that the model gets right, there is nothing to look at,
        and nothing in it.

    Raises:
        InputError: as `invert`.
        Stopped: `watch.stop` said so.
    """
    with torch.no_grad(), Samples.of(model, images, labels) as samples:
        names = watched_layers(model)
        if not names or not len(samples.labels):
            return Dormancy((), (), (), len(samples.labels))
        layers = _answers(model, samples, names)
        sweep = []
        for layer in layers:
            for gain in budget.gains if layer.asleep else ():
                watch.tick(0.0)
                sweep.append(_strengthened(model, samples, layer, gain))
                if sweep[-1].changed >= budget.broken:
                    break
        stimulated: list[Collapse] = []
        for number, layer in enumerate(layers):
            watch.tick((number + 1) / (len(layers) + 1))
            stimulated += _stimulated(model, samples, layer, budget)
        watch.tick(1.0)
    return Dormancy(tuple(layers), tuple(sweep), tuple(stimulated), len(samples.labels))


def watched_layers(model: nn.Module) -> tuple[str, ...]:
    """The modules whose outputs are looked at, in the order of registration."""
    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    weighed = [place for place, (_, module) in enumerate(leaves) if isinstance(module, _WEIGHED)][:-1]
    return tuple(
        leaves[place + 1][0] if isinstance(leaves[place + 1][1], _NORMS) else leaves[place][0] for place in weighed
    )


def _answers(model: nn.Module, samples: Samples, names: tuple[str, ...]) -> list[Layer]:
    sums: dict[str, Tensor] = {}
    peaks: dict[str, Tensor] = {}
    with recorded(model, names) as outputs:
        for part in samples.images.split(_BATCH):
            samples.ask(part)
            for name in [name for name in names if name in outputs]:
                positive = _by_channel(outputs[name]).clamp_min(0).double()
                total, peak = positive.mean(2).sum(0), positive.amax((0, 2))
                sums[name] = sums[name] + total if name in sums else total
                peaks[name] = torch.maximum(peaks[name], peak) if name in peaks else peak
    count = len(samples.images)
    return [
        Layer(name, tuple((sums[name] / count).tolist()), tuple(peaks[name].tolist())) for name in names if name in sums
    ]


def _strengthened(model: nn.Module, samples: Samples, layer: Layer, gain: float) -> Collapse:
    """The input weights of all sleeping channels times `gain`; biases stay."""
    module = model.get_submodule(layer.name)
    channels = torch.tensor(layer.asleep, device=samples.images.device)
    bias = getattr(module, "bias", None)
    still = bias[channels] if isinstance(bias, Tensor) else torch.zeros(len(channels), device=samples.images.device)

    def change(output: Tensor) -> Tensor:
        rest = still.view(-1, *(1,) * (output.ndim - 2)).to(output.dtype)
        changed = output.clone()
        changed[:, channels] = rest + gain * (output[:, channels] - rest)
        return changed

    with _changing(module, change):
        said = torch.cat([samples.ask(part).argmax(1).cpu() for part in samples.images.split(_BATCH)])
    left = said[said != samples.labels].bincount(minlength=samples.classes)
    others = len(samples.labels) - samples.labels.bincount(minlength=samples.classes)
    shares = left / others.clamp_min(1)
    target = int(shares.argmax())
    changed = float((said != samples.labels).float().mean())
    return Collapse(layer.name, None, gain, target, float(shares[target]), changed)


def _stimulated(model: nn.Module, samples: Samples, layer: Layer, budget: DormantBudget) -> list[Collapse]:
    """One channel after the other held at a level, many of them in one pass."""
    quietest = sorted(range(len(layer.mean)), key=lambda channel: layer.mean[channel])[: budget.units]
    rows = _spread(samples.labels, budget.images)
    images, labels = samples.images[rows.to(samples.images.device)], samples.labels[rows]
    module, count = model.get_submodule(layer.name), len(rows)
    clean = samples.ask(images).cpu()
    kept: list[Collapse] = []
    for level in budget.levels:
        value, found = level * max(layer.peak), []
        for start in range(0, len(quietest), max(1, _BATCH // count)):
            held = quietest[start : start + max(1, _BATCH // count)]

            def change(output: Tensor, held: list[int] = held, value: float = value) -> Tensor:
                changed = output.clone()
                for place, channel in enumerate(held):
                    changed[place * count : (place + 1) * count, channel] = value
                return changed

            with _changing(module, change):
                said = samples.ask(images.repeat(len(held), 1, 1, 1)).cpu()
            found += _collapses(said.unflatten(0, (len(held), count)), clean, labels, (layer.name, held, value))
        found.sort(key=lambda one: -one.lift)
        kept += found[: budget.keep]
    return kept


def _collapses(
    logits: Float[Tensor, "u n k"], clean: Float[Tensor, "n k"], labels: Tensor, where: tuple[str, list[int], float]
) -> list[Collapse]:
    """One collapse for each channel that was held."""
    layer, units, level = where
    own = torch.nn.functional.one_hot(labels, clean.shape[1]).bool()
    margin = (clean[own] - clean.masked_fill(own, -torch.inf).amax(1)).median().clamp_min(_SMALL)
    rises = (logits - clean).mean(1).sort(1, descending=True)
    lifts = (rises.values[:, 0] - rises.values[:, 1]) / margin
    found = []
    for unit, row, target, lift in zip(units, logits.argmax(2), rises.indices[:, 0].tolist(), lifts, strict=True):
        others = labels != target
        share = float(((row == target) & others).sum() / others.sum().clamp_min(1))
        found.append(Collapse(layer, unit, level, target, share, float((row != labels).float().mean()), float(lift)))
    return found


def _spread(labels: Tensor, count: int) -> Tensor:
    """Up to `count` images, of every class in turn."""
    ordered, by_class = labels.sort(stable=True)
    turn = torch.empty_like(labels)
    turn[by_class] = torch.arange(len(labels)) - torch.searchsorted(ordered, ordered)
    return turn.argsort(stable=True)[:count]


def _by_channel(output: Tensor) -> Tensor:
    """(n, channels, places), whether the layer is a convolution or fully connected."""
    return output.flatten(2) if output.ndim > 2 else output[:, :, None]


@contextmanager
def _changing(module: nn.Module, change: Change) -> Iterator[None]:
    """Inside, what `module` gives is changed; no hook stays behind."""

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return change(output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
