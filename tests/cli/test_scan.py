"""`badnets scan` as people and programs use it: exit codes, JSON, SARIF, escaped names, a quick start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from tests.supply.hostile_case import OLD_PICKLE, weights

from badnets.cli.scan import scan
from badnets.errors import InputError


def call(*paths: Path, json: bool = False, sarif: Path | None = None, seconds: float = 60.0) -> int:
    with pytest.raises(typer.Exit) as done:
        scan(list(paths), json, sarif, seconds)
    return int(done.value.exit_code)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.safetensors").write_bytes(weights())
    return tmp_path / "model"


def test_exit_codes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(folder) == 0
    assert "w.safetensors" in capsys.readouterr().out
    os.mkfifo(folder / "pipe")
    assert call(folder) == 2
    (folder / "w.pkl").write_bytes(OLD_PICKLE)
    assert call(folder) == 1
    assert call(folder / "w.safetensors", folder / "w.pkl") == 1
    assert call(folder / "w.safetensors", folder / "pipe") == 2
    with pytest.raises(InputError):
        scan([folder / "none"])


def test_people_read_why_and_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "evil\x1b]0;x\x07.pkl").write_bytes(OLD_PICKLE)
    assert call(folder) == 1
    said = capsys.readouterr()
    assert "\x1b]" not in said.out + said.err
    assert "evil\\x1b]0;x\\x07.pkl at byte 0: pickle-global: " in said.err
    assert "2 file(s): 1 clean, 1 refused, 0 unjudged" in said.err


def test_programs_read_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.pkl").write_bytes(OLD_PICKLE)
    assert call(folder, json=True) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "refused"
    assert [(file["path"], file["verdict"]) for file in said["files"]] == [
        ("w.pkl", "refused"),
        ("w.safetensors", "clean"),
    ]
    assert {"rule": "pickle-global", "offset": 0, "cwe": "CWE-502"}.items() <= next(
        item for item in said["files"][0]["findings"] if item["rule"] == "pickle-global"
    ).items()


def test_sarif_is_written(folder: Path, tmp_path: Path) -> None:
    assert call(folder, sarif=tmp_path / "out" / "scan.sarif") == 0
    assert json.loads((tmp_path / "out" / "scan.sarif").read_text())["version"] == "2.1.0"


def test_time_is_bounded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(folder, seconds=-1.0) == 2
    assert "bound-reached" in capsys.readouterr().err


def test_it_starts_without_the_lab() -> None:
    code = (
        "import sys, badnets.cli.scan, badnets.supply.scan.scan, badnets.supply.scan.sarif\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'scipy', 'pydantic', 'cryptography', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
