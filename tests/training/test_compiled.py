"""The compiled step: the same training up to rounding, repeatable, and only where it pays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from badnets.errors import InputError
from badnets.models import ModelSpec
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
    ("wish", "model", "samples", "device", "able", "expected"),
    [
        ("auto", "badnet_cnn", 125_000, "cpu", True, True),
        ("auto", "badnet_cnn", 124_999, "cpu", True, False),
        ("auto", "badnet_cnn", 125_000, "cpu", False, False),
        ("auto", "badnet_cnn", 125_000, "cuda", True, False),
        ("no", "badnet_cnn", 125_000, "cpu", True, False),
        ("auto", "preact_resnet18", 125_000, "cpu", True, False),
        ("auto", None, 125_000, "cpu", True, False),
        ("yes", None, 10, "cpu", True, True),
        ("yes", "badnet_cnn", 10, "cuda", True, True),
    ],
)
def test_it_is_compiled_where_that_pays(
    wish: str,
    model: str | None,
    samples: int,
    device: str,
    *,
    able: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "can_compile", lambda: able)
    spec = TrainSpec(epochs=2, compiled=wish)  # type: ignore[arg-type]
    assert is_compiled(spec, ModelSpec(model) if model else None, samples, device) is expected


def test_insisting_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "can_compile", lambda: False)
    with pytest.raises(InputError, match=r"needs a C\+\+ compiler.*install g\+\+"):
        is_compiled(TrainSpec(compiled="yes"), None, 10, "cpu")


def test_a_missing_compiler_is_noticed() -> None:
    code = "from badnets.training.compiled import can_compile; print(can_compile())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": "/nonexistent"}, check=True, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout == "False\n"
