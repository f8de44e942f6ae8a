"""The values that the abstract pickle machine computes with: descriptions, never the things themselves."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False, slots=True)
class Named:
    """Something importable, by its full name."""

    module: str
    name: str
    offset: int
    allowed: bool

    @property
    def full(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Items:
    """A list."""

    offset: int
    items: list[object] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Table:
    """A dict; `ordered` for an OrderedDict, `attributes` once BUILD gave it some."""

    offset: int
    ordered: bool = False
    entries: dict[str | int, object] = field(default_factory=dict)
    attributes: Table | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Stored:
    """A storage, as a persistent id describes it: `count` elements of `dtype`; dtype "" is bytes without a type."""

    key: str
    dtype: str
    count: int
    location: str
    offset: int


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """A tensor, as a call of torch's rebuild functions describes it."""

    storage: Stored
    dtype: str
    start: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    requires_grad: bool
    offset: int


@dataclass(frozen=True, eq=False, slots=True)
class Inert:
    """A value that is explained and of no use to us: a device, a size."""

    what: str


@dataclass(eq=False, slots=True)
class Instance:
    """An object of a class that the caller allowed, its arguments and its state."""

    named: Named
    parts: list[object]


@dataclass(frozen=True, eq=False, slots=True)
class Unknown:
    """What a refused opcode leaves on the stack; it is a finding already."""


UNKNOWN = Unknown()
