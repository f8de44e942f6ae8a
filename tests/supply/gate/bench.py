"""What the tests of the gate share: keys, policies, a model, evidence, and short calls."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from badnets.supply.digests import tensor_digest
from badnets.supply.gate.evidence import AuditEvidence, Evidence, FileEvidence, HubEvidence, WeightsEvidence
from badnets.supply.gate.examine import Extras
from badnets.supply.gate.gate import Decision, Keeper, gate
from badnets.supply.gate.intake import from_disk
from badnets.supply.gate.policy import Policy, read_policy
from badnets.supply.gate.store import Store
from badnets.supply.scan.source import Budget, Limits, Source
from badnets.supply.scan.weights import inspect_weights
from badnets.supply.signing import new_key, write_pair

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICY = """
[verdict]
signers = ["gate.pub"]

[[require]]
rule = "scan"

[[require]]
rule = "audit"
"""


def safetensors(values: tuple[float, ...] = (1.0, 2.0, 3.0), name: str = "fc.weight") -> bytes:
    """A file with one tensor."""
    length = 4 * len(values)
    header = json.dumps({name: {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, length]}}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + struct.pack(f"<{len(values)}f", *values)


def audit_of(digest: str, word: str = "clean", p_value: float | None = 0.6) -> AuditEvidence:
    """What an audit could say."""
    return AuditEvidence(
        digest, word, f"it came out {word}", 0.05, p_value, 39, 0.05, "by rank among 39 clean models",
        tests=("structure", "margins", "inversion", "pairs"), not_tested=("triggers in sound",), seed=3,
        sha256="a" * 64, scores=("inversion: z = 0.2",), versions={"badnets": "0.1.0"},
    )  # fmt: skip


def evidence_of(**changes: object) -> Evidence:
    """Evidence under which the policy of this module admits."""
    digest = "d" * 64
    hub = HubEvidence("lab/a", "f" * 64, "admission", 2, 2, "1" * 64, 3, NOW + timedelta(days=2), 1.0)
    weights = WeightsEvidence("model.pt", "model.safetensors", "b" * 64, 100, digest, 1, 25, ("F32",))
    whole = Evidence(
        "model.pt", "hub", "lab/a", NOW, files=(FileEvidence("model.pt", "c" * 64, 100, "torch-zip", "clean"),),
        hub=hub, weights=(weights,), audits=(audit_of(digest),),
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]


class Bench:
    """A folder with the keys `gate` and `person`, a policy, and the model `model/weights.safetensors`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, Store(folder / "store")
        self.keys = {name: new_key() for name in ("gate", "person")}
        for name, key in self.keys.items():
            write_pair(key, folder / f"{name}.key", folder / f"{name}.pub")
        self.model = self.write_model("model")
        self.policy_file = folder / "gate.toml"
        self.policy_file.write_text(POLICY)

    @property
    def policy(self) -> Policy:
        return read_policy(self.policy_file)

    def write_model(self, name: str, values: tuple[float, ...] = (1.0, 2.0, 3.0)) -> Path:
        folder = self.folder / name
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(safetensors(values))
        (folder / "config.json").write_text('{"classes": 3}')
        return folder

    def decide(
        self, model: Path | None = None, *, key: bool = True, now: datetime = NOW, extras: Extras | None = None
    ) -> Decision:
        keeper = Keeper(self.policy, self.store, self.keys["gate"] if key else None, 5.0)
        return gate(from_disk(model or self.model), keeper, extras=extras or Extras(), now=now)

    def digest(self, model: Path | None = None) -> str:
        """The canonical digest of a folder's weights, without the gate."""
        (path,) = [file for file in (model or self.model).iterdir() if file.suffix in (".safetensors", ".pt")]
        with path.open("rb") as file:
            source = Source(file, 0, path.stat().st_size, Budget(Limits()))
            _, inventory = inspect_weights(source)
            assert inventory is not None
            return tensor_digest(source, inventory)

    def admit(self, model: Path | None = None, *, now: datetime = NOW) -> Decision:
        """Admit with a clean audit."""
        return self.decide(model, now=now, extras=Extras(audits=(audit_of(self.digest(model)),)))
