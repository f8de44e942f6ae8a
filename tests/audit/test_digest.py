"""A model in memory has the digest of its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from badnets.audit.digest import tensors_digest
from badnets.models import badnet_cnn
from badnets.supply.convert import convert

CASES = {
    "network": badnet_cnn(3).state_dict(),
    "kinds": {
        "b": torch.arange(6).view(2, 3),
        "a": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "scalar": torch.tensor(3.0, dtype=torch.float64),
        "none": torch.zeros(0, 4),
        "bits": torch.tensor([True, False]),
        "é": torch.arange(12.0).view(3, 4).T,
    },
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_that_of_the_file(name: str, tmp_path: Path) -> None:
    tensors: dict[str, Tensor] = CASES[name]
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "in.safetensors")
    done = convert(tmp_path / "in.safetensors", tmp_path / "out.safetensors")
    assert done.written is not None
    assert tensors_digest(tensors) == done.written.tensor_digest
