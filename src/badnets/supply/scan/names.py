"""What the name of a member may be: the same place, and the same letters, on every system that unpacks it."""

from __future__ import annotations

import re
import unicodedata

from badnets.supply.scan.findings import Rule, Severity

OUTSIDE = Rule(
    "archive-path",
    Severity.REFUSE,
    "A member would be written outside the folder that it is unpacked to.",
    "Ask for an archive whose names are relative and have no '..'.",
    cwe="CWE-22",
    atlas="AML.T0010.003",
)
DECEPTIVE = Rule(
    "archive-name",
    Severity.REFUSE,
    "A name means different things to different readers or systems.",
    "Ask for names of plain letters, without control characters, colons, backslashes or final dots.",
    cwe="CWE-451",
    atlas="AML.T0074",
)
RULES = (OUTSIDE, DECEPTIVE)

_DRIVE = re.compile(r"[A-Za-z]:")
# Names that Windows takes for devices, with any extension.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{kind}{number}" for kind in ("com", "lpt") for number in "123456789"}
)


def fault(name: str) -> tuple[Rule, str] | None:
    """What is wrong with a relative path; None where all systems agree on what it names.

    Args:
        name: with "/" between its parts and perhaps at its end, for a folder.
    """
    unified = name.replace("\\", "/")
    if unified.startswith("/") or _DRIVE.match(unified):
        return OUTSIDE, "absolute"
    if ".." in unified.split("/"):
        return OUTSIDE, "climbs with '..'"
    reason = _deceptive(name)
    return (DECEPTIVE, reason) if reason else None


def _deceptive(name: str) -> str | None:  # noqa: PLR0911 - one for each reason
    if not name:
        return "empty"
    if len(name) > 4096:
        return "longer than 4,096 letters"
    kinds = {unicodedata.category(letter) for letter in name if letter != " "}
    if kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}:
        return "control, invisible or right-to-left characters, or a blank that is no space"
    if "\\" in name:
        return "a backslash, which is a separator elsewhere"
    if ":" in name:
        return "a colon, which names a hidden stream on NTFS"
    for part in name.removesuffix("/").split("/"):
        if part in ("", "."):
            return "empty or '.' parts"
        if part[-1] in " .":
            return "a part that ends with a dot or a space, which Windows drops"
        if part.split(".")[0].casefold() in _DEVICES:
            return "a name that Windows takes for a device"
    return None


def twin_key(name: str) -> str:
    """Equal for names that are one file where letters' case or composition does not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold()).removesuffix("/")
