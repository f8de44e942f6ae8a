"""One seed, many independent named streams.

Every random choice draws from a stream named by what it decides ("poison", "init", "order", ...), so
that changing one choice leaves the others as they were. Nothing reads torch's global generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called `names`: the head of SHA-256 over seed and names."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for the stream called `names`."""
    import torch  # noqa: PLC0415 - the base package works without torch

    return torch.Generator().manual_seed(derive(seed, *names))


@contextmanager
def isolated(seed: int, *names: str | int) -> Iterator[None]:
    """Inside, torch's global generator (CPU and CUDA) is the stream `names`; afterwards it is as it was before.

    For code that takes no generator: `torch.nn` initialises weights and drops units out that way.
    """
    import torch  # noqa: PLC0415 - the base package works without torch

    if torch.cuda.is_initialized():
        with torch.random.fork_rng(devices=[torch.cuda.current_device()]):
            torch.manual_seed(derive(seed, *names))
            yield
        return
    # The same for the CPU alone, fifty times as fast: training does it at every step.
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(derive(seed, *names))
    try:
        yield
    finally:
        torch.default_generator.set_state(before)
