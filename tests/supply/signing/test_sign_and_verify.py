"""From a model to a verdict: what holds, and what each change of model, signature or statement gives."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.supply.signing.forgery import FILES, forge, root_of, statement_of

from badnets.errors import InputError
from badnets.supply.signing import (
    Bundle,
    Expected,
    Resource,
    Scope,
    Verification,
    authenticate,
    new_key,
    sign,
    survey,
    verify,
)
from badnets.supply.signing.keys import PrivateKey

Change = Callable[[Path], object]


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def swap(model: Path) -> None:
    (model / "config.json").rename(model / "x")
    (model / "weights.bin").rename(model / "config.json")
    (model / "x").rename(model / "weights.bin")


def renamed_and_changed(model: Path) -> None:
    flip(model / "weights.bin")
    (model / "weights.bin").rename(model / "w")


def link_instead(model: Path) -> None:
    (model / "weights.bin").rename(model.parent / "w")
    link(model / "weights.bin", "../w")


def linked_folder(model: Path) -> None:
    (model / "sub").rename(model.parent / "s")
    link(model / "sub", "../s")


def fifo_instead(model: Path) -> None:
    (model / "weights.bin").unlink()
    os.mkfifo(model / "weights.bin")


def folder_instead(model: Path) -> None:
    (model / "weights.bin").unlink()
    (model / "weights.bin").mkdir()


def two_at_once(model: Path) -> None:
    flip(model / "weights.bin")
    (model / "config.json").unlink()


def faults(found: Verification) -> dict[str, str]:
    assert found.refusal is None
    assert found.ok == (not found.mismatches)
    return {one.name: one.fault.value for one in found.mismatches}


@pytest.mark.parametrize("shard_size", [None, 64, 2560, 10**9])
@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_what_was_signed_verifies(model: Path, curve: str, shard_size: int | None) -> None:
    key = new_key(curve)
    bundle = sign(model, key, scope=Scope(shard_size=shard_size))
    found = verify(model, bundle, key.public_key())
    assert found.ok
    assert (found.files, found.size) == (3, sum(map(len, FILES.values())))
    assert found.name == "model"
    assert not found.ignored


def test_the_statement_is_the_specification_s(model: Path, key: PrivateKey) -> None:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    resources = [{"name": name, "digest": digests[name], "algorithm": "sha256"} for name in sorted(FILES)]
    assert statement_of(sign(model, key)) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root_of(resources)}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [],
            },
            "resources": resources,
        },
    }  # fmt: skip


def test_the_shards_are_the_specification_s(model: Path, key: PrivateKey) -> None:
    predicate = statement_of(sign(model, key, scope=Scope(shard_size=1000)))["predicate"]
    content = FILES["weights.bin"]
    digest = hashlib.sha256(content[2000:]).hexdigest()
    assert predicate["serialization"]["shard_size"] == 1000
    assert {"name": "weights.bin:2000:2560", "digest": digest, "algorithm": "sha256-sharded-1000"} in predicate[
        "resources"
    ]
    assert [one["name"] for one in predicate["resources"]] == [
        "config.json:0:14", "sub/vocab.txt:0:4", "weights.bin:0:1000", "weights.bin:1000:2000", "weights.bin:2000:2560",
    ]  # fmt: skip


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def hook(model: Path) -> None:
    (model / ".git").mkdir()
    (model / ".git" / "x.pkl").write_bytes(b"x")


def link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def not_utf8(model: Path) -> None:
    Path(os.fsdecode(os.fsencode(model) + b"/\xff.bin")).touch()


CHANGES: dict[str, tuple[Change, dict[str, str]]] = {
    "one bit": (lambda m: flip(m / "weights.bin"), {"weights.bin": "changed"}),
    "a byte more": (lambda m: grow(m / "weights.bin"), {"weights.bin": "changed"}),
    "cut to nothing": (lambda m: (m / "config.json").write_bytes(b""), {"config.json": "changed"}),
    "gone": (lambda m: (m / "sub/vocab.txt").unlink(), {"sub/vocab.txt": "missing"}),
    "a new file": (lambda m: (m / "new.py").write_text("x"), {"new.py": "not covered"}),
    "an empty new file": (lambda m: (m / "__init__.py").touch(), {"__init__.py": "not covered"}),
    "a new hidden file": (lambda m: (m / ".x").write_text("x"), {".x": "not covered"}),
    ".gitattributes": (lambda m: (m / ".gitattributes").write_text("x"), {".gitattributes": "not covered"}),
    ".git": (hook, {".git/x.pkl": "not covered"}),
    "renamed": (lambda m: (m / "weights.bin").rename(m / "weights.pkl"), {"weights.bin": "renamed"}),
    "moved": (lambda m: (m / "weights.bin").rename(m / "sub/weights.bin"), {"weights.bin": "renamed"}),
    "other case": (lambda m: (m / "weights.bin").rename(m / "Weights.bin"), {"weights.bin": "renamed"}),
    "renamed and changed": (renamed_and_changed, {"weights.bin": "missing", "w": "not covered"}),
    "two swapped": (swap, {"config.json": "changed", "weights.bin": "changed"}),
    "a link in its place": (link_instead, {"weights.bin": "not a plain file"}),
    "a new link": (lambda m: link(m / "more", "weights.bin"), {"more": "not a plain file"}),
    "a linked folder": (linked_folder, {"sub": "not a plain file", "sub/vocab.txt": "missing"}),
    "a FIFO in its place": (fifo_instead, {"weights.bin": "not a plain file"}),
    "a folder in its place": (folder_instead, {"weights.bin": "missing"}),
    "a copy": (lambda m: shutil.copy(m / "weights.bin", m / "copy"), {"copy": "not covered"}),
    "a name that is not UTF-8": (not_utf8, {"\\xff.bin": "not covered"}),
    "two at once": (two_at_once, {"weights.bin": "changed", "config.json": "missing"}),
}


@pytest.mark.parametrize("shard_size", [None, 1000], ids=["files", "shards"])
@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_each_change_is_named(
    model: Path, key: PrivateKey, change: Change, expected: dict[str, str], shard_size: int | None
) -> None:
    bundle = sign(model, key, scope=Scope(shard_size=shard_size))
    change(model)
    assert faults(verify(model, bundle, key.public_key())) == expected


def test_the_words_say_what_and_where(model: Path, key: PrivateKey) -> None:
    bundle = sign(model, key, scope=Scope(shard_size=1000))
    flip(model / "weights.bin")
    (model / "config.json").rename(model / "c.json")
    (model / "sub/vocab.txt").write_text("longer than before")
    details = {one.name: one.detail for one in verify(model, bundle, key.public_key()).mismatches}
    wanted = hashlib.sha256(FILES["weights.bin"][2000:]).hexdigest()[:16]
    assert details["weights.bin"].startswith(f"signed with SHA-256 {wanted}... in bytes 2,000 to 2,560, here ")
    assert details["config.json"] == "signed under this name, here called c.json"
    assert details["sub/vocab.txt"] == "signed with 4 bytes, here 18"


def test_git_files_are_covered_by_our_signature(model: Path, key: PrivateKey) -> None:
    (model / ".gitattributes").write_text("*.bin lfs")
    (model / "sub/.git").mkdir()
    (model / "sub/.git/x").write_text("x")
    bundle = sign(model, key)
    assert verify(model, bundle, key.public_key()).files == 5
    flip(model / ".gitattributes")
    assert faults(verify(model, bundle, key.public_key())) == {".gitattributes": "changed"}


def test_a_repository_must_be_left_out_by_name(model: Path, key: PrivateKey) -> None:
    hook(model)
    with pytest.raises(InputError, match=r"\.git is a git repository"):
        sign(model, key)
    bundle = sign(model, key, scope=Scope(ignore=(".git",)))
    refused = verify(model, bundle, key.public_key())
    assert [(one.name, one.detail) for one in refused.mismatches] == [
        (".git/x.pkl", "the signer left it out, so anybody may have put it here")
    ]
    found = verify(model, bundle, key.public_key(), expected=Expected(ignore=(".git",)))
    assert found.ok
    assert found.ignored == (".git",)


def test_ignoring_excuses_only_what_is_not_covered(model: Path, key: PrivateKey) -> None:
    bundle = sign(model, key)
    flip(model / "sub/vocab.txt")
    (model / "sub/new").touch()
    (model / "cache/deep").mkdir(parents=True)
    (model / "cache/deep/x").touch()
    link(model / "cache/l", "x")
    (model / "cached").touch()
    found = verify(model, bundle, key.public_key(), expected=Expected(ignore=("sub", "cache", "not there")))
    assert faults(found) == {"cached": "not covered", "sub/vocab.txt": "changed"}
    assert found.ignored == ("cache", "sub")


def test_an_ignored_link_in_a_covered_file_s_place(model: Path, key: PrivateKey) -> None:
    bundle = sign(model, key)
    link(model / "sub/vocab.txt", "../config.json")
    found = verify(model, bundle, key.public_key(), expected=Expected(ignore=("sub", "sub/vocab.txt")))
    assert faults(found) == {"sub/vocab.txt": "not a plain file"}


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../b", "", ".", "a//b", "a\\b", "C:x", "a\nb"])
def test_ignored_paths_are_plain(path: str) -> None:
    for kind in (Scope, Expected):
        with pytest.raises(InputError, match="the name"):
            kind(ignore=(path,))


def test_the_signature_in_the_model_needs_no_cover_but_another_one_does(model: Path, key: PrivateKey) -> None:
    bundle = sign(model, key, signature=model / "model.sig")
    (model / "model.sig").touch()
    found = verify(model, bundle, key.public_key(), signature=model / "sub/.." / "model.sig")
    assert found.ok
    assert not found.ignored
    assert faults(verify(model, bundle, key.public_key())) == {"model.sig": "not covered"}
    (model / "other.sig").touch()
    assert faults(verify(model, bundle, key.public_key(), signature=model / "model.sig")) == {
        "other.sig": "not covered"
    }


def test_empty_folders_are_told_and_do_not_refuse(model: Path, key: PrivateKey) -> None:
    bundle = sign(model, key)
    (model / "sub/e").mkdir()
    found = verify(model, bundle, key.public_key())
    assert found.ok
    assert found.empty == ("sub/e",)


def test_a_single_file_is_bound_to_its_name(model: Path, key: PrivateKey) -> None:
    file = model / "weights.bin"
    bundle = sign(file, key)
    assert [one["name"] for one in statement_of(bundle)["predicate"]["resources"]] == ["."]
    assert verify(file, bundle, key.public_key()).ok
    twin = file.rename(file.with_name("weights.pkl"))
    found = verify(twin, bundle, key.public_key())
    assert [(one.name, one.fault, one.detail) for one in found.mismatches] == [
        ("weights.bin", "renamed", "signed under this name, here called weights.pkl")
    ]
    assert verify(twin, bundle, key.public_key(), expected=Expected(name="weights.bin")).ok
    flip(twin)
    assert faults(verify(twin, bundle, key.public_key(), expected=Expected(name="weights.bin"))) == {".": "changed"}


def test_a_folder_may_be_called_anything_unless_asked(model: Path, key: PrivateKey) -> None:
    bundle = sign(model, key)
    renamed = model.rename(model.with_name("v3"))
    assert verify(renamed, bundle, key.public_key()).ok
    assert verify(renamed, bundle, key.public_key(), expected=Expected(name="model")).ok
    assert faults(verify(renamed, bundle, key.public_key(), expected=Expected(name="v3"))) == {"model": "renamed"}


def test_a_file_is_no_folder_and_a_folder_no_file(model: Path, key: PrivateKey) -> None:
    folder, file = sign(model, key), sign(model / "weights.bin", key)
    as_file = verify(model / "weights.bin", folder, key.public_key(), expected=Expected(name="model"))
    assert as_file.refusal == "model was signed as a folder, here is one file"
    assert verify(model, file, key.public_key()).refusal == "weights.bin was signed as one file, here is a folder"


def test_the_same_bytes_under_another_name_have_the_same_root_and_are_refused(model: Path, key: PrivateKey) -> None:
    """A fault of the format: the root digest covers no names. So it is never all that is compared."""
    first = sign(model, key)
    (model / "weights.bin").rename(model / "weights.pkl")
    second = sign(model, key)
    assert statement_of(first)["subject"] == statement_of(second)["subject"]
    assert faults(verify(model, first, key.public_key())) == {"weights.bin": "renamed"}


def test_an_empty_model_is_refused(tmp_path: Path, key: PrivateKey) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match="the model is empty"):
        sign(tmp_path, key)
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="the model is empty"):
        sign(tmp_path, key, scope=Scope(ignore=("x",)))
    with pytest.raises(InputError, match=r"is empty, and shards cannot cover an empty file"):
        sign(tmp_path, key, scope=Scope(shard_size=10))
    statement = statement_of(sign(tmp_path, key))
    statement["predicate"]["resources"] = []
    statement["subject"][0]["digest"]["sha256"] = root_of([])
    refusal = verify(tmp_path, forge(statement, key), key.public_key()).refusal
    assert refusal == "the signed statement: the model is empty: no file is covered"


def test_what_cannot_be_signed(model: Path, key: PrivateKey) -> None:
    link(model / "l", "weights.bin")
    with pytest.raises(InputError, match=r"l is a symbolic link: replace it by a plain file, or ignore it"):
        sign(model, key)
    assert verify(model, sign(model, key, scope=Scope(ignore=("l",))), key.public_key()).mismatches
    (model / "l").unlink()
    (model / "a\\b").touch()
    with pytest.raises(InputError, match="is a path of its own on some systems"):
        sign(model, key)
    (model / "a\\b").rename(model / "WEIGHTS.bin")
    with pytest.raises(InputError, match=r"'WEIGHTS.bin' and 'weights.bin' are one file on some systems"):
        sign(model, key)
    (model / "WEIGHTS.bin").unlink()
    not_utf8(model)
    with pytest.raises(InputError, match="is not UTF-8"):
        sign(model, key)
    with pytest.raises(InputError, match="there is nothing to ignore"):
        sign(model / "weights.bin", key, scope=Scope(ignore=("x",)))
    with pytest.raises(InputError, match="is the model itself"):
        sign(model / "weights.bin", key, signature=model / "sub/.." / "weights.bin")
    with pytest.raises(InputError, match="expected shards of a byte at least, got 0"):
        Scope(shard_size=0)
    with pytest.raises(InputError, match="cannot read"):
        sign(model / "nothing", key)
    with pytest.raises(InputError, match="there is no "):
        verify(model / "nothing", sign(model / "weights.bin", key), key.public_key())


def test_a_wrong_key_and_a_wrong_signature(model: Path, key: PrivateKey, other_key: PrivateKey) -> None:
    bundle = sign(model, key)
    refusal = verify(model, bundle, other_key.public_key()).refusal
    assert refusal is not None
    assert refusal.startswith("the signature is not by key ")
    assert f"; it says to be by the key {bundle.hint}" in refusal
    bent = Bundle(bundle.payload, sign(model / "config.json", key).signature, bundle.hint)
    assert verify(model, bent, key.public_key()).refusal == f"the signature is not by key {bundle.hint}"
    for signature in (b"\0", b"0\x06\x02\x01\x00\x02\x01\x00", bundle.signature + b"\0"):
        assert verify(model, Bundle(bundle.payload, signature, bundle.hint), key.public_key()).refusal
    assert verify(model, bundle, new_key("P-384").public_key()).refusal


def test_a_hint_is_only_a_hint(model: Path, key: PrivateKey) -> None:
    bundle = sign(model, key)
    for hint in (None, "", "something else"):
        assert verify(model, Bundle(bundle.payload, bundle.signature, hint), key.public_key()).ok


def test_the_payload_type_is_signed(model: Path, key: PrivateKey) -> None:
    bundle = forge(statement_of(sign(model, key)), key, payload_type="application/json")
    assert verify(model, bundle, key.public_key()).refusal


def test_a_manifest_without_looking_at_a_model(model: Path, key: PrivateKey) -> None:
    signer, manifest = authenticate(sign(model, key), key.public_key())
    assert signer.startswith("key ")
    assert manifest == survey(model)
    assert manifest.resources[0] == Resource("config.json", hashlib.sha256(FILES["config.json"]).hexdigest())
