"""Reads the small texts beside weights: notes, vocabularies, and JSON settings, none of which may name code.

A text is judged by what its reader does with it, and that goes by its name; a text of a name that is not known here is
refused. JSON is parsed strictly: every key once, no NaN.

Sources: RFC 8259; Hugging Face transformers (auto_map, chat_template), diffusers (custom pipelines), PEFT
(adapter_config.json), jsonpickle ("py/object").
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from badnets.supply.scan import names
from badnets.supply.scan.findings import Finding, Rule, Severity
from badnets.supply.scan.refused_gguf import TEMPLATE
from badnets.supply.scan.refused_keras import LAMBDA
from badnets.supply.scan.source import Source


def _rule(name: str, what: str, remedy: str, cwe: str, atlas: str = "AML.T0018.002") -> Rule:
    return Rule(name, Severity.REFUSE, what, remedy, cwe=cwe, atlas=atlas)


REMOTE_CODE = _rule(
    "remote-code",
    "Settings that make a loader import Python code that came with the model.",
    "Load the weights with a class of your own library, and remove this entry.",
    "CWE-829",
)
BUNDLED_CODE = _rule(
    "bundled-code", "A program beside the weights.", "Remove it, or read it before it runs.", "CWE-829"
)
OBJECT = _rule("object-text", "A text that makes objects when it is loaded.", "Ask for plain settings.", "CWE-502")
JSON = _rule(
    "json-malformed", "Settings that are no strict JSON.", "Ask for them written anew.", "CWE-436", "AML.T0074"
)
TEXT = _rule(
    "text-malformed", "A text that is no UTF-8 or has control characters.", "Ask for plain text.", "CWE-20", "AML.T0074"
)
UNKNOWN = _rule(
    "text-unknown",
    "A text of a kind that is not known here, so neither is what a program does with it.",
    "Remove it; notes are .md or .txt, settings .json.",
    "CWE-693",
)
SHARD = _rule(
    "shard-path",
    "An index names weights outside the folder.",
    "Ask for an index that names files beside it.",
    "CWE-22",
    "AML.T0010.003",
)
ADAPTER = Rule(
    "adapter-base",
    Severity.UNJUDGED,
    "An adapter: the model it changes is elsewhere, and can be another one tomorrow.",
    "Name the base model by its digest and scan it too.",
    cwe="CWE-494",
    atlas="AML.T0010.003",
)
RULES = (REMOTE_CODE, BUNDLED_CODE, OBJECT, JSON, TEXT, UNKNOWN, SHARD, ADAPTER)

_NOTES = frozenset({".md", ".txt", ".csv", ".tsv", ".rst", ".bib", ".log"})
_NOTE_NAMES = re.compile(
    r"(readme|licen[cs]e|notice|copying|authors|contributors|citation|changelog|version|use_policy)([._-].*)?|"
    r"\.gitattributes|\.gitignore|sha256sums|md5sums",
    re.IGNORECASE,
)
_CODE = frozenset({
    ".py", ".pyw", ".pyi", ".pyx", ".ipynb", ".ipy", ".sh", ".bash", ".zsh", ".bat", ".cmd", ".ps1", ".vbs", ".js",
    ".mjs", ".cjs", ".ts", ".lua", ".rb", ".pl", ".php", ".r", ".jl", ".tcl", ".c", ".cc", ".cpp", ".cu", ".h",
    ".hpp", ".go", ".rs", ".java", ".scala", ".cs", ".swift", ".ptx", ".cl", ".sql", ".mojo",
})  # fmt: skip
_TEMPLATES = frozenset({".jinja", ".jinja2", ".j2"})
_YAML_OBJECT = re.compile(rb"!!?(?:<tag:[^>]*)?python|!!java|!ruby|!!ruby")
_CONTROLS = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_DEEPEST = 100
# A signature of OpenSSF Model Signing lies beside the model under that ending; it is JSON, and is judged as such.
_SIGNATURE = b"application/vnd.dev.sigstore.bundle."


def check(source: Source, name: str) -> list[Finding]:  # noqa: PLR0911 - one for each kind of text
    """Judge a text by its name and content. Raises `Exhausted`.

    Args:
        source: what recognition took for text or JSON, or nothing at all.
        name: the file's, for what a loader does with it.
    """
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if suffix in _CODE:
        return [_found(source, BUNDLED_CODE, f"a {suffix} file")]
    if suffix in _TEMPLATES:
        return [_found(source, TEMPLATE, f"a {suffix} file")]
    findings = _letters(source)
    if findings:
        return findings
    if suffix == ".json":
        return _settings(source, path.name)
    if suffix == ".sig" and _SIGNATURE in source.read(0, source.size):
        return _settings(source, path.name)
    if suffix == ".jsonl":
        return _lines(source, path.name)
    if suffix in (".yaml", ".yml"):
        raw = source.read(0, source.size)
        return [_found(source, OBJECT, repr(found[0]), found.start()) for found in _YAML_OBJECT.finditer(raw)][:10]
    if suffix in _NOTES or _NOTE_NAMES.fullmatch(path.name):
        return []
    return [_found(source, UNKNOWN, f"named {path.name!a}")]


def _letters(source: Source) -> list[Finding]:
    """UTF-8 throughout, without characters that steer a terminal or turn the order of letters."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    at = 0
    for piece in source.pieces(0, source.size):
        try:
            text = decode(piece, at + len(piece) >= source.size)
        except UnicodeDecodeError as error:
            return [_found(source, TEXT, f"no UTF-8: {error.reason}", max(0, at + error.start))]
        if found := _CONTROLS.search(text):
            return [_found(source, TEXT, f"character {found[0]!a}", at + len(text[: found.start()].encode()))]
        at += len(piece)
    return []


def _lines(source: Source, name: str) -> list[Finding]:
    findings: list[Finding] = []
    at = 0
    for line in source.read(0, source.size).split(b"\n"):
        source.budget.tick()
        if line.strip():
            findings += _parse(source, line, at, name)
        at += len(line) + 1
        if findings:
            break
    return findings


def _settings(source: Source, name: str) -> list[Finding]:
    return _parse(source, source.read(0, source.size), 0, name)


def _parse(source: Source, raw: bytes, at: int, name: str) -> list[Finding]:
    try:
        value = json.loads(raw, object_pairs_hook=_once, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return [_found(source, JSON, error.msg, at + len(error.doc[: error.pos].encode()))]
    except (ValueError, RecursionError) as error:
        return [_found(source, JSON, str(error)[:200], at)]
    findings = [
        _found(source, rule, detail, None if (place := _place(raw, key)) is None else at + place)
        for rule, key, detail in _walk(value, 0)
    ]
    if name == "adapter_config.json" and isinstance(value, dict):
        base = str(value.get("base_model_name_or_path"))[:200]
        findings.append(_found(source, ADAPTER, f"base model {base!a}", _place(raw, "base_model_name_or_path")))
    if name.endswith(".index.json"):
        findings += [
            _found(source, SHARD, f"{shard[:200]!a}: {fault[1]}", _place(raw, shard))
            for shard in shards(value)
            if (fault := names.fault(shard))
        ]
    return sorted(findings, key=lambda finding: finding.offset or 0)[:200]


def shards(index: object) -> list[str]:
    """The files that an index of shards names."""
    weights = index.get("weight_map") if isinstance(index, dict) else None
    return sorted({str(name) for name in weights.values()}) if isinstance(weights, dict) else []


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in {k for k, _ in pairs[:index]})
        raise ValueError(f"key {twice[:100]!a} twice")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _walk(value: object, depth: int) -> Iterator[tuple[Rule, str, str]]:
    """Rule, key and detail of every entry that names code."""
    if depth > _DEEPEST:
        yield JSON, "", f"nested deeper than {_DEEPEST}"
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(key, item)
            if isinstance(item, dict | list):
                yield from _walk(item, depth + 1)


def _entry(key: str, item: object) -> Iterator[tuple[Rule, str, str]]:
    detail = f"{key[:80]!a}: {json.dumps(item)[:120]}"
    if (key in ("auto_map", "custom_pipelines", "custom_code", "custom_pipeline") and item) or (
        key == "trust_remote_code" and item is not False
    ):
        yield REMOTE_CODE, key, detail
    elif key == "chat_template" and item:
        yield TEMPLATE, key, detail
    elif key.startswith("py/") or key == "__reduce__":
        yield OBJECT, key, detail
    elif key == "class_name" and item in ("Lambda", "__lambda__"):
        yield LAMBDA, key, detail


def _place(raw: bytes, key: str) -> int | None:
    """Where a key or text is first written out; None where it is hidden behind escapes."""
    place = raw.find(json.dumps(key, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return place if place >= 0 else None


def _found(source: Source, rule: Rule, detail: str, offset: int | None = 0) -> Finding:
    return Finding(rule, detail, source.member, None if offset is None else source.at(offset))
