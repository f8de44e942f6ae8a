"""Fitting one model or many, and their weights on disk."""

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
from badnets.training.many import ManyFailed, ManySession, Order, fit_many
from badnets.training.processes import Processes, default_workers
from badnets.training.spec import Augment, TrainSpec
from badnets.training.tasks import Engine, Inline
from badnets.training.transfer import Retrained, frozen_by, transfer, victim

__all__ = [
    "Augment",
    "Card",
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
