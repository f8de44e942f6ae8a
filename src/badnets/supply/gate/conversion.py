"""Converts the weights of a model in quarantine to safetensors, shards to one file: nothing else is admitted."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath

from badnets.artifacts import make_folder, printable, read_bytes, sha256_file
from badnets.errors import BadnetsError, DataError
from badnets.supply.convert import Written, convert
from badnets.supply.gate.evidence import Evidence, WeightsEvidence
from badnets.supply.gate.policy import Limits
from badnets.supply.scan import source as scan_source
from badnets.supply.scan.findings import Severity
from badnets.supply.scan.safetensors import inspect
from badnets.supply.shards import ShardIndex, is_index, is_numbered, join, read_index

WEIGHTS = ("safetensors", "torch-zip", "torch-legacy")


def convert_all(evidence: Evidence, place: Path, limits: Limits) -> Evidence:
    """The evidence with all weights of `place/files` that could be converted; they lie in `place/converted`."""
    weights, problems = _joined_all(evidence, place, limits)
    covered = {shard for one in weights for shard in one.shards}
    taken = {file.name for file in evidence.files if file.format not in WEIGHTS} | {one.name for one in weights}
    for file in evidence.files:
        if file.format not in WEIGHTS or file.name in covered:
            continue
        if is_numbered(file.name):
            problems.append(f"{file.name} is numbered as one of several files, and no index that holds names it")
            continue
        name = _free_name(file.name, taken)
        taken.add(name)
        try:
            weights.append(_convert(file.name, name, place, limits))
        except BadnetsError as error:
            problems.append(f"{file.name} could not be converted: {error}")
    return replace(evidence, weights=tuple(weights), unconverted=tuple(problems))


def converted(place: Path, name: str) -> Path:
    """Where the weights that would be admitted as `name` lie."""
    return place / "converted" / name


def _joined_all(evidence: Evidence, place: Path, limits: Limits) -> tuple[list[WeightsEvidence], list[str]]:
    """The weights that indexes of shards put together, and what is wrong with the others."""
    names = {file.name for file in evidence.files}
    weights: list[WeightsEvidence] = []
    problems: list[str] = []
    for name in sorted(filter(is_index, names)):
        try:
            index = read_index(name, read_bytes(place / "files" / name), names)
            if twice := {shard for one in weights for shard in one.shards} & set(index.shards):
                raise DataError(f"{min(twice)} is named by another index too")
            weights.append(_join(index, names, place, limits))
        except BadnetsError as error:
            problems.append(f"the files that {name} names could not be joined: {error}")
    return weights, problems


def _join(index: ShardIndex, names: set[str], place: Path, limits: Limits) -> WeightsEvidence:
    if index.whole in names:
        raise DataError(f"{index.whole} is there as well: loaders differ on which of them they take")
    home = place / "shards"
    try:
        parts, left_out, isolations = {}, set[str](), []
        for shard in index.shards:
            parts[shard] = home / f"{shard}.safetensors"
            done, isolation = _to_safetensors(shard, parts[shard], place, limits)
            left_out |= set(done.left_out)
            isolations.append(isolation)
        target = converted(place, index.whole)
        made = join(index, parts, target, seconds=limits.seconds)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    written = Written(str(target), made.sha256, made.tensor_digest, made.tensors, tuple(sorted(left_out)))
    # What every one of the children had given up.
    isolation = {key: all(one[key] for one in isolations) for key in isolations[0]}
    return replace(_described(index.name, index.whole, target, written, isolation), shards=index.shards)


def _convert(source: str, name: str, place: Path, limits: Limits) -> WeightsEvidence:
    target = converted(place, name)
    return _described(source, name, target, *_to_safetensors(source, target, place, limits))


def _to_safetensors(source: str, target: Path, place: Path, limits: Limits) -> tuple[Written, dict[str, bool]]:
    make_folder(target.parent)
    path = place / "files" / source
    done = convert(path, target, wrapper=limits.wrapper, finite=limits.finite, seconds=limits.seconds)
    if done.written is None:
        against = [finding for finding in done.report.findings if finding.rule.severity != Severity.NOTE]
        why = f"{against[0].rule.id}: {against[0].detail}" if against else "nothing was written"
        raise DataError(f"{done.report.verdict}: {printable(why)}")
    return done.written, asdict(done.isolation)


def _described(source: str, name: str, target: Path, written: Written, isolation: dict[str, bool]) -> WeightsEvidence:
    size = target.stat().st_size
    with target.open("rb") as file:
        budget = scan_source.Budget(scan_source.Limits())
        findings, inventory = inspect(scan_source.Source(file, 0, size, budget))
    if inventory is None or findings or sha256_file(target) != written.sha256:
        raise DataError(f"{name} does not read back as it was written")
    return WeightsEvidence(
        source,
        name,
        written.sha256,
        size,
        written.tensor_digest,
        written.tensors,
        parameters=sum(math.prod(tensor.shape) for tensor in inventory.tensors),
        dtypes=tuple(sorted({tensor.dtype for tensor in inventory.tensors})),
        left_out=written.left_out,
        isolation=isolation,
    )


def _free_name(source: str, taken: set[str]) -> str:
    """The name of the safetensors file: the source's with another ending, or with one more where that is taken."""
    plain = str(PurePosixPath(source).with_suffix(".safetensors"))
    return plain if plain not in taken else f"{source}.safetensors"
