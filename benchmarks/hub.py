"""A hub of many models: publishing one more, and a client's first and later refresh, in seconds and in memory.

    python benchmarks/hub.py [--models 10000] [--bins 8] [--json]

The hub is made first, all models in one change, each with a file of its own. Every figure is taken in a process of its
own, so that its peak of memory is its own. `--bins 0` keeps all models in one list.

- publish: one more model, with all signatures, to the moment at which it counts.
- first: a client that has only the root file gets one model.
- again: the same client asks what is newest, and gets another model.
- unchanged: the same, when nothing is new.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.supply.hub import Client, KeyRing, Trusted, init, make_keys, publish, setup_from, split, trust
from badnets.supply.hub.server import address, server_of
from benchmarks.rounds import machine, parser


def make(folder: Path, models: int, bins: int) -> None:
    """A hub of so many models, in one list or in 2 to the power of `bins`."""
    made = make_keys(folder / "keys")
    ring = keys(folder)
    init(folder / "hub", setup_from(made), ring)
    if bins:
        split(folder / "hub", ring, bits=bins)
    sources = {}
    (folder / "sources").mkdir()
    for number in range(models):
        sources[name(number)] = folder / "sources" / f"{number}.safetensors"
        sources[name(number)].write_bytes(number.to_bytes(8, "big") * 16)
    publish(folder / "hub", sources, ring)


def keys(folder: Path) -> KeyRing:
    """All keys."""
    return KeyRing.folder(folder / "keys")


def name(number: int) -> str:
    """Of a model, as people call them."""
    return f"lab-{number % 97}/model-{number:05}/v1"


def publish_one(folder: Path, number: int) -> None:
    """One model more."""
    source = folder / "sources" / f"more-{number}.safetensors"
    source.write_bytes(b"more" * 32)
    publish(folder / "hub", {f"more/model-{number}": source}, keys(folder))


def get_first(folder: Path, url: str, number: int) -> None:
    """A client that knows nothing yet."""
    root = (folder / "hub" / "metadata" / "1.root.json").read_bytes()
    trust(folder / f"home-{number}", root, [url])
    get_again(folder, url, number, name(1))


def get_again(folder: Path, url: str, number: int, model: str) -> None:
    """A client that has come by before."""
    with Client(Trusted(folder / f"home-{number}"), [url]).at_work() as client:
        client.get(model, folder / "brought" / f"{number}" / model.replace("/", "-"))


@dataclass(frozen=True)
class Cost:
    """What a piece of work took: seconds, seconds of them on the processor, and MiB of memory at its peak."""

    seconds: float
    processor: float
    peak: float


def measured(work: Callable[[], None]) -> Cost:
    """What some work costs in a child of its own, without what its parent had."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            begun, busy = time.perf_counter(), time.process_time()
            work()
            spent = [time.perf_counter() - begun, time.process_time() - busy]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            os.write(writing, json.dumps([*spent, peak]).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as told:
        cost = json.loads(told.read() or "[0, 0, 0]")
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit("a piece of work failed, see above")
    return Cost(*cost)


@contextmanager
def served(hub: Path) -> Iterator[str]:
    """Serve a hub from a child, without a thread here: what is forked later takes none along. Its address."""
    server = server_of(hub)
    url = address(server)
    child = os.fork()
    if child == 0:
        try:
            server.serve_forever()
        finally:
            os._exit(0)
    server.server_close()
    try:
        yield url
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def figures(folder: Path, models: int, rounds: int) -> dict[str, list[Cost]]:
    """The cost of each piece of work, round by round."""
    found: dict[str, list[Cost]] = {"publish": [], "first": [], "again": [], "unchanged": []}
    with served(folder / "hub") as url:
        for number in range(rounds):
            found["first"].append(measured(lambda number=number: get_first(folder, url, number)))  # type: ignore[misc]
            found["publish"].append(measured(lambda number=number: publish_one(folder, number)))  # type: ignore[misc]
            for work, model in (("again", name(models - 1)), ("unchanged", name(models - 2))):
                done = measured(lambda n=number, m=model: get_again(folder, url, n, m))  # type: ignore[misc]
                found[work].append(done)
            print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return found


def main() -> None:
    """Measure and print."""
    options = parser("Publishing to, and getting from, a hub of many models.", rounds=5)
    options.add_argument("--models", type=int, default=10_000)
    options.add_argument("--bins", type=int, default=0, help="2 to the power of BINS lists; 0 keeps one")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        begun = time.perf_counter()
        # In a child: what it takes must not count for those that are forked later.
        made = measured(lambda: make(Path(place), chosen.models, chosen.bins))
        found = figures(Path(place), chosen.models, chosen.rounds)
        biggest = max(path.stat().st_size for path in (Path(place) / "hub" / "metadata").iterdir())
    costs = {"make": [made], **found}
    if chosen.json:
        work = {title: [asdict(cost) for cost in values] for title, values in costs.items()}
        print(json.dumps({"models": chosen.models, "bins": chosen.bins, "machine": machine(), "work": work}, indent=2))
        return
    print(f"a hub of {chosen.models:,} models in {2**chosen.bins if chosen.bins else 1} list(s)")
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    for title, values in costs.items():
        seconds = [cost.seconds for cost in values]
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} rounds"
        processor = statistics.median(cost.processor for cost in values)
        peak = max(cost.peak for cost in values)
        median = statistics.median(seconds)
        print(f"  {title:<10} {median:8.2f} s ({spread}), processor {processor:.2f} s, peak {peak:.0f} MiB")
    print(f"  the longest piece of metadata has {biggest:,} bytes; all took {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
