"""Keras models and other HDF5 files are refused; what in them names code is named.

Source: Keras, saving_lib.py (the .keras zip) and legacy/saving/legacy_h5_format.py.
"""

from __future__ import annotations

import re

from badnets.supply.scan import archives_zip
from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.inflate import inflate
from badnets.supply.scan.source import Source

KERAS = Rule(
    "keras-model",
    Severity.REFUSE,
    "A Keras model: its configuration says which classes loading makes.",
    "Ask for the weights as safetensors, or the model as ONNX.",
    cwe="CWE-502",
    atlas="AML.T0011.000",
)
HDF5 = Rule(
    "hdf5",
    Severity.REFUSE,
    "An HDF5 file, which has no reader here that explains every byte.",
    "Ask for the weights as safetensors.",
    cwe="CWE-693",
    atlas="AML.T0011.000",
)
LAMBDA = Rule(
    "keras-lambda",
    Severity.REFUSE,
    "A Lambda layer: loading it runs Python code that is in the file.",
    "Do not load it; ask for the model without Lambda layers, as ONNX.",
    cwe="CWE-94",
    atlas="AML.T0018.002",
)
MODULE = Rule(
    "keras-module",
    Severity.REFUSE,
    "A class from a module that is not Keras's: loading it imports and calls that.",
    "Do not load it; ask for the model with Keras's own layers only, as ONNX.",
    cwe="CWE-94",
    atlas="AML.T0018.002",
)
RULES = (KERAS, HDF5, LAMBDA, MODULE)

# JSON may hide any letter behind an escape; a name that does is no name Keras writes, so it is named as foreign too.
_LAMBDA = re.compile(rb'"(?:class_name|registered_name)"\s*:\s*"(?:Lambda|__lambda__)"')
_MODULE = re.compile(rb'"module"\s*:\s*"(?!keras(?:\.[\w.]+)?"|builtins"|tensorflow\.keras)([^"]{0,200})"')
_PIECE = 2**20
_MARGIN = 512


def check_zip(source: Source) -> list[Finding]:
    """Refuse a .keras file and name the code in its configuration. Raises `Exhausted`."""
    directory = archives_zip.read(source)
    findings = [Finding(KERAS, ".keras", source.member, source.at(0), source.size), *directory.findings]
    for entry in directory.entries:
        if entry.name != "config.json":
            continue
        stored = source.part(entry.data, entry.stored, entry.name)
        if entry.method == archives_zip.DEFLATED:
            with inflate(stored, "deflate", size=entry.size) as out:
                findings += out.findings
                if out.source is not None:
                    findings += _search(out.source)
        else:
            findings += _search(stored)
    return findings


def check_hdf5(source: Source) -> list[Finding]:
    """Refuse an HDF5 file and name the code in the configuration of a Keras model. Raises `Exhausted`."""
    named = _search(source)
    is_keras = bool(named) or any(b"keras_version" in piece for piece in source.pieces(0, source.size))
    rule = KERAS if is_keras else HDF5
    return [Finding(rule, "an HDF5 file", source.member, source.at(0), source.size), *named]


def _search(source: Source) -> list[Finding]:
    """Every place that names code; pieces overlap, so that none is missed at a border."""
    found: dict[int, Finding] = {}
    start = 0
    while start < source.size:
        piece = source.read(start, _PIECE + _MARGIN)
        for rule, pattern in ((LAMBDA, _LAMBDA), (MODULE, _MODULE)):
            for match in pattern.finditer(piece):
                place = source.at(start + match.start())
                detail = match[0][:120].decode("utf-8", "replace")
                found.setdefault(place, Finding(rule, f"{detail!a}", source.member, place, len(match[0])))
        start += _PIECE
    return [found[place] for place in sorted(found)]
