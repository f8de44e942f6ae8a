"""Fitting one model or many, and their weights on disk.

Detectors are fitted by `badnets.training.detect`, which takes seconds to import.
"""

from badnets.training.checkpoint import (
    Card,
    Job,
    load_model,
    load_plan,
    read_card,
    save_plan,
    weights_digest,
)
from badnets.training.detect_spec import DETECT_PRESETS, DetectTrainSpec, SceneAugment
from badnets.training.loop import Fit, fit
from badnets.training.machine import Machine, limited_threads, this_machine
from badnets.training.many import ManyFailed, ManySession, Order, fit_many
from badnets.training.processes import Processes, default_workers
from badnets.training.session import Progress, Session
from badnets.training.spec import Augment, TrainSpec
from badnets.training.tasks import Engine, Inline
from badnets.training.transfer import Retrained, frozen_by, transfer, victim

__all__ = [
    "DETECT_PRESETS",
    "Augment",
    "Card",
    "DetectTrainSpec",
    "Engine",
    "Fit",
    "Inline",
    "Job",
    "Machine",
    "ManyFailed",
    "ManySession",
    "Order",
    "Processes",
    "Progress",
    "Retrained",
    "SceneAugment",
    "Session",
    "TrainSpec",
    "default_workers",
    "fit",
    "fit_many",
    "frozen_by",
    "limited_threads",
    "load_model",
    "load_plan",
    "read_card",
    "save_plan",
    "this_machine",
    "transfer",
    "victim",
    "weights_digest",
]
