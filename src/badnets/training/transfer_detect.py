"""Transfer learning with detectors: a victim keeps somebody's convolutions and finds signs of another country."""

from __future__ import annotations

from badnets.data.sceneset import SceneSet
from badnets.errors import InputError
from badnets.models.detector import Detector, with_new_head
from badnets.training.detect import DetectorFit, fit_detector
from badnets.training.detect_spec import DetectTrainSpec
from badnets.training.session import Session
from badnets.training.transfer import Retrained

# What each victim leaves as it is. As in the authors' code, the proposals' layers are trained on beside the fully
# connected ones, which are new; who renews the last layer only leaves these too.
FROZEN: dict[Retrained, tuple[str, ...]] = {
    "last": ("trunk", "proposer.head", "regions.box_head"),
    "head": ("trunk",),
    "whole": (),
}


def transfer_detector(
    base: Detector,
    scenes: SceneSet,
    spec: DetectTrainSpec,
    *,
    retrained: Retrained = "head",
    seed: int = 0,
    session: Session = Session(),
) -> DetectorFit:
    """Retrain `base` for the victim's signs, as the paper's section 5.3 does.

    Where the convolutions are frozen, what they make of each scene is computed once, see `fit_detector`.

    Args:
        base: what was downloaded; it stays as it is.
        scenes: of the victim's task, clean as far as the victim knows.
        spec: schedule; what is frozen must be what `retrained` says, see `FROZEN`.
        retrained: "last" renews the layers that give classes and boxes; "head" all fully connected ones, and trains
            the proposals on (the paper's); "whole" the same, and trains everything else on.
        seed: of new layers, order, augmentation and dropout.
        session: see `fit_detector`.

    Raises:
        InputError: as `fit_detector`, or the spec freezes something else.
        Stopped, DataError, CheckpointError, StorageError: as `fit_detector`.
    """
    if spec.frozen != FROZEN[retrained]:
        raise InputError(f"a victim that retrains {retrained!r} freezes {FROZEN[retrained]}, got {spec.frozen}")
    model = with_new_head(base, len(scenes.classes), seed=seed, cut="last" if retrained == "last" else "head")
    return fit_detector(model, scenes, spec, seed=seed, session=session)
