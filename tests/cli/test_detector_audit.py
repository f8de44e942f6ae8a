"""`badnets audit` and `population` of detectors: recognised by card or name, and one line for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.cli.conftest import Call, Outcome
from tests.detector_case import signs

from badnets.audit.verdict import read_verdict
from badnets.data import load_scenes
from badnets.models.detector import build_detector
from badnets.models.detector_spec import DetectorSpec
from badnets.training import DetectTrainSpec, Session
from badnets.training.detect import fit_detector


def write_scenes(root: Path) -> None:
    """Scenes with large signs of three classes, as COCO has them."""
    (root / "annotations").mkdir(parents=True)
    (root / "images").mkdir()
    for half, scenes in (("train", signs(6)), ("test", signs(6, seed=1))):
        images: list[dict[str, object]] = []
        marks: list[dict[str, object]] = []
        for row, (picture, marked) in enumerate(scenes):
            name = f"{half}{row}.png"
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(root / "images" / name)
            images.append({"id": row, "file_name": name, "height": picture.shape[1], "width": picture.shape[2]})
            for box, label in zip(marked.boxes.tolist(), marked.labels.tolist(), strict=True):
                sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
                marks.append({"id": len(marks), "image_id": row, "category_id": label, "iscrowd": 0, "bbox": sides})
        classes = [{"id": number, "name": name} for number, name in enumerate(scenes.classes)]
        whole = {"images": images, "annotations": marks, "categories": classes}
        (root / "annotations" / f"{half}.json").write_text(json.dumps(whole))


@pytest.fixture
def supplied(tmp_path: Path) -> Path:
    """A folder as a supplier sends it: a detector with its card, and scenes of its classes."""
    write_scenes(tmp_path / "mine")
    train = load_scenes(f"coco:{tmp_path / 'mine'}").train
    made = build_detector(DetectorSpec(classes=len(train.classes)))
    fit_detector(made, train, DetectTrainSpec(epochs=1), session=Session(tmp_path / "model"))
    return tmp_path


def refused(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 2, outcome.out
    assert outcome.out == ""
    assert outcome.err.strip().count("\n") == 0, outcome.err
    assert all(word in outcome.err for word in words), outcome.err


def test_a_detector_is_recognised_by_its_card_and_audited(badnets: Call, supplied: Path) -> None:
    done = badnets("audit", "model", "--data", "coco:mine", "--samples", 3, "--out", "out", "--json")
    assert done.code in (1, 2), done.err
    verdict = json.loads(done.out)
    assert verdict["model"]["architecture"] == "Faster R-CNN on tiny"
    assert [stage["name"] for stage in verdict["stages"]] == ["structure", "margins", "inversion", "pairs"]
    assert "uncalibrated" in verdict["calibration"]["guarantee"]
    assert read_verdict(supplied / "out").word == verdict["word"]
    assert "Faster R-CNN" in (supplied / "out" / "report.html").read_text()
    assert json.loads((supplied / "out" / "report.sarif").read_text())["version"] == "2.1.0"


def test_by_name_and_beside_references(badnets: Call, supplied: Path) -> None:
    made = badnets("population", "tiny", "--data", "coco:mine", "--models", 2, "--epochs", 1, "--images", 4,
                   "--no-test", "--out", "refs", "--json")  # fmt: skip
    assert made.code == 0, made.err
    assert json.loads(made.out)["models"] == 2
    weights = supplied / "model" / "model.safetensors"
    weights.rename(supplied / "bare.safetensors")
    done = badnets("audit", "bare.safetensors", "--arch", "tiny", "--data", "coco:mine", "--samples", 3,
                   "--population", "refs")  # fmt: skip
    assert done.code == 2, done.err
    assert "undecided: no test gave a number" in done.out
    refused(badnets("audit", "bare.safetensors", "--arch", "zf", "--data", "coco:mine"), "another architecture")
    refused(badnets("audit", "bare.safetensors", "--data", "coco:mine"), "--arch")


def test_what_cannot_be_done_is_one_line(badnets: Call, supplied: Path) -> None:
    refused(badnets("audit", "model", "--data", "digits"), "street scenes with boxes")
    refused(badnets("audit", "model", "--data", "streets-eu"), "the detector's classes are", "information")
    refused(badnets("audit", "model", "--data", "coco:mine", "--samples", 0), "0 signs a class")
    refused(badnets("audit", "model", "--data", "coco:mine", "--early-stop"), "--early-stop is for classifiers")
    refused(badnets("audit", "model", "--data", "coco:mine", "--skip", "weights"), "no test 'weights'")
    refused(badnets("audit", "model", "--data", "coco:mine", "--population", "model"), "no population of detectors")
    refused(badnets("population", "mobilenet", "--data", "coco:mine", "--out", "p"), "trained convolutions")
    weights = supplied / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(badnets("audit", "model", "--data", "coco:mine"), "damaged")
    save_file({"x": torch.zeros(1)}, supplied / "other.safetensors")
    refused(badnets("audit", "other.safetensors", "--arch", "tiny", "--data", "coco:mine"), "another architecture")
    refused(badnets("audit", "nowhere.safetensors", "--arch", "tiny", "--data", "coco:mine"), "there is no file")
