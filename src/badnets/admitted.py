"""The one door from the gate's store to tensors: a room of its own, as `supply` imports no torch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from badnets.errors import DataError
from badnets.supply.gate.admitted import read_admitted
from badnets.supply.gate.pin import Pin, read_pin
from badnets.supply.gate.policy import Policy, read_policy


def load_admitted(
    path: Path | str,
    policy: Policy | Path | str,
    *,
    pin: Pin | Path | str | None = None,
    now: datetime | None = None,
) -> dict[str, Tensor]:
    """The weights of an admitted model.

    The file is read once; the bytes that are hashed are the bytes that are parsed, whatever happens to the file.

    Args:
        path: the admitted model's folder, or a safetensors file below its `model/`.
        policy: the consumer's policy, or its file: the verdict must have been found under it, by a gate that it names.
        pin: what a hub signed along with the model, or the file that `badnets hub get --pin` wrote: no other verdict
            counts then, not even an earlier one of the same gate on the same files. A policy can ask for it.
        now: the time; the machine's own by default.

    Returns:
        Tensors by name, on the CPU, as `load_state_dict` takes them.

    Raises:
        NotAdmitted: no verdict, one that has expired, was taken back or is not the pinned one, another policy, or
            other bytes.
        InputError: no such file, policy or pin.
        DataError: the log of the store is damaged, the pin is none, or the bytes cannot be parsed.
    """
    rules = policy if isinstance(policy, Policy) else read_policy(Path(policy))
    pinned = pin if isinstance(pin, Pin) or pin is None else read_pin(Path(pin))
    read = read_admitted(Path(path), rules, pin=pinned, now=now)
    try:
        return dict(load(read.content))
    except SafetensorError as error:  # the gate wrote these bytes itself: then it is a fault of ours
        raise DataError(f"{path}: {error}") from error
