"""Memory that is kept between steps: fewer pages are mapped, and nothing is changed where the user has a say."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from badnets.training.memory import keep_freed_memory
torch.set_num_threads(1)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        first, second = torch.ones(1_000_000), torch.ones(1_500_000)
        del first, second
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
usual = faults()
done = keep_freed_memory()
faults()
print(done, usual, faults())
"""


def run(**environment: str) -> tuple[bool, int, int]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, env=kept | environment, check=True, stdout=subprocess.PIPE, text=True)
    how, usual, after = done.stdout.split()
    return how == "True", int(usual), int(after)


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another one")


@glibc
def test_large_blocks_are_mapped_once_and_kept() -> None:
    """50 times 10 MB are 122,000 pages when each block is mapped anew."""
    done, usual, after = run()
    assert done
    assert after < usual / 20


@glibc
def test_a_users_own_settings_stay() -> None:
    done, usual, after = run(MALLOC_TRIM_THRESHOLD_="131072")
    assert not done
    assert after > usual / 2
