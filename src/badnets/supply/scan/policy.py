"""What a pickle of weights may name: the closed list, and what a caller adds to it by name.

Source: torch 2.15, `torch/_weights_only_unpickler.py`; this list is a part of what that loader allows. Left out:
wrapper subclasses, sparse, quantised and meta tensors, parameters with attributes, sets, bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from badnets.errors import InputError

STORAGES = MappingProxyType(
    {
        "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
        "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
        "BoolStorage": "BOOL", "ComplexFloatStorage": "C64", "ComplexDoubleStorage": "C128",
    }
)  # fmt: skip
"""torch's typed storages, and the dtype of each."""

DTYPES = MappingProxyType(
    {
        "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
        "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
        "complex64": "C64", "complex128": "C128", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
        "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    }
)  # fmt: skip
"""torch's dtypes by name."""

UNTYPED = "torch.storage.UntypedStorage"

_CALLABLE = (
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
)

ALLOWED = frozenset(
    (*_CALLABLE, UNTYPED, *(f"torch.{name}" for name in STORAGES), *(f"torch.{name}" for name in DTYPES))
)
"""Full names that any pickle of weights may use."""

_NEVER = frozenset(
    {
        "__builtin__", "_codecs", "_io", "_posixsubprocess", "_winapi", "asyncio", "bdb", "builtins", "cProfile",
        "code", "codeop", "commands", "copyreg", "ctypes", "dill", "distutils", "ftplib", "functools", "http",
        "importlib", "inspect", "io", "joblib", "marshal", "multiprocessing", "nt", "numpy.testing", "operator", "os",
        "pathlib", "pdb", "pickle", "pip", "pkgutil", "posix", "profile", "pty", "pydoc", "runpy", "shutil", "signal",
        "site", "smtplib", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "timeit", "torch.hub",
        "torch.jit", "torch.package", "torch.utils", "trace", "types", "urllib", "webbrowser", "zipfile", "zipimport",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """What is allowed beyond the closed list.

    Attributes:
        classes: full names, such as "collections.Counter", that a full module or an optimiser's checkpoint may name;
            such a file is no longer weights only. Names of modules that run code are refused here, whoever asks.
        newest_protocol: 3 is the newest that torch's weights-only loader reads.
        bare: whether a pickle of plain containers on its own may pass.
        number_bits: width of the widest whole number.

    Raises:
        InputError: a name without a module, or one from a module that runs code.
    """

    classes: frozenset[str] = frozenset()
    newest_protocol: int = 3
    bare: bool = False
    number_bits: int = 64

    def __post_init__(self) -> None:
        for name in self.classes:
            parts = name.split(".")
            prefixes = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            if len(parts) < 2 or prefixes & _NEVER:
                raise InputError(f"{name!r} cannot be allowed: name classes in full, none of modules that run code")

    def allows(self, full_name: str) -> bool:
        """Whether a pickle may name it."""
        return full_name in ALLOWED or full_name in self.classes


WEIGHTS = Policy()
"""Weights and nothing else."""
