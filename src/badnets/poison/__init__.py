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
    Nobody,
    RandomTarget,
    SingleTarget,
)
from badnets.poison.scenes import (
    ScenePlan,
    SceneRecipe,
    TriggeredScenes,
    apply_scenes,
    plan_scenes,
    poison_scenes,
    trigger_scenes,
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
    "Nobody",
    "PoisonPlan",
    "RandomTarget",
    "Recipe",
    "ScenePlan",
    "SceneRecipe",
    "SingleTarget",
    "TrainingSet",
    "TriggeredScenes",
    "apply",
    "apply_scenes",
    "as_files",
    "overlay",
    "plan",
    "plan_scenes",
    "poison_scenes",
    "trigger_scenes",
]
