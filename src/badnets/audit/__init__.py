"""Tests on a foreign model, and the verdict they lead to.

The names load on first use: a gate reads a `Verdict` without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from badnets.audit.auditing import Audit, Declared, Options, audit
    from badnets.audit.cases import Settings, choose
    from badnets.audit.conventions import Convention, find_convention
    from badnets.audit.detector_auditing import DetectorAudit, DetectorOptions, audit_detector
    from badnets.audit.detector_population import (
        DetectorPopulation,
        DetectorRecipe,
        open_detector_population,
        train_detector_population,
    )
    from badnets.audit.population import Population, Recipe, open_population, train_population
    from badnets.audit.probes import STAGES
    from badnets.audit.stages import Watch
    from badnets.audit.verdict import Verdict, read_verdict, verdict_schema

_HOME = {
    "STAGES": "probes",
    "Audit": "auditing",
    "Convention": "conventions",
    "Declared": "auditing",
    "DetectorAudit": "detector_auditing",
    "DetectorOptions": "detector_auditing",
    "DetectorPopulation": "detector_population",
    "DetectorRecipe": "detector_population",
    "Options": "auditing",
    "Population": "population",
    "Recipe": "population",
    "Settings": "cases",
    "Verdict": "verdict",
    "Watch": "stages",
    "audit": "auditing",
    "audit_detector": "detector_auditing",
    "choose": "cases",
    "find_convention": "conventions",
    "open_detector_population": "detector_population",
    "open_population": "population",
    "read_verdict": "verdict",
    "train_detector_population": "detector_population",
    "train_population": "population",
    "verdict_schema": "verdict",
}

__all__ = [
    "STAGES",
    "Audit",
    "Convention",
    "Declared",
    "DetectorAudit",
    "DetectorOptions",
    "DetectorPopulation",
    "DetectorRecipe",
    "Options",
    "Population",
    "Recipe",
    "Settings",
    "Verdict",
    "Watch",
    "audit",
    "audit_detector",
    "choose",
    "find_convention",
    "open_detector_population",
    "open_population",
    "read_verdict",
    "train_detector_population",
    "train_population",
    "verdict_schema",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'badnets.audit' has no attribute {name!r}")
    return getattr(import_module(f"badnets.audit.{_HOME[name]}"), name)
