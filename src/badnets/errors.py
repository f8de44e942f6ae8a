"""Every error that this package raises on purpose, split by who can act on it.

    BadnetsError
    +-- InputError       a value that cannot be used: the caller gives another
    +-- DataError        a file is damaged, missing or not what its digest says: bring it anew
    +-- CheckpointError  weights or their card do not belong to this model or training
    +-- StorageError     a folder is not writable or the disk is full: make room, name another
    +-- MissingPart      an optional part of the package is not installed
    +-- PartlyFailed     some pieces of a large work have no result: the others are kept
    +-- Stopped          the user stopped a long run; the same call goes on with it

A message says what was expected, what was got, and what to do, in one line. The command line prints
it and exits with 2 ("could not judge"), for `Stopped` with 130.
"""


class BadnetsError(Exception):
    """Base of the tree."""


class InputError(BadnetsError):
    """A value that cannot be used."""


class DataError(BadnetsError):
    """A file is damaged, missing, or not what its digest says."""


class CheckpointError(BadnetsError):
    """Weights or their card do not belong to this model or training."""


class StorageError(BadnetsError):
    """Something could not be written or read for a reason of the disk or its permissions."""


class MissingPart(BadnetsError):  # noqa: N818 - says what is the matter without the suffix
    """An optional part of the package is not installed."""


class PartlyFailed(BadnetsError):  # noqa: N818 - says what is the matter without the suffix
    """Some pieces of a large work have no result; the others are kept."""


class Stopped(BadnetsError):  # noqa: N818 - not a failure: the user asked for it
    """A long run was stopped by its user and can go on."""
