"""Fitting one model, and its weights on disk."""

from badnets.training.checkpoint import (
    Card,
    Job,
    load_model,
    load_plan,
    read_card,
    save_plan,
    weights_digest,
)
from badnets.training.loop import Fit, Progress, Session, fit
from badnets.training.machine import Machine, limited_threads, this_machine
from badnets.training.spec import Augment, TrainSpec

__all__ = [
    "Augment",
    "Card",
    "Fit",
    "Job",
    "Machine",
    "Progress",
    "Session",
    "TrainSpec",
    "fit",
    "limited_threads",
    "load_model",
    "load_plan",
    "read_card",
    "save_plan",
    "this_machine",
    "weights_digest",
]
