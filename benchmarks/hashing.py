"""How much of the machine's raw SHA-256 speed our streaming digests keep.

    python benchmarks/hashing.py [--json] [--rounds 5] [--megabytes 512]

Raw speed is `hashlib.sha256` over one resident buffer, with as many threads as the variant beside it. The files lie
in the page cache (the round that is thrown away brings them there): what a slow disk adds is not ours to win back.
Speeds are in MiB a second.

Variants:

1. one file: `digests` of one file in one piece, which only one thread can read.
2. raw, one thread: the same number of bytes from memory.
3. many files: `sha256_folder` of eight files, one thread for each processor.
4. shards: one file in pieces of 16 MiB, the same threads.
5. raw, all threads: the same number of bytes from memory, shared by as many threads.
6. file_digest: `hashlib.file_digest` of the one file, for comparison.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if not __package__:  # run as a file: python looks for modules beside it, not in the root
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from badnets.supply.hashing import digests, plain_file, sha256_folder, shards, whole
from benchmarks.rounds import Bar, Outcome, Variant, compare, machine, parser, print_outcome, take_turns

FILES = 8
MIB = 2**20
SHARD = 16 * MIB
THREADS = os.cpu_count() or 1
BARS = (
    Bar("one file", "raw, one thread", 0.8),
    Bar("many files", "raw, all threads", 0.8),
    Bar("shards", "raw, all threads", 0.8),
    Bar("one file", "file_digest"),
)


def write_files(folder: Path, megabytes: int) -> None:
    """One file, and `FILES` of the same size together, all of random bytes."""
    block = os.urandom(MIB)
    (folder / "many").mkdir()
    with (folder / "one").open("wb") as file:
        for _ in range(megabytes):
            file.write(block)
    for number in range(FILES):
        with (folder / "many" / str(number)).open("wb") as file:
            for _ in range(megabytes // FILES):
                file.write(block)


def raw(megabytes: int, threads: int) -> int:
    """Hash so many MiB from memory, shared by `threads`."""
    content = bytes(8 * MIB)

    def share(_: int) -> None:
        total = hashlib.sha256()
        for _ in range(megabytes // threads // 8):
            total.update(content)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, range(threads)))
    return megabytes // threads // 8 * 8 * threads


def variants(folder: Path, megabytes: int) -> dict[str, Variant]:
    """The same bytes each time; each returns how many MiB it hashed."""
    one = folder / "one"

    def one_file() -> int:
        digests([whole(plain_file(one))])
        return megabytes

    def many_files() -> int:
        sha256_folder(folder / "many")
        return megabytes // FILES * FILES

    def in_shards() -> int:
        digests(shards(plain_file(one), SHARD))
        return megabytes

    def file_digest() -> int:
        with one.open("rb") as file:
            hashlib.file_digest(file, "sha256")
        return megabytes

    return {
        "one file": one_file,
        "raw, one thread": lambda: raw(megabytes, 1),
        "many files": many_files,
        "shards": in_shards,
        "raw, all threads": lambda: raw(megabytes, THREADS),
        "file_digest": file_digest,
    }


def main() -> None:
    """Measure and print."""
    options = parser("Speed of streaming SHA-256, against hashlib over memory.", rounds=5)
    options.add_argument("--megabytes", type=int, default=512, help="MiB of the one file")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        write_files(Path(place), chosen.megabytes)
        speeds = take_turns(variants(Path(place), chosen.megabytes), rounds=chosen.rounds)
    ratios = [compare(speeds, bar) for bar in BARS]
    title = f"SHA-256 of {chosen.megabytes} MiB in the page cache"
    print_outcome(Outcome(title, machine(), speeds, ratios, [f"{THREADS} threads"], "MiB/s"), as_json=chosen.json)


if __name__ == "__main__":
    main()
