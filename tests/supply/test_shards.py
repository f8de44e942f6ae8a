"""Weights in several files: joined where index and shards agree in both ways, and not otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from badnets.artifacts import sha256_file
from badnets.audit.digest import tensors_digest
from badnets.errors import DataError
from badnets.supply.scan.source import Exhausted
from badnets.supply.shards import is_index, is_numbered, join, read_index

INDEX = "model.safetensors.index.json"
FIRST, SECOND, THIRD = (f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3))
WHOLE = {
    "a.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "a.bias": torch.tensor([1.5, -2.5], dtype=torch.bfloat16),
    "b.weight": torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1)),
    "c.count": torch.tensor(7),
    "c.none": torch.zeros(0, 4),
}
MAP = {"a.weight": FIRST, "a.bias": SECOND, "b.weight": SECOND, "c.count": THIRD, "c.none": THIRD}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return sharded(tmp_path / "model")


def sharded(folder: Path, weights: dict[str, str] = MAP) -> Path:
    """A folder with `WHOLE` in three files and an index."""
    folder.mkdir()
    for shard in sorted(set(weights.values())):
        save_file({name: WHOLE[name] for name, where in weights.items() if where == shard}, folder / shard)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weights}))
    return folder


def put_together(folder: Path, name: str = INDEX) -> dict[str, torch.Tensor]:
    """Read the index, join, read back."""
    files = [path.name for path in folder.iterdir()]
    index = read_index(name, (folder / name).read_bytes(), files)
    target = folder.parent / "whole" / index.whole
    made = join(index, {shard: folder / shard for shard in index.shards}, target)
    assert made.sha256 == sha256_file(target)
    found = dict(load_file(target))
    assert made.tensor_digest == tensors_digest(found)
    assert made.tensors == len(found)
    return found


def test_the_tensors_of_all_shards_in_one_file(model: Path) -> None:
    found = put_together(model)
    assert found.keys() == WHOLE.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in WHOLE.items())
    assert tensors_digest(found) == tensors_digest(WHOLE)


def test_how_tensors_are_spread_has_no_influence(tmp_path: Path) -> None:
    first = sharded(tmp_path / "first")
    (tmp_path / "other").mkdir()
    second = sharded(tmp_path / "other" / "second", {**MAP, "a.weight": THIRD, "c.count": FIRST})
    put_together(first)
    put_together(second)
    digests = [sha256_file(folder.parent / "whole" / "model.safetensors") for folder in (first, second)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("name", "index", "numbered"),
    [
        (INDEX, True, False), ("deep/model.safetensors.index.json", True, False), ("m.bin.index.json", True, False),
        ("index.json", False, False), ("x.index.json", False, False), (FIRST, False, True),
        ("pytorch_model-00001-of-00002.bin", False, True), ("model.safetensors", False, False),
        ("model-1-of-2.safetensors", False, False),
    ],
)  # fmt: skip
def test_names(name: str, index: bool, numbered: bool) -> None:  # noqa: FBT001 - a column of the table
    assert (is_index(name), is_numbered(name)) == (index, numbered)


def without_a_shard(folder: Path) -> None:
    (folder / SECOND).unlink()


def with_a_shard_that_nobody_names(folder: Path) -> None:
    save_file({"d": torch.zeros(1)}, folder / "model-00004-of-00003.safetensors")


def with_a_tensor_twice(folder: Path) -> None:
    save_file(
        {"a.weight": torch.zeros(3, 4), "a.bias": WHOLE["a.bias"], "b.weight": WHOLE["b.weight"]}, folder / SECOND
    )


def with_a_tensor_in_no_shard(folder: Path) -> None:
    save_file({"b.weight": WHOLE["b.weight"]}, folder / SECOND)


def with_a_tensor_that_nobody_names(folder: Path) -> None:
    save_file({"a.weight": WHOLE["a.weight"], "hidden": torch.ones(9)}, folder / FIRST)


def rewritten(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text())
        changed = change(index)
        (folder / INDEX).write_text(changed if isinstance(changed, str) else json.dumps(index))

    return attack


def _map(name: str, shard: object) -> Callable[[Path], None]:
    return rewritten(lambda index: index["weight_map"].update({name: shard}))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (without_a_shard, "which is not here"),
        (with_a_shard_that_nobody_names, "is numbered as a shard, and .* does not name it"),
        (with_a_tensor_twice, "'a.weight' is in model-00001.* and in model-00002"),
        (with_a_tensor_in_no_shard, "names the tensor 'a.bias', which is in no shard"),
        (with_a_tensor_that_nobody_names, "'hidden' is in model-00001.* it is nowhere"),
        (_map("a.weight", THIRD), "'a.weight' is in model-00001-of-00003|does not name it"),
        (_map("a.weight", "../evil.safetensors"), "expected a file beside the index"),
        (_map("a.weight", "/etc/passwd"), "expected a file beside the index"),
        (_map("a.weight", "deep/evil.safetensors"), "expected a file beside the index"),
        (_map("a.weight", ".."), "which is not here|expected a file"),
        (_map("a.weight", ""), "expected a file beside the index"),
        (_map("a.weight", 3), "expected a file beside the index"),
        (rewritten(lambda index: index.clear()), "is no index of shards"),
        (rewritten(lambda index: index.update(weight_map={})), "is no index of shards"),
        (rewritten(lambda _: '{"weight_map": {"a": "x", "a": "y"}}'), "not strict JSON"),
        (rewritten(lambda _: "[1]"), "expected a JSON object"),
    ],
)
def test_index_and_shards_that_do_not_agree(attack: Callable[[Path], None], words: str, model: Path) -> None:
    attack(model)
    with pytest.raises(DataError, match=words):
        put_together(model)
    assert not (model.parent / "whole" / "model.safetensors").exists()


def test_a_shard_that_is_no_safetensors(model: Path) -> None:
    (model / THIRD).write_bytes(b"x" * 100)
    with pytest.raises(DataError, match=f"{THIRD} is no sound safetensors file"):
        put_together(model)


def test_an_end_of_time(model: Path, tmp_path: Path) -> None:
    index = read_index(INDEX, (model / INDEX).read_bytes(), [path.name for path in model.iterdir()])
    with pytest.raises(Exhausted):
        join(index, {shard: model / shard for shard in index.shards}, tmp_path / "whole.safetensors", seconds=0.0)
    assert not (tmp_path / "whole.safetensors").exists()
