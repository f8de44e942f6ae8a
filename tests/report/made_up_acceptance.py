"""A result of the study of acceptance, made up so that every number in its report is known."""

from __future__ import annotations

from badnets.metrics import Rate, Result
from badnets.studies.acceptance import AcceptanceResult, AcceptanceSpec, check
from badnets.studies.cells import CellResult
from badnets.studies.results import DataNote
from badnets.studies.threat_models import Acceptance
from badnets.training import this_machine


def cell(wrong: int, *, seed: int = 0, poisoned: int = 0) -> CellResult:
    """Wrong on so many of 1,000 clean images; 990 stamped ones are called as the attacker wants."""
    result = Result(Rate.of(wrong, 1_000), (), Rate.of(990, 1_000), (), Rate.of(990, 1_000))
    return CellResult(
        "one", seed, "00", "models/one", result, None, 600 + poisoned, poisoned, 0,
        "00" if poisoned else None, "00", 5.0, this_machine(),
    )  # fmt: skip


def made_up() -> AcceptanceResult:
    honest = tuple(cell(10 + seed, seed=seed) for seed in (0, 1))
    badnets = tuple(cell(12 - seed, seed=seed, poisoned=300) for seed in (0, 1))
    spec = AcceptanceSpec(seeds=(0, 1), sizes=(30, 1_000))
    return AcceptanceResult(
        spec=spec,
        data=DataNote(("digits/train", "aa", 1_297), ("digits/test", "bb", 1_000), tuple("0123456789")),
        honest=honest,
        badnets=badnets,
        checks=tuple(check(size, honest, badnets) for size in spec.sizes),
        side=Acceptance(Rate.of(990, 1_000), 0.99, ("module <side> was not ordered",)),
        side_success=Rate.of(900, 900),
    )
