"""Repairs of a backdoored model: (model, clean images, spec) -> a repaired copy, and what was done.

None is told the trigger, the target or an attack rate; `unlearning` takes what an audit has recovered.
"""

from collections.abc import Callable

from badnets.defenses.repair.anp import AnpSpec, anp
from badnets.defenses.repair.clp import ClpSpec, clp
from badnets.defenses.repair.fine_pruning import FinePruneSpec, fine_pruning
from badnets.defenses.repair.fine_tuning import FineTuneSpec, fine_tuning
from badnets.defenses.repair.ft_sam import FtSamSpec, ft_sam
from badnets.defenses.repair.i_bau import IBauSpec, i_bau
from badnets.defenses.repair.repaired import Repaired, repaired_or_refused
from badnets.defenses.repair.unlearning import Mapping, Recovered, UnlearnSpec, unlearning

REPAIRS: dict[str, Callable[..., Repaired]] = {
    "fine-tuning": fine_tuning,
    "fine-pruning": fine_pruning,
    "unlearning": unlearning,
    "ft-sam": ft_sam,
    "anp": anp,
    "clp": clp,
    "i-bau": i_bau,
}

__all__ = [
    "REPAIRS",
    "AnpSpec",
    "ClpSpec",
    "FinePruneSpec",
    "FineTuneSpec",
    "FtSamSpec",
    "IBauSpec",
    "Mapping",
    "Recovered",
    "Repaired",
    "UnlearnSpec",
    "anp",
    "clp",
    "fine_pruning",
    "fine_tuning",
    "ft_sam",
    "i_bau",
    "repaired_or_refused",
    "unlearning",
]
