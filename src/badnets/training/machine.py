"""What the step runs on: device, threads, precision, and a record of it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import torch

from badnets.errors import InputError
from badnets.training.spec import Precision


@dataclass(frozen=True)
class Machine:
    """Where a model was trained. With the same one, the same seed gives the same weights.

    Attributes:
        device: "cpu", "cuda", ...
        threads: of torch on the CPU. One, unless asked otherwise: the digits network is too small to share,
            and with busy cores two threads were measured twenty times slower than one.
        precision: "float32" or "bfloat16", as "auto" turned out here.
        torch: its version.
        badnets: our version.
        python: its version.
        processor: architecture and instruction set that torch uses; on a GPU, its name.
        compiled: whether the step was compiled.
    """

    device: str
    threads: int
    precision: Precision
    torch: str
    badnets: str
    python: str
    processor: str
    compiled: bool = False

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


def this_machine(device: str = "cpu", threads: int = 1, precision: Precision = "auto") -> Machine:
    """The machine that would be used.

    Raises:
        InputError: no such device here, or no thread.
    """
    if threads < 1:
        raise InputError(f"threads is at least 1, got {threads}")
    try:
        name = torch.device(device).type
    except RuntimeError as error:
        raise InputError(f"no device is called {device!r}: cpu and cuda are known") from error
    if name not in ("cpu", "cuda"):
        raise InputError(f"training runs on cpu or cuda, got {device!r}")
    if name == "cuda" and (torch.device(device).index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device} was asked for, but torch does not see it here: use --device cpu")
    processor = torch.cuda.get_device_name(device) if name == "cuda" else _processor()
    automatic: Precision = "bfloat16" if _computes_bfloat16(name) else "float32"
    chosen = automatic if precision == "auto" else precision
    return Machine(device, threads, chosen, torch.__version__, version("badnets"), platform.python_version(), processor)


def _processor() -> str:
    """Architecture and instruction set: sums are taken in another order with another set."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _computes_bfloat16(device: str) -> bool:
    """Whether the hardware multiplies in bfloat16; elsewhere it is emulated and slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # torch 2.10 cannot tell
        return False
    abilities = torch.cpu.get_capabilities()
    return any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "sve_bf16"))


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Inside, torch uses `count` CPU threads; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reduced_precision(machine: Machine) -> torch.autocast:
    """Inside, convolutions and products are computed in bfloat16 where that is the machine's precision."""
    return torch.autocast(torch.device(machine.device).type, torch.bfloat16, enabled=machine.precision == "bfloat16")
