"""Fuzzes the readers of the scan with atheris, which is on the package index and wants an environment of its own.

    pip install atheris            # beside the package with its lab, and onnx
    python fuzz/run.py --list
    python fuzz/run.py torch-zip safetensors --seconds 60
    python fuzz/run.py all --seconds 60
    python fuzz/run.py torch-zip --replay FILE     # judge one input again, without atheris

What it looks for is in `fuzz/targets.py`. Each target is fuzzed in a fork of its own; an input that breaks it is
written to `--found` and ends that fork. Prints a table; exits with 1 if a target broke.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from fuzz.targets import Target

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]


def fuzz(name: str, target: Target, starts: list[bytes], options: argparse.Namespace) -> None:
    """Fuzz one target until its time is up; ends the process."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: PLC0415 - it is optional

    from fuzz.targets import check  # noqa: PLC0415 - it was imported instrumented

    options.found.mkdir(parents=True, exist_ok=True)
    admitted = 0

    def once(data: bytes) -> None:
        nonlocal admitted
        try:
            clean = check(target, data)
        except BaseException as error:
            place = options.found / f"{_slug(name)}-{hashlib.sha256(data).hexdigest()[:16]}"
            place.write_bytes(data)
            sys.stderr.write(f"FOUND {place.name}: {type(error).__name__}: {error}\n")
            raise
        if clean:
            admitted += 1
            sys.stderr.write(f"admitted {admitted}\n")

    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        for number, start in enumerate(starts):
            (Path(corpus) / str(number)).write_bytes(start)
        argv = [
            sys.argv[0],
            f"-max_total_time={options.seconds}",
            f"-max_len={options.longest}",
            f"-artifact_prefix={options.found}/{_slug(name)}-",
            "-timeout=120",
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
            corpus,
        ]
        atheris.Setup(argv, once)
        atheris.Fuzz()


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def _in_fork(name: str, target: Target, starts: list[bytes], options: argparse.Namespace) -> NoReturn:
    with (options.found / f"{_slug(name)}.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1)
    try:
        fuzz(name, target, starts, options)
    finally:
        os._exit(1)


def report(name: str, options: argparse.Namespace, *, seconds: float, status: int) -> str:
    """One line on what a fork said."""
    said = (options.found / f"{_slug(name)}.log").read_text("utf-8", "replace")
    runs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", said) or re.findall(r"#(\d+)\s", said) or ["0"]
    covered = re.findall(r"cov: (\d+)", said) or ["0"]
    faults = re.findall(r"^FOUND .*", said, re.MULTILINE) or re.findall(r"^.*ERROR: .*", said, re.MULTILINE)
    ended = f"BROKEN: {faults[0] if faults else status}" if status else "sound"
    counts = (
        f"{int(runs[-1]):>9,} runs {int(covered[-1]):>6,} edges {len(re.findall('(?m)^admitted', said)):>7,} admitted"
    )
    return f"{name:<26} {counts} {seconds:>5.0f} s  {ended[:240]}\n"


def fuzz_all(names: list[str], options: argparse.Namespace) -> int:
    """Fuzz each target in a fork; 1 if one of them broke."""
    import atheris  # noqa: PLC0415 - it is optional

    with atheris.instrument_imports(include=["badnets.supply"]):
        from fuzz.targets import TARGETS, seeds  # noqa: PLC0415 - instrumented
    options.found.mkdir(parents=True, exist_ok=True)
    broken = 0
    for name in names or TARGETS:
        starts, begun = list(seeds(TARGETS[name])), time.monotonic()
        child = os.fork()
        if not child:
            _in_fork(name, TARGETS[name], starts, options)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(report(name, options, seconds=time.monotonic() - begun, status=status))
        sys.stdout.flush()
        broken += status != 0
    return int(broken > 0)


def main() -> int:
    """Do what the command line says."""
    options = argparse.ArgumentParser(description="Fuzz the readers of the scan.")
    options.add_argument("targets", nargs="*", help="their names; all of them with `all`")
    options.add_argument("--list", action="store_true", help="print the targets")
    options.add_argument("--seconds", type=int, default=60, help="for each target (default %(default)s)")
    options.add_argument("--longest", type=int, default=8192, help="input in bytes (default %(default)s)")
    options.add_argument("--found", type=Path, default=Path(tempfile.gettempdir()) / "badnets-fuzz", help="findings")
    options.add_argument("--replay", type=Path, help="judge this one input of the first target again")
    chosen = options.parse_args()
    if chosen.targets and not chosen.replay:
        return fuzz_all([] if chosen.targets == ["all"] else chosen.targets, chosen)
    from fuzz.targets import TARGETS, check  # noqa: PLC0415 - `fuzz_all` imports it instrumented

    if chosen.replay:
        admitted = check(TARGETS[chosen.targets[0]], chosen.replay.read_bytes())
        sys.stdout.write(f"admitted: {admitted}\n")
    else:
        sys.stdout.write("".join(f"{name}\n" for name in TARGETS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
