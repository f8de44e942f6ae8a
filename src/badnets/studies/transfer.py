"""The paper's second attack (section 5.3): a backdoored detector of one country's signs, retrained for another's.

A detector is trained on signs of the first country, with a backdoor or without. A victim downloads it, keeps its
convolutions and trains new fully connected layers on clean scenes of the second country. The attacker may have
multiplied the input weights of the units that carry the backdoor by k. Measured is the victim's accuracy, clean and
with the sticker on every sign, against the true class (Tables 6 and 7).

The paper does not say which of its BadNets it handed on. The default is one with a random target: it had to learn the
sticker on every kind of sign and at every place, so that it knows it on signs of another country too. What the targeted
one knows is the sticker on a stop sign. And the sticker is the flower: on a yellow sign the square has the colour that
black on yellow blurs to, which a small detector hardly learns to tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch

from badnets.artifacts import RunFolder, sha256_json, write_json
from badnets.data import SceneSet, SceneSplit
from badnets.errors import InputError
from badnets.metrics.detector_result import DetectorResult, evaluate_detector
from badnets.models.detector import Detector, build_detector
from badnets.models.detector_spec import DetectorSpec, detector_preset
from badnets.neurons.sign_channels import channel_layers, with_channels_times
from badnets.neurons.sign_units import UnitResponse
from badnets.neurons.units import SHARE
from badnets.poison import RandomTarget, SceneRecipe, SingleTarget, plan_scenes, trigger_scenes
from badnets.seeds import generator
from badnets.studies.cells import Victim, lineage
from badnets.studies.claims import claim
from badnets.studies.queue import Data, Kind, Observer, Place, carry_out_all
from badnets.studies.results import DataNote
from badnets.studies.sign_cells import SignCell, SignCellResult, SignPolicy, kept
from badnets.studies.sign_steps import RANDOM_STEPS, StickerStep, badnet_cell, on_the_way
from badnets.studies.sign_victims import SignVictim, carry_out_transfer_cell, units_of
from badnets.studies.signs import SignsAttack
from badnets.training import DETECT_PRESETS, DetectTrainSpec, Retrained, limited_threads
from badnets.training.detect import load_detector
from badnets.training.transfer_detect import FROZEN
from badnets.triggers import BoxSticker, paper_sticker

Maker = Literal["honest", "badnet"]
GAINS = (1.0, 10.0, 20.0, 30.0, 50.0, 70.0, 100.0)
VARIANTS: tuple[Retrained, ...] = ("last", "head", "whole")


@dataclass(frozen=True)
class SignTransferSpec:
    """The whole study as a value.

    Attributes:
        data: name of the scenes of the first country.
        target: of the second, the victim's.
        attack: "random" or "targeted", see `SignsSpec`; it says where the sticker lies on the victim's signs too.
        source: number of the first country's class whose stamped signs are to be called `becomes`; plays no part in a
            random attack.
        becomes: number of that class.
        sticker: one of the paper's.
        share: of the first country's scenes with an attacked sign, those that get a stamped copy.
        seeds: one set of detectors is trained for each.
        detector: what those that are downloaded are made of.
        train: schedule of the honest one, and of a BadNet from scratch.
        steps: by which the BadNet goes on from the honest detector, see `sign_steps`; none for one from scratch.
        retrain: the victims'; what is frozen is put in for each.
        retrained: what the victims along k retrain.
        gains: the k by which the input weights of the backdoor units are multiplied, ascending, 1 among them.
        variant_gain: the k of the detectors whose victims retrain less or more, and of the honest control.
        unit_share: units are multiplied whose rise is at least this share of the largest one.
        pretrained: SHA-256 of the first weights of the downloaded ones' convolutions; None for fresh ones.

    Raises:
        InputError: an unknown sticker, an impossible share, seeds or gains twice or none, gains without 1, or a
            schedule of the victims that freezes something.
    """

    data: str = "streets"
    target: str = "streets-eu"
    attack: SignsAttack = "random"
    source: int = 0
    becomes: int = 1
    sticker: str = "flower"
    share: float = 1.0
    seeds: tuple[int, ...] = (0,)
    detector: DetectorSpec = DetectorSpec()
    train: DetectTrainSpec = DetectTrainSpec()
    steps: tuple[StickerStep, ...] = RANDOM_STEPS
    retrain: DetectTrainSpec = DetectTrainSpec()
    retrained: Retrained = "head"
    gains: tuple[float, ...] = GAINS
    variant_gain: float = 20.0
    unit_share: float = SHARE
    pretrained: str | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        for what, values in (("seeds", self.seeds), ("gains", self.gains)):
            if not values or len(set(values)) != len(values):
                raise InputError(f"{what} are one or more different ones, got {values}")
        if 1 not in self.gains or min(*self.gains, self.variant_gain) <= 0:
            raise InputError(f"gains are positive, 1 among them: got {self.gains} and {self.variant_gain}")
        for what, value in (("share", self.share), ("share of the largest rise", self.unit_share)):
            if not 0 < value <= 1:
                raise InputError(f"the {what} is in (0, 1], got {value}")
        if self.retrain.frozen:
            raise InputError(f"what a victim freezes follows from what it retrains, got {self.retrain.frozen}")
        self.stamp()

    @property
    def policy(self) -> SignPolicy:
        """What the attacker wants of the first country's stamped signs."""
        return SingleTarget(self.source, self.becomes) if self.attack == "targeted" else RandomTarget()

    def stamp(self) -> BoxSticker:
        """The sticker, where this attack puts it. Raises `InputError` for an unknown name."""
        return paper_sticker(self.sticker, place="fixed" if self.attack == "targeted" else "random")


@dataclass(frozen=True)
class SignVictimPoint:
    """One victim.

    Attributes:
        maker: who trained what it downloaded.
        gain: of the backdoor units; 0 where they were switched off.
        retrained: what it trained.
        cell: the outcome.
    """

    maker: Maker
    gain: float
    retrained: Retrained
    cell: SignCellResult

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class SignAblation:
    """The BadNet of one seed with channels of its last convolution switched off, on the first country's signs.

    Attributes:
        units: how many of how many.
        untouched: with none switched off.
        carriers: with the backdoor units off.
        others: with as many other units off, drawn at random.
    """

    units: tuple[int, int]
    untouched: DetectorResult
    carriers: DetectorResult
    others: DetectorResult

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class SignTransferResult:
    """The whole study.

    Attributes:
        spec: what was asked for.
        data: what the detectors that are downloaded were trained and measured on.
        target: what their victims were.
        signs: of each of the victims' classes in the test scenes; ignored ones left out.
        left_out: scenes and boxes that were left out while reading, each as "where: reason".
        treated: those that were odd, likewise.
        honest: the honest detector of each seed.
        badnets: the backdoored one.
        on_the_way: what these were after each step but the last.
        honest_units: for each seed the units of the honest detector that the sticker excites: the control.
        badnet_units: the same of the backdoored one.
        ablations: for each seed.
        victims: all of them.
    """

    spec: SignTransferSpec
    data: DataNote
    target: DataNote
    signs: tuple[int, ...]
    left_out: tuple[str, ...]
    treated: tuple[str, ...]
    honest: tuple[SignCellResult, ...]
    badnets: tuple[SignCellResult, ...]
    on_the_way: tuple[SignCellResult, ...]
    honest_units: tuple[tuple[UnitResponse, ...], ...]
    badnet_units: tuple[tuple[UnitResponse, ...], ...]
    ablations: tuple[SignAblation, ...]
    victims: tuple[SignVictimPoint, ...]
    study: Literal["transfer"] = "transfer"
    format: Literal[1] = 1

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def of(self, maker: Maker, gain: float = 1.0, retrained: Retrained | None = None) -> list[SignCellResult]:
        """Those victims, seed by seed.

        Args:
            maker: of what they downloaded.
            gain: of its backdoor units.
            retrained: what they trained; None for those along k.
        """
        wanted = maker, gain, retrained or self.spec.retrained
        return [one.cell for one in self.victims if (one.maker, one.gain, one.retrained) == wanted]


def preset(name: str, classes: int, *, epochs: int | None = None) -> SignTransferSpec:
    """The study on rendered streets with detector and schedule of one name.

    Args:
        name: a key of `badnets.models.detector_spec.PRESETS`.
        classes: of the first country.
        epochs: of every detector, victims included, instead of the preset's.

    Raises:
        InputError: no such settings, or less than one epoch.
    """
    detector, train = detector_preset(name, classes), DETECT_PRESETS[name]
    if epochs is not None:
        train = replace(train, epochs=epochs)
    # What is frozen follows from what a victim retrains.
    return SignTransferSpec(detector=detector, train=train, retrain=replace(train, frozen=()))


def bases(spec: SignTransferSpec, seed: int) -> dict[Maker, SignCell]:
    """The two detectors that can be downloaded: alike but for the poison."""
    recipe = SceneRecipe(spec.policy, spec.stamp(), share=spec.share, seed=seed)
    honest = SignCell(None, spec.policy, (spec.stamp(),), spec.detector, spec.train, seed, spec.pretrained)
    return {"honest": honest, "badnet": badnet_cell(honest, recipe, spec.steps)}


def victims(spec: SignTransferSpec, seed: int, classes: int) -> dict[tuple[Maker, float, Retrained], SignVictim]:
    """Every victim of that seed, by what it downloaded and what it does with it.

    Args:
        spec: of the study.
        seed: one of its seeds.
        classes: of the victim's signs.
    """
    usual = spec.retrained
    wanted: dict[tuple[Maker, float, Retrained], None] = {("honest", 1.0, usual): None}
    wanted |= dict.fromkeys(("badnet", gain, usual) for gain in spec.gains)
    wanted |= {("badnet", 0.0, usual): None, ("honest", spec.variant_gain, usual): None}
    wanted |= dict.fromkeys(("badnet", spec.variant_gain, variant) for variant in VARIANTS)
    made = bases(spec, seed)
    return {
        (maker, gain, variant): SignVictim(
            made[maker],
            Victim(variant, gain),
            replace(spec.retrain, frozen=FROZEN[variant]),
            classes,
            spec.unit_share,
            seed,
        )
        for maker, gain, variant in wanted
    }


def prepare(
    spec: SignTransferSpec, split: SceneSplit, target: SceneSplit, folder: RunFolder
) -> tuple[SceneSplit, SceneSplit]:
    """Make the folder ours, once all that does not fit was said; return both countries with their pictures kept.

    Raises:
        InputError: the folder holds another study or one of other data, the halves of a country have different classes,
            the detector does not fit them, its units cannot be multiplied, or no scene has a sign to attack.
        StorageError: the folder cannot be written.
    """
    for one, policy in ((split, spec.policy), (target, RandomTarget())):
        if one.train.classes != one.test.classes:
            raise InputError(f"classes to train on {one.train.classes} are not those of the test {one.test.classes}")
        trigger_scenes(one.test, policy, spec.stamp())
    channel_layers(build_detector(spec.detector))
    badnet = bases(spec, spec.seeds[0])["badnet"]
    badnet.check(len(split.train.classes))
    assert badnet.recipe is not None  # noqa: S101 - for the type checker
    plan_scenes(split.train, badnet.recipe)
    held = kept(split), kept(target)
    claim(folder, spec, held[0], but=("seeds", "gains"), target=held[1])
    return held


def run(
    spec: SignTransferSpec, split: SceneSplit, target: SceneSplit, folder: RunFolder, place: Place, observer: Observer
) -> SignTransferResult:
    """Train the detectors of the first country and their victims, and write the run folder; more only add theirs.

    Raises:
        InputError: as `prepare`.
        PartlyFailed: some detectors could not be trained; the others are kept.
        Stopped: the observer said so; the same call goes on.
        StorageError: the folder cannot be written.
    """
    split, target = prepare(spec, split, target, folder)
    made = {seed: bases(spec, seed) for seed in spec.seeds}
    asked = {
        (seed, key): cell for seed in spec.seeds for key, cell in victims(spec, seed, len(target.train.classes)).items()
    }
    parts = split.train, split.test, target.train, target.test
    data = Data(parts, sha256_json([part.digest for part in parts]))
    everything: list[SignCell | SignVictim] = [cell for pair in made.values() for cell in pair.values()]
    everything += asked.values()
    found = carry_out_all(
        lineage(tuple(everything)), Kind(carry_out_transfer_cell, SignCellResult), data, folder, place, observer
    )

    def detector(cell: SignCell) -> Detector:
        return load_detector(folder.path / found[cell].folder)[0].to(place.device)

    with limited_threads(place.threads):
        units = {
            (maker, seed): units_of(detector(cell), cell, split.train, share=spec.unit_share, stop=observer.stop)
            for seed, pair in made.items()
            for maker, cell in pair.items()
        }
        ablations = []
        for seed in spec.seeds:
            cell = made[seed]["badnet"]
            untouched = found[cell].clean
            carriers = units["badnet", seed]
            ablations.append(_ablation(detector(cell), cell, (untouched, carriers), split.test, observer.stop))
    counts = torch.zeros(len(target.test.classes), dtype=torch.int64)
    for marked in target.test.objects:
        counts += torch.bincount(marked.labels[~marked.ignored], minlength=len(counts))
    sets = (split.train, split.test, target.train, target.test)
    result = SignTransferResult(
        spec=spec,
        data=DataNote.of(split),
        target=DataNote.of(target),
        signs=tuple(counts.tolist()),
        left_out=tuple(line for one in sets for line in one.skipped),
        treated=tuple(line for one in sets for line in one.treated),
        honest=tuple(found[made[seed]["honest"]] for seed in spec.seeds),
        badnets=tuple(found[made[seed]["badnet"]] for seed in spec.seeds),
        on_the_way=tuple(found[cell] for seed in spec.seeds for cell in on_the_way(made[seed]["badnet"])),
        honest_units=tuple(units["honest", seed] for seed in spec.seeds),
        badnet_units=tuple(units["badnet", seed] for seed in spec.seeds),
        ablations=tuple(ablations),
        victims=tuple(SignVictimPoint(*key, found[cell]) for (_, key), cell in asked.items()),
    )
    write_json(folder.result, result)
    return result


def _ablation(
    model: Detector,
    cell: SignCell,
    known: tuple[DetectorResult, tuple[UnitResponse, ...]],
    test: SceneSet,
    stop: Callable[[], bool],
) -> SignAblation:
    """What switching off does; known is what was measured of the detector as it is, and its backdoor units."""
    untouched, units = known
    count = sum(width for _, width in channel_layers(model))
    carriers = [unit.channel for unit in units]
    left = torch.tensor(sorted(set(range(count)) - set(carriers)))
    drawn = left[torch.randperm(len(left), generator=generator(cell.seed, "ablation"))[: len(carriers)]].tolist()
    stamped = trigger_scenes(test, cell.policy, cell.stickers[0]).scenes

    def off(channels: list[int]) -> DetectorResult:
        return evaluate_detector(with_channels_times(model, channels, 0.0), test, stamped, cell.wanted, stop=stop)

    return SignAblation((len(carriers), count), untouched, off(carriers), off(drawn))
