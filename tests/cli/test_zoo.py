"""`badnets zoo-audit`: exit codes, what programs and people read, and the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.supply.zoo.model_zoo import MISMATCHED, serving, write_zoo

from badnets.cli import zoo as commands
from badnets.supply.zoo import CHECKS

main = import_module("badnets.cli.main")  # the package's own `main` is the function
SHA256 = "ab" * 32


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
    app.command("zoo-audit")(commands.zoo_audit)
    app.command("other")(lambda: None)  # with one command only, typer would not want its name
    monkeypatch.setattr(main, "app", app)
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["badnets", "zoo-audit", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main.main()
        captured = capsys.readouterr()
        assert isinstance(done.value.code, int)
        return Done(done.value.code, captured.out, captured.err)

    return run


def test_the_paper_s_figures_and_the_page(call: Call, tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    with serving(files) as (base, asked):
        files |= write_zoo(tmp_path / "zoo", base)
        before = call("zoo", "--json")
        assert asked == []
        after = call("zoo", "--fetch", "--json", "--html", "page.html")
        words = call("zoo", "--fetch")
    assert (before.code, after.code) == (1, 1)
    assert before.json["models"] == 39
    assert before.json["fetched"] is False
    assert after.json["totals"]["digest"] == {"none": 22, "SHA1": 17}
    assert after.json["totals"]["download"] == {"no digest": 22, "same": 16, "different": 1}
    (wrong,) = [one for one in after.json["entries"] if one["download"]["match"] == "different"]
    assert wrong["entry"]["name"] == MISMATCHED
    assert wrong["weak"] is True
    assert f"{MISMATCHED}: different: SHA1 is " in words.err
    assert words.err.endswith("39 of 39 model(s) could be swapped without notice\n")
    page = (tmp_path / "page.html").read_text()
    assert "39 of 39" in page
    assert "22 &times; none" in page
    assert "1 &times; different" in page
    check_page(page)


class Elements(HTMLParser):
    """Every element with its attributes, and whether each end fits its beginning."""

    void = frozenset({"meta", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(page: str) -> None:
    """Whole, without scripts, and with nothing from elsewhere."""
    found = Elements()
    found.feed(page)
    assert found.open == []
    assert not {"script", "link", "img", "iframe", "a", "object"} & {tag for tag, _ in found.seen}
    assert not {"src", "href", "onclick", "style"} & {name for _, attributes in found.seen for name in attributes}
    assert not re.search(r"url\(|@import", page)
    assert "prefers-color-scheme: dark" in page
    assert all(check in page for check in CHECKS)


def test_what_a_list_says_cannot_become_markup_or_steer_a_terminal(call: Call, tmp_path: Path) -> None:
    evil = "[red]<script>alert(1)</script>\"'&{{7*7}}\x1b[2J"
    items = [{"name": evil, "url": f"https://a.org/{evil}", "licence": evil, "signature": evil, "sha1": evil}, evil]
    (tmp_path / "z.json").write_text(json.dumps(items))
    done = call("z.json", "--html", "p.html")
    page = (tmp_path / "p.html").read_text()
    check_page(page)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page
    assert "\x1b" not in done.out + done.err
    assert "[red]" in re.sub(r"\s|│", "", done.out)


def test_a_good_list_is_0_and_a_part_unread_is_2(call: Call, tmp_path: Path) -> None:
    good = {"name": "A", "url": "https://a.org/a.safetensors", "sha256": SHA256}
    (tmp_path / "z.json").write_text(json.dumps([good]))
    done = call("z.json")
    assert (done.code, done.err) == (0, "0 of 1 model(s) could be swapped without notice\n")
    (tmp_path / "z.json").write_text(json.dumps([good, {"name": "B", "weight": "x"}]))
    done = call("z.json")
    assert done.code == 2
    assert "not read: item 2: unknown field 'weight'" in done.err
    assert call("z.json", "--json").json["skipped"][0].startswith("item 2: unknown field 'weight'")
    (tmp_path / "z.json").write_text(json.dumps([good | {"url": "http://127.0.0.1:9/x"}]))
    done = call("z.json", "--fetch")
    assert done.code == 2
    assert "A: failed: " in done.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("nothing",), "there is no nothing"),
        (("z.txt",), "z.txt: expected a folder of readmes, or a list that ends in .md, .csv or .json"),
        ((".",), "there is no readme (.md) in this folder"),
    ],
)
def test_what_cannot_be_judged_is_one_line_and_2(call: Call, tmp_path: Path, words: tuple[str, ...], line: str) -> None:
    (tmp_path / "z.txt").touch()
    done = call(*words)
    assert done.code == 2
    assert line in done.err
    assert done.err.count("\n") == 1


def test_bounds_are_heeded(call: Call, tmp_path: Path) -> None:
    with serving({"/x": bytes(100)}) as (base, _):
        (tmp_path / "z.json").write_text(json.dumps({"name": "A", "url": f"{base}/x", "sha256": SHA256}))
        assert "A: failed: 100 bytes, 99 are allowed" in call("z.json", "--fetch", "--max-bytes", "99").err
        assert "A: different: " in call("z.json", "--fetch", "--max-bytes", "100").err


def test_without_the_lab_the_page_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "z.json").write_text(json.dumps({"name": "A"}))
    code = (
        "import sys; sys.modules['jinja2'] = None; sys.modules['torch'] = None\n"
        "import typer\n"
        "from importlib import import_module\n"
        "main = import_module('badnets.cli.main')\n"
        "from badnets.cli import zoo\n"
        "main.app = typer.Typer(); main.app.command('zoo-audit')(zoo.zoo_audit); main.app.command('x')(lambda: None)\n"
        "sys.argv = ['badnets', 'zoo-audit', 'z.json', *sys.argv[1:]]\n"
        "main.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--html", "p.html"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.fullmatch(r"badnets: this command needs \w+: pip install 'badnets\[lab\]'\n", done.stderr)
    light = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert light.returncode == 1
    assert light.stderr == "1 of 1 model(s) could be swapped without notice\n"


def test_the_command_is_there_before_its_work() -> None:
    code = "import sys, badnets.cli.zoo; sys.exit('badnets.supply' in sys.modules or 'jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
