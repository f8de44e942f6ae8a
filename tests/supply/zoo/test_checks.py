"""What each question answers."""

from __future__ import annotations

import pytest

from badnets.supply.zoo import CHECKS, Entry
from badnets.supply.zoo.formats import format_of

COMMIT = "5fa3" * 10
SHA256, SHA1, MD5 = "a1" * 32, "b2" * 20, "c3" * 16

CASES: list[tuple[str, dict[str, str], str, str]] = [
    ("transport", {}, "unknown", "-"),
    ("transport", {"url": "https://a.org/x"}, "good", "https"),
    ("transport", {"url": "http://a.org/x"}, "bad", "http"),
    ("transport", {"url": "HTTP://a.org/x"}, "bad", "http"),
    ("transport", {"url": "ftp://a.org/x"}, "bad", "ftp"),
    ("transport", {"url": "http://127.0.0.1:80/x"}, "good", "loopback"),
    ("transport", {"url": "http://[::1]/x"}, "good", "loopback"),
    ("transport", {"url": "http://127.0.0.1.a.org/x"}, "bad", "http"),
    ("transport", {"url": "http://localhost@a.org/x"}, "bad", "http"),
    ("transport", {"url": "a.org/x"}, "bad", "broken"),
    ("transport", {"url": "https://a.org:port/x"}, "bad", "broken"),
    ("transport", {"url": "https://[a/x"}, "bad", "broken"),
    ("digest", {}, "bad", "none"),
    ("digest", {"md5": MD5}, "weak", "MD5"),
    ("digest", {"sha1": SHA1}, "weak", "SHA1"),
    ("digest", {"sha1": SHA1.upper(), "md5": MD5}, "weak", "SHA1"),
    ("digest", {"sha256": SHA256}, "good", "SHA256"),
    ("digest", {"sha256": SHA256, "sha1": SHA1}, "good", "SHA256"),
    ("digest", {"sha512": SHA256 * 2}, "good", "SHA512"),
    ("digest", {"sha1": SHA1[:-1]}, "bad", "broken SHA1"),
    ("digest", {"sha1": "x" * 40}, "bad", "broken SHA1"),
    ("digest", {"sha256": SHA256, "md5": "?"}, "bad", "broken MD5"),
    ("digest elsewhere", {"url": "https://a.org/x", "digest_url": "https://b.org"}, "bad", "none"),
    ("digest elsewhere", {"sha1": SHA1, "url": "https://a.org/x"}, "unknown", "-"),
    ("digest elsewhere", {"sha1": SHA1, "digest_url": "https://b.org/"}, "unknown", "-"),
    ("digest elsewhere", {"sha1": SHA1, "url": "https://a.org/x", "digest_url": "https://b.org/"}, "good", "other"),
    ("digest elsewhere", {"sha1": SHA1, "url": "https://dl.a.org/x", "digest_url": "https://www.a.org"}, "bad", "same"),
    ("digest elsewhere", {"sha1": SHA1, "url": "https://a.co.uk/x", "digest_url": "https://b.co.uk"}, "good", "other"),
    ("digest elsewhere", {"md5": MD5, "url": "https://10.0.0.1/x", "digest_url": "https://11.0.0.1"}, "good", "other"),
    ("signature", {}, "bad", "none"),
    ("signature", {"signature": "x.sig"}, "good", "stated"),
    ("freshness", {}, "bad", "none"),
    ("freshness", {"updated": "2015-01-01"}, "weak", "dated"),
    ("freshness", {"updated": "2015-01-01", "expires": "2027-01-01"}, "good", "expires"),
    ("reference", {}, "unknown", "-"),
    ("reference", {"url": "https://a.org/x"}, "weak", "address"),
    ("reference", {"revision": "main"}, "bad", "branch"),
    ("reference", {"revision": "v1.0"}, "bad", "branch"),
    ("reference", {"revision": COMMIT}, "good", "commit"),
    ("reference", {"revision": COMMIT[:10]}, "bad", "branch"),
    ("reference", {"url": "https://huggingface.co/a/b/resolve/main/x.bin"}, "bad", "branch"),
    ("reference", {"url": f"https://huggingface.co/a/b/resolve/{COMMIT}/x.bin"}, "good", "commit"),
    ("reference", {"url": "https://github.com/a/b/raw/master/d/x"}, "bad", "branch"),
    ("reference", {"url": "https://raw.githubusercontent.com/a/b/master/x"}, "bad", "branch"),
    ("reference", {"url": f"https://raw.githubusercontent.com/a/b/{COMMIT}/x"}, "good", "commit"),
    ("reference", {"url": f"https://gist.githubusercontent.com/a/b/raw/{COMMIT}/x"}, "good", "commit"),
    ("reference", {"url": "https://gist.githubusercontent.com/a/b/raw/x"}, "weak", "address"),
    ("executable", {}, "unknown", "-"),
    ("executable", {"file": "x.caffemodel"}, "good", "data"),
    ("executable", {"file": "X.SafeTensors"}, "good", "data"),
    ("executable", {"file": "x.safetensors.pkl"}, "bad", "code"),
    ("executable", {"file": "pytorch_model.bin"}, "bad", "code"),
    ("executable", {"file": "x.tar.gz"}, "weak", "archive"),
    ("executable", {"file": "README"}, "unknown", "-"),
    ("executable", {"url": "https://a.org/d/x%2Ept?raw=1"}, "bad", "code"),
    ("executable", {"url": "https://a.org/d/"}, "unknown", "-"),
    ("licence", {}, "bad", "none"),
    ("licence", {"licence": "unrestricted"}, "good", "stated"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "given", "grade", "short"), CASES)
def test_each_question(check: str, given: dict[str, str], grade: str, short: str) -> None:
    answer = CHECKS[check](Entry("m", "here", **given))
    assert (answer.grade, answer.short) == (grade, short)
    assert answer.why


def test_every_question_is_tested_and_has_words() -> None:
    assert {check for check, *_ in CASES} == set(CHECKS)
    assert all((check.__doc__ or "").startswith("Whether ") for check in CHECKS.values())


def test_what_a_loader_would_take() -> None:
    assert [name for name in ("a/b.pt", "c.json", "README.md", "model.py", "x.zip") if format_of(name).loads] == [
        "a/b.pt", "model.py", "x.zip",
    ]  # fmt: skip
