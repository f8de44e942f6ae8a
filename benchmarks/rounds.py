"""Variants of the same work, timed in turn, and how their speeds compare.

A machine is never quite at rest. So every round runs each variant once, right after the other, and a ratio is
taken within a round: what slows the machine for a while slows both sides of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Speeds = dict[str, list[float]]

_PACKAGES = ("badnets", "torch", "torchvision", "numpy", "pillow", "adversarial-robustness-toolbox")


@dataclass(frozen=True)
class Clocked:
    """What a variant did, and how long it took, where not all of its time counts."""

    amount: float
    seconds: float


# Does the work once and returns how much it did: images, unless the outcome names another unit.
Variant = Callable[[], float | Clocked]


@dataclass(frozen=True)
class Bar:
    """The least ratio that is aimed at: speed of `ours` over speed of `other`; None where nothing is aimed at."""

    ours: str
    other: str
    least: float | None = None


@dataclass(frozen=True)
class Ratio:
    """How `bar.ours` compares with `bar.other`: speed over speed, round by round."""

    bar: Bar
    median: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the median reaches the bar."""
        if self.bar.least is None:
            return "for information"
        return f"{'met' if self.median >= self.bar.least else 'missed'} (bar {self.bar.least:g})"


@dataclass(frozen=True)
class Outcome:
    """One run of a benchmark: title, where it ran, speeds by variant and round, ratios, remarks, unit of the speeds."""

    title: str
    machine: dict[str, str]
    speeds: Speeds
    ratios: list[Ratio]
    notes: list[str]
    unit: str = "images/s"


def take_turns(variants: dict[str, Variant], rounds: int) -> Speeds:
    """What each variant does in a second, round by round, after one round that is thrown away.

    In odd rounds the order is turned round, so that no variant always runs after the same other.
    """
    speeds: Speeds = {name: [] for name in variants}
    for number in range(rounds + 1):
        names = list(variants)
        for name in reversed(names) if number % 2 else names:
            begun = time.perf_counter()
            done = variants[name]()
            if not isinstance(done, Clocked):
                done = Clocked(done, time.perf_counter() - begun)
            speed = done.amount / done.seconds
            if number:
                speeds[name].append(speed)
        print(f"round {number} of {rounds} done", file=sys.stderr)
    return speeds


def compare(speeds: Speeds, bar: Bar) -> Ratio:
    """The ratio of each round, and its median, least and largest value."""
    pairs = zip(speeds[bar.ours], speeds[bar.other], strict=True)
    ratios = [ours / other for ours, other in pairs]
    return Ratio(bar, statistics.median(ratios), min(ratios), max(ratios))


def machine() -> dict[str, str]:
    """Processor, cores, how busy they are, python and the versions of what is compared."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    found = {"processor": _processor(), "cores": str(os.cpu_count()), "load": load, "python": platform.python_version()}
    return found | {name: installed(name) or "not installed" for name in _PACKAGES}


def installed(package: str) -> str | None:
    """Its version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def plain(outcome: Outcome) -> dict[str, Any]:
    """As JSON has it, with the verdicts."""
    ratios = [asdict(ratio) | {"verdict": ratio.verdict} for ratio in outcome.ratios]
    return asdict(outcome) | {"ratios": ratios}


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """Print it, for people or as one JSON object."""
    if as_json:
        print(json.dumps(plain(outcome), indent=2))
        return
    print(outcome.title)
    print(", ".join(f"{name} {value}" for name, value in outcome.machine.items()))
    width = max((len(name) for name in outcome.speeds), default=0)
    digits = 0 if outcome.unit == "images/s" else 2
    for name, speeds in outcome.speeds.items():
        spread = f"{min(speeds):,.{digits}f} to {max(speeds):,.{digits}f}"
        middle = f"{statistics.median(speeds):>13,.{digits}f}"
        print(f"  {name:<{width}}  {middle} {outcome.unit}  ({spread}, {len(speeds)} rounds)")
    for ratio in outcome.ratios:
        spread = f"{ratio.low:.2f} to {ratio.high:.2f}"
        print(f"  {ratio.bar.ours} / {ratio.bar.other} = {ratio.median:.2f} ({spread}): {ratio.verdict}")
    for note in outcome.notes:
        print(f"  {note}")


def parser(description: str, rounds: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--rounds", type=int, default=rounds, help="rounds that count (default %(default)s)")
    return options


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
