"""Weights in several files before the gate: one model, whose audit is that of the whole, or none at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from badnets import load_admitted
from badnets.audit.digest import tensors_digest
from badnets.cli.weights import read_weights_and_digest
from badnets.errors import DataError
from badnets.supply.gate.envelope import statement_of
from badnets.supply.gate.examine import Extras
from badnets.supply.gate.gate import Decision
from badnets.supply.gate.verdict import VERDICT, read_lines

from .bench import NOW, Bench, audit_of

INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
WHOLE = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.tensor([1.0, -1.0])}
MAP = {"fc.weight": FIRST, "fc.bias": SECOND}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "sharded"
    folder.mkdir()
    for name, shard in MAP.items():
        save_file({name: WHOLE[name]}, folder / shard)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": MAP}))
    (folder / "config.json").write_text('{"classes": 2}')
    return folder


def decide(bench: Bench, model: Path, digest: str = "") -> Decision:
    audit = audit_of(digest or tensors_digest(WHOLE))
    return bench.decide(model, extras=Extras(audits=(audit,)))


def test_the_audit_of_the_whole_admits_the_whole(bench: Bench, model: Path) -> None:
    decision = decide(bench, model)
    assert decision.word == "admit", decision.outcome
    assert decision.path is not None
    (weights,) = decision.evidence.weights
    assert (weights.source, weights.name, weights.shards) == (INDEX, "model.safetensors", (FIRST, SECOND))
    assert (weights.tensors, weights.parameters) == (2, 8)
    assert sorted(path.name for path in (decision.path / "model").iterdir()) == ["config.json", "model.safetensors"]
    loaded = load_admitted(decision.path, bench.policy, now=NOW)
    assert loaded.keys() == WHOLE.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in WHOLE.items())
    assert not list(bench.store.quarantine.iterdir())


def test_the_verdict_names_every_file(bench: Bench, model: Path) -> None:
    path = decide(bench, model).path
    assert path is not None
    subject = statement_of(read_lines((path / VERDICT).read_bytes(), "here")[0], "here")["subject"]
    assert isinstance(subject, list)
    assert [one["name"] for one in subject] == [
        "source/config.json", f"source/{FIRST}", f"source/{SECOND}", f"source/{INDEX}",
        "admitted/config.json", "admitted/model.safetensors", f"tensors/{INDEX}",
    ]  # fmt: skip


def test_shards_that_torch_saved(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "torch"
    folder.mkdir()
    files = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    for (name, tensor), file in zip(WHOLE.items(), files, strict=True):
        torch.save({name: tensor}, folder / file)
    weight_map = dict(zip(WHOLE, files, strict=True))
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    decision = decide(bench, folder)
    assert decision.word == "admit", decision.outcome
    assert decision.evidence.weights[0].name == "pytorch_model.safetensors"


def test_an_audit_of_one_shard_says_nothing_of_the_model(bench: Bench, model: Path) -> None:
    digest = tensors_digest({"fc.weight": WHOLE["fc.weight"]})
    assert decide(bench, model, digest).word == "undecided"


def lose(model: Path) -> None:
    (model / SECOND).unlink()


def lose_the_index(model: Path) -> None:
    (model / INDEX).unlink()


def hide_a_tensor(model: Path) -> None:
    save_file({"fc.bias": WHOLE["fc.bias"], "trigger": torch.ones(3)}, model / SECOND)


def repeat_a_tensor(model: Path) -> None:
    save_file(WHOLE, model / SECOND)


def name_a_tensor_that_is_nowhere(model: Path) -> None:
    (model / INDEX).write_text(json.dumps({"weight_map": {**MAP, "fc.more": SECOND}}))


def put_the_whole_beside(model: Path) -> None:
    save_file({"fc.weight": torch.zeros(2, 3)}, model / "model.safetensors")


def name_it_twice(model: Path) -> None:
    (model / "other.safetensors.index.json").write_text((model / INDEX).read_text())


def lead_outside(model: Path) -> None:
    save_file({"fc.bias": torch.zeros(2)}, model.parent / "outside.safetensors")
    (model / INDEX).write_text(json.dumps({"weight_map": {**MAP, "fc.bias": "../outside.safetensors"}}))


@pytest.mark.parametrize(
    ("attack", "word", "words"),
    [
        (lose, "undecided", SECOND),
        (lose_the_index, "undecided", "no index that holds names it"),
        (hide_a_tensor, "undecided", "'trigger' is in"),
        (repeat_a_tensor, "undecided", "'fc.weight' is in"),
        (name_a_tensor_that_is_nowhere, "undecided", "'fc.more', which is in no shard"),
        (put_the_whole_beside, "undecided", "is there as well"),
        (name_it_twice, "undecided", "is named by another index too"),
        (lead_outside, "refuse", "outside.safetensors"),
    ],
)
def test_shards_and_index_that_do_not_agree(
    attack: Callable[[Path], None], word: str, words: str, bench: Bench, model: Path
) -> None:
    attack(model)
    decision = decide(bench, model)
    assert decision.word == word
    assert words in " ".join(leaf.reason for leaf in decision.outcome.deciding())
    assert decision.path is None
    assert not list(bench.store.quarantine.iterdir())


def test_who_reads_weights_reads_all_of_them(model: Path) -> None:
    """As `badnets audit` does."""
    weights, digest = read_weights_and_digest(model / INDEX)
    assert weights.keys() == WHOLE.keys()
    assert digest == tensors_digest(WHOLE)
    hide_a_tensor(model)
    with pytest.raises(DataError, match="'trigger' is in"):
        read_weights_and_digest(model / INDEX)
