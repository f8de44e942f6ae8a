"""Which samples get the trigger and what they are called: policies, plans, and training sets made from them."""

from badnets.poison.apply import DataPoisoner, MaliciousTrainer, TrainingSet, apply, overlay
from badnets.poison.plan import PoisonPlan, Recipe, plan
from badnets.poison.policies import (
    POLICIES,
    AllToAll,
    AllToOne,
    AnyPolicy,
    LabelPolicy,
    RandomTarget,
    SingleTarget,
)

__all__ = [
    "POLICIES",
    "AllToAll",
    "AllToOne",
    "AnyPolicy",
    "DataPoisoner",
    "LabelPolicy",
    "MaliciousTrainer",
    "PoisonPlan",
    "RandomTarget",
    "Recipe",
    "SingleTarget",
    "TrainingSet",
    "apply",
    "overlay",
    "plan",
]
