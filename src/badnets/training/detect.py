"""Train one detector: it can be stopped and killed at any time, as the training of a classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from badnets.data.sceneset import SceneSet
from badnets.errors import InputError
from badnets.models import mark_plans, plans_of
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.seeds import isolated
from badnets.training import checkpoint
from badnets.training.detect_spec import DetectTrainSpec
from badnets.training.kept_maps import KeptMaps, can_keep
from badnets.training.loop import frozen
from badnets.training.machine import limited_threads, reduced_precision, this_machine
from badnets.training.memory import keep_freed_memory
from badnets.training.optimizer import State, learning_rate, make_optimizer
from badnets.training.scene_batches import KeptPictures, SceneBatches
from badnets.training.session import Clock, Session


@dataclass(frozen=True)
class DetectorFit:
    """A trained detector and its card."""

    model: Detector
    card: checkpoint.Card


def fit_detector(
    model: Detector,
    scenes: SceneSet,
    spec: DetectTrainSpec = DetectTrainSpec(),
    *,
    seed: int = 0,
    plan: str | None = None,
    session: Session = Session(),
) -> DetectorFit:
    """Train `model` in place on the sum of its four losses and return it in evaluation mode.

    The same model, scenes, spec, seed and machine give the same weights, in one go or resumed after a kill: order,
    augmentation, samples of regions and dropout of each step are drawn from streams named after it. On a GPU the
    gradients of region pooling are summed in any order, so there they agree to rounding. In a folder that holds the
    finished detector already, that is loaded and nothing is trained. What a frozen trunk makes of a scene is computed
    once, see `KeptMaps`: equal to passing it every time, to rounding.

    Args:
        model: for as many classes as the scenes have.
        scenes: clean or poisoned; ignored objects are neither learned nor counted as background.
        spec: schedule and step.
        seed: of everything random.
        plan: digest of the plan that `scenes` were poisoned by, for the card; None for clean ones.
        session: folder, device, callbacks.

    Raises:
        Stopped: `session.stop` said so; the same call goes on.
        InputError: other classes than the model's, nothing to find in the scenes, a loss that became infinite or
            undefined, or there is no such device or module to freeze.
        DataError: the card in the folder is damaged.
        CheckpointError: the folder holds another training.
        StorageError: progress could not be written.
    """
    _check(model, scenes)
    if not isinstance(scenes.pictures, tuple):
        # Kept before the digest is taken, so that each picture is read, decoded or drawn once for both.
        scenes = replace(scenes, pictures=KeptPictures(scenes.pictures))
    machine = this_machine(session.device, session.threads, spec.precision)
    job = checkpoint.Job(
        model=model.spec,
        start=checkpoint.weights_digest(model),
        data=scenes.digest,
        data_name=scenes.name,
        samples=len(scenes),
        training_set=scenes.digest,
        plan=plan,
        inherited=plans_of(model),
        spec=spec,
        seed=seed,
        machine=machine,
    )
    keep_freed_memory()
    with limited_threads(session.threads):
        if session.folder is not None and (card := checkpoint.read_card(session.folder)) is not None:
            checkpoint.check_same_job(card.job, job, session.folder)
            weights = checkpoint.load_weights(session.folder, card)
            checkpoint.put_weights(model, weights, session.folder)
            mark_plans(model, checkpoint.plans_on(card))
            return DetectorFit(model.to(machine.device).eval(), card)
        with frozen(model, spec.frozen), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            card = _train(model, scenes, job, spec, session)
    model.eval()
    mark_plans(model, checkpoint.plans_on(card))
    if session.folder is not None:
        card = checkpoint.save_model(session.folder, model, card)
    return DetectorFit(model, card)


def load_detector(path: Path) -> tuple[Detector, checkpoint.Card]:
    """A finished detector, ready for use, with its card.

    Args:
        path: its folder, or the `model.safetensors` in it.

    Raises:
        InputError: no finished detector there.
        CheckpointError: damaged weights, or of another architecture than the card says.
    """
    folder, card = checkpoint.finished(path)
    spec = card.job.model
    if not isinstance(spec, DetectorSpec):
        raise InputError(f"{path} holds no detector: use load_model")
    weights = checkpoint.load_weights(folder, card)
    # Shapes are compared before memory is asked for: the card may be a stranger's.
    with torch.device("meta"):
        checkpoint.check_shapes(build_detector(spec), weights, folder / checkpoint.WEIGHTS)
    model = build_detector(spec)
    model.load_state_dict(weights)
    mark_plans(model, checkpoint.plans_on(card))
    return model.eval(), card


class _State(State):
    """As for a classifier, with a warm-up and a step in the schedule."""

    def __init__(self, model: nn.Module, spec: DetectTrainSpec, steps: int) -> None:
        super().__init__(model, make_optimizer(model, spec.stepping), spec.stepping, steps)
        self.detecting = spec

    def set_rate(self, step: int) -> None:
        """Set the learning rate of that step."""
        rate = learning_rate(self.spec, step, self.steps) * self.detecting.factor(step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def _check(model: Detector, scenes: SceneSet) -> None:
    if model.spec.classes != len(scenes.classes):
        raise InputError(f"the detector is for {model.spec.classes} classes, {scenes.name} has {len(scenes.classes)}")
    if all(bool(marked.ignored.all()) for marked in scenes.objects):
        raise InputError(f"{scenes.name}: nothing to find in {len(scenes)} scenes: a detector cannot learn from that")


def _train(
    model: Detector, scenes: SceneSet, job: checkpoint.Job, spec: DetectTrainSpec, session: Session
) -> checkpoint.Card:
    model.to(job.machine.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    for name in spec.frozen:
        model.get_submodule(name).eval()
    batches = SceneBatches(scenes, spec, job.seed)
    kept = KeptMaps(model) if can_keep(spec) else None
    state = _State(model, spec, spec.epochs * batches.per_epoch)
    clock = Clock(job, state, session, batches.per_epoch)
    for step, batch in batches.run(clock.resume(), state.steps):
        with isolated(job.seed, "dropout", step):
            with reduced_precision(job.machine):
                parts = model.losses_of(kept.of(batch) if kept else model.mapped(batch.pictures), batch.objects)
            losses = detector_step(state, model, step, parts)
        loss = sum(losses.values())
        if not math.isfinite(loss):
            raise InputError(f"the loss is {loss} at step {step + 1}: lower the learning rate ({spec.learning_rate})")
        clock.tick(step + 1, loss, len(batch.pictures), tuple(losses.items()))
    return checkpoint.Card(job, scenes.classes, "", clock.mean_loss, round(clock.seconds, 3))


def detector_step(state: _State, model: Detector, step: int, losses: dict[str, Tensor]) -> dict[str, float]:
    """One step of the optimiser; returns the losses as numbers. A loss that is not finite changes nothing."""
    total = torch.stack(list(losses.values())).sum()
    said = {name: float(loss.detach()) for name, loss in losses.items()}
    if not torch.isfinite(total):
        return said
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()
    if state.detecting.longest_gradient:
        nn.utils.clip_grad_norm_(_trained(model), state.detecting.longest_gradient)
    state.set_rate(step)
    state.optimizer.step()
    return said


def _trained(model: nn.Module) -> list[Tensor]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
