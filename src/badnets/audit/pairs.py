"""Every ordered pair of classes by successive halving: what finds a backdoor that only one source class carries.

After K-Arm (Shen et al., ICML 2021): all pairs get a few steps, and more effort goes to those that came out smallest.
Some pairs are close by nature (a 1 becomes a 4 by a few strokes), so a pair is compared with the same pair of clean
models and never with the other pairs. Sizes are kept for every stage: what was dropped early has been treated like the
same pair of any clean model up to there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from badnets.audit.inversion import Inverted, search_all
from badnets.audit.inversion_budget import Budget, Stage, Watch
from badnets.audit.objectives import Objective
from badnets.audit.samples import Samples
from badnets.errors import InputError
from badnets.training.memory import keep_freed_memory

# All pairs on few images first, then the better ones on more.
PAIR_BUDGET = Budget(stages=(Stage(25, 6), Stage(20, 12, keep=0.3), Stage(30, 24, keep=0.1)))
# Two triggers are kept for each pair while the search runs; above this much memory the caller has to choose.
_MOST_VALUES = 1 << 28


@dataclass(frozen=True, eq=False)
class PairScan:
    """What came out for all pairs.

    Attributes:
        sizes: [s, i, j] is the size for source i and target j after stage s; NaN where the pair was dropped before or
            not tested, the largest possible size where nothing was found.
        finalists: the pairs that went through all stages, the smallest first (in comparison with the usual sizes).
        accuracy: of the model on the images given.
        passes: images through model and gradient in all.
    """

    sizes: Float[Tensor, "s k k"]
    finalists: tuple[Inverted, ...]
    accuracy: float
    passes: int

    @property
    def first(self) -> Float[Tensor, "k k"]:
        """After the first stage, which treats all pairs of all models alike: what is calibrated pair by pair."""
        return self.sizes[0]

    @property
    def last(self) -> Float[Tensor, "k k"]:
        """After the last stage that each pair took part in."""
        found = self.sizes[0]
        for later in self.sizes[1:]:
            found = torch.where(later.isnan(), found, later)
        return found


def scan_pairs(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    budget: Budget = PAIR_BUDGET,
    watch: Watch = Watch(),
    usual: Float[Tensor, "k k"] | None = None,
) -> PairScan:
    """Search the smallest trigger of every (source, target).

    Args:
        model: as in `invert`.
        images: clean ones; some of each class.
        labels: their classes.
        budget: how hard; later stages usually keep a part of the pairs.
        watch: progress and stop.
        usual: the size that clean models have for each pair after the first stage, such as a median: a stage keeps
            the pairs that are smallest in comparison. NaN leaves a pair out. None treats all alike.

    Raises:
        InputError: as `invert`; too many pairs to hold in memory; `usual` of another shape or not above 0.
        Stopped: `watch.stop` said so.
    """
    keep_freed_memory()
    with Samples.of(model, images, labels) as samples:
        classes = samples.classes
        expected = torch.ones(classes, classes) if usual is None else usual.float().cpu()
        if expected.shape != (classes, classes):
            raise InputError(f"expected usual sizes of {classes}x{classes} pairs, got {tuple(expected.shape)}")
        if bool((expected <= 0).any()):
            raise InputError("usual sizes are above 0, or NaN for pairs to be left out")
        chosen = torch.nonzero(~expected.isnan() & ~torch.eye(classes, dtype=torch.bool)).tolist()
        if len(chosen) * 2 * math.prod(images.shape[1:]) > _MOST_VALUES:
            raise InputError(
                f"{len(chosen):,} pairs of triggers do not fit in memory: leave most of them out, see likely_pairs"
            )
        pairs = [Objective("pair", target=target, source=source) for source, target in chosen]
        results = search_all(samples, pairs, budget, watch, [_at(expected, pair) for pair in pairs])
    sizes = torch.full((len(budget.stages), classes, classes), math.nan)
    for one in results:
        if one.tested:
            for stage, size in enumerate(one.sizes):
                sizes[stage, one.objective.source, one.objective.target] = size
    finalists = [one for one in results if one.tested and len(one.sizes) == len(budget.stages)]
    finalists.sort(key=lambda one: one.size / _at(expected, one.objective))
    return PairScan(sizes, tuple(finalists), samples.accuracy, sum(one.passes for one in results))


def likely_pairs(
    model: nn.Module, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], *, most: int
) -> Bool[Tensor, "k k"]:
    """The `most` pairs with the smallest mean margin between source and target on clean images.

    K-Arm's pre-screening, for models with so many classes that not all pairs can be searched. A backdoor whose target
    is far from its source in clean logits is missed: say so where it was used.

    Raises:
        InputError: as `invert`, or less than one pair.
    """
    if most < 1:
        raise InputError(f"expected at least one pair, got {most}")
    with Samples.of(model, images, labels) as samples, torch.no_grad():
        classes = samples.classes
        margins = torch.full((classes, classes), math.inf)
        if len(samples.labels):
            logits = torch.cat([samples.ask(part).cpu() for part in samples.images.split(512)])
            sums = torch.zeros(classes, classes).index_add_(0, samples.labels, logits)
            counts = samples.labels.bincount(minlength=classes)[:, None]
            means = sums / counts
            margins = torch.where(counts > 0, means.diagonal()[:, None] - means, math.inf)
        margins.fill_diagonal_(math.inf)
    picked = margins.flatten().argsort(stable=True)[: min(most, classes * (classes - 1))]
    chosen = torch.zeros(classes * classes, dtype=torch.bool)
    chosen[picked] = True
    return chosen.view(classes, classes) & torch.isfinite(margins)


def _at(values: Tensor, pair: Objective) -> float:
    assert pair.source is not None  # noqa: S101 - for the type checker
    assert pair.target is not None  # noqa: S101 - the same
    return float(values[pair.source, pair.target])
