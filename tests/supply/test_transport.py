"""Downloads are bounded in time and stay where they were sent, whatever the server does."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from badnets.errors import InputError
from badnets.supply.transport import Forbidden, Pace, SentAway, TransportError, _next, checked, opened


@pytest.mark.parametrize("url", ["https://example.org/x", "http://127.0.0.1/x", "http://127.9.9.9:8/", "http://[::1]/"])
def test_addresses_that_are_asked(url: str) -> None:
    assert checked(url).geturl() == url


@pytest.mark.parametrize(
    "url",
    ["", "x", "http://example.org/", "http://10.0.0.1/", "http://127.0.0.1.example.org/", "ftp://127.0.0.1/",
     "file:///etc/passwd", "https://[::1", "https://host:99999/", "http://169.254.169.254/"],
)  # fmt: skip
def test_addresses_that_are_not(url: str) -> None:
    with pytest.raises(Forbidden):
        checked(url)


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("http://hub.example/x", Forbidden),  # from https to http
        ("https://other.example/x", SentAway),
        ("https://hub.example:444/x", SentAway),
        ("//other.example/x", SentAway),
        ("https://169.254.169.254/latest", SentAway),
        ("http://127.0.0.1/x", SentAway),
        ("file:///etc/passwd", Forbidden),
        ("https://hub.example.evil.example/", SentAway),
        ("https://hub.example@other.example/", SentAway),
    ],
)
def test_redirects_that_are_not_followed(location: str, kind: type[Forbidden]) -> None:
    here = urlsplit("https://hub.example/metadata/timestamp.json")
    with pytest.raises(kind):
        _next(here, here, location)


def test_a_redirect_on_the_same_host() -> None:
    here = urlsplit("https://hub.example/metadata/timestamp.json")
    assert _next(here, here, "/other").geturl() == "https://hub.example/other"
    assert _next(here, here, "other").geturl() == "https://hub.example/metadata/other"


@pytest.mark.parametrize("values", [{"seconds": 0.0}, {"window": 0.0}, {"floor": -1.0}])
def test_a_pace_that_is_none(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="a pace has"):
        Pace(**values)


def test_nobody_listens() -> None:
    with pytest.raises(TransportError, match="refused"), opened("http://127.0.0.1:1/", Pace(seconds=5.0)):
        pass
