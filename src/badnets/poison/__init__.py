"""Which samples get the trigger and what they are called: policies, plans, and training sets made from them."""

from badnets.poison.apply import TrainingSet, apply, overlay
from badnets.poison.attackers import DataPoisoner, FilePoisoner, MaliciousTrainer, as_files
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
    "FilePoisoner",
    "LabelPolicy",
    "MaliciousTrainer",
    "PoisonPlan",
    "RandomTarget",
    "Recipe",
    "SingleTarget",
    "TrainingSet",
    "apply",
    "as_files",
    "overlay",
    "plan",
]
