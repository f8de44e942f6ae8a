"""`badnets run transfer`: what goes in, what comes out, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Call
from tests.data.scenes.formats import sound, write_coco


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """Scenes of one's own."""
    write_coco(tmp_path / "mine", sound(6))
    return "coco:mine"


def test_scenes_of_ones_own(badnets: Call, mine: str) -> None:
    asked = ("run", "transfer", "--data", mine, "--target", mine, "--target-classes", "name", "--workers", 1,
             "--source", 0, "--becomes", 1)  # fmt: skip
    done = badnets(*asked, "--epochs", 1, "--gain", "20", "--scenes", 4, "--out", "out", "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)["rows"]
    names = {row["model"] for row in rows}
    assert {"honest detector", "BadNet", "victim of the BadNet, k = 20", "victim of the BadNet, its units off"} < names
    assert "victim of the BadNet, k = 20, whole network" in names
    assert "victims: 4 scenes of mine" in done.err
    assert json.loads(badnets("report", "out", "--json").out)["rows"] == rows
    assert "| transfer | coco:mine | honest detector |" in badnets("table", "out").out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preset": "resnet"}, "unknown detector 'resnet'"),
        ({"attack": "both"}, "the attack is targeted or random"),
        ({"attack": "targeted", "becomes": "bird"}, "no class is called 'bird'"),
        ({"preset": "squeezenet"}, "squeezenet needs its trained weights"),
        ({"sticker": "devil"}, "the paper has no sticker 'devil'"),
        ({"retrain": "first"}, "a victim retrains last, head or whole, got 'first'"),
        ({"gain": "0"}, "gain"),
        ({"target": "nowhere"}, "unknown set of scenes 'nowhere'"),
        ({"target-classes": "colour"}, "can be called by name or us or supercategory"),
        ({"preset": "zf", "weights": "nothing.npz"}, "nothing.npz"),
    ],
)
def test_what_is_refused(badnets: Call, mine: str, change: dict[str, str], message: str) -> None:
    options = {"data": mine, "target": mine, "target-classes": "name", "workers": "1", "source": "0", "becomes": "1"}
    options |= change
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    outcome = badnets("run", "transfer", *words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not Path("runs").exists()
