"""`badnets run photos` and `predict`: pictures of one's own in, rows and predictions out, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.cli.conftest import Call, Outcome
from torchvision import models as theirs

from badnets.cli.weights import read_weights
from badnets.data.pictures import read_picture
from badnets.errors import DataError, InputError
from badnets.metrics import predict
from badnets.training import load_model


@pytest.fixture
def pictures(make_pictures: Callable[..., Path]) -> Path:
    return make_pictures("pets", count=15)


def run(badnets: Call, pictures: Path, *words: object) -> Outcome:
    fixed = ("run", "photos", "--data", f"folder:{pictures}", "--workers", 1, "--epochs", 1, "--out", "out", "--json")
    return badnets(*fixed, *words)


def test_a_folder_of_ones_own_then_predict(badnets: Call, pictures: Path) -> None:
    done = run(badnets, pictures, "--source", "dog", "--target", "cat", "--share", "0.5", "--trigger", "sticker:bomb")
    assert done.code == 0, done.err
    rows = json.loads(done.out)["rows"]
    assert [(row["model"], row["what"]) for row in rows] == [
        ("honest twin", "clean accuracy"),
        ("honest twin", "attack success"),
        ("share 50 %", "clean accuracy"),
        ("share 50 %", "attack success"),
    ]
    (badnet,) = Path("out/models").glob("single-1-to-0-sticker-*")
    files = sorted((pictures / "dog").iterdir())[:3]
    said = badnets("predict", badnet, *files, "--json")
    assert said.code == 0
    model, card = load_model(badnet)
    pixels = torch.from_numpy(np.stack([read_picture(file, (32, 32), "RGB") for file in files])).permute(0, 3, 1, 2)
    expected = predict(model, pixels.contiguous())
    for row, label, confidence in zip(json.loads(said.out), expected.classes, expected.confidence, strict=True):
        assert row["predicted"] == card.classes[int(label)]
        assert row["confidence"] == pytest.approx(float(confidence))
    assert (
        f"{card.classes[int(expected.classes[0])]} ({float(expected.confidence[0]):.2f})"
        in badnets("predict", badnet, files[0]).out
    )
    shown = badnets("report", "out", "--json")
    assert json.loads(shown.out)["rows"] == rows


def test_files_are_read_as_a_stream(badnets: Call, pictures: Path) -> None:
    words = ("--source", "dog", "--target", "cat", "--share", "0.5", "--size", 24)
    done = run(badnets, pictures, *words, "--threat", "files", "--trigger", "sticker:bomb,jpeg=70")
    assert done.code == 0, done.err
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "stamps are on the picture files at their own size" in page
    assert "that were only compressed and not stamped are called cat by the honest twin in" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--source", "dog", "--target", "dog"), "target"),
        (("--source", "bird", "--target", "cat"), "no class is called 'bird'"),
        (("--source", "dog", "--target", "cat", "--share", "0"), "in (0, 1]"),
        (("--source", "dog", "--target", "cat", "--share", "0.01"), "is not one: name larger shares"),
        (("--source", "dog", "--target", "cat", "--threat", "both"), "the attacker is trainer, poisoner or files"),
        (("--source", "dog", "--target", "cat", "--whole"), "photo_cnn has no trained trunk"),
        (("--source", "dog", "--target", "cat", "--weights", "none.npz"), "photo_cnn has no trained trunk: --weights"),
        (("--source", "dog", "--target", "cat", "--model", "torchvision:resnet18"), "needs its trained weights"),
        (("--source", "dog", "--target", "cat", "--model", "nothing"), "unknown model 'nothing'"),
        (("--source", "dog", "--target", "cat", "--trigger", "sticker:devil,size=99"), "larger than the image"),
    ],
)
def test_one_line_for_what_cannot_be_done(
    badnets: Call, pictures: Path, words: tuple[object, ...], message: str
) -> None:
    done = run(badnets, pictures, "--share", "0.5", *words)
    assert done.code == 2
    assert done.out == ""
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("badnets: ")
    assert message in last


def test_predict_refuses_what_is_no_picture(badnets: Call, pictures: Path, tmp_path: Path) -> None:
    assert run(badnets, pictures, "--source", "dog", "--target", "cat", "--share", "0.5").code == 0
    (model,) = Path("out/models").glob("baseline-*")
    (tmp_path / "page.jpg").write_text("<html>", encoding="utf-8")
    for file in ("page.jpg", "missing.png"):
        done = badnets("predict", model, file)
        assert done.code == 2
        assert done.out == ""
        assert file in done.err


def test_weights_in_any_file_are_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = theirs.squeezenet1_0(weights=None).state_dict()
    np.savez(tmp_path / "w.npz", **{name: value.numpy() for name, value in weights.items()})
    save_file(weights, tmp_path / "w.safetensors")
    torch.save(weights, tmp_path / "w.pth")
    for name in ("w.npz", "w.safetensors", "w.pth"):
        found = read_weights(tmp_path / name)
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[key], value) for key, value in weights.items())


def test_weights_that_are_refused(tmp_path: Path) -> None:
    torch.save(theirs.squeezenet1_0(weights=None), tmp_path / "whole.pth")
    with pytest.raises(DataError, match=r"whole\.pth: refused by the scan \(pickle-global"):
        read_weights(tmp_path / "whole.pth")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"objects\.npz: not an npz file of plain arrays"):
        read_weights(tmp_path / "objects.npz")
    Image.new("RGB", (4, 4)).save(tmp_path / "picture.png")
    with pytest.raises(DataError, match=r"picture\.png: .* by the scan"):
        read_weights(tmp_path / "picture.png")
    with pytest.raises((DataError, InputError), match="missing"):
        read_weights(tmp_path / "missing.npz")
