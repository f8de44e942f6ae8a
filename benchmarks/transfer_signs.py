"""A victim's retraining of a detector: on maps that were computed once, beside passing the convolutions every time.

    python benchmarks/transfer_signs.py [--json] [--rounds 3] [--scenes 40] [--epochs 20]

Rendered streets of the second country, fresh convolutions that are frozen, all fully connected layers and the
proposals' retrained as `run transfer` does; without flips. Both sides train the same layers on the same scenes with the
same seed, and come out equal to rounding: a test says so. The frozen layers get no gradients on either side. What is
left to do is the same on both sides (proposals, suppression, regions, their gradients), and bounds the ratio. The bar
is 20 times.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.data import SceneSet, streets
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec, detector_preset
from badnets.training import DetectTrainSpec, SceneAugment, limited_threads
from badnets.training.detect import fit_detector
from benchmarks.rounds import Bar, Outcome, Variant, compare, machine, parser, print_outcome, take_turns

BAR = 20.0
GROUPS = 5


@dataclass(frozen=True)
class Task:
    """A detector to retrain."""

    name: str
    spec: DetectorSpec


TASKS = (
    Task("tiny, 320x240", detector_preset("tiny", GROUPS)),
    Task("squeezenet, 427x320", detector_preset("squeezenet", GROUPS)),
)


def scenes(count: int) -> SceneSet:
    """Streets of the second country, drawn already."""
    train = streets.read(count, 1, country="eu").train
    return replace(train, pictures=tuple(train.pictures[row] for row in range(count)))


def retrain(task: Task, data: SceneSet, epochs: int, *, kept: bool) -> Detector:
    """The detector after retraining."""
    model = build_detector(task.spec, seed=1)
    # Frozen under the names of its layers, a trunk is not known to be frozen as a whole, and nothing of it is kept.
    layers = tuple(f"trunk.{name}" for name, _ in model.trunk.named_children())
    spec = DetectTrainSpec(
        epochs=epochs,
        learning_rate=1e-3,
        augment=SceneAugment(flip=False),
        frozen=("trunk",) if kept else layers,
        precision="float32",
    )
    return fit_detector(model, data, spec, seed=1).model


def variants(count: int, epochs: int) -> dict[str, Variant]:
    """Both ways for each task; the amount is scenes times epochs."""
    data = scenes(count)

    def way(task: Task, *, kept: bool) -> Variant:
        def work() -> float:
            retrain(task, data, epochs, kept=kept)
            return float(count * epochs)

        return work

    names = {True: "kept maps", False: "through the trunk"}
    return {f"{task.name}: {names[kept]}": way(task, kept=kept) for task in TASKS for kept in (True, False)}


def main() -> None:
    """Measure and print."""
    options = parser("Speed of retraining a detector.", rounds=3)
    options.add_argument("--scenes", type=int, default=40, help="to train on (default %(default)s)")
    options.add_argument("--epochs", type=int, default=20, help="of the retraining (default %(default)s)")
    chosen = options.parse_args()
    where = machine()
    with limited_threads(1):
        speeds = take_turns(variants(chosen.scenes, chosen.epochs), chosen.rounds)
    bars = [Bar(f"{task.name}: kept maps", f"{task.name}: through the trunk", BAR) for task in TASKS]
    notes = [f"one thread, {chosen.scenes:,} scenes, {chosen.epochs} epochs, computing the maps counted in"]
    outcome = Outcome("retraining a detector", where, speeds, [compare(speeds, bar) for bar in bars], notes)
    print_outcome(outcome, as_json=chosen.json)


if __name__ == "__main__":
    main()
