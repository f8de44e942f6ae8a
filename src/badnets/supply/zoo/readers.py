"""Reading the list of a model zoo: Caffe readmes, a folder of them, CSV, JSON, or what a Hugging Face hub answers.

Of a readme only the front matter counts (caffe's docs/model_zoo.md: name, caffemodel, caffemodel_url, license, sha1,
caffe_commit, gist_id). Of a hub's answer (`model_info` with files' metadata: id, sha, siblings with rfilename and
lfs.sha256) each file that a loader would take for weights or code is an entry.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from urllib.parse import quote

from badnets.artifacts import read_bytes
from badnets.errors import DataError, InputError
from badnets.supply.zoo.entries import Entry, Listing, entry
from badnets.supply.zoo.formats import format_of
from badnets.supply.zoo.front_matter import Values, read_front_matter

MOST_BYTES = 32 * 2**20
MOST_ENTRIES = 100_000
HUB = "https://huggingface.co"
GIST = "https://gist.github.com"

# Names in the front matter and ours. Its caffe_commit is of the program, and says nothing about the model.
_FIELDS = {
    "caffemodel": "file",
    "caffemodel_url": "url",
    "license": "licence",
    "md5": "md5",
    "sha1": "sha1",
    "sha256": "sha256",
}
_OF_A_ZOO = frozenset(_FIELDS) - {"license"} | {"gist_id"}


def read_zoo(path: Path) -> Listing:
    """The entries of a zoo.

    Raises:
        InputError: no such file or folder, or its ending says none of the known kinds.
        DataError: the whole list is not what its ending says.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError(f"there is no {path}")
    text = _text(path)
    ending = path.suffix.lower()
    if ending == ".md":
        return Listing(str(path), (_readme(text, path.name),))
    if ending == ".csv":
        return _csv(str(path), text)
    if ending == ".json":
        return _json(str(path), text)
    raise InputError(f"{path}: expected a folder of readmes, or a list that ends in .md, .csv or .json")


def _folder(path: Path) -> Listing:
    entries, skipped = [], []
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.suffix.lower() != ".md":
            continue
        try:
            entries.append(_readme(_text(file), name))
        except (InputError, DataError) as error:
            skipped.append(f"{name}: {str(error).removeprefix(f'{name}: ')}")
    if not entries and not skipped:
        raise InputError(f"{path}: there is no readme (.md) in this folder")
    return Listing(str(path), tuple(entries), tuple(skipped))


def _readme(text: str, place: str) -> Entry:
    try:
        head = read_front_matter(text)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    if not _OF_A_ZOO & head.keys():
        raise DataError(f"{place}: its front matter speaks of no model file: expected caffemodel_url, sha1 or the like")
    known = {field: _one(head, name) for name, field in _FIELDS.items() if name in head}
    gist = _one(head, "gist_id")
    if gist:
        known["digest_url"] = f"{GIST}/{quote(gist)}"
    return entry(_one(head, "name") or Path(place).parent.name or place, place, known)


def _one(head: Values, name: str) -> str | None:
    value = head.get(name)
    return ", ".join(value) if isinstance(value, tuple) else value


def _csv(source: str, text: str) -> Listing:
    rows = csv.DictReader(io.StringIO(text), strict=True, restkey="")
    entries, skipped = [], []
    try:
        header = rows.fieldnames or []
        if "name" not in header or len(set(header)) < len(header):
            raise DataError(f"{source}: expected a first line that names each column once, and one of them 'name'")
        for row in rows:
            place = f"line {rows.line_num}"
            try:
                entries.append(_row(row, place))
            except InputError as error:
                skipped.append(str(error))
            _check_count(source, len(entries) + len(skipped))
    except csv.Error as error:
        raise DataError(f"{source} is not CSV: line {rows.line_num}: {error}") from error
    return Listing(source, tuple(entries), tuple(skipped))


def _json(source: str, text: str) -> Listing:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not JSON: {' '.join(str(error).split())[:200]}") from error
    entries: list[Entry] = []
    skipped: list[str] = []
    for number, item in enumerate(value if isinstance(value, list) else [value], start=1):
        place = f"item {number}"
        try:
            entries += _item(item, place)
        except InputError as error:
            skipped.append(str(error))
        _check_count(source, len(entries) + len(skipped))
    return Listing(source, tuple(entries), tuple(skipped))


def _row(row: dict[str, str | None], place: str) -> Entry:
    if "" in row or None in row.values():
        raise InputError(f"{place}: more or fewer cells than the first line has")
    return entry(row.pop("name") or "", place, row)


def _item(item: object, place: str) -> list[Entry]:
    if not isinstance(item, dict):
        raise InputError(f"{place}: expected an object")
    return _repository(item, place) if "siblings" in item else [_object(item, place)]


def _object(item: dict[str, object], place: str) -> Entry:
    values: dict[str, str | None] = {}
    for name, value in item.items():
        if value is not None and not isinstance(value, str):
            raise InputError(f"{place}: expected text as {name[:40]!r}")
        values[name] = value
    return entry(values.pop("name", None) or "", place, values)


def _repository(item: dict[str, object], place: str) -> list[Entry]:
    name = next((item[key] for key in ("id", "repo_id", "modelId") if isinstance(item.get(key), str)), None)
    siblings = item["siblings"]
    if not isinstance(name, str) or not isinstance(siblings, list):
        raise InputError(f"{place}: expected a repository with an id and a list of siblings")
    revision = next((item[key] for key in ("sha", "revision") if isinstance(item.get(key), str)), None)
    shared = {
        "revision": str(revision) if revision else None,
        "digest_url": f"{HUB}/api/models/{quote(name)}",
        "updated": _text_in(item, "lastModified") or _text_in(item, "last_modified"),
        "licence": _licence(item),
    }
    files = [file for file in siblings if isinstance(file, dict) and isinstance(file.get("rfilename"), str)]
    if len(files) < len(siblings):
        raise InputError(f"{place}: expected each of the siblings to be an object with an rfilename")
    found = []
    for file in files:
        if format_of(file["rfilename"]).loads:
            url = f"{HUB}/{quote(name)}/resolve/{quote(str(revision or 'main'), safe='')}/{quote(file['rfilename'])}"
            values = {**shared, "url": url, "file": file["rfilename"], "sha256": _sha256(file)}
            found.append(entry(f"{name}/{file['rfilename']}", place, values))
    if not found:
        raise InputError(f"{place}: {name} lists no file that a loader would take for weights or code")
    return found


def _sha256(file: dict[str, object]) -> str | None:
    large = file.get("lfs")
    return _text_in(large, "sha256") if isinstance(large, dict) else _text_in(file, "sha256")


def _licence(item: dict[str, object]) -> str | None:
    card, tags = item.get("cardData"), item.get("tags")
    tagged = [str(tag) for tag in tags if str(tag).startswith("license:")] if isinstance(tags, list) else []
    stated = _text_in(card, "license") if isinstance(card, dict) else None
    return stated or (tagged[0].removeprefix("license:") if tagged else None)


def _text_in(item: dict[str, object], name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) else None


def _text(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path} is no plain file")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES:,} bytes")
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8") from error


def _check_count(source: str, count: int) -> None:
    if count > MOST_ENTRIES:
        raise InputError(f"{source} has more than {MOST_ENTRIES:,} entries: cut it")
