"""What is loaded is what was admitted: other bytes, old verdicts and other policies never become tensors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from tests.supply.gate.bench import NOW, Bench, safetensors

import badnets
from badnets.artifacts import read_bytes
from badnets.errors import InputError
from badnets.supply.gate.admitted import NotAdmitted
from badnets.supply.gate.gate import revoke
from badnets.supply.gate.verdict import VERDICT


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def entry(bench: Bench) -> Path:
    path = bench.admit().path
    assert path is not None
    for file in (path / "model").iterdir():
        file.chmod(0o644)  # an attacker's hands
    return path


def test_the_weights_come_out_as_they_went_in(bench: Bench, entry: Path, tmp_path: Path) -> None:
    for path in (entry, entry / "model" / "weights.safetensors", Path(shutil.copytree(entry, tmp_path / "copy"))):
        loaded = badnets.load_admitted(path, bench.policy_file, now=NOW)
        assert torch.equal(loaded["fc.weight"], torch.tensor([1.0, 2.0, 3.0]))
        assert list(loaded) == ["fc.weight"]
    assert badnets.load_admitted(str(entry), bench.policy, now=NOW)


def swapped(path: Path) -> None:
    (path / "model" / "weights.safetensors").write_bytes(safetensors((9.0, 9.0, 9.0)))


def linked(path: Path) -> None:
    evil = path.parent / "evil.safetensors"
    evil.write_bytes(safetensors((9.0, 9.0, 9.0)))
    (path / "model" / "weights.safetensors").unlink()
    (path / "model" / "weights.safetensors").symlink_to(evil)


def renamed(path: Path) -> None:
    (path / "model" / "config.json").replace(path / "model" / "weights.safetensors")


def unsigned(path: Path) -> None:
    verdict = (path / VERDICT).read_text().replace('"sig":"ME', '"sig":"MF', 1)
    (path / VERDICT).write_text(verdict)


def lost(path: Path) -> None:
    (path / VERDICT).unlink()


def emptied(path: Path) -> None:
    (path / VERDICT).write_bytes(b"")


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (swapped, "was admitted under this name"),
        (linked, "was admitted under this name"),
        (renamed, "was admitted under this name"),
        (unsigned, "is not signed by gate.pub"),
        (lost, "has no verdict"),
        (emptied, "expected from 1 to 8 statements"),
    ],
)
def test_other_bytes_are_never_loaded(bench: Bench, entry: Path, attack: Callable[[Path], None], words: str) -> None:
    attack(entry)
    with pytest.raises(NotAdmitted, match=words):
        badnets.load_admitted(entry / "model" / "weights.safetensors", bench.policy, now=NOW)


@pytest.mark.parametrize("hours", [-2, 30 * 24, 9999])
def test_a_verdict_holds_for_its_time(bench: Bench, entry: Path, hours: int) -> None:
    with pytest.raises(NotAdmitted, match="the verdict holds from"):
        badnets.load_admitted(entry, bench.policy, now=NOW + timedelta(hours=hours))


def test_another_policy_or_another_gate_counts_for_nothing(bench: Bench, entry: Path) -> None:
    text = bench.policy_file.read_text()
    for changed, words in (
        (text + "\n[limits]\nfiles = 5\n", "under another policy"),
        (text.replace("gate.pub", "person.pub"), "not signed by person.pub"),
        (text.replace('signers = ["gate.pub"]', ""), "names no signers"),
    ):
        bench.policy_file.write_text(changed)
        with pytest.raises(NotAdmitted, match=words):
            badnets.load_admitted(entry, bench.policy_file, now=NOW)


def test_what_was_refused_or_taken_back_is_not_loaded(bench: Bench, entry: Path, tmp_path: Path) -> None:
    refused = bench.decide(bench.write_model("other", (5.0,)))
    assert refused.folder is not None
    place = tmp_path / "refused"
    (place / "model").mkdir(parents=True)
    shutil.copy(refused.folder / VERDICT, place / VERDICT)
    (place / "model" / "weights.safetensors").write_bytes(safetensors((5.0,)))
    with pytest.raises(NotAdmitted, match="word was undecided"):
        badnets.load_admitted(place / "model" / "weights.safetensors", bench.policy, now=NOW)
    aside = Path(shutil.copytree(entry, tmp_path / "aside"))
    revoke(entry.name, "a backdoor", bench.store, bench.keys["gate"])
    with pytest.raises(InputError, match="there is no"):
        badnets.load_admitted(entry, bench.policy, now=NOW)
    shutil.copytree(aside, entry)  # put back behind the log's back
    with pytest.raises(NotAdmitted, match="taken back: a backdoor"):
        badnets.load_admitted(entry, bench.policy, now=NOW)


def test_no_other_bytes_between_check_and_use(bench: Bench, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is exchanged at every moment after it was opened: what is loaded is what was hashed."""
    weights = entry / "model" / "weights.safetensors"
    counts: list[Path] = []

    def reading(path: Path) -> bytes:
        content = read_bytes(path)
        counts.append(path)
        if path == weights:
            swapped(entry)  # the very next moment
        return content

    monkeypatch.setattr("badnets.supply.gate.admitted.read_bytes", reading)
    loaded = badnets.load_admitted(entry, bench.policy, now=NOW)
    assert torch.equal(loaded["fc.weight"], torch.tensor([1.0, 2.0, 3.0]))
    assert counts.count(weights) == 1, "read once"
    with pytest.raises(NotAdmitted):
        badnets.load_admitted(entry, bench.policy, now=NOW)


SWAPPER = """
import sys
from pathlib import Path
weights, *sources = map(Path, sys.argv[1:])
contents = [source.read_bytes() for source in sources]
print("ready", flush=True)
while True:
    for content in contents:
        (weights.parent / "swap").write_bytes(content)
        (weights.parent / "swap").replace(weights)
"""


def test_a_file_that_is_swapped_all_the_time(bench: Bench, entry: Path, tmp_path: Path) -> None:
    weights = entry / "model" / "weights.safetensors"
    shutil.copy(weights, tmp_path / "good")
    (tmp_path / "evil").write_bytes(safetensors((9.0, 9.0, 9.0)))
    command = [sys.executable, "-c", SWAPPER, str(weights), str(tmp_path / "evil"), str(tmp_path / "good")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout is not None
            assert swapper.stdout.readline() == b"ready\n"
            came = set()
            for _ in range(40):
                try:
                    came.add(tuple(badnets.load_admitted(entry, bench.policy, now=NOW)["fc.weight"].tolist()))
                except NotAdmitted:
                    came.add(())
        finally:
            swapper.kill()
    assert came <= {(1.0, 2.0, 3.0), ()}
