"""What a patch of one fixed size can do at each place of a sign: log-odds of the target, for every pair of classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from badnets.audit.detector_crops import BoxView, SignCrops
from badnets.audit.detector_search import CELLS, stretched
from badnets.audit.objectives import Objective
from badnets.errors import Stopped
from badnets.seeds import generator

# The box is tiled by TILES x TILES patches; each is CELLS / TILES cells a side.
TILES = 4
# Signs a patch is fitted to; steps of signed gradient, each of this length, from grey.
_SIGNS, _STEPS, _LENGTH = 3, 5, 0.25


@dataclass(frozen=True, eq=False)
class Tile:
    """The patch that does most for one objective.

    Attributes:
        objective: a pair of classes.
        margin: mean over signs of log p(target) - log p(its strongest rival).
        signs: it was fitted to; 0 where the detector calls none rightly, and the margin is that of nothing seen.
        mask: 1 on its cells.
        colour: of each cell, in [0, 1].
    """

    objective: Objective
    margin: float
    signs: int
    mask: Float[Tensor, "g g"]
    colour: Float[Tensor, "3 g g"]


def search_tiles(
    view: BoxView, signs: SignCrops, objectives: Sequence[Objective], seed: int, stop: Callable[[], bool]
) -> tuple[Tile, ...]:
    """Fit a patch at each of the places, for every objective.

    Args:
        view: the detector.
        signs: clean ones, a few of each class.
        objectives: pairs of classes.
        seed: of the choice of signs.
        stop: asked before every pass.

    Raises:
        Stopped: `stop` said so.
    """
    with torch.no_grad():
        right = view.logits(signs.images, signs.boxes).argmax(1).cpu() == signs.labels + 1
    masks = _masks()
    found = []
    for objective in objectives:
        rows = (right & objective.attacked(signs.labels)).nonzero()[:, 0]
        order = torch.randperm(len(rows), generator=generator(seed, "tiles", str(objective)))
        picked = signs.take(rows[order[:_SIGNS]])
        if not len(picked) or objective.target is None:
            found.append(Tile(objective, 0.0, 0, masks[0, 0], torch.zeros(3, CELLS, CELLS)))
            continue
        margins, colours = _fitted(view, picked, objective.target + 1, masks, stop)
        best = int(margins.argmax())
        found.append(Tile(objective, float(margins[best]), len(picked), masks[best, 0], colours[best]))
    return tuple(found)


def _fitted(
    view: BoxView, signs: SignCrops, output: int, masks: Float[Tensor, "p 1 g g"], stop: Callable[[], bool]
) -> tuple[Float[Tensor, " p"], Float[Tensor, "p 3 g g"]]:
    """Mean margins of the target at each place, and the colours that reach them."""
    places, count = len(masks), len(signs)
    everywhere = signs.take(torch.arange(count).repeat(places))
    owner = torch.arange(places).repeat_interleave(count)
    colours = torch.full((places, 3, CELLS, CELLS), 0.5)
    best, kept = torch.full((places,), -torch.inf), colours.clone()
    for step in range(_STEPS + 1):
        if stop():
            raise Stopped("stopped: nothing was judged")
        tried = colours.clone().requires_grad_()
        images = stretched(view, everywhere, masks, tried, owner)
        margins = _margin(view.logits(images, everywhere.boxes).float().cpu(), output).view(places, count).mean(1)
        better = margins.detach() > best
        best[better], kept[better] = margins.detach()[better], colours[better]
        if step < _STEPS:
            (slope,) = torch.autograd.grad(margins.sum(), tried)
            colours = (colours + _LENGTH * slope.sign()).clamp(0, 1)
    return best, kept


def _margin(logits: Float[Tensor, "n k"], output: int) -> Float[Tensor, " n"]:
    own = functional.one_hot(torch.tensor(output), logits.shape[1]).bool()
    return logits[:, output] - logits.masked_fill(own, -torch.inf).max(1).values


def _masks() -> Float[Tensor, "p 1 g g"]:
    """One for each place: ones on its cells."""
    tile = torch.arange(CELLS) * TILES // CELLS
    number = tile[:, None] * TILES + tile
    return torch.stack([(number == place).float()[None] for place in range(TILES**2)])
