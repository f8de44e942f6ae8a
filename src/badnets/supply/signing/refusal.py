"""Why a signature is refused."""

from __future__ import annotations

from badnets.errors import BadnetsError


class Refused(BadnetsError):  # noqa: N818 - a verdict, not a failure of ours
    """A signature that does not vouch for what it should; the message says why in one line."""
