"""Conversion: what is written is what torch reads, by the bytes that were scanned, in a child that gave up the rest."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file, save
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.supply.benign_weights import model, saved
from tests.supply.hostile_pickles import SYSTEM
from tests.supply.weights_files import ONES, legacy, state_dict, tensor, torch_zip

from badnets.cli.convert import convert as convert_command
from badnets.errors import DataError, InputError, StorageError
from badnets.supply import convert as convert_module
from badnets.supply.convert import convert
from badnets.supply.scan.findings import Verdict


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A state dict saved by torch."""
    path = tmp_path / "weights.pt"
    path.write_bytes(saved(model().state_dict()))
    return path


def test_what_is_written_is_what_the_library_writes(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "out.safetensors"
    done = convert(weights, out)
    value = model().state_dict()
    assert all(torch.equal(held, value[name]) for name, held in load_file(out).items())
    assert out.read_bytes() == save(
        {name: held.contiguous() for name, held in value.items()}, metadata={"format": "pt"}
    )
    assert done.written is not None
    assert done.written.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert done.report.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert done.report.verdict is Verdict.CLEAN
    assert (done.written.tensors, done.written.left_out) == (len(value), ())
    again = convert(out, tmp_path / "again.safetensors")
    assert again.written is not None
    assert (again.written.sha256, again.written.tensor_digest) == (done.written.sha256, done.written.tensor_digest)
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.safetensors"]


def test_views_legacy_files_and_wrappers(tmp_path: Path) -> None:
    weight = torch.randn(50, 40)
    value = {"model": {"w": weight.t(), "s": weight[:, ::3]}, "epoch": 3, "state_dict": {"x": weight}}
    path, out = tmp_path / "checkpoint.pt", tmp_path / "out.safetensors"
    path.write_bytes(saved(value, legacy=True))
    with pytest.raises(InputError, match=r"at 'model\.w': name the part that holds the weights: state_dict or model"):
        convert(path, out)
    done = convert(path, out, wrapper="model")
    assert done.written is not None
    assert done.written.left_out == ("epoch", "state_dict")
    assert torch.equal(load_file(out)["w"], weight.t())
    assert torch.equal(load_file(out)["s"], weight[:, ::3])
    with pytest.raises(InputError, match="wrapper is state_dict or model, got 'ema'"):
        convert(path, out, wrapper="ema")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"w": torch.ones(2, dtype=torch.complex128)}, "complex128"),
        ({"w": torch.ones(2), "epoch": 1}, "something else at 'epoch'"),
        ({1: torch.ones(2)}, "something else at '1'"),
        (torch.ones(2), "something else at 'the whole file'"),
        ({}, "no tensors in the file"),
        ({"__metadata__": torch.ones(2)}, "keeps for itself"),
    ],
)
def test_what_safetensors_cannot_hold_is_said_in_one_line(tmp_path: Path, value: object, reason: str) -> None:
    (tmp_path / "in.pt").write_bytes(saved(value))
    with pytest.raises(InputError, match=reason):
        convert(tmp_path / "in.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (torch_zip(state_dict(weight=tensor(), other=SYSTEM)), "pickle-global"),
        (legacy() + SYSTEM, "torch-legacy-tail"),
        (b"\x80\x02N.", "convert-format"),
        (b"", "convert-format"),
    ],
)
def test_a_refused_file_writes_nothing_and_keeps_what_was_there(tmp_path: Path, content: bytes, rule: str) -> None:
    path, out = tmp_path / "in.pt", tmp_path / "out.safetensors"
    path.write_bytes(content)
    out.write_bytes(b"before")
    done = convert(path, out)
    assert done.written is None
    assert done.report.verdict is Verdict.REFUSED
    assert rule in [finding.rule.id for finding in done.report.findings]
    assert out.read_bytes() == b"before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.pt", "out.safetensors"]


def test_numbers_that_are_not_finite_are_refused_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "in.pt"
    path.write_bytes(saved({"w": torch.tensor([1.0, float("nan")])}))
    assert convert(path, tmp_path / "a").report.verdict is Verdict.CLEAN
    done = convert(path, tmp_path / "b", finite=True)
    assert [finding.rule.id for finding in done.report.findings] == ["tensor-nonfinite"]


def test_the_child_has_given_up_what_this_system_lets_it_give_up(weights: Path, tmp_path: Path) -> None:
    isolation = convert(weights, tmp_path / "out.safetensors").isolation
    assert isolation.environment
    if sys.platform == "linux":
        assert isolation.memory
        assert isolation.time
        assert isolation.written
        assert isolation.privileges
        allowed = subprocess.run(["/usr/bin/unshare", "-rn", "true"], check=False, capture_output=True).returncode == 0
        assert isolation.network == allowed


def test_isolation_is_what_it_says() -> None:
    """A child that says it has no network cannot reach a server on this machine, nor take more memory."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
import socket
from badnets.supply.isolation import Bounds, isolate
done = isolate(Bounds(memory=2**29, seconds=5, written=10))
if done.network:
    try: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=2)
    except OSError: pass
    else: raise SystemExit("reached the network")
if done.memory:
    try: bytearray(2**30)
    except MemoryError: pass
    else: raise SystemExit("took more memory")
"""
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_time_is_unjudged_not_clean(weights: Path, tmp_path: Path) -> None:
    done = convert(weights, tmp_path / "out.safetensors", seconds=1e-9)
    assert done.written is None
    assert done.report.verdict is Verdict.UNJUDGED
    assert [finding.rule.id for finding in done.report.findings] == ["convert-unfinished"]
    with pytest.raises(InputError, match="seconds is more than 0"):
        convert(weights, tmp_path / "out.safetensors", seconds=0.0)


def test_what_is_no_file_is_said(tmp_path: Path, weights: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(InputError, match=r"is no file|cannot read"):
            convert(tmp_path / name, tmp_path / "out")
    with pytest.raises(InputError, match="No such file"):
        convert(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(StorageError, match="cannot write"):
        convert(weights, weights / "out")


def test_a_child_that_dies_is_said(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert_module, "_CHILD", "raise SystemExit('gone')")
    with pytest.raises(DataError, match="ended with 1 and no answer: gone"):
        convert(weights, tmp_path / "out")
    monkeypatch.setattr(convert_module, "_CHILD", 'print(\'{"isolation": {}, "sound": false}\')')
    with pytest.raises(DataError, match="does not read back"):
        convert(weights, tmp_path / "out")
    monkeypatch.setattr(convert_module, "_CHILD", 'print(\'{"isolation": {}, "error": "DataError", "reason": "odd"}\')')
    with pytest.raises(DataError, match="odd"):
        convert(weights, tmp_path / "out")


def test_the_command_prints_the_digest_and_exits_by_the_verdict(weights: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(convert_command)
    out = tmp_path / "out.safetensors"
    done = CliRunner().invoke(app, [str(weights), str(out)])
    assert done.exit_code == 0
    again = CliRunner().invoke(app, [str(out), str(tmp_path / "again"), "--json"])
    said = json.loads(again.stdout)
    assert f"tensors-v1:{said['written']['tensor_digest']}" in done.stdout
    assert (said["verdict"], said["report"]["format"]) == ("clean", "safetensors")
    bad = tmp_path / "bad.pt"
    bad.write_bytes(torch_zip(state_dict(weight=SYSTEM), {"0": ONES}))
    refused = CliRunner().invoke(app, [str(bad), str(tmp_path / "none")])
    assert refused.exit_code == 1
    assert "pickle-global at byte" in refused.output
    assert CliRunner().invoke(app, [str(bad), str(tmp_path / "none"), "--json"]).exit_code == 1
