"""Trigger inversion for all objectives in one batch, beside a loop over them.

    python benchmarks/inversion.py [--json] [--rounds 3] [--steps 40] [--images 20]

The paper's CNN with random weights, random pixels of MNIST's shape called what the model says of them, one torch
thread; 20 objectives: 10 targets, 9 shifts, untargeted. Every variant takes the same steps of the optimiser on as many
images for each objective; none may stop early.

Variants:

1. batched: `invert` with all objectives.
2. one by one: `invert` with one objective after the other. What remains of the ratio is the batch itself.
3. usual loop: what a reader of Neural Cleanse writes. For each objective mask and pattern behind a tanh,
   `torch.optim.Adam`, cross-entropy plus a weight on the mask, the model's weights not frozen, so that their gradients
   are computed too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.audit.inversion import invert
from badnets.audit.inversion_budget import Budget, Stage
from badnets.audit.objectives import Objective, all_mappings
from badnets.models import build
from badnets.training import limited_threads
from benchmarks.rounds import Bar, Outcome, Variant, compare, machine, parser, print_outcome, take_turns

BARS = (Bar("batched", "usual loop", 3.0), Bar("batched", "one by one"))


@dataclass(frozen=True)
class Work:
    """What each variant does."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    objectives: tuple[Objective, ...]
    budget: Budget

    @classmethod
    def of(cls, steps: int, images: int, device: str = "cpu") -> Work:
        """As many steps on as many images for each of the 20 objectives."""
        model = build().eval().to(device)
        pixels = torch.rand(10 * images, 1, 28, 28, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            labels = model(pixels.to(device)).argmax(1).cpu()
        # A success that only all images make, and a patience that never ends.
        budget = Budget(stages=(Stage(steps, images),), success=1.0, patience=10 * steps)
        return cls(model, pixels, labels, all_mappings(10), budget)


def batched(work: Work) -> int:
    """All at once; how many objectives."""
    return len(invert(work.model, work.images, work.labels, work.objectives, work.budget))


def one_by_one(work: Work) -> int:
    """The same, one after the other."""
    return sum(len(invert(work.model, work.images, work.labels, (one,), work.budget)) for one in work.objectives)


def usual_loop(work: Work) -> int:
    """The same steps as most write them; how many objectives."""
    (stage,) = work.budget.stages
    device = next(work.model.parameters()).device
    for objective in work.objectives:
        attacked = torch.nonzero(objective.attacked(work.labels))[:, 0]
        rows = attacked[torch.arange(stage.images) % max(1, len(attacked))] if len(attacked) else attacked
        images, aims = work.images[rows].to(device), objective.aims(work.labels[rows], 10).to(device)
        if len(rows):
            invert_one(work.model, images, aims, stage.steps, away=objective.kind == "untargeted")
    return len(work.objectives)


def invert_one(model: nn.Module, images: Tensor, aims: Tensor, steps: int, *, away: bool) -> float:
    """Neural Cleanse for one objective; the smallest mask that moved all images, infinite where none did."""
    raw_mask = torch.zeros(1, 1, *images.shape[2:], device=images.device, requires_grad=True)
    raw_pattern = torch.zeros(1, *images.shape[1:], device=images.device, requires_grad=True)
    optimizer = torch.optim.Adam([raw_mask, raw_pattern], lr=0.1, betas=(0.5, 0.9))
    weight, best = 1e-2, float("inf")
    for _ in range(steps):
        mask, pattern = (raw_mask.tanh() + 1) / 2, (raw_pattern.tanh() + 1) / 2
        logits = model((1 - mask) * images + mask * pattern)
        loss = functional.cross_entropy(logits, aims)
        optimizer.zero_grad()
        ((-loss if away else loss) + weight * mask.sum()).backward()
        optimizer.step()
        moved = bool(((logits.argmax(1) == aims) != away).all())
        weight = weight * 1.1 if moved else weight / 1.15
        if moved:
            best = min(best, float(mask.detach().sum()))
    return best


def variants(work: Work) -> dict[str, Variant]:
    """All of them."""
    return {
        "batched": lambda: batched(work),
        "one by one": lambda: one_by_one(work),
        "usual loop": lambda: usual_loop(work),
    }


def main() -> None:
    """Measure and print."""
    options = parser("Trigger inversion for all objectives at once, beside a loop over them.", rounds=3)
    options.add_argument("--steps", type=int, default=40, help="of the optimiser (default %(default)s)")
    options.add_argument("--images", type=int, default=20, help="for each objective (default %(default)s)")
    options.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    chosen = options.parse_args()
    where = machine()
    with limited_threads(1):
        speeds = take_turns(variants(Work.of(chosen.steps, chosen.images, chosen.device)), chosen.rounds)
    if chosen.device == "cuda":
        where |= {"gpu": torch.cuda.get_device_name()}
    found = [compare(speeds, bar) for bar in BARS]
    note = f"{chosen.steps} steps on {chosen.images} images for each objective; load at the end {machine()['load']}"
    title = "inversion: 20 objectives, the paper's CNN"
    print_outcome(Outcome(title, where, speeds, found, [note], "objectives/s"), as_json=chosen.json)


if __name__ == "__main__":
    main()
