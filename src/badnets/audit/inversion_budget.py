"""How hard trigger inversion searches, as a value, and who looks on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from badnets.audit.inversion_forms import FormName, form_named
from badnets.errors import InputError, Stopped


@dataclass(frozen=True)
class Stage:
    """One round of the search.

    Attributes:
        steps: of the optimiser at most.
        images: for each objective; where there are fewer of its source classes they come again.
        keep: the share of all objectives that take part in it: those that came out smallest before.

    Raises:
        InputError: a value outside its range.
    """

    steps: int
    images: int
    keep: float = 1.0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if self.steps < 1 or self.images < 1 or not 0 < self.keep <= 1:
            raise InputError(f"a stage has at least one step and image and keeps a share in (0, 1], got {self!r}")


@dataclass(frozen=True)
class Budget:
    """How hard is searched: with the model, images and objectives it decides the result.

    Attributes:
        stages: one after the other; later ones look at more images, and may leave out what looks hopeless.
        form: "patch" (mask and pattern, small in the sum of the mask, in pixels), "additive" (small in L2 norm, in
            full-scale pixels), "additive-linf" (in the largest change) or "blend" (in opacity).
        success: the share of an objective's images that a trigger must move to count, in (0, 1].
        rate: of Adam, in pixel values from 0 to 1.
        patience: an objective is finished once so many steps made its trigger no smaller by 2 %.
        restarts: independent starts for each objective, the best counts.
        batch: images in one pass at most; None chooses by device and image size.
        seed: of starts and of the choice of images.

    Raises:
        InputError: a value outside its range.
    """

    stages: tuple[Stage, ...] = (Stage(40, 8), Stage(40, 20))
    form: FormName = "patch"
    success: float = 0.95
    rate: float = 0.1
    patience: int = 25
    restarts: int = 1
    batch: int | None = None
    seed: int = 0

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        form_named(self.form)
        if not self.stages:
            raise InputError("a budget has at least one stage")
        if not 0 < self.success <= 1 or not 0 < self.rate <= 1:
            raise InputError(f"success and rate lie in (0, 1], got {self.success} and {self.rate}")
        if min(self.patience, self.restarts, 1 if self.batch is None else self.batch) < 1:
            raise InputError(f"patience, restarts and batch are at least 1, got {self!r}")


@dataclass(frozen=True)
class Watch:
    """Who looks on; nothing here has an influence on the result.

    Attributes:
        on_progress: called now and then with the share that is done, from 0 to 1.
        stop: asked at every step; when it says yes, `Stopped` is raised.
    """

    on_progress: Callable[[float], None] | None = None
    stop: Callable[[], bool] | None = None

    def tick(self, share: float) -> None:
        """Tell and ask. Raises `Stopped`."""
        if self.on_progress is not None:
            self.on_progress(min(share, 1.0))
        if self.stop is not None and self.stop():
            raise Stopped("the audit was stopped; the same call begins again")
