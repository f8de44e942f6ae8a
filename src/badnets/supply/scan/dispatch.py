"""Hands what is under judgement to the reader of its format, and stands between the readers and the verdict.

1. The content decides which reader; what two readers claim is refused.
2. A name that says another format than the content is refused.
3. A reader that hits a bound, or fails, leaves what it read unjudged: it is never clean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from badnets.supply.scan import (
    archives,
    npy,
    npz,
    onnx,
    pickles,
    pictures,
    refused,
    refused_gguf,
    refused_keras,
    safetensors,
    texts,
    torch_legacy,
    torch_zip,
    zip_rules,
)
from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.recognise import recognise
from badnets.supply.scan.source import Exhausted, Source

BOUND = Rule(
    "bound-reached",
    Severity.UNJUDGED,
    "Judging it would take more time, memory or depth than allowed.",
    "Scan it with higher limits, or ask for a smaller file.",
    cwe="CWE-400",
    atlas="AML.T0029",
)
FAILED = Rule(
    "reader-failed",
    Severity.UNJUDGED,
    "The reader of this format failed: a fault of this program, which the file may have been made to cause.",
    "Do not use the file; report what it was.",
    cwe="CWE-755",
)
CUT = Rule("findings-cut", Severity.NOTE, "More findings than are listed.", "Settle those that are listed first.")
RULES = (BOUND, FAILED, CUT)

_MOST = 1000


@dataclass(frozen=True)
class Judged:
    """What something is and what speaks against it."""

    format: str
    findings: list[Finding]


Reader = Callable[[Source, str], list[Finding]]


def _plain(check: Callable[[Source], list[Finding]]) -> Reader:
    return lambda source, _name: check(source)


def _stream(kind: str) -> Reader:
    return lambda source, name: archives.check_stream(source, kind, name, _member)


def _program(rule: Rule) -> Reader:
    """Torch's archives of programs: their reader names what is in them, and they are refused in any case."""

    def check(source: Source, name: str) -> list[Finding]:
        del name
        found = torch_zip.check(source)
        named = any(finding.rule == rule for finding in found)
        return found if named else [Finding(rule, "by its entries", source.member, source.at(0), source.size), *found]

    return check


READERS: dict[str, Reader] = {
    "safetensors": _plain(safetensors.check),
    "torch-zip": _plain(torch_zip.check),
    "torch-legacy": _plain(torch_legacy.check),
    "torch-tar": _plain(torch_legacy.check_tar),
    "torchscript": _program(zip_rules.SCRIPT),
    "torch-export": _program(zip_rules.EXPORT),
    "pickle": _plain(pickles.check),
    "npy": _plain(npy.check),
    "npz": _plain(npz.check),
    "onnx": _plain(onnx.check),
    "png": _plain(pictures.check),
    "gguf": _plain(refused_gguf.check),
    "keras": _plain(refused_keras.check_zip),
    "hdf5": _plain(refused_keras.check_hdf5),
    "zip": lambda source, _name: archives.check_zip(source, _member),
    "tar": lambda source, _name: archives.check_tar(source, _member),
    "json": texts.check,
    "text": texts.check,
    "empty": texts.check,
    **{kind: _stream(kind) for kind in ("gzip", "bzip2", "xz", "lzma", "zlib")},
}

_TORCH = frozenset({"torch-zip", "torch-legacy", "torch-tar", "torchscript", "torch-export"})
_PICKLES = frozenset({"pickle", "joblib", "joblib-zf", "gzip", "bzip2", "xz", "lzma", "zlib"})
_TEXTS = frozenset({"text", "json", "empty"})
# What a name says the content is. A name that is not here says nothing.
EXTENSIONS: dict[str, frozenset[str]] = {
    ".safetensors": frozenset({"safetensors"}),
    ".pt": _TORCH | {"pickle"}, ".pth": _TORCH | {"pickle"}, ".pt2": frozenset({"torch-export"}),
    ".ckpt": _TORCH | {"pickle"}, ".pkl": _TORCH | _PICKLES, ".pickle": _TORCH | _PICKLES, ".joblib": _PICKLES,
    ".npy": frozenset({"npy"}), ".npz": frozenset({"npz"}), ".onnx": frozenset({"onnx"}),
    ".h5": frozenset({"hdf5"}), ".hdf5": frozenset({"hdf5"}), ".keras": frozenset({"keras", "hdf5"}),
    ".gguf": frozenset({"gguf"}), ".tflite": frozenset({"tflite"}), ".skops": frozenset({"skops"}),
    ".zip": frozenset({"zip", "npz", "torch-zip", "torchscript", "torch-export", "keras", "skops"}),
    ".tar": frozenset({"tar", "torch-tar"}), ".gz": frozenset({"gzip"}), ".tgz": frozenset({"gzip"}),
    ".bz2": frozenset({"bzip2"}), ".xz": frozenset({"xz"}), ".zst": frozenset({"zstd"}), ".lz4": frozenset({"lz4"}),
    ".7z": frozenset({"7z"}), ".rar": frozenset({"rar"}), ".png": frozenset({"png"}), ".jpg": frozenset({"jpeg"}),
    ".jpeg": frozenset({"jpeg"}), ".gif": frozenset({"gif"}), ".webp": frozenset({"webp"}), ".pdf": frozenset({"pdf"}),
    ".json": _TEXTS, ".jsonl": _TEXTS, ".txt": _TEXTS, ".md": _TEXTS, ".csv": _TEXTS, ".tsv": _TEXTS, ".yaml": _TEXTS,
    ".yml": _TEXTS, ".jinja": _TEXTS, ".py": _TEXTS | {"script"}, ".sh": _TEXTS | {"script"}, ".log": _TEXTS,
}  # fmt: skip


def judge(source: Source, name: str) -> Judged:
    """Judge what is in `source`. Raises nothing on any bytes.

    Args:
        source: the bytes.
        name: of the file or member; it decides nothing about the format, but must not contradict it.
    """
    form = "unknown"
    try:
        recognised = recognise(source)
        form = recognised.format
        findings = contradiction(source, name, form)
        if len(recognised.claims) > 1:
            findings.append(_polyglot(source, recognised.claims))
        else:
            findings += _reader(form)(source, name)
    except Exhausted as error:
        findings = [Finding(BOUND, str(error), source.member)]
    except Exception as error:  # noqa: BLE001 - whatever a reader does, the file does not come out clean
        findings = [Finding(FAILED, f"{type(error).__name__}: {error}"[:200], source.member)]
    if len(findings) > _MOST:
        # What is cut away must not be what refused it.
        worst = sorted(findings, key=lambda finding: finding.rule.severity is not Severity.REFUSE)
        findings = [*worst[:_MOST], Finding(CUT, f"{len(findings) - _MOST:,} more", source.member)]
    return Judged(form, findings)


def _member(source: Source, name: str) -> list[Finding]:
    return judge(source, name).findings


def _reader(form: str) -> Reader:
    return READERS.get(form) or (lambda source, _name: refused.check(source, form))


def contradiction(source: Source, name: str, form: str) -> list[Finding]:
    """The finding on a name that says another format than `form`; none where it says nothing or the same."""
    suffix = PurePosixPath(name).suffix.lower()
    expected = EXTENSIONS.get(suffix)
    if expected is None or form in expected or form == "unknown":
        return []
    return [Finding(refused.SUFFIX, f"named {suffix}, but it is {form}", source.member, source.at(0))]


def _polyglot(source: Source, claims: tuple[tuple[str, int], ...]) -> Finding:
    said = " and ".join(f"{form} at byte {source.at(place):,}" for form, place in claims)
    return Finding(refused.POLYGLOT, said, source.member, source.at(max(place for _, place in claims)))
