"""Why a hub, or what a server says in its name, is refused: one exception, and a word for each kind of attack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from tuf.api import exceptions
from tuf.api.serialization import DeserializationError

from badnets.errors import BadnetsError


class Fault(StrEnum):
    """What was stopped."""

    ALTERED = "altered"
    UNSIGNED = "unsigned"
    ROLLBACK = "rollback"
    EXPIRED = "expired"
    ENDLESS = "endless"
    MALFORMED = "malformed"
    DUPLICATE_KEYS = "duplicate keys"
    REVOKED = "revoked"
    VERDICT = "verdict"
    REDIRECTED = "redirected"
    SLOW = "slow"
    CLOCK = "clock"
    UNLISTED = "unlisted"
    UNREACHABLE = "unreachable"


# What a broken line, a wrong clock or a wrong name looks like too: nobody is accused, and nothing was judged.
_INNOCENT = (Fault.SLOW, Fault.CLOCK, Fault.UNLISTED, Fault.UNREACHABLE)


class Refused(BadnetsError):  # noqa: N818 - a verdict, not a failure of ours
    """Nothing was accepted; `fault` is the kind, the message says what was expected and what came."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(f"{fault}: {message}")
        self.fault = fault

    @property
    def judged(self) -> bool:
        """Whether something was wrong with what came; otherwise it could not be looked at."""
        return self.fault not in _INNOCENT


# The first that fits counts, so children stand before their parents.
_KINDS: tuple[tuple[type[Exception], Fault], ...] = (
    (exceptions.UnsignedMetadataError, Fault.UNSIGNED),
    (exceptions.ExpiredMetadataError, Fault.EXPIRED),
    (exceptions.BadVersionNumberError, Fault.ROLLBACK),
    (exceptions.LengthOrHashMismatchError, Fault.ALTERED),
    (DeserializationError, Fault.MALFORMED),
    (exceptions.RepositoryError, Fault.MALFORMED),
    (exceptions.DownloadLengthMismatchError, Fault.ENDLESS),
    (exceptions.SlowRetrievalError, Fault.SLOW),
    (exceptions.DownloadError, Fault.UNREACHABLE),
)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what python-tuf raises about `what` into `Refused`."""
    try:
        yield
    except Refused:
        raise
    except (exceptions.RepositoryError, exceptions.DownloadError) as error:
        fault = getattr(error, "fault", None) or next(fault for kind, fault in _KINDS if isinstance(error, kind))
        raise Refused(fault, f"{what}: {' '.join(str(error).split())[:300] or type(error).__name__}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # metadata of a shape that no rule foresaw
        raise Refused(Fault.MALFORMED, f"{what}: {' '.join(str(error).split())[:300]}") from error
