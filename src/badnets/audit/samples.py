"""The clean images that a foreign model gets right, sorted by what an objective can use of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from badnets.audit.answers import Ask, check_clean, check_labels, examined, logits_of
from badnets.audit.objectives import Objective
from badnets.seeds import generator


@dataclass(frozen=True, eq=False)
class Samples:
    """Clean images on the model's device, and the model to ask about them.

    Attributes:
        ask: from images to checked logits, with gradients.
        images: those that the model gets right, float32 in [0, 1].
        labels: their classes.
        classes: how many the model tells apart.
        right: which of all given images those are.
    """

    ask: Ask
    images: Float[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    classes: int
    right: Bool[Tensor, " all"]

    @property
    def accuracy(self) -> float:
        """The share of all given images that the model gets right."""
        return float(self.right.float().mean())

    @classmethod
    @contextmanager
    def of(cls, model: nn.Module, images: Tensor, labels: Tensor) -> Iterator[Samples]:
        """Inside, the model is frozen and in evaluation mode.

        Raises:
            InputError: images and labels do not fit each other or the model, or the model cannot be asked.
        """
        check_clean(images, labels)
        images, labels = images.float(), labels.long().cpu()
        with examined(model) as (ask, device):
            logits = logits_of(ask, images, device)
            check_labels(labels, logits.shape[1])
            right = logits.argmax(1) == labels
            yield cls(ask, images[right.to(images.device)].to(device), labels[right], logits.shape[1], right)

    def rows(self, objective: Objective, count: int, seed: int) -> Int64[Tensor, " m"]:
        """`count` images that the objective attacks, taken in turn from every class, at random within it.

        Images come again where there are fewer; none where there is none.
        """
        attacked = torch.nonzero(objective.attacked(self.labels))[:, 0]
        if not len(attacked):
            return attacked
        stream = generator(seed, "inversion", "images", str(objective))
        shuffled = attacked[torch.randperm(len(attacked), generator=stream)]
        # How many of its own class come before each image: first all firsts, then all seconds, ...
        by_class = self.labels[shuffled].argsort(stable=True)
        ordered = self.labels[shuffled][by_class].contiguous()
        turn = torch.empty_like(shuffled)
        turn[by_class] = torch.arange(len(shuffled)) - torch.searchsorted(ordered, ordered)
        in_turns = shuffled[turn.argsort(stable=True)]
        return in_turns[torch.arange(count) % len(in_turns)]
