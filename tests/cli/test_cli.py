"""The command line where all goes well: what programs read from stdout, and what lies on the disk afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from badnets.artifacts import canonical_json
from badnets.cli.main import main
from badnets.cli.parsing import parse_policy, parse_trigger
from badnets.data import load
from badnets.errors import InputError
from badnets.metrics import evaluate
from badnets.poison import AllToAll, AllToOne, AnyPolicy, RandomTarget, SingleTarget, apply
from badnets.training import load_model, load_plan
from badnets.triggers import AnyTrigger, Blend, Patch, Pattern, SinglePixel, Sticker, TriggerFile, drawing


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    def run(*words: object) -> Any:  # noqa: ANN401 - whatever the JSON holds
        monkeypatch.setattr(sys, "argv", ["badnets", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
        out = capsys.readouterr().out
        assert done.value.code == 0
        return json.loads(out) if "--json" in words else out

    return run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pixel", SinglePixel()),
        ("pixel:row=3,column=4,value=200", SinglePixel(3, 4, 200)),
        ("pattern", Pattern()),
        ("pattern:value=99", Pattern(value=99)),
        ("patch:size=4,margin=2", Patch.square(4, margin=2)),
        ("blend:alpha=0.5,seed=3", Blend(0.5, seed=3)),
        ("sticker", Sticker()),
        ("sticker:bomb", Sticker(drawing("bomb"))),
        ("sticker:size=40", Sticker(size=40.0)),
        (
            "sticker:flower,size=0.25,down=0.1,right=0.9,place=random,opacity=0.9,jpeg=75,seed=1",
            Sticker(drawing("flower"), 0.25, 0.1, 0.9, "random", opacity=0.9, jpeg=75, seed=1),
        ),
    ],
)
def test_triggers_in_words(text: str, expected: AnyTrigger) -> None:
    assert parse_trigger(text) == expected


def test_triggers_from_files(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(canonical_json(TriggerFile(Patch.square(5))))
    assert parse_trigger(str(tmp_path / "t.json")) == Patch.square(5)
    Image.new("RGBA", (3, 2), (10, 20, 30, 128)).save(tmp_path / "s.png")
    trigger = parse_trigger(f"patch:file={tmp_path / 's.png'},row=4,column=6")
    assert isinstance(trigger, Patch)
    assert (trigger.row, trigger.column) == (4, 6)
    assert trigger.picture.tensor()[:, 0, 0].tolist() == [10, 20, 30, 128]
    assert parse_trigger(f"sticker:file={tmp_path / 's.png'},size=9") == Sticker(trigger.picture, 9.0)


CLASSES = ("give way", "stop")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all-to-all", AllToAll()),
        ("random", RandomTarget()),
        ("all-to-one:4", AllToOne(4)),
        ("single:7:3", SingleTarget(7, 3)),
        ("all-to-one:stop", AllToOne(1)),
        ("single:give way:stop", SingleTarget(0, 1)),
    ],
)
def test_policies_in_words(text: str, expected: AnyPolicy) -> None:
    assert parse_policy(text, CLASSES) == expected


@pytest.mark.parametrize("text", ["single:7", "all-to-one", "single:a:b", "all", "all-to-all:1", "all-to-one:stpo"])
def test_policies_that_make_no_sense(text: str) -> None:
    with pytest.raises(InputError):
        parse_policy(text, CLASSES)


def test_help_is_quick_because_it_imports_no_lab() -> None:
    code = (
        "import sys; sys.argv = ['badnets', '--help']\n"
        "from badnets.cli import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "assert not {'torch', 'numpy', 'scipy', 'pydantic', 'matplotlib'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "poison" in done.stdout


def test_version_and_data_list(call: Any) -> None:  # noqa: ANN401 - the fixture above
    assert call("--version").startswith("badnets ")
    rows = {row["name"]: row for row in call("data", "list", "--json")}
    images = {"digits", "creatures", "mnist", "cifar10", "gtsrb", "catsdogs"}
    assert set(rows) == images | {"streets", "streets-eu", "italy", "gtsdb", "road", "lisa", "swedish"}
    assert rows["digits"]["at_hand"] is True
    assert rows["streets"]["at_hand"] is True


def test_show_counts_what_there_is(call: Any, tmp_path: Path) -> None:  # noqa: ANN401 - the fixture above
    out = tmp_path / "sheet.png"
    found = call("data", "show", "digits", "--split", "test", "--out", out, "--json")
    assert found["classes"] == [{"number": k, "name": str(k), "images": 50} for k in range(10)]
    assert found["digest"] == load("digits").test.digest
    assert found["shape"] == [1, 28, 28]
    assert out.read_bytes().startswith(b"\x89PNG")


def test_poison_train_evaluate(call: Any, tmp_path: Path) -> None:  # noqa: ANN401 - the fixture above
    """What the commands say is what the library says of the files that they leave."""
    out, model = tmp_path / "poisoned", tmp_path / "model"
    train = load("digits").train
    words = ["--policy", "single:7:3", "--rate", "1.0", "--cover", "0.1", "--seed", "5", "--out", out]
    said = call("poison", *words, "--json")
    plan = load_plan(out)
    assert said["plan"] == plan.digest
    assert plan.recipe.policy == SingleTarget(7, 3)
    poisoned = apply(train, plan)
    assert said["digest"] == poisoned.digest
    assert (said["images"], said["falsely_labelled"], said["covered"]) == (len(poisoned), plan.poisoned, plan.covered)
    with np.load(out / "poisoned.npz") as arrays:
        assert np.array_equal(arrays["images"], poisoned.images.numpy())
        assert np.array_equal(arrays["labels"], poisoned.labels.numpy())
        assert arrays["classes"].tolist() == list(poisoned.classes)
        assert arrays["rows"][len(train) :].tolist() == list(plan.rows)
        assert np.flatnonzero(arrays["stamped"]).tolist() == list(range(len(train), len(poisoned)))
    back = load(f"folder:{out / 'images'}")
    assert len(back.train) + len(back.test) == len(poisoned)
    card = call("train", "--plan", out / "plan.json", "--epochs", 1, "--out", model, "--json")
    assert card["job"]["plan"] == plan.digest
    again = call("train", "--plan", out / "plan.json", "--epochs", 1, "--out", model, "--json")
    assert again == card
    measured = call("evaluate", model, "--json")
    expected = evaluate(load_model(model)[0], load("digits").test, Pattern(), SingleTarget(7, 3))
    assert measured["result"] == json.loads(canonical_json(expected))
    other = call("evaluate", model, "--trigger", "pixel", "--policy", "all-to-one:0", "--json")
    assert other["trigger"] == json.loads(canonical_json(SinglePixel()))
    assert other["result"]["attack_success"]["total"] == 450


def test_both_threat_models_train(call: Any, tmp_path: Path) -> None:  # noqa: ANN401 - the fixture above
    call("poison", "--policy", "all-to-all", "--no-images", "--out", tmp_path / "p")
    assert not (tmp_path / "p" / "images").exists()
    cards = {
        threat: call(
            "train", "--plan", tmp_path / "p", "--threat", threat, "--epochs", 1, "--out", tmp_path / threat, "--json"
        )
        for threat in ("trainer", "data")
    }
    assert cards["trainer"]["job"]["plan"] == cards["data"]["job"]["plan"]
    assert cards["trainer"]["job"]["samples"] == cards["data"]["job"]["samples"]
    assert cards["data"]["job"]["data"] == apply(load("digits").train, load_plan(tmp_path / "p")).digest


def test_train_starts_from_a_model(call: Any, tmp_path: Path) -> None:  # noqa: ANN401 - the fixture above
    first = call("train", "--epochs", 1, "--out", tmp_path / "a", "--json")
    second = call("train", "--epochs", 1, "--start", tmp_path / "a", "--out", tmp_path / "b", "--json")
    assert second["job"]["start"] != first["job"]["start"]
    weights = [load_model(tmp_path / name)[0].state_dict()["conv1.weight"] for name in "ab"]
    assert not torch.equal(*weights)


def test_run_and_report(call: Any, tmp_path: Path) -> None:  # noqa: ANN401 - the fixture above
    out = tmp_path / "run"
    said = call("run", "digits", "--epochs", 1, "--out", out, "--json")
    assert len(said["rows"]) == 13
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert call("report", out, "--json") == said
    assert (out / "report.html").read_bytes() == page
    table = call("report", out)
    assert "all-to-all, pattern" in table
    assert table.rstrip().endswith("report.html")
