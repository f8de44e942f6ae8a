"""Text in a weights file that is more than a name or a note: markup, templates, code, packed data.

Weights files carry names and short notes. What a viewer could render, a template engine could run or a loader could
decode is refused, because nothing in the weights explains it.
"""

from __future__ import annotations

import re

from badnets.supply.scan.findings import Rule, Severity

LONGEST_TEXT = 4096
LONGEST_NAME = 1024

TENSOR_NAME = Rule(
    "tensor-name",
    Severity.REFUSE,
    "The name of a tensor is too long or has characters that do not print.",
    "Ask the author for a file with plain names.",
    cwe="CWE-116",
    atlas="AML.T0074",
)

_MARKUP = re.compile(r"<[A-Za-z!/?]|\{\{|\{%|javascript:|data:[a-z]+/", re.IGNORECASE)
_CODE = re.compile(
    r"__(?:import|class|globals|builtins|subclasses|reduce|reduce_ex|getattribute|mro|base|bases|init|call|code)__|"
    r"\b(?:eval|exec|compile|system|popen|__import__)\s*\(|(?:^|[;\n])\s*(?:import|from)\s+[a-z_]\w*|\blambda\b[^:]{0,40}:|"
    r"\bos\.(?:system|popen|exec|spawn)|\bsubprocess\b|\bpickle\.loads?\b|cposix\n|c__builtin__|cbuiltins"
)
_PACKED = re.compile(r"[A-Za-z0-9+/_-]{80,}={0,2}")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{1,256}")


def suspicion(text: str) -> str | None:
    """Why `text` is no plain note, in a few words; None where it is one."""
    if len(text) > LONGEST_TEXT:
        return f"{len(text):,} characters, {LONGEST_TEXT:,} are allowed"
    if not text.replace("\n", "").replace("\t", "").isprintable():
        return "characters that do not print"
    if _MARKUP.search(text):
        return "markup or a template"
    if _CODE.search(text):
        return "looks like code"
    return "looks like packed data" if any(map(_packed, _PACKED.findall(text))) else None


def _packed(run: str) -> bool:
    """Base64 of that length has letters of both cases and digits; a long name of a layer or a digest has not."""
    kinds = (str.isupper, str.islower, str.isdigit)
    return not _HEX.fullmatch(run) and all(any(map(kind, run)) for kind in kinds)


def bad_name(name: str) -> str | None:
    """Why `name` cannot be a tensor's; None where it can."""
    if len(name) > LONGEST_NAME:
        return f"{len(name):,} characters, {LONGEST_NAME:,} are allowed"
    return None if name.isprintable() else "characters that do not print"
