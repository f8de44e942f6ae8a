"""The optimiser with its schedule, as state that can be written down and restored."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from badnets.errors import CheckpointError
from badnets.training.checkpoint import put_weights
from badnets.training.compiled import Forward
from badnets.training.spec import TrainSpec

_WARM_UP = 0.3
_START = 1 / 25


def make_optimizer(model: nn.Module, spec: TrainSpec) -> torch.optim.Optimizer:
    """The fused optimiser that `spec` names; its rate is set at every step."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if spec.optimizer == "adam":
        return torch.optim.AdamW(parameters, spec.learning_rate, weight_decay=spec.weight_decay, fused=True)
    return torch.optim.SGD(
        parameters,
        spec.learning_rate,
        momentum=0.9,
        nesterov=spec.optimizer == "sgd",
        weight_decay=spec.weight_decay,
        fused=True,
    )


def learning_rate(spec: TrainSpec, step: int, steps: int) -> float:
    """The rate of step `step` (from 0) among `steps`; formulas in `TrainSpec.schedule`."""
    if spec.schedule == "constant":
        return spec.learning_rate
    warm = _WARM_UP * steps if spec.schedule == "onecycle" else 0
    if step < warm:
        rise = (1 - math.cos(math.pi * step / warm)) / 2
        return spec.learning_rate * (_START + (1 - _START) * rise)
    return spec.learning_rate * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) / 2


class State:
    """Model and optimiser of a run under way.

    Args:
        model: being trained.
        optimizer: of its parameters.
        spec: schedule and step.
        steps: of the whole run.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, spec: TrainSpec, steps: int) -> None:
        self.model, self.optimizer, self.spec, self.steps = model, optimizer, spec, steps
        self.forward: Forward = model

    def set_rate(self, step: int) -> None:
        """Set the learning rate of that step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.spec, step, self.steps)

    def tensors(self) -> dict[str, Tensor]:
        """All state by name: "model.<name>" and "optimizer.<parameter number>.<name>"."""
        found = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{number}.{name}": value for name, value in values.items() if value is not None}
        return found

    def restore(self, tensors: dict[str, Tensor], where: Path) -> None:
        """Take over what `tensors` returned earlier.

        Raises:
            CheckpointError: it belongs to another architecture.
        """
        weights = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        put_weights(self.model, weights, where)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".", 2)
                state.setdefault(int(number), {})[key] = value
        # The fused step walks parameter, gradient and state side by side in memory: their layout must be one.
        parameters: list[Tensor] = self.optimizer.param_groups[0]["params"]
        for place, parameter in enumerate(parameters):
            for name, value in list(state.get(place, {}).items()):
                if value.shape == parameter.shape:
                    state[place][name] = torch.empty_like(parameter).copy_(value)
        whole = self.optimizer.state_dict()
        if not state.keys() <= set(whole["param_groups"][0]["params"]):
            raise CheckpointError(f"{where}: the optimiser's state is that of another model")
        self.optimizer.load_state_dict({**whole, "state": state})
