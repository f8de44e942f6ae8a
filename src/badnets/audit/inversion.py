"""Trigger inversion: the smallest change that sends images where an objective wants them, for many objectives at once.

Neural Cleanse (Wang et al., IEEE S&P 2019, section IV) solves one such problem for each target class, one after the
other. Here all objectives lie on the batch axis and share the frozen model. What is returned for each objective is the
smallest trigger seen on the way that moved at least `Budget.success` of its images: for a backdoor's own objective it
is far smaller than for clean models. How small is too small, a population of clean models says, treated with the same
budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float, Int64
from torch import Tensor, nn

from badnets.audit.inversion_budget import Budget, Watch
from badnets.audit.inversion_forms import FORMS, FormName, Parameters
from badnets.audit.inversion_search import Found, Search, Task
from badnets.audit.objectives import Objective
from badnets.audit.samples import Samples
from badnets.errors import InputError
from badnets.training.memory import keep_freed_memory
from badnets.triggers import AnyTrigger


@dataclass(frozen=True, eq=False)
class Inverted:
    """The smallest trigger found for one objective.

    Attributes:
        objective: what it is for.
        form: how it was parameterised, see `Budget`.
        found: whether any trigger moved enough of the images in the last stage that it took part in.
        size: of the trigger; the largest possible one (`Form.largest`) where none was found.
        sizes: the same at the end of every stage that it took part in.
        success: the share of its images that it moves; where none was found, of the last one tried.
        images: how many images it was judged on; 0 where the model gets no image of its source right: not tested.
        steps: taken in all.
        passes: images through model and gradient in all.
        parameters: of the form, first axis 1, on the CPU.
    """

    objective: Objective
    form: FormName
    found: bool
    size: float
    sizes: tuple[float, ...]
    success: float
    images: int
    steps: int
    passes: int
    parameters: Parameters

    @property
    def tested(self) -> bool:
        """Whether there were images to test it on."""
        return self.images > 0

    @property
    def trigger(self) -> AnyTrigger:
        """The same as a trigger that can be written, stamped and measured, its pixels rounded to 1/255.

        Raises:
            InputError: for images of neither 1 nor 3 channels, which no picture can hold.
        """
        channels = self.parameters[-1].shape[1]
        if channels not in (1, 3):
            raise InputError(f"a trigger is written as a picture of 1 or 3 channels, these images have {channels}")
        return FORMS[self.form].trigger(self.parameters)


def invert(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    objectives: Sequence[Objective],
    budget: Budget = Budget(),
    watch: Watch = Watch(),
) -> tuple[Inverted, ...]:
    """Search the smallest trigger for every objective.

    Only images that the model gets right take part: of the others a trigger could not be told from a mistake. Each
    objective is searched with images and a start of its own streams, so the others have no influence on it but by
    rounding (and by `Stage.keep`).

    Args:
        model: takes (n, c, h, w) float32 in [0, 1] and gives logits (n, k); its mode and weights stay as they are.
        images: clean ones; a few of each class are enough.
        labels: their classes.
        objectives: what is asked, see `badnets.audit.objectives`.
        budget: how hard.
        watch: progress and stop.

    Returns:
        One result for each objective, in their order.

    Raises:
        InputError: images or labels that do not fit each other or the model, an objective out of range, a model that
            raises or gives undefined numbers.
        Stopped: `watch.stop` said so.
    """
    keep_freed_memory()
    with Samples.of(model, images, labels) as samples:
        for objective in objectives:
            objective.check(samples.classes)
        tasks = [Task(objective, number) for number in range(budget.restarts) for objective in objectives]
        search = Search(samples, tasks, FORMS[budget.form], budget, watch.tick)
        results = [_inverted(found, budget.form) for found in search.run()]
    count = len(objectives)
    return tuple(_best(results[place::count]) for place in range(count)) if count else ()


def _inverted(found: Found, form: FormName) -> Inverted:
    return Inverted(
        found.task.objective,
        form,
        found.reached,
        found.sizes[-1],
        found.sizes,
        found.success,
        found.images,
        found.steps,
        found.passes,
        found.parameters,
    )


def _best(restarts: Sequence[Inverted]) -> Inverted:
    """The one that came furthest, and among those the smallest; its cost is that of all."""
    best = min(restarts, key=lambda one: (-len(one.sizes), one.size, -one.success))
    return replace(best, steps=sum(one.steps for one in restarts), passes=sum(one.passes for one in restarts))
