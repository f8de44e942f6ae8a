"""Reads an ONNX model field by field: only standard operators, no code from elsewhere, every tensor as long as it says.

In this order: the fields of every message, the operator sets, the functions of the model's own, the graph with all
graphs within it, each node against its operator, and each tensor against its type and shape.

Source: the ONNX project, docs/IR.md and onnx/checker.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from badnets.supply.scan import onnx_rules as rules
from badnets.supply.scan.findings import Finding
from badnets.supply.scan.onnx_graph import Walk
from badnets.supply.scan.onnx_messages import Fault, Messages
from badnets.supply.scan.onnx_tensor import External
from badnets.supply.scan.protobuf import WireError
from badnets.supply.scan.source import Source

RULES = rules.RULES


@dataclass(frozen=True)
class Model:
    """What a model holds: what speaks against it, and the weights that it keeps in other files."""

    findings: tuple[Finding, ...]
    externals: tuple[External, ...]


def check(source: Source) -> list[Finding]:
    """Judge an ONNX model by itself. Weights in other files leave it unjudged. Raises `Exhausted`."""
    model = inspect(source)
    elsewhere = [
        Finding(rules.EXTERNAL, f"{external.tensor!a} in {external.location!a}", source.member, source.at(external.at))
        for external in model.externals
    ]
    return sorted([*model.findings, *elsewhere], key=lambda finding: finding.offset or 0)


def inspect(source: Source) -> Model:
    """Judge an ONNX model and list the weights it keeps in other files. Raises `Exhausted`.

    The first fault ends it: what is after a fault cannot be trusted to be what it seems.
    """
    walk = Walk(Messages(source))
    try:
        walk.model()
    except Fault as fault:
        found = Finding(fault.rule, fault.detail, source.member, source.at(fault.offset), fault.length)
        return Model((found,), tuple(walk.externals))
    except WireError as error:
        found = Finding(rules.MALFORMED, str(error), source.member, source.at(error.offset))
        return Model((found,), tuple(walk.externals))
    return Model((), tuple(walk.externals))
