"""Filters in front of a model: each image is let through or turned away, by forward passes alone.

Every one is made from the model, clean images and a spec, and presets its threshold on clean images for a stated rate
of false rejections; see `Screen`. `sign_consistency` is the one for detectors: it looks at scenes, sign by sign.
"""

from collections.abc import Callable

from badnets.defenses.inputs.scale_up import ScaleUpSpec, scale_up
from badnets.defenses.inputs.screen import Screen, Screened
from badnets.defenses.inputs.sign_consistency import (
    ScreenedSigns,
    SignConsistencySpec,
    SignScreen,
    sign_consistency,
)
from badnets.defenses.inputs.strip import StripSpec, strip
from badnets.defenses.inputs.ted import TedSpec, ted

INPUTS: dict[str, Callable[..., Screen]] = {"strip": strip, "scale-up": scale_up, "ted": ted}

__all__ = [
    "INPUTS",
    "ScaleUpSpec",
    "Screen",
    "Screened",
    "ScreenedSigns",
    "SignConsistencySpec",
    "SignScreen",
    "StripSpec",
    "TedSpec",
    "scale_up",
    "sign_consistency",
    "strip",
    "ted",
]
