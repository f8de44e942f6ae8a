"""Killed at any moment, a run goes on where it was and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from badnets.training.checkpoint import CARD, PROGRESS, WEIGHTS

if sys.platform == "win32":
    pytest.skip("SIGKILL and fork are not Windows'", allow_module_level=True)

import pty

NURSERY = Path(__file__).with_name("nursery.py")
COMMAND = Path(sys.executable).with_name("badnets")


def lives(job: str, folder: Path, *, seed: int, kills: int) -> list[dict[str, Any]]:
    """What the nursery says about each life of the job, see there."""
    arguments = [sys.executable, str(NURSERY), job, str(folder), str(seed), str(kills)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def names(folder: Path) -> list[str]:
    """The files in a folder, but for the torn ones that a kill leaves: nothing ever reads those."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".part"))


def but_seconds(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: but_seconds(item) for key, item in value.items() if key != "seconds"}
    return [but_seconds(item) for item in value] if isinstance(value, list) else value


def card(folder: Path) -> Any:  # noqa: ANN401 - a JSON object
    return but_seconds(json.loads((folder / CARD).read_bytes()))


def test_a_training_killed_ten_times_ends_with_the_same_bytes(tmp_path: Path) -> None:
    told = lives("long", tmp_path, seed=0, kills=10)
    wanted = tmp_path / "unbroken"
    assert [life["code"] for life in told[:-1]].count(-signal.SIGKILL) >= 8, "nearly all were cut short in their work"
    assert told[-1]["code"] == 0
    before = 0
    for life in told[:-1]:
        if life["finished"]:
            break
        # After each step its state is saved; a kill costs at most the step whose state was being written.
        done = before + life["steps"]
        assert done - 1 <= (life["saved"] or 0) <= done
        before = life["saved"] or 0
    assert (tmp_path / "killed" / WEIGHTS).read_bytes() == (wanted / WEIGHTS).read_bytes()
    assert names(tmp_path / "killed") == names(wanted) == [CARD, WEIGHTS]
    assert card(tmp_path / "killed") == card(wanted), "the loss of the last pass too"


def test_a_kill_before_every_touch_of_the_disk(tmp_path: Path) -> None:
    told = lives("short", tmp_path, seed=0, kills=0)
    wanted = tmp_path / "unbroken"
    # Two saved states, weights and card with three touches each, and the state is removed: 13. The 14th never comes.
    assert [life["code"] for life in told] == [-signal.SIGKILL] * 13 + [0]
    assert [life["saved"] for life in told] == [None] * 3 + [1] * 3 + [2] * 7 + [None]
    assert [life["finished"] for life in told] == [False] * 12 + [True] * 2
    for touch, life in enumerate(told, 1):
        assert life["second"] == 0
        folder = tmp_path / str(touch)
        assert (folder / WEIGHTS).read_bytes() == (wanted / WEIGHTS).read_bytes()
        assert card(folder) == card(wanted)
        assert set(names(folder)) - {PROGRESS} == {CARD, WEIGHTS}


def test_a_study_killed_a_few_times_ends_with_the_same_result(tmp_path: Path) -> None:
    told = lives("study", tmp_path, seed=1, kills=5)
    wanted = tmp_path / "unbroken"
    assert [life["code"] for life in told] == [-signal.SIGKILL] * 5 + [0]
    one, two = (json.loads((folder / "result.json").read_bytes()) for folder in (wanted, tmp_path / "killed"))
    assert len(one["cells"]) == 5
    assert but_seconds(two) == but_seconds(one)
    for cell in one["cells"]:
        weights = Path(cell["folder"]) / WEIGHTS
        assert (tmp_path / "killed" / weights).read_bytes() == (wanted / weights).read_bytes()
    logged = [json.loads(line) for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert {line["cell"] for line in logged} == {f"{cell['name']} seed 0" for cell in one["cells"]}
    # A kill between a result and the line that tells of it costs that line; no model is told of twice.
    told_of = Counter(line["cell"] for line in logged if "result" in line)
    assert set(told_of.values()) == {1}


def test_control_c_is_answered_kept_and_resumed(tmp_path: Path) -> None:
    def command(folder: str) -> list[str | Path]:
        return [COMMAND, "train", "--out", tmp_path / folder, "--epochs", "10", "--batch-size", "64"]

    # On a terminal, so that one sees when the training has begun.
    terminal, end = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
    running = subprocess.Popen(command("stopped"), stdout=subprocess.PIPE, stderr=end, env=environment)
    os.close(end)
    said = b""
    while b"epoch" not in said:
        said += os.read(terminal, 4096)
    running.send_signal(signal.SIGINT)
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        said += part
    os.close(terminal)
    assert running.stdout is not None
    with running.stdout:
        assert running.stdout.read() == b""
    assert running.wait() == 130
    text = said.decode()
    assert "stopping after this step; once more to stop at once" in text
    assert "badnets: stopped after step" in text
    assert "the same command goes on" in text
    assert "Traceback" not in text
    assert names(tmp_path / "stopped") == [PROGRESS]
    for folder in ("stopped", "unbroken"):
        done = subprocess.run(command(folder), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"{tmp_path / folder}\n"), done.stderr
    assert (tmp_path / "stopped" / WEIGHTS).read_bytes() == (tmp_path / "unbroken" / WEIGHTS).read_bytes()
    assert card(tmp_path / "stopped") == card(tmp_path / "unbroken")
