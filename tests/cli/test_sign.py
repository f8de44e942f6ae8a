"""`badnets sign`, `verify` and `keys new`: exit codes, what programs read, what people read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.supply.signing.forgery import AUTHORITY, Wish, certify

from badnets.cli import sign as commands
from badnets.cli.output import people

main = import_module("badnets.cli.main")  # the package's own `main` is the function


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Call = Callable[..., Done]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    app = typer.Typer()
    app.command("sign")(commands.sign)
    app.command("verify")(commands.verify)
    app.add_typer(commands.keys, name="keys")
    monkeypatch.setattr(main, "app", app)
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["badnets", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main.main()
        captured = capsys.readouterr()
        assert isinstance(done.value.code, int)
        return Done(done.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "m/sub").mkdir(parents=True)
    (tmp_path / "m/a").write_text("content")
    (tmp_path / "m/sub/b").write_text("more")
    return tmp_path / "m"


@pytest.fixture
def keys(call: Call, tmp_path: Path) -> Path:
    done = call("keys", "new", "k", "--no-password")
    assert (done.code, done.out) == (0, "k.key\nk.pub\n")
    return tmp_path / "k"


@pytest.mark.usefixtures("keys")
def test_from_a_key_to_a_verdict(call: Call, model: Path) -> None:
    done = call("sign", "m", "--key", "k.key")
    assert (done.code, done.out) == (0, "m/model.sig\n")
    assert done.err == "m: 2 file(s) signed\n"
    done = call("verify", "m", "--key", "k.pub")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("as signed: 2 file(s), 11 bytes, m by key ")
    (model / "a").write_text("another")
    (model / "new").touch()
    done = call("verify", "m", "--key", "k.pub")
    assert done.code == 1
    assert done.err.startswith("refused: 2 difference(s) from what key ")
    assert [line.split("│")[1:3] for line in done.out.splitlines() if line.startswith("│")] == [
        [" a    ", " changed     "],
        [" new  ", " not covered "],
    ]


@pytest.mark.usefixtures("keys")
def test_what_programs_read(call: Call, model: Path) -> None:
    signed = call("sign", "m", "--key", "k.key", "--signature", "s.json", "--ignore", "sub/", "--json").json
    assert signed | {"root_digest": ""} == {
        "signature": "s.json", "name": "m", "root_digest": "", "files": ["a"], "ignored": ["sub"],
    }  # fmt: skip
    assert len(signed["root_digest"]) == 64
    done = call("verify", "m", "--key", "k.pub", "--signature", "s.json", "--json")
    assert done.code == 1
    assert done.err == ""
    (fault,) = done.json["mismatches"]
    assert (fault["name"], fault["fault"]) == ("sub/b", "not covered")
    done = call("verify", "m", "--key", "k.pub", "--signature", "s.json", "--ignore", "sub", "--json")
    assert done.code == 0
    assert done.json | {"signer": ""} == {
        "ok": True, "signature": "s.json", "signer": "", "name": "m", "refusal": None, "mismatches": [], "files": 1,
        "size": 7, "ignored": ["sub"], "empty": [],
    }  # fmt: skip
    (model / "sub/e").mkdir()
    err = call("verify", "m", "--key", "k.pub", "--signature", "s.json", "--ignore", "sub/b").err
    assert "not looked at, as you said: sub/b" in err
    assert "empty folders, which no signature covers: sub/e" in err


@pytest.mark.usefixtures("keys")
def test_a_single_file_and_shards(call: Call, model: Path) -> None:
    assert call("sign", "m/a", "--key", "k.key").out == "m/a.sig\n"
    assert call("verify", "m/a", "--key", "k.pub").code == 0
    (model / "a").rename(model / "a.pkl")
    refused = call("verify", "m/a.pkl", "--key", "k.pub", "--signature", "m/a.sig")
    assert refused.code == 1
    assert "renamed" in refused.out
    words = ("--key", "k.pub", "--signature", "m/a.sig", "--name", "a")
    assert call("verify", "m/a.pkl", *words).code == 0
    (model / "a.sig").unlink()
    assert call("sign", "m", "--key", "k.key", "--shard-size", "3").code == 0
    assert call("verify", "m", "--key", "k.pub").code == 0


def test_passwords(call: Call, model: Path, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret\nsecond line")
    assert call("keys", "new", "k", "--password-file", "pw", "--curve", "P-384").code == 0
    assert "ENCRYPTED" in (tmp_path / "k.key").read_text()
    assert call("sign", "m", "--key", "k.key", "--password-file", "pw").code == 0
    assert call("verify", model, "--key", "k.pub").code == 0
    refused = call("sign", "m", "--key", "k.key")
    assert (refused.code, refused.err) == (2, "badnets: k.key is encrypted: give its password with --password-file\n")
    (tmp_path / "pw").write_text("\n")
    assert call("sign", "m", "--key", "k.key", "--password-file", "pw").err == (
        "badnets: pw: its first line, the password, is empty\n"
    )


@pytest.mark.usefixtures("model")
def test_passwords_are_asked_for_on_a_terminal(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(question: str, **_: object) -> str:
        asked.append(question)
        return "secret"

    monkeypatch.setattr(people(), "_force_terminal", True)
    monkeypatch.setattr(typer, "prompt", answer)
    assert call("keys", "new", "k").code == 0
    assert call("sign", "m", "--key", "k.key").code == 0
    assert asked == ["Password", "Password of k.key"]


def test_certificates(call: Call, model: Path, tmp_path: Path) -> None:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    root = certify(Wish(**{**vars(AUTHORITY), "start": start, "end": end}))
    middle = certify(Wish(**{**vars(AUTHORITY), "name": "middle", "start": start, "end": end}), root)
    leaf = certify(Wish(start=start, end=end), middle)
    for name, holder in {"root": root, "middle": middle, "leaf": leaf}.items():
        (tmp_path / name).write_bytes(holder.pem)
    (tmp_path / "key").write_bytes(leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert call("sign", model, "--key", "key", "--cert", "leaf", "--chain", "middle").code == 0
    done = call("verify", model, "--root", "root")
    assert done.code == 1
    assert "refused: the certificate of CN=signer expired on 2021-01-01" in done.err
    done = call("verify", model, "--root", "root", "--at", "2020-06-01")
    assert done.code == 0
    assert "m by CN=signer" in done.err
    done = call("sign", model, "--key", "key", "--chain", "middle")
    assert (done.code, done.err) == (
        2, "badnets: --chain goes with --cert, the certificate that was issued for the key\n",
    )  # fmt: skip


@pytest.mark.usefixtures("model", "keys")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("verify", "m"), "give one of --key, the signer's public key, and --root, the certificate of an authority"),
        (("verify", "m", "--key", "k.pub", "--root", "k.pub"), "give one of --key, the signer's public key, and"),
        (("verify", "m", "--key", "k.key"), "k.key: expected a public key as PEM, got a private key"),
        (("verify", "m", "--key", "k.pub"), "cannot read m/model.sig: No such file or directory"),
        (("verify", "m", "--key", "nothing"), "cannot read nothing: No such file or directory"),
        (("verify", "m", "--root", "k.pub"), "k.pub: expected certificates as PEM"),
        (("verify", "m", "--key", "k.pub", "--at", "2026-01-01"), "--at goes with --root: a bare key has no time"),
        (("verify", "m", "--key", "k.pub", "--ignore", "../x"), "the name '../x' is not a plain path inside the model"),
        (("sign", "nothing", "--key", "k.key"), "there is no nothing"),
        (("sign", "m/a", "--key", "k.key", "--signature", "m/a"), "m/a is the model itself"),
        (("sign", "m/a", "--key", "k.key", "--signature", "m/sub/b"), "m/sub/b is there and is no signature"),
        (("sign", "m", "--key", "k.pub"), "k.pub: expected a private key as PEM, got a public key"),
        (("keys", "new", "k", "--no-password"), "k.key is there already: name another, a key is never overwritten"),
        (("keys", "new", "x", "--curve", "P-1", "--no-password"), "no curve is called 'P-1'"),
        (("keys", "new", "x"), "a password is needed: give --password-file, or --no-password"),
        (("keys", "new", "x", "--no-password", "--password-file", "k.key"), "--password-file and --no-password"),
    ],
)
def test_what_cannot_be_judged_is_one_line_and_2(call: Call, words: tuple[str, ...], line: str) -> None:
    done = call(*words)
    assert done.code == 2
    assert done.err.startswith(f"badnets: {line}")
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.usefixtures("keys")
def test_a_signature_that_is_none_is_refused(call: Call, model: Path) -> None:
    (model / "model.sig").write_text("{}")
    done = call("verify", "m", "--key", "k.pub")
    assert (done.code, done.err) == (1, "refused: the signature file has no 'mediaType'\n")
    assert call("verify", "m", "--key", "k.pub", "--json").json["refusal"] == "the signature file has no 'mediaType'"


@pytest.mark.usefixtures("keys")
def test_names_cannot_steer_the_terminal_and_long_lists_are_cut(call: Call, model: Path) -> None:
    assert call("sign", "m", "--key", "k.key").code == 0
    (model / "\x1b[2Jx").touch()
    for number in range(60):
        (model / f"n{number}").touch()
    done = call("verify", "m", "--key", "k.pub")
    assert "\x1b" not in done.out + done.err
    assert "\\x1b[2Jx" in done.out
    assert "and 11 more (--json names all)" in done.err
    assert len(call("verify", "m", "--key", "k.pub", "--json").json["mismatches"]) == 61


def test_the_commands_are_there_before_cryptography_is() -> None:
    code = (
        "import sys, badnets.cli.sign\n"
        "sys.exit(any(name in sys.modules for name in ('cryptography', 'pydantic', 'badnets.supply')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
