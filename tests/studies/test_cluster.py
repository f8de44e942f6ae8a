"""Cells on a real Ray cluster of two nodes on loopback: whatever is killed, nothing is lost or done twice."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from badnets.artifacts import RunFolder
from badnets.data import Split
from badnets.errors import InputError, MissingPart, Stopped
from badnets.studies import runner, share
from badnets.studies.cluster import Ray
from badnets.studies.runner import Place, carry_out_cell
from badnets.studies.share import ShareResult, ShareSpec
from badnets.training import Engine, Inline, TrainSpec
from badnets.training.checkpoint import WEIGHTS

Watch = Callable[..., Any]
Soon = Callable[[Callable[[], bool]], bool]
SPEC = ShareSpec(shares=(0.1, 0.5), seeds=(0,), train=TrainSpec(epochs=2, batch_size=32))
_TRIES = 3
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


@dataclass
class Nodes:
    """Two nodes with one core each."""

    address: str
    place: Path
    second: subprocess.Popen[bytes]

    @property
    def hold(self) -> Path:
        """While it is there, cells that begin go no further."""
        return self.place / "hold"

    def tries(self) -> list[tuple[str, int, str]]:
        """Cell, process and node of all that was begun so far."""
        files = list((self.place / "tries").glob("*/*"))
        return [(file.parent.name, int(file.name), file.read_text()) for file in files if file.read_text()]


@pytest.fixture(scope="module", autouse=True)
def _token() -> Iterator[None]:
    """A secret of our cluster's own, for all who load Ray from here on: nobody else on this machine gets in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    # On busy cores a node of Ray's may give up before it is there, and take the others with it: that is not our test.
    for _ in range(_TRIES):
        # A path of its own and a short one: sockets lie in it.
        place = Path(tempfile.mkdtemp(prefix="bn-", dir="/tmp" if Path("/tmp").is_dir() else None))  # noqa: S108
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        (place / "hold").touch()
        port = address.partition(":")[2]
        started = [start(place, "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={place}")]
        try:
            if answers(address, started[0]):
                started.append(start(place, f"--address={address}"))
                if are_there(address, len(started)):
                    yield Nodes(address, place, started[1])
                    return
        finally:
            for node in reversed(started):
                end(node)
            left = [pid for pid in processes() if str(place) in command_line(pid)]
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(place, ignore_errors=True)
    pytest.fail(f"no cluster of two nodes came up in {_TRIES} tries")


def start(place: Path, *arguments: str) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).parent)
    ray = Path(sys.executable).with_name("ray")
    common = ["--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats", "--block"]
    with (place / "said").open("ab") as said:
        return subprocess.Popen(
            [ray, "start", *common, "--node-ip-address=127.0.0.1", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=os.environ | {"PYTHONPATH": here, "HELD_CELLS": str(place), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def end(node: subprocess.Popen[bytes]) -> None:
    node.terminate()
    with suppress(subprocess.TimeoutExpired):
        node.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()


def answers(address: str, node: subprocess.Popen[bytes]) -> bool:
    host, _, port = address.partition(":")
    for _ in range(3000):
        with suppress(OSError):
            socket.create_connection((host, int(port)), 1).close()
            return True
        if node.poll() is not None:
            return False
        time.sleep(0.1)
    return False


_COUNT = """
import sys, time, ray
ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
deadline = time.monotonic() + 120
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    assert time.monotonic() < deadline
    time.sleep(0.2)
"""


def are_there(address: str, count: int) -> bool:
    """Whether so many nodes have joined; waits for them."""
    asked = [sys.executable, "-c", _COUNT, address, str(count)]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def raylet_of(node: subprocess.Popen[bytes]) -> int:
    (found,) = [
        pid for pid in processes() if "/raylet/raylet " in command_line(pid) and os.getpgid(pid) == os.getpgid(node.pid)
    ]
    return found


def timeless(result: ShareResult) -> ShareResult:
    """Without what a clock says."""
    return replace(
        result,
        baselines=tuple(replace(cell, seconds=0.0) for cell in result.baselines),
        points=tuple(replace(point, cell=replace(point.cell, seconds=0.0)) for point in result.points),
    )


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are carried out by `held_cells.held`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(runner, "carry_out_cell", importlib.import_module("held_cells").held)


@pytest.fixture(scope="module")
def here(few: Split, tmp_path_factory: pytest.TempPathFactory, watch: Watch) -> tuple[RunFolder, ShareResult]:
    """What the study comes to in this process."""
    folder = RunFolder(tmp_path_factory.mktemp("here"))
    return folder, share.run(SPEC, few, folder, Place(Inline()), watch())


def assert_same(folder: RunFolder, result: ShareResult, here: tuple[RunFolder, ShareResult]) -> None:
    assert timeless(result) == timeless(here[1])
    for cell in (*result.baselines, *(point.cell for point in result.points)):
        weights = Path(cell.folder) / WEIGHTS
        assert (folder.path / weights).read_bytes() == (here[0].path / weights).read_bytes()
        names = [sorted(path.name for path in (one.path / cell.folder).iterdir()) for one in (folder, here[0])]
        assert names[0] == names[1]


@needs_ray
@pytest.mark.usefixtures("held")
def test_a_worker_and_a_node_are_killed_and_the_result_is_the_same(
    few: Split, nodes: Nodes, here: tuple[RunFolder, ShareResult], tmp_path: Path, watch: Watch
) -> None:
    killed: list[tuple[str, int, str]] = []

    def kill() -> bool:
        """Once a cell is under way on each node: a kill -9 for the process of the one, and for the other's node."""
        tries = nodes.tries()
        if not killed and len(tries) == 2:
            killed.extend(tries)
            nodes.hold.unlink()
            raylet = raylet_of(nodes.second)
            on_second = [pid for _, pid, _ in tries if parent(pid) == raylet]
            assert len(on_second) == 1
            os.kill(raylet, signal.SIGKILL)
            (on_head,) = [pid for _, pid, _ in tries if pid not in on_second]
            os.kill(on_head, signal.SIGKILL)
        return False

    watcher, folder = watch(), RunFolder(tmp_path)
    watcher.stop = kill
    assert isinstance(Ray(nodes.address), Engine)
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        result = share.run(SPEC, few, folder, Place(Ray(nodes.address)), watcher)
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM], "what SIGTERM does is ours to say"
    finally:
        signal.signal(signal.SIGTERM, before)

    assert len({node for _, _, node in killed}) == len({cell for cell, _, _ in killed}) == 2
    assert_same(folder, result, here)
    tries = Counter(cell for cell, _, _ in nodes.tries())
    cells = [*result.baselines, *(point.cell for point in result.points)]
    assert tries == Counter([Path(cell.folder).name for cell in cells] + [cell for cell, _, _ in killed])
    assert not watcher.reasons
    names = [name for name, _ in watcher.finished]
    assert len(names) == len(set(names)) == 3
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert Counter(line["cell"] for line in lines if "result" in line) == Counter(names)
    assert not any(alive(pid) for _, pid, _ in killed)

    again = watch()
    assert share.run(SPEC, few, folder, Place(Ray(nodes.address)), again) == result
    assert not again.started
    assert Counter(cell for cell, _, _ in nodes.tries()) == tries


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@needs_ray
@pytest.mark.usefixtures("held")
def test_stopped_on_the_cluster_and_finished_here(
    few: Split, nodes: Nodes, here: tuple[RunFolder, ShareResult], tmp_path: Path, watch: Watch, soon: Soon
) -> None:
    nodes.hold.touch()
    shutil.rmtree(nodes.place / "tries", ignore_errors=True)
    folder, watcher = RunFolder(tmp_path), watch()
    watcher.stop = lambda: bool(nodes.tries())
    with pytest.raises(Stopped, match="finished models are kept"):
        share.run(SPEC, few, folder, Place(Ray(nodes.address)), watcher)
    (under_way,) = nodes.tries()
    assert soon(lambda: not alive(under_way[1])), "nobody works on for a study that was stopped"
    assert not watcher.finished
    nodes.hold.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "carry_out_cell", carry_out_cell)
        assert_same(folder, share.run(SPEC, few, folder, Place(Inline()), watch()), here)


@needs_ray
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("ray://127.0.0.1:1", "Connection refused"),
        ("127.0.0.1", "HOST:PORT"),
        ("nonsense", "HOST:PORT"),
        ("127.0.0.1:port", "HOST:PORT"),
        ("127.0.0.1:99999", "HOST:PORT"),
    ],
)
def test_no_cluster_at_the_address(address: str, reason: str, few: Split, tmp_path: Path, watch: Watch) -> None:
    begun = time.monotonic()
    with pytest.raises(InputError, match=f"^no Ray cluster at {address} ") as caught:
        share.run(SPEC, few, RunFolder(tmp_path), Place(Ray(address)), watch())
    assert "\n" not in str(caught.value)
    assert reason in str(caught.value)
    assert "expected HOST:PORT of its head, or auto" in str(caught.value)
    assert time.monotonic() - begun < 60, "Ray itself would try for a quarter of an hour"


def test_without_ray_the_install_line_is_said(
    few: Split, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPart, match=r"pip install 'badnets\[ray\]'"):
        share.run(SPEC, few, RunFolder(tmp_path), Place(Ray()), watch())


def test_no_threads_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        Ray(threads=0)
