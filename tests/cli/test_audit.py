"""`badnets audit` from a file to an exit code, and one line for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.torch import save_file
from tests.audit.made_up import blocks, right, templates
from tests.cli.conftest import Call

from badnets.audit.verdict import read_verdict

CODE = """
import sys
sys.path.insert(0, {root!r})
from tests.audit.made_up import right

def network(channels, classes):
    return right(classes, channels)

def other(classes):
    return right(classes + 1)

def broken():
    raise KeyError("nothing")

def text():
    return "no network"
"""
ROOT = str(Path(__file__).parents[2])
CLASSES = 3


@pytest.fixture
def supplied(tmp_path: Path) -> Path:
    """A folder as a supplier sends it: pictures, code, weights in two formats."""
    images = blocks(CLASSES, count=8)
    for half in ("train", "test"):
        for row, label in enumerate(images.labels.tolist()):
            folder = tmp_path / "pictures" / half / f"class {label}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.images[row, 0].numpy()).save(folder / f"{half}{row}.png")
    (tmp_path / "code.py").write_text(CODE.format(root=ROOT))
    weights = right(CLASSES).state_dict()
    save_file(weights, tmp_path / "model.safetensors")
    torch.save(weights, tmp_path / "model.pth")
    return tmp_path


FAST = ("--samples", "2", "--skip", "pairs", "--skip", "inversion")
GIVEN = ("--data", "folder:pictures", "--arch", "code.py:network")


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_from_a_file_to_a_verdict(badnets: Call, supplied: Path, name: str) -> None:
    done = badnets("audit", name, *GIVEN, *FAST, "--out", "out", "--json")
    assert done.code == 2, done.err
    plain = json.loads(done.out)
    verdict = read_verdict(supplied / "out")
    assert plain["word"] == verdict.word == "undecided"
    assert "uncalibrated" in verdict.reason
    assert verdict.model.architecture == "code.py:network"
    assert verdict.model.classes == CLASSES
    assert verdict.data.accuracy == 1
    converted = badnets("convert", name, "again.safetensors")
    assert converted.out.strip() == f"tensors-v1:{verdict.model.digest}"
    page = (supplied / "out" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "(uncalibrated)" in page
    assert json.loads((supplied / "out" / "report.sarif").read_text())["version"] == "2.1.0"


def test_people_read_a_table_and_a_last_line(badnets: Call, supplied: Path) -> None:
    del supplied
    done = badnets("audit", "model.pth", *GIVEN, *FAST, "--html", "page.html", "--sarif", "found.sarif", "--certify", 1)
    assert done.out.strip().splitlines()[-1].startswith("undecided: uncalibrated")
    assert "not tested: pairs: not asked for" in done.err
    assert "not tested: certificates: it has a Nearest()" in done.err
    assert Path("page.html").exists()
    assert Path("found.sarif").exists()


def test_a_population_calibrates(badnets: Call, supplied: Path) -> None:
    del supplied
    words = ("--samples", "2", "--data", "folder:pictures")
    made = badnets("population", "code.py:network", *words, "--models", 3, "--epochs", 1, "--out", "p", "--no-test")
    assert made.code == 0, made.err
    assert made.out.strip() == "p"
    done = badnets("audit", "model.pth", *GIVEN, *FAST, "--population", "p", "--alpha", "0.3", "--json")
    assert done.code == 2, done.err
    verdict = json.loads(done.out)
    assert verdict["calibration"]["population"] in (0, 3)
    assert verdict["p_how"] in ("conformal", "none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model.pth", "--data", "folder:pictures"), "name it with --arch"),
        (("model.pth", "--data", "folder:pictures", "--arch", "nothing"), "unknown model 'nothing'"),
        (("model.pth", "--data", "folder:pictures", "--arch", "code.py:none"), "has no function 'none'"),
        (("model.pth", "--data", "folder:pictures", "--arch", "gone.py:network"), "there is no file gone.py"),
        (("model.pth", "--data", "folder:pictures", "--arch", "no.such.module:f"), "cannot be imported"),
        (("model.pth", "--data", "folder:pictures", "--arch", "code.py:broken"), "KeyError"),
        (("model.pth", "--data", "folder:pictures", "--arch", "code.py:text"), "returned a str"),
        (
            ("model.pth", "--data", "folder:pictures", "--arch", "code.py:other"),
            "expected (4, 1, 8, 8), got (3, 1, 8, 8)",
        ),
        (("gone.pth", *GIVEN), "gone.pth"),
        (("code.py", *GIVEN), "by the scan"),
        (("model.pth", *GIVEN, "--convention", "none"), "unknown convention 'none'"),
        (("model.pth", *GIVEN, "--skip", "none"), "no test 'none' to skip"),
        (("model.pth", *GIVEN, "--alpha", "2"), "alpha is between 0 and 1"),
        (("model.pth", *GIVEN, "--population", "pictures"), "holds no population"),
    ],
)
def test_one_line_for_what_cannot_be_done(badnets: Call, supplied: Path, words: tuple[str, ...], message: str) -> None:
    del supplied
    done = badnets("audit", *words)
    assert done.code == 2
    assert done.out == ""
    (last,) = [line for line in done.err.strip().splitlines() if line.startswith("badnets: ")]
    assert message in last


def onnx_file(path: Path) -> None:
    """A linear network on flat pixels, as another framework would export it."""
    size = templates(CLASSES).flatten(1)
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], transB=1),
    ]
    # -|x - t|^2 without the part that is the same for all classes.
    parts = [numpy_helper.from_array((20 * size).numpy(), "weight")]
    parts.append(numpy_helper.from_array((-10 * size.pow(2).sum(1)).numpy(), "bias"))
    given = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 8, 8])]
    gives = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])]
    graph = helper.make_graph(nodes, "network", given, gives, parts)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def test_onnx_is_audited_without_an_architecture(badnets: Call, supplied: Path) -> None:
    pytest.importorskip("onnx2torch")
    onnx_file(supplied / "model.onnx")
    done = badnets("audit", "model.onnx", "--data", "folder:pictures", *FAST, "--json")
    assert done.code == 2, done.err
    verdict = json.loads(done.out)
    assert verdict["data"]["accuracy"] == 1
    assert verdict["model"]["architecture"].startswith("ONNX graph")
    (supplied / "bad.onnx").write_bytes(b"nothing")
    done = badnets("audit", "bad.onnx", "--data", "folder:pictures")
    assert done.code == 2
    assert "by the scan" in done.err
