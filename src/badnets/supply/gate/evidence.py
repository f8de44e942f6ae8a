"""What the gate knows of a model when it decides. Values only: whoever gathered them has closed all files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from badnets.artifacts import sha256_json


@dataclass(frozen=True)
class FileEvidence:
    """A file as it was fetched, and what the scan said of it.

    Attributes:
        name: relative to the model, with `/`.
        sha256: of its bytes, in hex.
        size: in bytes.
        format: what the content is; "unknown" before the scan.
        verdict: of the scan: clean, refused or unjudged; empty before it.
        findings: what speaks against it, a line each.
        notes: what does not, a line each.
    """

    name: str
    sha256: str
    size: int
    format: str = "unknown"
    verdict: str = ""
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class HubEvidence:
    """Which hub offers the model, by whose signatures, and how fresh that is.

    Attributes:
        name: of the model there.
        root_sha256: of the root file that was trusted by hand.
        role: which offers it.
        signatures: how many that role needs.
        keys: how many it has.
        target_sha256: of the model's target in the hub's metadata.
        version: of the timestamp.
        expires: until when the hub's newest metadata holds.
        age_hours: of the newest signature; None where the hub does not say.
        custom: what was signed along with the model, such as the pin of a verdict.
        faults: what mirrors did wrong.
        verdict: SHA-256 of the verdict that is pinned on the model, and came with it; empty where none is.
    """

    name: str
    root_sha256: str
    role: str
    signatures: int
    keys: int
    target_sha256: str
    version: int
    expires: datetime
    age_hours: float | None
    custom: dict[str, object] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    verdict: str = ""


@dataclass(frozen=True)
class SignatureEvidence:
    """What one signature came to under one key or authority of the policy.

    Attributes:
        trusted_as: the key or authority as the policy names it.
        signer: whose signature it is; None where that is not established.
        ok: whether every file is as signed.
        reason: in one line.
    """

    trusted_as: str
    signer: str | None
    ok: bool
    reason: str


@dataclass(frozen=True)
class WeightsEvidence:
    """A file of weights, converted.

    Attributes:
        source: its name in the model; of weights in several files that of their index.
        name: of the safetensors file that would be admitted.
        sha256: of that file.
        size: of that file, in bytes.
        tensor_digest: the canonical digest, see `supply.digests`.
        tensors: how many.
        parameters: numbers in all tensors together.
        dtypes: by the names of safetensors, sorted.
        left_out: keys of a checkpoint that were not taken over.
        isolation: what the converting child had really given up.
        shards: the files that it was joined from, where an index names several.
    """

    source: str
    name: str
    sha256: str
    size: int
    tensor_digest: str
    tensors: int
    parameters: int
    dtypes: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    isolation: dict[str, bool] = field(default_factory=dict)
    shards: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditEvidence:
    """What an audit of weights says: the part of its verdict that a policy can ask for.

    Attributes:
        tensor_digest: of the audited weights; for any other weights it counts for nothing.
        word: clean, backdoored or undecided.
        reason: in one line.
        alpha: level of the audit's test.
        p_value: None where none could be computed.
        population: clean reference models that it rests on.
        false_positive_rate: how often a clean model is called backdoored, at most; None where nothing can be stated.
        guarantee: the same in words.
        tests: those that ran.
        not_tested: what nobody has looked for.
        scores: of the detectors, a line each.
        seed: of all random choices.
        versions: of the tools by name.
        sha256: of the audit's file.
        trusted_as: the policy's key that signed the file; empty where none did.
        ran_here: the gate had the audit run itself.
    """

    tensor_digest: str
    word: str
    reason: str
    alpha: float
    p_value: float | None
    population: int
    false_positive_rate: float | None
    guarantee: str = ""
    tests: tuple[str, ...] = ()
    not_tested: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    trusted_as: str = ""
    ran_here: bool = False


@dataclass(frozen=True)
class WaiverEvidence:
    """A waiver whose signature, signer, time and rule were checked against the policy.

    Attributes:
        model: digest of the model that it is for, see `Evidence.digest`.
        rule: which rule it turns into "admit".
        reason: in one line.
        expires: until when it holds.
        trusted_as: the signer's key as the policy names it.
        sha256: of what was signed.
    """

    model: str
    rule: str
    reason: str
    expires: datetime
    trusted_as: str
    sha256: str


@dataclass(frozen=True)
class Evidence:
    """All that was found out about one model; what is missing was not found out, and admits nothing.

    Attributes:
        source: as it was asked for.
        kind: file, folder, hub or huggingface.
        name: of the model.
        now: when it was looked at.
        files: sorted by name.
        odd: what is neither a file nor a folder, a line each.
        hub: where it came from a hub.
        commit: where it came from the Hugging Face Hub, 40 hex digits.
        signatures: what was tried.
        weights: what was converted.
        unconverted: files of weights that could not be, a line each.
        audits: one at most for each tensor digest.
        waivers: those that count.
        condemned: tensor digests that an earlier decision in the log holds for backdoored, with its reason.
        revoked: digests whose admission was taken back, with the reason.
        skipped: stages that were not gone through, a line each.
        tools: versions by name.
    """

    source: str
    kind: str
    name: str
    now: datetime
    files: tuple[FileEvidence, ...] = ()
    odd: tuple[str, ...] = ()
    hub: HubEvidence | None = None
    commit: str | None = None
    signatures: tuple[SignatureEvidence, ...] = ()
    weights: tuple[WeightsEvidence, ...] = ()
    unconverted: tuple[str, ...] = ()
    audits: tuple[AuditEvidence, ...] = ()
    waivers: tuple[WaiverEvidence, ...] = ()
    condemned: dict[str, str] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    tools: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of the model as it was fetched: every file by name and SHA-256. Waivers name it."""
        return files_digest((file.name, file.sha256) for file in self.files)


def files_digest(files: Iterable[tuple[str, str]]) -> str:
    """SHA-256 in hex over the canonical JSON of the sorted pairs of name and SHA-256."""
    return sha256_json(sorted(list(pair) for pair in files))


def worst_audits(audits: Iterable[AuditEvidence]) -> tuple[AuditEvidence, ...]:
    """One audit for each tensor digest: one that says backdoored before one that says undecided before a clean one."""
    order = ("clean", "undecided", "backdoored")
    found: dict[str, AuditEvidence] = {}
    for audit in audits:
        held = found.get(audit.tensor_digest)
        if held is None or order.index(audit.word) > order.index(held.word):
            found[audit.tensor_digest] = audit
    return tuple(found[digest] for digest in sorted(found))
