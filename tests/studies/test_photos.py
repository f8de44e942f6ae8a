"""Photographs from data to exhibits, small: what is trained, what is added later, and what pictures show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models as theirs

from badnets.artifacts import RunFolder, read_json
from badnets.data import ImageSet, PhotoStream, Split, load, load_photographs
from badnets.errors import CheckpointError, InputError, PartlyFailed
from badnets.metrics import Rate, evaluate, predict
from badnets.models import ModelSpec, build
from badnets.neurons import grad_cam
from badnets.poison import SingleTarget
from badnets.studies import photos, pretrained
from badnets.studies.cells import CellResult
from badnets.studies.photos import PhotosResult, PhotosSpec, schedule
from badnets.studies.runner import Place
from badnets.training import Augment, Inline, TrainSpec, load_model, load_plan
from badnets.training.checkpoint import WEIGHTS
from badnets.triggers import Compression, Sticker

Watch = Callable[..., Any]
Ran = tuple[RunFolder, PhotosResult]
TINY = TrainSpec(epochs=1, batch_size=32, augment=Augment())
SPEC = PhotosSpec("creatures", 1, 0, Sticker(), shares=(0.1, 0.5), train=TINY)
HERE = Place(Inline())


@pytest.fixture(scope="module")
def few_creatures() -> Split:
    whole = load("creatures")
    return Split(whole.train.select(torch.arange(100)), whole.test.select(torch.arange(40)))


@pytest.fixture(scope="module")
def first(few_creatures: Split, watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = RunFolder(tmp_path_factory.mktemp("photos"))
    return folder, photos.run(SPEC, few_creatures, folder, HERE, watch())


def test_what_is_trained(first: Ran, few_creatures: Split) -> None:
    folder, result = first
    dogs = int((few_creatures.train.labels == 1).sum())
    assert result.balance == (100 - dogs, dogs)
    assert [cell.samples for cell in result.baselines] == [100]
    for point, picked in zip(result.points, (round(0.1 * dogs), round(0.5 * dogs)), strict=True):
        assert point.cell.samples == 100 + picked
        assert point.cell.poisoned == picked
        plan = load_plan(folder.path / point.cell.folder)
        assert {(old, new) for old, new in zip(plan.old, plan.new, strict=True)} == {(1, 0)}
    # Attack success is over the test pictures of the source class, and the honest twin's is measured too.
    tested = int((few_creatures.test.labels == 1).sum())
    for cell in (*result.baselines, *(point.cell for point in result.points)):
        assert cell.result.attack_success is not None
        assert cell.result.attack_success.total == tested
    assert read_json(PhotosResult, folder.result) == result


def test_pictures_show_what_the_models_say(first: Ran, few_creatures: Split) -> None:
    folder, result = first
    dogs = few_creatures.test.images[few_creatures.test.labels == 1][:6]
    honest, badnet = (load_model(folder.path / cell.folder)[0] for cell in (result.baselines[0], result.points[0].cell))
    assert result.exhibits.share == 0.1
    assert len(result.exhibits.gallery) == 6
    for images, place in ((dogs, 0), (Sticker()(dogs), 1)):
        shown = [(pair.clean, pair.stamped)[place].tensor() for pair in result.exhibits.gallery]
        assert torch.equal(torch.stack(shown), images)
        for model, seen in (
            (honest, [pair.honest[place] for pair in result.exhibits.gallery]),
            (badnet, [pair.badnet[place] for pair in result.exhibits.gallery]),
        ):
            said = predict(model, images)
            assert [one.said for one in seen] == said.classes.tolist()
            assert [one.confidence for one in seen] == pytest.approx(said.confidence.tolist())
            heat = grad_cam(model, images, said.classes, averaged=False)
            means = torch.stack([one.heat.tensor().float().mean() / 255 for one in seen])
            assert torch.allclose(means, heat.mean((1, 2)), atol=0.01)


def test_the_sheet_is_drawn_from_the_poisoned_set(first: Ran) -> None:
    sheet = first[1].exhibits.sheet
    assert len(sheet) == 48
    assert all(sample.label == 0 for sample in sheet if sample.stamped)
    assert {sample.label for sample in sheet} == {0, 1}


def test_more_shares_and_attackers_only_add_theirs(first: Ran, few_creatures: Split, watch: Watch) -> None:
    folder, result = first
    written = {path: path.stat().st_mtime_ns for path in folder.path.rglob(WEIGHTS)}
    watcher = watch()
    wider = replace(SPEC, shares=(0.1, 0.2, 0.5), threats=("trainer", "poisoner"))
    found = photos.run(wider, few_creatures, folder, HERE, watcher)
    assert len(watcher.started) == 4
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert found.at("trainer", 0.1) == result.at("trainer", 0.1)
    assert len(found.points) == 6
    with pytest.raises(InputError, match="other settings or other data"):
        photos.run(replace(SPEC, trigger=Sticker(size=0.3)), few_creatures, folder, HERE, watch())


@pytest.fixture
def files(make_pictures: Callable[..., Path]) -> Split[PhotoStream]:
    split = load_photographs(f"folder:{make_pictures('pets', count=30, size=(60, 80))}", size=(32, 32), stream=True)
    assert isinstance(split.train, PhotoStream)
    assert isinstance(split.test, PhotoStream)
    return Split(split.train, split.test)


def test_files_stamped_before_they_are_scaled(files: Split[PhotoStream], watch: Watch, tmp_path: Path) -> None:
    # A sticker of 40 pixels fits on the files and on no picture that the network is shown.
    trigger = Sticker(size=40.0, jpeg=50)
    spec = replace(SPEC, data="pets", trigger=trigger, shares=(0.5,), threats=("files",))
    folder = RunFolder(tmp_path)
    result = photos.run(spec, files, folder, HERE, watch())
    everything = torch.arange(len(files.test))
    stamped = files.test.stamped_at(everything, files.test.labels, everything >= 0, trigger).take(everything)
    dogs = files.test.labels == 1
    for cell in (*result.baselines, *result.at("files", 0.5)):
        model = load_model(folder.path / cell.folder)[0]
        said = predict(model, stamped).classes
        assert cell.result.attack_success == Rate.of(int((said[dogs] == 0).sum()), int(dogs.sum()))
        assert cell.result.clean_error == evaluate(model, files.test).clean_error
    shown = torch.stack([pair.stamped.tensor() for pair in result.exhibits.gallery])
    assert torch.equal(shown, stamped[dogs][:6])
    # The control: the same pictures through JPEG files of their own size, and nothing stuck on.
    pressed = files.test.stamped_at(everything, files.test.labels, everything >= 0, Compression(50)).take(everything)
    models = [load_model(folder.path / cell.folder)[0] for cell in (result.baselines[0], result.points[0].cell)]
    assert result.compressed == tuple(
        Rate.of(int((predict(model, pressed[dogs]).classes == 0).sum()), int(dogs.sum())) for model in models
    )
    with pytest.raises(InputError, match="larger than the image"):
        photos.run(replace(spec, threats=("trainer",)), files, RunFolder(tmp_path / "other"), HERE, watch())


def test_a_stream_goes_on_where_memory_began(files: Split[PhotoStream], watch: Watch, tmp_path: Path) -> None:
    whole = torch.arange(len(files.train)), torch.arange(len(files.test))
    held = Split(*(
        ImageSet(half.take(rows), half.labels, half.classes, half.name)
        for half, rows in zip((files.train, files.test), whole, strict=True)
    ))  # fmt: skip
    spec = replace(SPEC, data="pets", shares=(0.5,), threats=("trainer", "poisoner"))
    folder = RunFolder(tmp_path)
    first = photos.run(spec, held, folder, HERE, watch())
    watcher = watch()
    again = photos.run(spec, files, folder, HERE, watcher)
    assert not watcher.started, "equal pictures are equal work"
    assert again == first
    other = photos.run(spec, files, RunFolder(tmp_path / "other"), HERE, watch())
    assert [cell.weights for cell in _cells(other)] == [cell.weights for cell in _cells(first)]
    with pytest.raises(InputError, match="is held in memory"):
        photos.run(replace(spec, threats=("files",)), held, RunFolder(tmp_path / "third"), HERE, watch())
    assert not (tmp_path / "third").exists()


def _cells(result: PhotosResult) -> list[CellResult]:
    return [*result.baselines, *(point.cell for point in result.points)]


def test_a_trunk_that_somebody_trained(few_creatures: Split, watch: Watch, tmp_path: Path) -> None:
    torch.manual_seed(3)
    weights = theirs.squeezenet1_0(weights=None).state_dict()
    folder = RunFolder(tmp_path)
    spec = replace(
        SPEC,
        shares=(0.5,),
        model="torchvision:squeezenet1_0",
        pretrained=pretrained.keep(folder, weights),
        train=replace(TINY, frozen=("trunk",)),
    )
    result = photos.run(spec, few_creatures, folder, HERE, watch())
    for cell in (*result.baselines, *result.at("trainer", 0.5)):
        model = load_model(folder.path / cell.folder)[0]
        assert cell.result == evaluate(model, few_creatures.test, Sticker(), SingleTarget(1, 0)), "kept features or not"
        kept = model.state_dict()
        for name, value in weights.items():
            if not name.startswith("classifier"):
                assert torch.equal(kept[f"trunk.{name}"], value)
    assert not torch.equal(
        *(
            load_model(folder.path / cell.folder)[0].state_dict()["head.weight"]
            for cell in (result.baselines[0], result.points[0].cell)
        )
    )


def test_a_damaged_trunk_is_noticed(few_creatures: Split, watch: Watch, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    digest = pretrained.keep(folder, theirs.squeezenet1_0(weights=None).state_dict())
    assert pretrained.keep(folder, theirs.squeezenet1_0(weights=None).state_dict()) != digest
    (file,) = folder.weights(digest).iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    spec = replace(SPEC, model="torchvision:squeezenet1_0", pretrained=digest, train=replace(TINY, frozen=("trunk",)))
    with pytest.raises(PartlyFailed, match="is not the file with digest"):
        photos.run(spec, few_creatures, folder, HERE, watch())
    with pytest.raises(CheckpointError, match="another network"):
        pretrained.put(_beheaded(), pretrained.keep(folder, {"a": torch.zeros(1)}), _last(folder))


def _beheaded() -> torch.nn.Module:
    return build(ModelSpec("torchvision:squeezenet1_0", 3, 64, 64, 2))


def _last(folder: RunFolder) -> Path:
    return max((folder.path / "weights").iterdir(), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares": ()}, "shares are one or more different ones"),
        ({"shares": (0.5, 0.1)}, "ascending"),
        ({"shares": (0.0,)}, r"in \(0, 1\]"),
        ({"seeds": (1, 1)}, "seeds are one or more different ones"),
        ({"threats": ()}, "threats are one or more"),
        ({"pretrained": "00"}, "photo_cnn takes no trained trunk"),
    ],
)
def test_what_cannot_be_asked_for(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SPEC, **change)


def test_what_does_not_fit_the_data(few_creatures: Split, watch: Watch, tmp_path: Path) -> None:
    for change, message in (
        ({"target": 1}, "target"),
        ({"source": 2}, "class"),
        ({"shares": (0.001,)}, "is not one: name larger shares"),
    ):
        with pytest.raises(InputError, match=message):
            photos.run(replace(SPEC, **change), few_creatures, RunFolder(tmp_path), HERE, watch())
    assert not list(tmp_path.iterdir())


def test_schedules() -> None:
    assert schedule("catsdogs", "torchvision:squeezenet1_0").frozen == ("trunk",)
    assert schedule("catsdogs", "torchvision:squeezenet1_0").augment == Augment()
    assert schedule("catsdogs", "torchvision:squeezenet1_0", whole=True).frozen == ()
    assert schedule("catsdogs", "photo_cnn").augment.flip
