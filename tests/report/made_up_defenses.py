"""A result of the study of defenses, made up so that every number in its report is known."""

from __future__ import annotations

from tests.report.made_up import cell, errors

from badnets.metrics import Rate
from badnets.studies.defending import DefensesResult, DefensesSpec, ModelFigures
from badnets.studies.defenses import FilterFigure, RepairFigure
from badnets.studies.results import DataNote

TOTAL = 1_000
DIVERSE = "clp works on batch normalisation, and this network has none: use fine-pruning or unlearning"


def repairs(name: str, seed: int, *, backdoored: bool) -> tuple[RepairFigure, ...]:
    """Unlearning leaves 1 % (5 % with the second seed) and costs half a point; fine-tuning leaves 60 % for nothing."""
    before = errors(10, 10 if backdoored else 995, TOTAL, TOTAL)
    left = 10 + 40 * seed
    unlearned, tuned = errors(15, TOTAL - left, TOTAL, TOTAL), errors(10, 400, TOTAL, TOTAL)
    again = Rate.of(300, TOTAL) if backdoored else None
    return (
        RepairFigure(name, "unlearning", before, unlearned, again, 12.0),
        RepairFigure(name, "fine-tuning", before, tuned if backdoored else unlearned, again, 3.0),
        RepairFigure(name, "clp", before, before, None, 0.0, DIVERSE),
    )


def model(name: str, seed: int, *, backdoored: bool) -> ModelFigures:
    poison = 200 if backdoored else 0
    hits, alarms = Rate.of(150 if backdoored else 0, poison), Rate.of(30, TOTAL)
    area, at_five = (0.9, Rate.of(160, poison)) if backdoored else (None, None)
    blind = Rate.of(20, poison) if backdoored else None
    return ModelFigures(
        cell(name, seed, errors(10, 10, TOTAL, TOTAL)),
        backdoored,
        (
            FilterFigure(name, "strip", hits, alarms, area, at_five, 1.5),
            FilterFigure(name, "ted", hits, alarms, 0.4 if backdoored else None, blind, 0.5),
        ),
        (FilterFigure(name, "spectre", hits, Rate.of(70, TOTAL), area, at_five, 0.1),),
        repairs(name, seed, backdoored=backdoored),
    )


def made_up() -> DefensesResult:
    models = []
    for seed in (0, 1):
        models.append(model("baseline", seed, backdoored=False))
        models += [model(name, seed, backdoored=True) for name in ("all-to-all-pattern", "all-to-0-pattern")]
    return DefensesResult(
        DefensesSpec(seeds=(0, 1), repairs=("unlearning", "fine-tuning", "clp")),
        DataNote(("digits/train", "aa", 1_297), ("digits/test", "bb", 2 * TOTAL), tuple("0123456789")),
        tuple(models),
    )
