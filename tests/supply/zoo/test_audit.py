"""The paper's figures on a made-up zoo, and downloads from a host that this test starts."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.supply.zoo.model_zoo import (
    MISMATCHED,
    MODELS,
    WITHOUT_SHA1,
    drip,
    endless,
    redirect,
    serving,
    short,
    write_zoo,
)

from badnets.supply.zoo import Bounds, Entry, Listing, Match, audit, fetch, read_zoo

BOUNDS = Bounds(2**20, 30.0)


def test_the_paper_s_figures(tmp_path: Path) -> None:
    """39 models, 22 gists without SHA-1, one that does not fit: the rest of the zoo is made up."""
    files: dict[str, bytes] = {}
    with serving(files) as (base, asked):
        files |= write_zoo(tmp_path, base)
        found = audit(read_zoo(tmp_path))
        assert asked == []  # nothing is downloaded unasked
        assert len(found.findings) == MODELS == 39
        assert found.totals["digest"] == {"none": 22, "SHA1": 17}
        assert WITHOUT_SHA1 == 22
        assert found.weak == 39
        assert "download" not in found.totals
        found = audit(read_zoo(tmp_path), bounds=BOUNDS)
    assert sorted(asked) == sorted(files)
    assert found.totals["download"] == {"no digest": 22, "same": 16, "different": 1}
    (wrong,) = [one for one in found.findings if one.download and one.download.match == Match.DIFFERENT]
    assert wrong.entry.name == MISMATCHED
    assert wrong.weak
    assert found.unread == 0


def entry(base: str, path: str = "/x", **given: str) -> Entry:
    return Entry("m", "here", url=base + path, **given)


def test_the_strongest_digest_counts() -> None:
    content = b"content"
    sha256, md5 = hashlib.sha256(content).hexdigest(), hashlib.md5(content, usedforsecurity=False).hexdigest()
    with serving({"/x": content}) as (base, _):
        good = fetch(entry(base, sha256=sha256.upper(), md5="0" * 32), BOUNDS)
        assert (good.match, good.size, good.sha256) == ("same", 7, sha256)
        assert fetch(entry(base, md5=md5), BOUNDS).match == "same"
        bad = fetch(entry(base, sha256="0" * 64, md5=md5), BOUNDS)
        assert bad.match == "different"
        assert bad.detail == f"SHA256 is {sha256[:16]}..., listed {'0' * 16}... (7 bytes)"
        assert fetch(entry(base, sha1="not one"), BOUNDS).match == "no digest"


def test_a_redirect_is_followed_on_the_same_host_only() -> None:
    with serving({"/y": b"y"}) as (other, asked_other):
        answers = {"/x": redirect("/y"), "/ring": redirect("/ring"), "/out": redirect(f"{other}/y"),
                   "/file": redirect("file:///etc/passwd"), "/meta": redirect("http://169.254.169.254/"),
                   "/none": redirect("")}  # fmt: skip
        with serving({"/y": b"y"}, answers) as (base, asked):
            assert fetch(entry(base, "/x"), BOUNDS).match == "no digest"
            assert asked == ["/x", "/y"]
            details = {path: fetch(entry(base, path), BOUNDS) for path in answers if path != "/x"}
    assert asked_other == []
    assert {one.match for one in details.values()} == {Match.FAILED}
    assert details["/ring"].detail == "more than 5 redirects"
    assert details["/out"].detail.startswith("sent on to another host, 127.0.0.1, which the list does not name")
    assert details["/file"].detail == "no address is given"
    assert details["/meta"].detail == "not fetched over http: expected https"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "no address is given"),
        ("x", "no address is given"),
        ("http://a.org/x", "not fetched over http: expected https"),
        ("ftp://127.0.0.1/x", "not fetched over ftp: expected https"),
        ("file:///etc/passwd", "no address is given"),
        ("http://localhost.a.org/x", "not fetched over http: expected https"),
    ],
)
def test_addresses_that_are_not_fetched(url: str | None, words: str) -> None:
    assert fetch(Entry("m", "here", url=url), BOUNDS).detail == words


def test_bounds_of_size_and_time() -> None:
    answers = {"/drip": drip(20), "/head": drip(20, head=True), "/endless": endless, "/short": short}
    with serving({"/x": bytes(1001)}, answers) as (base, _):
        assert fetch(entry(base), Bounds(1001, 30.0)).match == "no digest"
        assert fetch(entry(base), Bounds(1000, 30.0)).detail == "1,001 bytes, 1,000 are allowed"
        assert fetch(entry(base, "/endless"), Bounds(10**6, 30.0)).detail == "more than 1,000,000 bytes"
        assert fetch(entry(base, "/short"), BOUNDS).detail == "cut short: 9 of 1,000 bytes came"
        assert fetch(entry(base, "/nothing"), BOUNDS).detail == "the server answers 404 Not Found"
        for path in ("/drip", "/head"):
            begun = time.monotonic()
            slow = fetch(entry(base, path), Bounds(10**6, 0.4))
            assert (slow.match, slow.detail) == ("failed", "no end in the time that is allowed")
            assert time.monotonic() - begun < 10  # it would have gone on for twice as long


def test_a_host_that_is_not_there() -> None:
    with serving({}) as (base, _):
        pass
    gone = fetch(entry(base), BOUNDS)
    assert gone.match == "failed"
    assert "refused" in gone.detail.lower()


def test_an_address_cannot_smuggle_a_second_request() -> None:
    with serving({"/a%20b": b"x"}) as (base, asked):
        assert fetch(entry(base, "/a b"), BOUNDS).match == "no digest"
        fetch(entry(base, "/x HTTP/1.1\r\nHost: b\r\n\r\nGET /y"), BOUNDS)
    assert asked[0] == "/a%20b"
    assert len(asked) == 2
    assert "/y" not in asked


def test_failures_are_counted_as_unread() -> None:
    with serving({}) as (base, _):
        found = audit(Listing("made up", (entry(base),)), bounds=BOUNDS)
    assert (found.unread, found.totals["download"]) == (1, {"failed": 1})
