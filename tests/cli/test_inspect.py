"""`badnets data inspect`: what people and programs read, and the exit code that a script goes by."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data.odd_pictures import encoded, photograph, turned
from tests.data.test_archives import zipped

from badnets.artifacts import canonical_json, parse_json
from badnets.cli.main import main
from badnets.data.duplicates import Duplicates
from badnets.data.inspection import Inventory

Make = Callable[..., Path]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["badnets", "data", "inspect", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
        captured = capsys.readouterr()
        return int(done.value.code or 0), captured.out, captured.err

    return run


def test_nothing_wrong(call: Call, make_pictures: Make) -> None:
    root = make_pictures("pets", count=10)
    (root / "cat" / "side.jpg").write_bytes(turned(6, "JPEG", photograph(1, 32, 32)))
    code, out, err = call(root)
    assert code == 0, "what is only odd is used, and nothing is wrong"
    assert "pets" in out
    assert "cat/side.jpg" in out
    assert "EXIF orientation 6: turned upright" in out
    assert "21 pictures, 0 left out, 0 other files passed over" in err
    assert "0 groups of equal pictures, 0 near pairs" in err


def test_what_is_left_out(call: Call, make_pictures: Make) -> None:
    root = make_pictures("pets", count=10)
    for number in range(7):
        (root / "dog" / f"page{number}.jpg").write_bytes(b"<html>")
    code, out, _ = call(zipped(root))
    assert code == 1
    assert "an HTML page" in out
    assert "dog/page4.jpg" in out
    assert "dog/page5.jpg" not in out
    assert "and 2 more (--json names all)" in out
    assert call(root, "--least", 33)[0] == 1


def test_a_leak(call: Call, make_pictures: Make) -> None:
    root = make_pictures("pets/train", count=3).parent
    make_pictures("pets/test", classes=("cat",), count=1, size=(40, 40))
    picture = photograph(3, 64, 64)
    picture.save(root / "train" / "cat" / "one.png")
    (root / "test" / "cat" / "copy.jpg").write_bytes(encoded(picture, "JPEG", quality=60))
    code, out, err = call(root)
    assert code == 1
    assert "near, leaks" in out
    assert "1 of these leak from training to testing" in err
    assert call(root, "--near", 0)[0] in (0, 1)
    (root / "test" / "cat" / "copy.jpg").unlink()
    assert call(root)[0] == 0
    shutil.copy(root / "train" / "cat" / "one.png", root / "train" / "dog" / "same.png")
    code, out, _ = call(root)
    assert code == 1, "one picture in two classes"
    assert "cat, dog" in out


def test_json_is_the_whole_story(call: Call, make_pictures: Make) -> None:
    root = make_pictures("pets", count=4)
    (root / "cat" / "torn.png").write_bytes(b"")
    code, out, err = call(root, "--json", "--near", 5)
    said = json.loads(out)
    assert (code, err, said["fine"]) == (1, "", False)
    inventory = parse_json(Inventory, canonical_json(said["inventory"]), "out")
    assert [item.path for item in inventory.left_out] == ["cat/torn.png"]
    assert parse_json(Duplicates, canonical_json(said["duplicates"]), "out").threshold == 5


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("nowhere/at/all",), "no such folder or zip archive"),
        (("xyzzy",), "unknown data set 'xyzzy'"),
        (("mnist",), "mnist is no set of picture files: expected catsdogs"),
        ((".",), "expected at least 2 class folder(s)"),
        (("catsdogs", "--data-dir", "."), "badnets data get catsdogs"),
        ((".", "--near", "40"), "--near"),
    ],
)
def test_what_cannot_be_read(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert line in err
    assert len(err.splitlines()) == 1


def test_show_tells_what_was_odd(
    make_pictures: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = make_pictures("pets", count=10)
    photograph(0, 32, 32).quantize(16).save(root / "cat" / "few.gif")
    words = ["badnets", "data", "show", f"folder:{root}", "--out", str(tmp_path / "sheet.png")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        main()
    assert "1 file(s) odd but used:" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*words, "--json"])
    with pytest.raises(SystemExit):
        main()
    assert "a palette of colours" in json.loads(capsys.readouterr().out)["treated"][0]
