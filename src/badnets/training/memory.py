"""How the C library hands out the memory of a step's activations."""

from __future__ import annotations

import ctypes
import os
from functools import cache

# Names and numbers of malloc.h, the same since 1997.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Activations of small networks on digits and photographs; larger blocks go back to the system as before.
_LARGEST_KEPT = 256 << 20
_FREE_KEPT = 1 << 30


@cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep what a step frees for the next one, in this process, from now on.

    By default it maps every large block anew and gives it back at once, so the kernel clears and maps the same pages
    again in every step: a third of the time of a step of the paper's network (docs/RESULTS.md). No result depends on
    it. At most a gigabyte of freed memory stays with the process. Where the user has set malloc by
    environment variables, or the C library is another one, nothing is changed.

    Returns:
        Whether it was done.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - AttributeError with another C library
    except (OSError, AttributeError, TypeError):
        return False
    set_one = library.mallopt
    return bool(set_one(_M_MMAP_THRESHOLD, _LARGEST_KEPT)) and bool(set_one(_M_TRIM_THRESHOLD, _FREE_KEPT))
