"""What every module of this package holds as `KIND`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from badnets.report.rows import Row
from badnets.report.shown import Shown


@dataclass(frozen=True)
class Kind:
    """What is done with the result of one study.

    Attributes:
        result: its class.
        rows: of its table.
        show: all of it.
    """

    result: type[Any]
    rows: Callable[[Any], list[Row]]
    show: Callable[[Any], Shown]
