"""The child process of `convert`: it gives up what it can, judges the file, and writes safetensors.

It is handed two open files and a line of JSON, and answers with a line of JSON. It opens nothing by name.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from badnets.artifacts import canonical_json
from badnets.errors import BadnetsError
from badnets.supply.digests import tensor_digest
from badnets.supply.isolation import Bounds, isolate
from badnets.supply.safetensors_writer import weights_of, write_safetensors
from badnets.supply.scan.findings import Verdict, verdict_of
from badnets.supply.scan.safetensors import inspect as inspect_safetensors
from badnets.supply.scan.source import Budget, Limits, Source
from badnets.supply.scan.weights import inspect_weights, weights_format


def main(text: str) -> None:
    """Do what `text` asks and write the answer to stdout."""
    asked = json.loads(text)
    isolation = isolate(Bounds(**asked["bounds"]))
    answer: dict[str, Any] = {"isolation": asdict(isolation)}
    try:
        answer |= _convert(asked)
    except BadnetsError as error:
        answer |= {"error": type(error).__name__, "reason": str(error)}
    except MemoryError:
        answer |= {"error": "Exhausted", "reason": "it needs more memory than is allowed"}
    sys.stdout.write(canonical_json(answer) + "\n")


def _convert(asked: dict[str, Any]) -> dict[str, Any]:
    with os.fdopen(asked["source"], "rb") as file, os.fdopen(asked["target"], "r+b") as target:
        budget = Budget(Limits(seconds=asked["seconds"]))
        source = Source(file, 0, asked["size"], budget)
        findings, inventory = inspect_weights(source, finite=asked["finite"])
        said: dict[str, Any] = {"format": weights_format(source) or "unknown", "findings": findings}
        if inventory is None or verdict_of(finding.rule.severity for finding in findings) != Verdict.CLEAN:
            return said
        weights = weights_of(inventory, asked["wrapper"])
        write_safetensors(source, weights, target)
        target.flush()
        # Read again by the strict reader: what was written is what was read, or nothing is handed over.
        written = Source(target, 0, target.seek(0, os.SEEK_END), budget)
        faults, there = inspect_safetensors(written)
        digest = tensor_digest(source, weights)
        sound = there is not None and not faults and tensor_digest(written, there) == digest
        left = {path[0] for path in (*(tensor.path for tensor in inventory.tensors), *inventory.other)} - {
            asked["wrapper"]
        }
        return said | {
            "sound": sound,
            "digest": digest,
            "tensors": len(weights.tensors),
            "left_out": sorted(map(str, left)) if asked["wrapper"] else [],
        }


if __name__ == "__main__":
    main(sys.argv[1])
