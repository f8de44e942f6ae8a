"""Every command and every piece of Python in README and docs does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from badnets.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md"]
# Run as they stand by `.ci/run`, which calls both from a fresh clone.
RUN_BY_CI = {"make demo", "make test"}
# Full-size runs take from minutes to an hour: these pages' commands are parsed, not run.
PARSED = {"RESULTS.md"}


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line[2:].strip() for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_readme_commands_run(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    seen = commands(ROOT / "README.md")
    assert set(seen) >= RUN_BY_CI
    for command in seen:
        if command in RUN_BY_CI:
            continue
        done = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert (tmp_path / "digits.png").stat().st_size > 10_000
    assert (tmp_path / "runs" / "digits" / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name in PARSED], ids=lambda page: page.name)
def test_full_size_commands_parse(page: Path) -> None:
    found = [shlex.split(command) for command in commands(page)]
    assert found
    root = typer.main.get_command(app)
    for words in found:
        words = [word for word in words if "=" not in word or word.startswith("-")]  # noqa: PLW2901 - leading NAME=value
        if words[0] == "python":
            assert (ROOT / words[1]).is_file()
            continue
        assert words[0] == "badnets"
        command, rest = root, words[1:]
        context = command.make_context("badnets", list(rest), resilient_parsing=False)
        while hasattr(command, "resolve_command"):
            rest = context._protected_args + context.args if hasattr(context, "_protected_args") else context.args
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, list(rest), parent=context)


def test_no_page_has_commands_that_nothing_checks() -> None:
    for page in PAGES:
        if commands(page):
            assert page.name == "README.md" or page.name in PARSED


def test_readme_python_runs(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert blocks
    # One reader, one session: later blocks go on with the names of earlier ones.
    session = "\n".join(blocks)
    done = subprocess.run([sys.executable, "-c", session], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    success = re.search(r"attack success ([\d.]+)%", done.stdout)
    assert success
    assert float(success[1]) > 95


def test_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f"`badnets {name}" in text


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
