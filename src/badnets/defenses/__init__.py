"""Defenses as functions: filters of inputs, filters of training sets, repairs of models.

No oracle: each takes a model, a small clean set and a spec (a filter of training sets the suspect set too), never a
trigger, a target or a rate of attack on test images. Three dicts name them all: `INPUTS`, `FILTERS` and `REPAIRS`.
"""

from badnets.defenses.data import FILTERS
from badnets.defenses.inputs import INPUTS
from badnets.defenses.repair import REPAIRS

__all__ = ["FILTERS", "INPUTS", "REPAIRS"]
