"""Every rule of the scan, by id."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from badnets.supply.scan import (
    archives,
    archives_tar,
    archives_zip,
    dispatch,
    finite,
    folder,
    inflate,
    inventory,
    names,
    npy,
    onnx_rules,
    pickle_rules,
    pictures,
    refused,
    refused_gguf,
    refused_keras,
    safetensors,
    safetensors_header,
    scan,
    text,
    texts,
    torch_legacy,
    zip_rules,
)
from badnets.supply.scan.findings import Rule

MODULES: tuple[ModuleType, ...] = (
    scan, folder, dispatch, refused, names, archives, archives_zip, archives_tar, inflate, npy, onnx_rules, pictures,
    refused_gguf, refused_keras, texts, safetensors, safetensors_header, text, inventory, finite, pickle_rules,
    torch_legacy, zip_rules,
)  # fmt: skip


def all_rules() -> dict[str, Rule]:
    """The rules of all readers, in the order of their ids; an id stands for one rule, for ever."""
    return dict(sorted({rule.id: rule for module in MODULES for rule in rules_of(module)}.items()))


def rules_of(module: ModuleType) -> Iterator[Rule]:
    """The rules that a module names: by themselves, or in a table by format."""
    for value in vars(module).values():
        if isinstance(value, Rule):
            yield value
        elif isinstance(value, dict):
            yield from (item for item in value.values() if isinstance(item, Rule))
