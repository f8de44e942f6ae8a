"""Filters of a suspect training set: which samples are thrown away, and how many of a set without poison would be.

All work on one cache: `activations(model, suspect, clean)` runs the model over both sets once. The model is one that
was trained on the suspect set.
"""

from collections.abc import Callable

from badnets.defenses.data.activation_clustering import ClusteringSpec, activation_clustering
from badnets.defenses.data.activations import Activations, ClassFinding, Sifted, activations
from badnets.defenses.data.scan import ScanSpec, scan
from badnets.defenses.data.spectral_signatures import SpectralSpec, spectral_signatures
from badnets.defenses.data.spectre import SpectreSpec, spectre

FILTERS: dict[str, Callable[..., Sifted]] = {
    "activation-clustering": activation_clustering,
    "spectral-signatures": spectral_signatures,
    "spectre": spectre,
    "scan": scan,
}

__all__ = [
    "FILTERS",
    "Activations",
    "ClassFinding",
    "ClusteringSpec",
    "ScanSpec",
    "Sifted",
    "SpectralSpec",
    "SpectreSpec",
    "activation_clustering",
    "activations",
    "scan",
    "spectral_signatures",
    "spectre",
]
