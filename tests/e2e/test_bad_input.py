"""Every bad input to the real command line: exit code 2, one line that says what to do, nothing on stdout."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from badnets.artifacts import canonical_json, write_json
from badnets.cli import main
from badnets.data import load
from badnets.models import ModelSpec, build
from badnets.poison import AllToAll, MaliciousTrainer, Recipe, plan
from badnets.training import Session, TrainSpec, fit, save_plan
from badnets.training.checkpoint import CARD, PLAN, PROGRESS, WEIGHTS
from badnets.triggers import Pattern, SinglePixel

COMMAND = Path(sys.executable).with_name("badnets")
Make = Callable[..., Path]


@dataclass(frozen=True)
class Outcome:
    code: int | str | None
    out: str
    err: str


Run = Callable[..., Outcome]
Refused = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls the command line in this process, in a folder of its own, with no data but the embedded ones."""
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("BADNETS_DATA", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["badnets", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return Outcome(left.value.code, out, err)

    return call


def one_line(outcome: Outcome) -> str:
    assert outcome.err.startswith("badnets: "), outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert outcome.code == 2
    return outcome.err


@pytest.fixture
def refused(run: Run) -> Refused:
    """Calls the command line, checks that it refuses as it should, and returns the line."""
    return lambda *arguments: one_line(run(*arguments))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model for the digits, one short pass, with a backdoor and its plan."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    train = load("digits").train
    made = plan(train, Recipe(AllToAll(), Pattern(), rate=0.1))
    data = MaliciousTrainer().training_set(train, made)
    fit(build(ModelSpec.fitting(train)), data, TrainSpec(epochs=1), session=Session(folder))
    save_plan(folder, made)
    return folder


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    """A copy of that folder to be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the command line itself ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--bogus", "No such option: --bogus"),
        ("bogus", "No such command 'bogus'"),
        ("train", "Missing option '--out'"),
        ("train --out x --epochs many", "'--epochs'"),
        ("train --out x --colour red", "(see badnets train --help)"),
        ("data show", "Missing argument"),
        ("data show digits --columns 0", "'--columns'"),
        ("run digits --seeds 0", "'--seeds'"),
        ("run digits --epochs 0", "'--epochs'"),
        ("evaluate a b", "unexpected extra argument"),
        # values
        ("data show digits --split middle", "split is train or test, got 'middle'"),
        ("data show mnits", "unknown data set 'mnits': did you mean mnist"),
        ("data get cifar", "unknown data set 'cifar': did you mean cifar10"),
        ("data get gtsrb", "no public download"),
        ("data show mnist", "badnets data get mnist"),
        ("data show folder:nowhere", "no such folder"),
        ("data show ./nowhere", "no such folder"),
        ("train --out x --data mnits", "did you mean mnist"),
        ("train --out x --epochs 0", "epochs and batch size are at least 1"),
        ("train --out x --batch-size -1", "epochs and batch size are at least 1"),
        ("train --out x --learning-rate 0", "learning rate"),
        ("train --out x --threads 0", "threads is at least 1"),
        ("train --out x --threat ghost", "threat is trainer or data, got 'ghost'"),
        ("train --out x --plan nowhere.json", "cannot read nowhere.json: No such file"),
        ("train --out x --start nowhere", "nowhere holds no finished model"),
        ("evaluate nowhere", "nowhere holds no finished model"),
        ("report nowhere", "no run folder"),
    ],
)
def test_a_command_that_cannot_be_meant(refused: Refused, arguments: str, words: str) -> None:
    assert words in refused(*arguments.split())
    assert list(Path().iterdir()) == [], "nothing may be left behind"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--learning-rate", "nan"), "learning rate"),
        (("--learning-rate", "1e30"), "learning rate"),
        (("--device", "abacus"), "abacus"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_training_that_cannot_be(refused: Refused, options: tuple[str, str], words: str) -> None:
    assert words in refused("train", "--out", "x", "--epochs", "1", *options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(refused: Refused) -> None:
    assert "use --device cpu" in refused("train", "--out", "x", "--device", "cuda")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--policy", "single:3:3"), "source and target are both class 3"),
        (("--policy", "single:3:10"), "target class 10 is out of range: this data has classes 0..9"),
        (("--policy", "single:-1:3"), "source class -1 is out of range"),
        (("--policy", "all-to-one:10"), "target class 10 is out of range"),
        (("--policy", "single:3"), "cannot read policy 'single:3'"),
        (("--policy", "single:a:b"), "no class is called 'a'"),
        (("--policy", "single:1.5:2"), "no class is called '1.5'"),
        (("--policy", "single:nan:2"), "no class is called 'nan'"),
        (("--policy", "everything"), "cannot read policy 'everything'"),
        (("--rate", "0"), "rate and cover rate are both 0: there is nothing to poison"),
        (("--rate", "1.5"), "rate is a share in [0, 1], got 1.5"),
        (("--rate", "-0.1"), "rate is a share in [0, 1], got -0.1"),
        (("--rate", "nan"), "rate is a share in [0, 1], got nan"),
        (("--rate", "0.0001"), "picks none: raise the rate"),
        (("--cover", "2"), "cover rate is a share in [0, 1], got 2.0"),
        (("--mode", "hide"), "mode is add or replace, got 'hide'"),
        (("--trigger", "pixel:row=40,column=3"), "outside the image"),
        (("--trigger", "pixel:row=-1"), "outside the image"),
        (("--trigger", "pixel:row=inf"), "row is a whole number, got 'inf'"),
        (("--trigger", "pixel:value=256"), "a pixel value is 0..255, got 256"),
        (("--trigger", "pixel:colour=3"), "pixel has no option colour: it has row, column, value"),
        (("--trigger", "pixel:row"), "options are written name=value"),
        (("--trigger", "patch:size=29"), "outside the image"),
        (("--trigger", "patch:size=0"), "a square of 0"),
        (("--trigger", "patch:file=nowhere.png,row=1,column=1"), "nowhere.png: not a readable picture"),
        (("--trigger", "patch:file=nowhere.png,row=1"), "needs column"),
        (("--trigger", "blend:alpha=nan"), "alpha"),
        (("--trigger", "blend:alpha=2"), "alpha"),
        (("--trigger", "glue"), "unknown trigger 'glue': known are pixel, pattern, patch, blend, sticker"),
        (("--trigger", "sticker:angel"), "no sticker is called 'angel': there are devil, bomb, flower, square"),
        (("--trigger", "sticker:devil,file=a.png"), "a sticker is a drawing or a file, got 'devil' and 'a.png'"),
        (("--trigger", "sticker:file=nowhere.png"), "nowhere.png: not a readable picture"),
        (("--trigger", "sticker:size=0"), "a sticker's size is a share in (0, 1] or whole pixels above 1, got 0.0"),
        (("--trigger", "sticker:size=nan"), "a sticker's size"),
        (("--trigger", "sticker:size=29"), "a sticker of 29x29 pixels is larger than the image, 28x28"),
        (("--trigger", "sticker:down=1.5"), "a sticker's centre is given in shares of 0 to 1, got 1.5, 0.8"),
        (("--trigger", "sticker:opacity=0"), "a sticker's opacity is in (0, 1], got 0.0"),
        (("--trigger", "sticker:place=there"), "a sticker's place is fixed or random, got 'there'"),
        (("--trigger", "sticker:jpeg=96"), "JPEG quality is 1 to 95, or 0 for none, got 96"),
        (("--trigger", "sticker:jpeg=7.5"), "jpeg is a whole number, got '7.5'"),
        (("--trigger", "sticker:colour=3"), "sticker has no option colour: it has size, down, right, opacity, place"),
        (("--trigger", "nowhere.json"), "cannot read nowhere.json"),
        (("--data", "mnits"), "did you mean mnist"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_poisoning_that_cannot_be(refused: Refused, options: tuple[str, str], words: str) -> None:
    given = {"--out": "x", "--policy": "all-to-all", "--trigger": "pixel"} | {options[0]: options[1]}
    line = refused("poison", *(part for pair in given.items() for part in pair))
    assert words in line
    assert list(Path().iterdir()) == [], "nothing may be left behind"


@pytest.mark.parametrize(
    "text", ["", "{}", '{"trigger":{"kind":"glue"}}', '{"trigger":{"kind":"pixel","row":99}}', "\udcff"]
)
def test_a_trigger_file_that_holds_none(refused: Refused, text: str) -> None:
    Path("t.json").write_bytes(text.encode(errors="surrogateescape"))
    line = refused("poison", "--out", "x", "--policy", "all-to-all", "--trigger", "t.json")
    assert "t.json is not a TriggerFile" in line


# --- damaged and missing data ---


def mnist(folder: Path) -> Path:
    """Four files with the names of MNIST's, whole but not MNIST's."""
    folder.mkdir()
    for half, count in (("train", 3), ("t10k", 2)):
        pixels = b"\0\0\x08\x03" + struct.pack(">3I", count, 28, 28) + bytes(count * 784)
        (folder / f"{half}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pixels))
        labels = b"\0\0\x08\x01" + struct.pack(">I", count) + bytes(count)
        (folder / f"{half}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder


@pytest.mark.parametrize("command", ["data show mnist", "train --out x --data mnist", "run digits --data mnist"])
def test_files_that_are_damaged_or_not_the_real_ones(refused: Refused, tmp_path: Path, command: str) -> None:
    folder = mnist(tmp_path / "files")
    line = refused(*command.split(), "--data-dir", folder)
    assert "expected SHA-256 440fcabf73cc546f" in line
    torn = folder / "train-images-idx3-ubyte.gz"
    torn.write_bytes(torn.read_bytes()[:20])
    line = refused(*command.split(), "--data-dir", folder)
    assert f"{torn}: expected SHA-256" in line
    assert "(20 bytes): the file is damaged" in line
    torn.unlink()
    assert "badnets data get mnist" in refused(*command.split(), "--data-dir", folder)
    assert list(Path().iterdir()) == []


def test_real_files_cut_short(real_data: Path, refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for path in (real_data / "mnist").glob("*.gz"):
        shutil.copy(path, folder)
    torn = folder / "t10k-images-idx3-ubyte.gz"
    torn.write_bytes(torn.read_bytes()[:-100])
    assert f"{torn}: expected SHA-256" in refused("data", "show", "mnist", "--data-dir", folder)


@pytest.mark.parametrize("command", ["data show {}", "train --out x --data {}", "run digits --data {}"])
def test_folders_without_readable_pictures(refused: Refused, make_pictures: Make, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    line = refused(*command.format(f"folder:{tmp_path / 'empty'}").split())
    assert "expected at least 2 class folder(s)" in line
    torn = make_pictures("torn", count=3)
    for path in torn.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    # a header that still tells a size
    assert "not one readable picture among 6 files" in refused(*command.format(f"folder:{torn}").split())
    for path in torn.rglob("*.png"):
        path.write_bytes(b"torn")
    assert "not one readable picture among 6 files" in refused(*command.format(f"folder:{torn}").split())


def test_pictures_too_small_for_the_network_or_the_trigger(refused: Refused, make_pictures: Make) -> None:
    tiny = make_pictures("tiny", size=(12, 12))
    assert "at least 16x16" in refused("train", "--out", "x", "--data", f"folder:{tiny}")
    options = ("--policy", "all-to-all", "--trigger", "patch:size=20")
    assert "outside the image" in refused("poison", "--out", "x", "--data", f"folder:{tiny}", *options)


def test_a_study_of_too_few_classes(refused: Refused, make_pictures: Make) -> None:
    line = refused("run", "digits", "--out", "x", "--data", f"folder:{make_pictures()}", "--pair", "7:3")
    assert "class 7 is out of range: this data has classes 0..1" in line
    assert "expected SOURCE:TARGET" in refused("run", "digits", "--out", "x", "--pair", "7")


# --- models and plans that do not belong ---


def test_a_model_of_another_architecture(refused: Refused, trained: Path, make_pictures: Make) -> None:
    colour = f"folder:{make_pictures(size=(32, 32))}"
    line = refused("evaluate", trained, "--data", colour)
    assert "does not fit" in line
    assert "32" in line
    line = refused("train", "--out", "x", "--data", colour, "--start", trained)
    assert "channels=1" in line
    assert "channels=3" in line
    assert list(Path().iterdir()) == []


def test_damaged_weights(refused: Refused, model: Path) -> None:
    weights = model / WEIGHTS
    whole = weights.read_bytes()
    for damaged in (whole[:-1], whole[:10], b"", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
        weights.write_bytes(damaged)
        assert "the weights are damaged or another model's" in refused("evaluate", model)
        assert "the weights are damaged" in refused("train", "--out", "x", "--start", model)
    weights.unlink()
    assert "the weights are not: train again" in refused("evaluate", model)


def test_weights_of_another_architecture_under_a_card_that_names_them(refused: Refused, model: Path) -> None:
    card = json.loads((model / CARD).read_bytes())
    card["job"]["model"]["classes"] = 7
    (model / CARD).write_text(canonical_json(card))
    assert "fc2" in refused("evaluate", model)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b"[1]", b'{"job":'])
def test_a_damaged_card(refused: Refused, model: Path, text: bytes) -> None:
    (model / CARD).write_bytes(text)
    assert f"{model / CARD} is not a Card" in refused("evaluate", model)


def test_a_damaged_state_of_a_run_under_way(refused: Refused) -> None:
    Path("x").mkdir()
    (Path("x") / PROGRESS).write_bytes(b"torn")
    line = refused("train", "--out", "x", "--epochs", "1")
    assert PROGRESS in line
    assert "evaluate" not in line
    assert "not finished: run the same command again" in refused("evaluate", "x")


def test_plans_that_do_not_fit(refused: Refused, trained: Path, make_pictures: Make, tmp_path: Path) -> None:
    folder = f"folder:{make_pictures()}"
    line = refused("train", "--out", "x", "--data", folder, "--plan", trained)
    assert "this plan was made on data with digest" in line
    spoilt = tmp_path / "spoilt.json"
    for text in (b"", b"{}", b"\xff", (trained / PLAN).read_bytes().replace(b'"rate":0.1', b'"rate":7.0')):
        spoilt.write_bytes(text)
        assert f"{spoilt} is not a PoisonPlan" in refused("train", "--out", "x", "--plan", spoilt)
    assert list(Path().iterdir()) == []


def test_an_attack_is_measured_with_both_halves_or_none(refused: Refused, trained: Path) -> None:
    assert "both --trigger and --policy" in refused("evaluate", trained, "--trigger", "pixel")
    assert "both --trigger and --policy" in refused("evaluate", trained, "--policy", "all-to-all")
    line = refused("evaluate", trained, "--trigger", "pixel", "--policy", "single:3:12")
    assert "class 12 is out of range" in line


# --- folders that hold something else ---


def test_another_training_is_refused_and_the_folder_left_as_it_was(
    refused: Refused, model: Path, tmp_path: Path
) -> None:
    before = content(model)
    other = plan(load("digits").train, Recipe(AllToAll(), SinglePixel(), rate=0.3))
    save_plan(tmp_path / "other", other)
    for options in (
        ("--epochs", "2", "--plan", model),
        ("--epochs", "1", "--seed", "5", "--plan", model),
        ("--epochs", "1"),
        ("--epochs", "1", "--plan", tmp_path / "other"),
        ("--epochs", "1", "--batch-size", "64", "--plan", model),
        ("--epochs", "1", "--threat", "data", "--plan", model),
    ):
        assert "holds another training: its" in refused("train", "--out", model, *options)
        # the plan above all: `evaluate` takes its trigger from there
        assert content(model) == before


def test_the_plan_beside_a_model_is_taken_only_if_it_is_the_models(run: Run, refused: Refused, model: Path) -> None:
    found = json.loads(run("evaluate", model, "--json").out)
    assert found["trigger"] == json.loads(canonical_json(Pattern()))
    other = plan(load("digits").train, Recipe(AllToAll(), SinglePixel(), rate=0.3))
    write_json(model / PLAN, other)
    assert "not the plan that the model was trained with" in refused("evaluate", model)
    named = run("evaluate", model, "--trigger", "pixel", "--policy", "all-to-all", "--json")
    assert json.loads(named.out)["trigger"] == json.loads(canonical_json(SinglePixel()))


def test_a_poisoned_set_is_not_mixed_with_another(run: Run, refused: Refused, make_pictures: Make) -> None:
    data = f"folder:{make_pictures()}"
    options = ("poison", "--out", "x", "--policy", "single:0:1", "--data", data)
    assert run(*options, "--rate", "0.5").code == 0
    before = content(Path("x"))
    assert "name another folder" in refused(*options, "--rate", "0.2")
    assert content(Path("x")) == before
    # The same again goes on where a killed run was.
    (Path("x") / "poisoned.npz").unlink()
    min((Path("x") / "images" / "dog").iterdir()).unlink()
    assert run(*options, "--rate", "0.5").code == 0
    assert content(Path("x")).keys() == before.keys()


def test_a_study_in_the_folder_of_another(refused: Refused) -> None:
    Path("x").mkdir()
    (Path("x") / "spec.json").write_text("{}\n")
    assert "holds a run with other settings" in refused("run", "digits", "--out", "x", "--epochs", "1")
    assert [path.name for path in Path("x").iterdir()] == ["spec.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [(b"", "is not a result"), (b"{}", "does not name its study"), (b"\xff", "is not a result")],
)
def test_a_report_on_nothing(refused: Refused, text: bytes, words: str) -> None:
    Path("x").mkdir()
    assert "no run folder" in refused("report", "x")
    (Path("x") / "spec.json").write_text("{}")
    assert "not finished: run the same command again" in refused("report", "x")
    (Path("x") / "result.json").write_bytes(text)
    assert f"result.json {words}" in refused("report", "x")
    assert f"result.json {words}" in refused("table", "x")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("digits-share", "--share", "much"), "share is a number, got 'much'"),
        (("digits-share", "--share", "nan"), "share is a number, got 'nan'"),
        (("digits-share", "--share", "0.7"), "(0, 0.5]"),
        (("digits-share", "--share", "0.0001"), "is not one image"),
        (("digits-matrix", "--trigger", "patch"), "pixel and pattern, got 'patch'"),
        (("digits-matrix", "--engine", "spark"), "the engine is local or ray, got 'spark'"),
        (("digits", "--address", "auto"), "add --engine ray"),
        (("digits", "--engine", "ray", "--workers", "2"), "--workers belongs to the local engine"),
        (("digits-positions", "--device", "tpu"), "cpu"),
        (("bb-compat", "--data", "digits", "--ratio", "2"), "(0, 1]"),
    ],
)
def test_studies_refuse_nonsense(refused: Refused, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused("run", *arguments, "--out", "x")
    assert not Path("x").exists()


# --- the disk ---

WRITERS = {
    "poison": ("poison", "--policy", "single:3:4", "--out"),
    "train": ("train", "--epochs", "1", "--out"),
    "run": ("run", "digits", "--epochs", "1", "--out"),
    "show": ("data", "show", "digits", "--out"),
}


@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
def test_a_full_disk(refused: Refused, full_disk: Path, command: tuple[str, ...]) -> None:
    assert "the disk is full: make room or name another folder" in refused(*command, full_disk / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
def test_a_place_that_nobody_may_write_to(refused: Refused, command: tuple[str, ...]) -> None:
    assert "cannot write /proc/badnets" in refused(*command, "/proc/badnets/x")


@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
def test_a_read_only_disk(refused: Refused, read_only_disk: Path, command: tuple[str, ...]) -> None:
    assert "the file system is read-only: name a folder you may write to" in refused(*command, read_only_disk / "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: test_a_read_only_disk stands in")
@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
def test_a_read_only_folder(refused: Refused, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "permission denied: name a folder you may write to" in refused(*command, tmp_path / "locked" / "x")


@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
def test_a_file_where_the_folder_should_be(refused: Refused, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    line = refused(*command, tmp_path / "file" / "x")
    assert "cannot write" in line
    assert "name a folder" in line
    assert (tmp_path / "file").read_bytes() == b"mine"


# --- the same through the installed command ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("data show mnits", "did you mean mnist"),
        ("train --out x --rate 3", "No such option: --rate"),
        ("poison --out x --policy single:3:3", "source and target are both class 3"),
        ("train --out /proc/badnets/x --epochs 1", "cannot write /proc/badnets/x"),
    ],
)
def test_the_installed_command(tmp_path: Path, arguments: str, words: str) -> None:
    done = subprocess.run(
        [COMMAND, *arguments.split()], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert words in one_line(Outcome(done.returncode, done.stdout, done.stderr))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("form", ["--json", ""])
def test_output_that_cannot_be_written(form: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "data", "list", *form.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert "No space left" in one_line(Outcome(done.returncode, "", done.stderr))
