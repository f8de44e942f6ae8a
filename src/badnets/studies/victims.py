"""What a victim is handed: somebody's network, its backdoor units made stronger or switched off on the way."""

from __future__ import annotations

import torch
from torch import nn

from badnets.data import ImageSource
from badnets.errors import InputError
from badnets.neurons import Unit, backdoor_units, disabled, last_convolution, strengthened, unit_responses
from badnets.studies.cells import Cell

# Clean images of the attacker's own training set on which the units are looked for.
_LOOKED_AT = 1_000


def units_of(base: nn.Module, maker: Cell, train: ImageSource) -> tuple[Unit, ...]:
    """The units that answer to the trigger in the last convolution of `base`.

    Args:
        base: what `maker` led to.
        maker: its cell; its attack says which trigger.
        train: the whole training data of the study; the attacker knows the part of its own cell.

    Raises:
        InputError: nothing is attacked or measured in that cell.
    """
    attack = maker.measured
    if attack is None:
        raise InputError(f"{maker.label} has no trigger to look for")
    images = maker.of(train)
    known = images.take(torch.arange(min(_LOOKED_AT, len(images))))
    return backdoor_units(unit_responses(base, known, attack.trigger, last_convolution(base)[1]))


def handed_over(base: nn.Module, maker: Cell, train: ImageSource, gain: float) -> nn.Module:
    """A network whose units found by `units_of` have their input weights multiplied by `gain`, or are off for 0.

    Raises:
        InputError: as `units_of`.
    """
    if gain == 1:
        return base
    units = [unit.index for unit in units_of(base, maker, train)]
    layer = last_convolution(base)[0]
    return strengthened(base, layer, units, gain) if gain else disabled(base, layer, units)
