"""What a file's name claims about its content. The content may be anything: `badnets scan` looks at that."""

from __future__ import annotations

from dataclasses import dataclass

DATA, CODE, ARCHIVE = "data", "code", "archive"


@dataclass(frozen=True)
class Format:
    """A format by the ending of a name.

    Attributes:
        name: for people.
        kind: `DATA` holds numbers only, `CODE` may run code when it is loaded, `ARCHIVE` may hold anything; None where
            the ending says nothing.
    """

    name: str
    kind: str | None

    @property
    def loads(self) -> bool:
        """Whether a loader would take the file for weights or code."""
        return self.kind is not None


UNKNOWN = Format("unknown", None)

_PICKLE = Format("Python pickle", CODE)
_TORCH = Format("PyTorch checkpoint, a pickle", CODE)
_KERAS = Format("Keras, whose layers may hold code", CODE)
_ARCHIVE = Format("archive", ARCHIVE)
_ENDINGS = {
    ".caffemodel": Format("Caffe protobuf", DATA),
    ".safetensors": Format("safetensors", DATA),
    ".onnx": Format("ONNX", DATA),
    ".gguf": Format("GGUF", DATA),
    ".params": Format("MXNet parameters", DATA),
    ".tflite": Format("TensorFlow Lite", DATA),
    ".npy": Format("NumPy, which may hold pickled objects", CODE),
    ".npz": Format("NumPy, which may hold pickled objects", CODE),
    ".pb": Format("TensorFlow graph, which may read and write files", CODE),
    ".pt": _TORCH, ".pth": _TORCH, ".bin": _TORCH, ".ckpt": _TORCH,
    ".pkl": _PICKLE, ".pickle": _PICKLE, ".joblib": _PICKLE, ".dill": _PICKLE,
    ".h5": _KERAS, ".hdf5": _KERAS, ".keras": _KERAS,
    ".t7": Format("Lua Torch, which may hold functions", CODE),
    ".mat": Format("MATLAB", DATA),
    ".mar": Format("TorchServe archive, which holds code", CODE),
    ".py": Format("Python source", CODE),
    ".sh": Format("shell script", CODE),
    ".so": Format("native library", CODE), ".dll": Format("native library", CODE),
    ".exe": Format("program", CODE),
    ".zip": _ARCHIVE, ".tar": _ARCHIVE, ".gz": _ARCHIVE, ".tgz": _ARCHIVE, ".bz2": _ARCHIVE, ".xz": _ARCHIVE,
    ".7z": _ARCHIVE, ".rar": _ARCHIVE, ".zst": _ARCHIVE,
}  # fmt: skip


def format_of(file: str) -> Format:
    """The format that the name of a file claims."""
    name = file.rpartition("/")[2].lower()
    return _ENDINGS.get(f".{name.rpartition('.')[2]}", UNKNOWN) if "." in name else UNKNOWN
