"""The scanners that are compared: how each is called, and what its exit code means.

A rival lives in an environment of its own, in a folder of its name. It is called through its own console command, as a
gate would call it, without network where the machine can do that, and with its reports home switched off.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).resolve().parents[1]
DRIVER = Path(__file__).with_name("scan_driver.py")
LIMIT = 20.0
_KEPT = 20_000
_QUIET = {"CI": "true", "PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1"}

# What a rival asks for by an extra only, or not at all, to look into arrays, 7z and HDF5, or on Python 3.11 to
# start. modelscan's other extra, TensorFlow with which it reads SavedModels, is left out for its size.
_NEEDED = {
    "picklescan": ("picklescan[7z]", "numpy"),
    "modelscan": ("modelscan[h5py]",),
    "fickling": ("fickling", "typing_extensions"),
    "modelaudit": ("modelaudit",),
}


class Answer(StrEnum):
    """What a scanner says of a file, to a gate that reads its exit code."""

    REFUSED = "refused"
    PASSED = "passed"
    NOTHING = "nothing scanned"
    ERROR = "error"
    LATE = "too late"


@dataclass(frozen=True)
class Tool:
    """A scanner.

    Attributes:
        name: as it is printed.
        package: on the index, and the name of its folder; None for ours.
        entry: of its console command, "module:function".
        options: before the path of the file.
        nothing: text in the output of a call that ends well and looked into nothing.
        nothing_code: the exit code that says the same.
    """

    name: str
    package: str | None
    entry: str
    options: tuple[str, ...] = ()
    nothing: str | None = None
    nothing_code: int | None = None


@dataclass(frozen=True)
class Call:
    """One answer, the seconds it took by the clock and of the processor, and what was printed at its end."""

    answer: Answer
    seconds: float
    processor: float
    output: str = ""


OURS = Tool("badnets scan", None, "benchmarks.scan_tools:command")
RIVALS = (
    Tool("picklescan", "picklescan", "picklescan.cli:main", ("-p",), "Scanned files: 0"),
    Tool("picklescan --strict", "picklescan", "picklescan.cli:main", ("--strict", "-p"), "Scanned files: 0"),
    Tool("modelscan", "modelscan", "modelscan.cli:main", ("scan", "-p"), nothing_code=3),
    Tool("fickling", "fickling", "fickling.cli:main", ("--check-safety",)),
    Tool("modelaudit", "modelaudit", "modelaudit.__main__:_run", ("scan", "--no-cache", "--format", "json")),
)


def command() -> None:
    """Our `scan`, as the command line has it."""
    from badnets.cli.scan import scan  # noqa: PLC0415 - the rivals' side of this module needs none of it

    app = typer.Typer()
    app.command()(scan)
    app()


def make_rivals(folder: Path) -> None:
    """An environment for each rival, by pip; what is there stays."""
    for package in dict.fromkeys(tool.package for tool in RIVALS if tool.package):
        python = folder / package / "bin" / "python"
        if not python.exists():
            venv.create(folder / package, with_pip=True)
        needs = _NEEDED[package]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *needs], check=True)  # noqa: S603


def python_of(tool: Tool, rivals: Path | None) -> Path | None:
    """The Python that has the tool; None where there is none."""
    if tool.package is None:
        return Path(sys.executable)
    found = rivals / tool.package / "bin" / "python" if rivals else None
    return found if found and found.exists() else None


def version_of(tool: Tool, python: Path) -> str | None:
    """Of its package in that environment; None where it is not installed."""
    code = f"from importlib.metadata import version; print(version({tool.package or 'badnets'!r}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or None


@functools.cache
def alone() -> tuple[str, ...]:
    """The prefix of a call that has no network; empty where the machine cannot do that."""
    prefix = ("unshare", "--user", "--map-root-user", "--net")
    try:
        works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603
    except OSError:
        works = False
    return prefix if works else ()


def _environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    paths = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    return kept | _QUIET | {"HOME": str(home), "PYTHONPATH": paths}


def judge_all(tool: Tool, python: Path, files: list[Path], home: Path) -> list[Call]:
    """What the tool says of each file, each in a fork of one process that has its imports behind it."""
    plan = {
        "entry": tool.entry, "argv": [tool.name.split()[0], *tool.options], "files": [str(file) for file in files],
        "warm": str(files[-1]), "limit": LIMIT, "kept": _KEPT,
    }  # fmt: skip
    environment = _environment(home)
    if tool.package:
        del environment["PYTHONPATH"]
    answers = drive(python, plan, home, environment)
    if len(answers) != len(files):
        raise SystemExit(f"{tool.name} judged {len(answers)} of {len(files)} files")
    return [Call(answer_of(tool, said), said["seconds"], said["processor"], said["output"]) for said in answers]


def drive(python: Path, plan: dict[str, Any], home: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    """What the driver says of each file of the plan, as far as it came; it is run in the folder `home`."""
    done = subprocess.run(  # noqa: S603
        [*alone(), python, DRIVER], input=json.dumps(plan), stdout=subprocess.PIPE, text=True, check=False,
        cwd=home, env=environment,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def answer_of(tool: Tool, said: dict[str, Any]) -> Answer:
    """What the end of a call means."""
    if said["code"] is None:
        return Answer.LATE
    if said["raised"]:
        return Answer.ERROR
    if said["code"] == tool.nothing_code or (said["code"] == 0 and tool.nothing and tool.nothing in said["output"]):
        return Answer.NOTHING
    return {0: Answer.PASSED, 1: Answer.REFUSED}.get(said["code"], Answer.ERROR)


def whole_calls(tool: Tool, python: Path, file: Path, home: Path, rounds: int) -> Iterator[float]:
    """Seconds of whole calls, the start of Python included, after one that is thrown away."""
    module, _, name = tool.entry.partition(":")
    code = f"import sys; sys.argv[0] = {tool.name!r}; from {module} import {name} as run; sys.exit(run())"
    environment = _environment(home)
    if tool.package:
        del environment["PYTHONPATH"]
    for number in range(rounds + 1):
        begun = time.perf_counter()
        subprocess.run(  # noqa: S603
            [*alone(), python, "-c", code, *tool.options, str(file)], capture_output=True, check=False, cwd=home,
            env=environment, timeout=120,
        )  # fmt: skip
        if number:
            yield time.perf_counter() - begun
