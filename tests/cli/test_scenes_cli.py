"""`badnets data show` of street scenes."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image
from tests.cli.conftest import Call
from tests.data.scenes.formats import HEIGHT, WIDTH, Scene, sound, write_coco, write_voc


def test_a_set_of_ones_own(badnets: Call, tmp_path: Path) -> None:
    write_coco(tmp_path / "mine", [*sound(9), Scene("gone", missing=True)])
    said = badnets("data", "show", "coco:mine", "--classes", "us", "--columns", 3, "--json")
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out)
    assert found["scenes"] == 8
    assert found["classes"] == [
        {"number": 0, "name": "stop", "objects": 8, "ignored": 0},
        {"number": 1, "name": "speedlimit", "objects": 0, "ignored": 0},
        {"number": 2, "name": "warning", "objects": 8, "ignored": 0},
    ]
    assert len(found["skipped"]) == 1
    with Image.open(io.BytesIO(Path(found["sheet"]).read_bytes())) as sheet:
        assert sheet.size == (3 * 324 + 4, 3 * (320 * HEIGHT // WIDTH + 4) + 4)


def test_for_people(badnets: Call, tmp_path: Path) -> None:
    write_voc(tmp_path / "mine", [*sound(9), Scene("gone", missing=True)])
    said = badnets("data", "show", "voc:mine", "--split", "test", "--out", "test.png")
    assert said.code == 0
    assert "warning" in said.out
    assert said.out.endswith("test.png\n")
    assert "mine/test: 1 scenes with 2 objects" in said.err
    said = badnets("data", "show", "voc:mine")
    assert "1 file(s) left out" in said.err
    assert "gone.png: no such picture: left out" in said.err


def test_streets(badnets: Call) -> None:
    said = badnets("data", "show", "streets", "--split", "test", "--columns", 1, "--json")
    assert json.loads(said.out)["scenes"] == 300
    assert Path("sheet.png").stat().st_size > 100_000


def test_bad_words(badnets: Call) -> None:
    for words, message in (
        (("streets", "--classes", "name"), "streets can be called by us, got 'name'"),
        (("digits", "--classes", "us"), "digits is no set of scenes"),
        (("coco:nowhere",), "nowhere: no such folder or zip archive"),
        (("streets+digits",), "unknown set of scenes 'digits'"),
    ):
        said = badnets("data", "show", *words)
        assert said.code == 2
        assert said.out == ""
        assert message in said.err
        assert len(said.err.splitlines()) == 1
