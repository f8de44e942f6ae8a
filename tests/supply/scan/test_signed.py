"""A model that was signed is scanned with its signature."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from badnets.cli.main import app
from badnets.supply.scan.findings import Verdict
from badnets.supply.scan.scan import scan


def test_our_own_signature_is_no_strange_file(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    for words in ("keys new author --no-password", "sign model --key author.key"):
        arguments = [
            str(tmp_path / word) if word in ("author", "model", "author.key") else word for word in words.split()
        ]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (model / "model.sig").is_file()
    assert {report.verdict for report in scan(model)} == {Verdict.CLEAN}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ('{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"', "json-malformed"),
        ('{"mediaType": "something else"}', "text-unknown"),
        ("signed, honestly", "text-unknown"),
    ],
)
def test_what_only_looks_like_a_signature_is_refused(tmp_path: Path, content: str, rule: str) -> None:
    (tmp_path / "model.sig").write_text(content)
    (report,) = scan(tmp_path / "model.sig")
    assert report.verdict is Verdict.REFUSED
    assert [finding.rule.id for finding in report.findings] == [rule]
