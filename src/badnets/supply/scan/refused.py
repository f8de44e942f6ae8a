"""Formats that are recognised and refused by name: they carry code, or have no reader here that explains every byte."""

from __future__ import annotations

from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.source import Source

_CODE, _BLIND = "CWE-502", "CWE-693"


def _rule(name: str, what: str, remedy: str, cwe: str = _BLIND, atlas: str = "AML.T0011.000") -> Rule:
    return Rule(name, Severity.REFUSE, what, remedy, cwe=cwe, atlas=atlas)


_WEIGHTS = "Ask for the weights as safetensors."
_UNPACK = "Unpack it where nothing can be harmed, and scan the folder."
_PROGRAM = "Ask for the weights as safetensors, or the model as ONNX."
SUFFIX = _rule(
    "extension-contradicts",
    "A name that says another format than the content.",
    "Ask why it is named so; do not rename it and go on.",
    "CWE-646",
    "AML.T0074",
)
POLYGLOT = _rule(
    "polyglot",
    "Two readers would each take the file for theirs.",
    "Ask for a file that is one thing only.",
    "CWE-436",
    "AML.T0074",
)
BY_FORMAT = {
    "ggml": _rule("ggml", "GGML weights, which have no reader here.", _WEIGHTS),
    "skops": _rule(
        "skops", "A skops model: it names the types that loading makes.", "Ask for the model as ONNX.", _CODE
    ),
    "joblib": _rule("joblib", "A joblib pickle: loading it runs what it says.", "Ask for the model as ONNX.", _CODE),
    "joblib-zf": _rule("joblib", "A joblib pickle: loading it runs what it says.", "Ask for the model as ONNX.", _CODE),
    "savedmodel": _rule("savedmodel", "A TensorFlow graph, whose operators read and write files.", _WEIGHTS, "CWE-829"),
    "tflite": _rule("tflite", "A TensorFlow Lite model, which has no reader here.", "Ask for the model as ONNX."),
    "7z": _rule("archive-7z", "A 7z archive, which has no reader here.", _UNPACK, atlas="AML.T0010.003"),
    "rar": _rule("archive-rar", "A rar archive, which has no reader here.", _UNPACK, atlas="AML.T0010.003"),
    "zstd": _rule("compressed-zstd", "Compressed by zstd, which has no reader here.", _UNPACK, atlas="AML.T0010.003"),
    "lz4": _rule("compressed-lz4", "Compressed by lz4, which has no reader here.", _UNPACK, atlas="AML.T0010.003"),
    "native": _rule(
        "native-code",
        "A program or library for a processor.",
        "Remove it: weights need none.",
        "CWE-829",
        "AML.T0018.002",
    ),
    "script": _rule("script", "A script.", "Remove it: weights need none.", "CWE-829", "AML.T0018.002"),
    "pyc": _rule("python-bytecode", "Compiled Python.", "Remove it: weights need none.", "CWE-829", "AML.T0018.002"),
    "jpeg": _rule("picture", "A picture of a format that has no reader here.", "Remove it, or convert it to PNG."),
    "gif": _rule("picture", "A picture of a format that has no reader here.", "Remove it, or convert it to PNG."),
    "webp": _rule("picture", "A picture of a format that has no reader here.", "Remove it, or convert it to PNG."),
    "pdf": _rule("pdf", "A PDF document, which has no reader here.", "Remove it, or convert it to text."),
    "unknown": _rule("unknown-format", "Content that no reader here knows.", _WEIGHTS),
}
RULES = tuple(dict.fromkeys((SUFFIX, POLYGLOT, *BY_FORMAT.values())))


def check(source: Source, form: str) -> list[Finding]:
    """Refuse `form`, by name. Raises `Exhausted`."""
    head = source.read(0, 16)
    return [Finding(BY_FORMAT[form], f"starts with {head!r}", source.member, source.at(0), source.size)]
