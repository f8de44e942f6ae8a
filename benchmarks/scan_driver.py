"""Calls a scanner's own command on many files, each in a fork of one process, so that only the first pays its start.

Needs the standard library alone: it is run by the Python of each scanner's own environment. It reads one plan as JSON
from stdin and prints one line of JSON for each file.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

Command = Callable[[], Any]


def command(entry: str) -> Command:
    """What `entry` names as "module:function"."""
    module, _, name = entry.partition(":")
    return getattr(import_module(module), name)  # type: ignore[no-any-return]


def called(run: Command, argv: list[str], kept: int) -> dict[str, Any]:
    """Run the command with these arguments.

    Returns:
        Its exit code, seconds by the clock and of the processor, the end of its output, and whether it raised.
    """
    sys.argv = argv
    code, raised, begun, worked = 0, False, time.perf_counter(), time.process_time()
    try:
        code = _code(run())
    except SystemExit as end:
        code = _code(end.code)
    except BaseException:  # noqa: BLE001 - whatever a foreign command does is its answer
        traceback.print_exc()
        code, raised = 1, True
    seconds, processor = time.perf_counter() - begun, time.process_time() - worked
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    with open("/dev/fd/1", "rb") as printed:  # noqa: PTH123 - it is a descriptor, not a path
        size = printed.seek(0, io.SEEK_END)
        printed.seek(max(0, size - kept))
        output = printed.read().decode("utf-8", "replace")
    return {"code": code, "seconds": seconds, "processor": processor, "output": output, "raised": raised}


def _code(value: object) -> int:
    if value is None:
        return 0
    return value if isinstance(value, int) else 1


def forked(run: Command, argv: list[str], limit: float, kept: int) -> dict[str, Any]:
    """Run the command in a fork; after `limit` seconds it is killed."""
    outlet, inlet = os.pipe()
    child = os.fork()
    if not child:
        os.close(outlet)
        _in_child(run, argv, inlet, kept)
    os.close(inlet)
    answer, ended, end = b"", False, time.monotonic() + limit
    while not ended and select.select([outlet], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(outlet, 2**16)
        answer, ended = answer + piece, not piece
    os.close(outlet)
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if not ended:
        return {"code": None, "seconds": limit, "processor": limit, "output": "", "raised": False}
    try:
        return json.loads(answer)  # type: ignore[no-any-return]
    except ValueError:
        # Dead without an answer before its time: a crash.
        seconds = limit - (end - time.monotonic())
        return {"code": -1, "seconds": seconds, "processor": seconds, "output": "", "raised": True}


def _in_child(run: Command, argv: list[str], inlet: int, kept: int) -> NoReturn:
    try:
        with tempfile.TemporaryFile() as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            sys.stderr = sys.stdout
            answer = json.dumps(called(run, argv, kept)).encode()
        while answer:
            answer = answer[os.write(inlet, answer) :]
    finally:
        os._exit(0)


def main() -> None:
    """Do what the plan says: `entry`, `argv` (the file's path is appended), `files`, `warm`, `limit`, `kept`."""
    plan = json.load(sys.stdin)
    run = command(plan["entry"])
    if plan["warm"]:
        # What is imported late is imported here, once for all forks.
        with open(os.devnull, "w", encoding="utf-8") as nothing, tempfile.TemporaryFile() as output:  # noqa: PTH123
            screens = os.dup(1), os.dup(2)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
                called(run, [*plan["argv"], plan["warm"]], 0)
            os.dup2(screens[0], 1)
            os.dup2(screens[1], 2)
    for file in plan["files"]:
        answer = forked(run, [*plan["argv"], file], plan["limit"], plan["kept"])
        print(json.dumps({"file": file} | answer), flush=True)


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
    main()
