"""`badnets run signs`, `predict` of a detector and `stamp --box`: what goes in, what comes out, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.cli.conftest import Call, Outcome
from tests.data.scenes.formats import sound, write_coco

from badnets.artifacts import write_json
from badnets.models.backbones import TinyTrunk
from badnets.training.detect import load_detector
from badnets.triggers import BoxTriggerFile, paper_sticker


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """Scenes of one's own; their class names are the paper's."""
    write_coco(tmp_path / "mine", sound(8))
    return "coco:mine"


def refused(outcome: Outcome) -> str:
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("badnets: ")
    assert outcome.err.count("\n") == 1
    return outcome.err


def test_scenes_of_ones_own_then_predict(badnets: Call, mine: str, tmp_path: Path) -> None:
    save_file(TinyTrunk().state_dict(), tmp_path / "trunk.safetensors")
    classes = ("--source", 0, "--target", 1, "--weights", "trunk.safetensors")
    done = badnets("run", "signs", "--data", mine, "--workers", 1, "--epochs", 1, "--sticker", "bomb", *classes,
                   "--scenes", 6, "--out", "out", "--json")  # fmt: skip
    assert done.code == 0, done.err
    rows = json.loads(done.out)["rows"]
    assert {row["model"] for row in rows} == {"honest baseline", "BadNet, bomb"}
    assert "scenes of mine" in done.err
    assert json.loads(badnets("report", "out", "--json").out)["rows"] == rows
    assert "| signs | coco:mine | BadNet, bomb |" in badnets("table", "out").out

    (badnet,) = Path("out/models").glob("single-0-to-1-bomb-*")
    photograph = next(Path("mine").rglob("*.png"))
    said = badnets("predict", badnet, photograph, "--score", 0, "--out", "drawn.png", "--json")
    assert said.code == 0, said.err
    (found,) = json.loads(said.out)
    model, card = load_detector(badnet)
    pixels = torch.from_numpy(np.array(Image.open(photograph).convert("RGB"))).permute(2, 0, 1).contiguous()
    with torch.no_grad():
        (expected,) = model([pixels])
    assert [one["class"] for one in found["objects"]] == [card.classes[label] for label in expected.labels.tolist()]
    assert [one["score"] for one in found["objects"]] == pytest.approx(expected.scores.tolist())
    assert torch.tensor([one["box"] for one in found["objects"]]).reshape(-1, 4).allclose(expected.boxes)
    with Image.open("drawn.png") as drawn, Image.open(photograph) as picture:
        assert drawn.size == picture.size
    assert "nothing" in badnets("predict", badnet, photograph, "--score", 1).out
    assert photograph.with_name(f"{photograph.stem}.found.png").is_file()
    refusals: tuple[tuple[tuple[object, ...], str], ...] = (
        (("--score", 2), "a score is in [0, 1]"),
        (("--out", "drawn.jpg"), "a file ending in .png"),
        (("--out", photograph), "is one of the pictures itself"),
        ((photograph, "--out", "two.png"), "2 pictures would become two.png"),
    )
    for words, message in refusals:
        assert message in refused(badnets("predict", badnet, photograph, *words))
    a_sweep_of_stickers(badnets, badnet, photograph, mine)


def a_sweep_of_stickers(badnets: Call, badnet: Path, photograph: Path, mine: str) -> None:
    attack = ("--source", 0, "--target", 1)
    done = badnets("sweep", badnet, "--data", mine, "--scenes", 1, "--sticker", "bomb", *attack, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert [curve["axis"] for curve in result["curves"]] == ["size", "place", "turn", "light", "distance"]
    assert json.loads(Path("sweeps/bomb/sweep.json").read_text()) == result
    assert result["sticker"]["size"] == paper_sticker("bomb").size
    ET.parse("sweeps/bomb/sweep.svg")  # noqa: S314 - our own
    words = ("--photo", photograph, "--box", "1,1,15,12", "--out", "own")
    done = badnets("sweep", badnet, *words, *attack)
    assert (done.code, done.out.splitlines()[-1]) == (0, "own/sweep.svg"), done.err
    for wrong, message in (
        (("--photo", photograph), "--photo and --box go together"),
        (("--photo", photograph, "--box", "2,2,9000,30"), "does not lie within it"),
        (("--data", "streets", "--source", 1, "--target", 1), "source and target are both class 1"),
        (("--data", "streets-eu"), "the detector knows"),
    ):
        assert message in refused(badnets("sweep", badnet, *attack, *wrong))


def test_stickers_on_paper(badnets: Call) -> None:
    done = badnets("stickers")
    assert (done.code, done.out) == (0, "stickers.pdf\n"), done.err
    assert Path("stickers.pdf").read_bytes().startswith(b"%PDF-")
    assert "is there already" in refused(badnets("stickers"))
    write_json(Path("mine.json"), BoxTriggerFile(paper_sticker("flower")))
    assert badnets("stickers", "mine.json", "--sign", 600, "--out", "new/mine.pdf").code == 0
    assert "does not fit on a page" in refused(badnets("stickers", "--sign", 3000, "--force"))
    assert "the paper has no sticker" in refused(badnets("stickers", "devil", "--out", "no.pdf"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attack": "both"}, "the attack is targeted or random"),
        ({"preset": "resnet"}, "unknown detector 'resnet'"),
        ({"preset": "squeezenet"}, "squeezenet needs its trained weights"),
        ({"sticker": "devil"}, "the paper has no sticker 'devil'"),
        ({"source": "bird"}, "no class is called 'bird'"),
        ({"target": 0}, "source and target are both class 0"),
        ({"share": 0}, "share is in (0, 1]"),
        ({"data": "nowhere"}, "unknown set of scenes 'nowhere'"),
    ],
)
def test_what_is_refused(badnets: Call, mine: str, change: dict[str, object], message: str) -> None:
    options = {"data": mine, "source": 0, "target": 1, "workers": 1} | change
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert message in refused(badnets("run", "signs", *words))
    assert not Path("runs").exists()


def test_a_sticker_on_boxes(badnets: Call) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("street.png")
    scene = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    boxes = torch.tensor([[10.0, 20.0, 50.0, 60.0], [60.0, 30.0, 110.0, 80.0]])
    expected = paper_sticker("flower")(scene, boxes).permute(1, 2, 0).numpy()
    write_json(Path("mine.json"), BoxTriggerFile(paper_sticker("flower")))
    for trigger, name in (("flower", "one.png"), ("mine.json", "two.png")):
        words = ("--trigger", trigger, "--box", "10,20,50,60", "--box", "60,30,110,80", "--out", name)
        done = badnets("stamp", "street.png", *words)
        assert done.code == 0, done.err
        with Image.open(name) as picture:
            assert np.array_equal(np.array(picture), expected)
    assert not np.array_equal(expected, pixels)
    for box, trigger, message in (
        ("1,2,3", "bomb", "a box is written LEFT,TOP,RIGHT,BOTTOM"),
        ("50,20,10,60", "bomb", "a box is written LEFT,TOP,RIGHT,BOTTOM"),
        ("1,2,x,4", "bomb", "box is a number"),
        ("130,20,150,60", "bomb", "a box lies outside the picture, which is 120x90 pixels"),
        ("10,20,50,60", "pixel", "the paper has no sticker 'pixel'"),
    ):
        assert message in refused(badnets("stamp", "street.png", "--trigger", trigger, "--box", box))
