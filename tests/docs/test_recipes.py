"""The recipes of the gate: commands and Python are run, policies read, YAML parsed and its commands tried."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from tests.supply.gate.bench import Bench

from badnets.cli.main import app
from badnets.supply.gate.policy import leaf_rules, read_policy
from badnets.supply.signing import new_key, write_pair

from .test_commands import commands

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"
PAGE = RECIPES / "README.md"
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(words: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """One command, with `badnets` as it is in this checkout."""
    if words[0] == "badnets":
        words = [sys.executable, "-c", "from badnets.cli import main; main()", *words[1:]]
    return subprocess.run(
        words, cwd=folder, env={**ENVIRONMENT, **more}, capture_output=True, text=True, check=False, timeout=300
    )


def test_the_first_decision(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(blocks("toml")[0])
    codes = [(command, run(shlex.split(command), tmp_path)) for command in commands(PAGE)]
    ends = [2 if number == 3 else 0 for number in range(len(codes))]
    assert [done.returncode for _, done in codes] == ends, [done.stderr for _, done in codes]
    assert codes[3][0] == codes[5][0].removesuffix(" --explain"), "the first ends with 2, as the page says"
    done = run([sys.executable, "-c", blocks("python")[0]], tmp_path)
    assert re.fullmatch(r"\d+ tensors of an admitted model\n", done.stdout), done.stderr


def test_the_policy_with_every_rule(tmp_path: Path) -> None:
    for name in ("gate", "person", "author", "auditor"):
        write_pair(new_key(), tmp_path / f"{name}.key", tmp_path / f"{name}.pub")
    (tmp_path / "gate.toml").write_text(blocks("toml")[1])
    policy = read_policy(tmp_path / "gate.toml")
    named = {rule.rule for rule in leaf_rules(policy.terms.require)}
    assert named == {"hub", "signature", "huggingface", "pinned", "scan", "weights", "audit", "review"}


def words_of(script: str) -> list[list[str]]:
    """The calls of badnets in a shell script."""
    joined = script.replace("\\\n", " ")
    calls = re.findall(r"badnets ((?:[^()\n]|\$\([^)]*\))*)", joined)
    return [shlex.split(call.replace('"$entry"', "entry").replace("$sign", "--dry-run")) for call in calls]


def parsed(words: list[str]) -> None:
    """Raise where the command line does not know these words."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("badnets", list(words))
    while hasattr(command, "resolve_command"):
        rest = context._protected_args + context.args if hasattr(context, "_protected_args") else context.args
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)


def scripts() -> list[str]:
    action = yaml.safe_load((RECIPES / "github-action.yml").read_text())
    hooks = yaml.safe_load((RECIPES / "pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    deployment = yaml.safe_load((RECIPES / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["initContainers"]
    steps = [step["run"] for step in action["jobs"]["gate"]["steps"] if "run" in step]
    entries = [hook["entry"] + ("" if hook.get("pass_filenames") is False else " model.safetensors") for hook in hooks]
    return [*steps, *entries, *container["args"]]


def test_commands_in_yaml_are_known() -> None:
    found = [words for script in scripts() for words in words_of(script) if words and words[0] != "--"]
    calls = [words for words in found if words[0] in ("gate", "scan", "hub", "admitted")]
    assert [words[0] for words in calls] == ["gate", "scan", "gate", "hub", "gate", "admitted"]
    for words in calls:
        parsed(words)


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize("key", [True, False])
def test_the_action_decides(tmp_path: Path, key: bool) -> None:  # noqa: FBT001 - a parameter of the test
    bench = Bench(tmp_path)
    (tmp_path / "models").mkdir()
    bench.write_model("models/one")
    bench.policy_file.write_text('[verdict]\nsigners = ["gate.pub"]\n[[require]]\nrule = "scan"\n')
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "badnets"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from badnets.cli import main; main()" "$@"\n')
    tool.chmod(0o755)
    script = next(one for one in scripts() if "GATE_KEY" in one)
    secret = (tmp_path / "gate.key").read_text() if key else ""
    path = f"{tmp_path / 'bin'}{os.pathsep}{ENVIRONMENT['PATH']}"
    (tmp_path / "temp").mkdir()
    done = run(["sh", "-c", script], tmp_path, GATE_KEY=secret, RUNNER_TEMP=str(tmp_path / "temp"), PATH=path)
    assert done.returncode == 0, done.stderr
    assert "admit: one: all 5 rules hold" in done.stderr
    assert (tmp_path / "temp" / "store" / "admitted").exists() == key


def test_the_mlflow_recipe_asks_the_gate(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    source = (RECIPES / "mlflow_gate.py").read_text()
    compile((RECIPES / "hugging_face.py").read_text(), "hugging_face.py", "exec")
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "badnets"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from badnets.cli import main; main()" "$@"\n')
    tool.chmod(0o755)
    call = f"{source.split('if __name__')[0]}\nprint(json.dumps(decide({str(bench.model)!r}, 'gate.toml', 'gate.key')))"
    path = f"{tmp_path / 'bin'}{os.pathsep}{ENVIRONMENT['PATH']}"
    done = run([sys.executable, "-c", call], tmp_path, PATH=path, BADNETS_STORE=str(tmp_path / "store"))
    assert json.loads(done.stdout)["word"] == "undecided", done.stderr
