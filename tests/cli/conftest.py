"""What the tests of the command line share: a call of it, in a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from badnets.cli import main


@dataclass(frozen=True)
class Outcome:
    """How `badnets` ended: exit code, stdout, stderr."""

    code: int | str | None
    out: str
    err: str


Call = Callable[..., Outcome]


@pytest.fixture
def badnets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls `badnets` with these words, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["badnets", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return Outcome(left.value.code, out, err)

    return run
