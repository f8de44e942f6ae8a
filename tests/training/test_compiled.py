"""The compiled step: the same training up to rounding, repeatable, and only where it pays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from badnets.errors import InputError
from badnets.training import TrainSpec, compiled
from badnets.training.compiled import can_compile, is_compiled

JOBS = Path(__file__).with_name("compiled_jobs.py")


def test_the_same_training_up_to_rounding_again_and_resumed(tmp_path: Path) -> None:
    if not can_compile():  # asked here, since it takes seconds to find out
        pytest.skip("there is no C++ compiler that torch.compile can use")
    done = subprocess.run([sys.executable, JOBS, tmp_path], check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report.pop("from another seed") > 1e-3  # what a difference looks like
    assert report.pop("from usual") < 1e-5
    assert report.pop("frozen, from usual") < 1e-5
    assert report == {"stopped": True, "again": True, "resumed": True}
    assert "CUDA" not in done.stderr


@pytest.mark.parametrize(
    ("wish", "samples", "device", "able", "expected"),
    [
        ("auto", 125_000, "cpu", True, True),
        ("auto", 124_999, "cpu", True, False),
        ("auto", 125_000, "cpu", False, False),
        ("auto", 125_000, "cuda", True, False),
        ("no", 125_000, "cpu", True, False),
        ("yes", 10, "cpu", True, True),
        ("yes", 10, "cuda", True, True),
    ],
)
def test_it_is_compiled_where_that_pays(
    wish: str, samples: int, device: str, *, able: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "can_compile", lambda: able)
    assert is_compiled(TrainSpec(epochs=2, compiled=wish), samples, device) is expected  # type: ignore[arg-type]


def test_insisting_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "can_compile", lambda: False)
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler.*install g\+\+"):
        is_compiled(TrainSpec(compiled="yes"), 10, "cpu")


def test_a_missing_compiler_is_noticed() -> None:
    code = "from badnets.training.compiled import can_compile; print(can_compile())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": "/nonexistent"}, check=True, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout == "False\n"
