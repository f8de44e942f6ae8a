"""Reads numpy's archive of arrays: a strict zip file of nothing but plain arrays.

Source: numpy.savez, numpy.savez_compressed.
"""

from __future__ import annotations

from badnets.supply.scan import npy
from badnets.supply.scan.archives import check_zip
from badnets.supply.scan.findings import Finding
from badnets.supply.scan.source import Source


def check(source: Source) -> list[Finding]:
    """Judge a numpy archive. Raises `Exhausted`."""
    return check_zip(source, lambda inner, _name: npy.check(inner))
