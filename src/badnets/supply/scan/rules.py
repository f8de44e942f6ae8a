"""Every rule of the scan, by id."""

from __future__ import annotations

from types import ModuleType

from badnets.supply.scan import (
    archives,
    archives_tar,
    archives_zip,
    dispatch,
    folder,
    inflate,
    names,
    npy,
    onnx_rules,
    pictures,
    refused,
    refused_gguf,
    refused_keras,
    scan,
    texts,
)
from badnets.supply.scan.findings import Rule

MODULES: tuple[ModuleType, ...] = (
    scan, folder, dispatch, refused, names, archives, archives_zip, archives_tar, inflate, npy, onnx_rules, pictures,
    refused_gguf, refused_keras, texts,
)  # fmt: skip


def all_rules() -> dict[str, Rule]:
    """The rules of all readers, in the order of their ids; an id stands for one rule, for ever."""
    found = {rule.id: rule for module in MODULES for rule in module.RULES}
    return dict(sorted(found.items()))
