"""Models of the Hugging Face Hub, with a stand-in for its library: at a commit only, bounded, and cut off."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from badnets.errors import DataError, InputError, MissingPart
from badnets.supply.gate import intake
from badnets.supply.gate.gate import Decision, Keeper, gate
from badnets.supply.gate.intake import from_hugging_face

from .bench import NOW, Bench, safetensors

COMMIT = "a" * 40
POLICY = '[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "huggingface"\nrepositories = ["org/*"]\n'
LIBRARY = """
import pathlib, time
class File:
    def __init__(self, rfilename, size): self.rfilename, self.size = rfilename, size
class HfApi:
    def model_info(self, repository, revision, files_metadata):
        assert revision == {commit!r}
        return type("Info", (), dict(siblings=[File("weights.safetensors", {said}), File("config.json", 2)]))
def hf_hub_download(repository, name, revision, local_dir):
    {before}
    path = pathlib.Path(local_dir, name)
    path.write_bytes({content!r} if name.endswith("safetensors") else b"{{}}")
    pathlib.Path(local_dir, ".cache", "huggingface").mkdir(parents=True, exist_ok=True)
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path)
    made.policy_file.write_text(POLICY)
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setattr(intake, "find_spec", lambda _: True)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(library), *sys.path]))
    return made


def decide(bench: Bench, *, said: int = 100, content: bytes | None = None, before: str = "pass") -> Decision:
    held = safetensors() if content is None else content
    text = LIBRARY.format(commit=COMMIT, said=said, content=held, before=before)
    (bench.folder / "library" / "huggingface_hub.py").write_text(text)
    keeper = Keeper(bench.policy, bench.store, bench.keys["gate"], 5.0)
    return gate(from_hugging_face(f"org/net@{COMMIT}"), keeper, now=NOW)


def test_a_repository_at_a_commit(bench: Bench) -> None:
    decision = decide(bench)
    assert decision.word == "admit", decision.outcome
    assert (decision.evidence.name, decision.evidence.commit) == ("org/net", COMMIT)
    assert [file.name for file in decision.evidence.files] == ["config.json", "weights.safetensors"]
    bench.policy_file.write_text(POLICY.replace("org/*", "other/*"))
    assert decide(bench).word == "refuse"


@pytest.mark.parametrize("address", ["org/net@main", "org/net", f"net@{COMMIT}", f"org/net@{COMMIT[:12]}", "../x@y"])
def test_anything_that_can_be_moved_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="40 hex digits of a commit"):
        from_hugging_face(address)


def test_without_the_library_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "find_spec", lambda _: None)
    with pytest.raises(MissingPart, match="pip install huggingface_hub"):
        from_hugging_face(f"org/net@{COMMIT}")


@pytest.mark.parametrize(
    ("limit", "wish", "words"),
    [
        ("bytes = 90", {}, "the policy allows 10,000 files and 90 bytes"),
        ("bytes = 150", {"said": 1, "content": b"x" * 149}, "the policy allows 10,000 files and 150 bytes"),
        ("bytes = 150", {"said": 1, "content": b"x" * 9999}, "could not be had"),
        ("seconds = 3.0", {"before": "time.sleep(60)"}, "no end after 3 seconds"),
        ("seconds = 60.0", {"before": "raise OSError('the server is down')"}, "the server is down"),
    ],
)
def test_lies_floods_and_silence_are_cut_off(bench: Bench, limit: str, wish: dict[str, object], words: str) -> None:
    bench.policy_file.write_text(f"{POLICY}\n[limits]\n{limit}\n")
    with pytest.raises(DataError, match=words):
        decide(bench, **wish)  # type: ignore[arg-type]
    assert list(bench.store.quarantine.iterdir()) == []
    assert not bench.store.admitted.exists()
