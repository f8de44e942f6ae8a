"""The catalogue of hostile files in formats other than torch's, safetensors and pickle: more than a hundred cases.

A benchmark imports `CASES`; `write` puts one case into a folder.
"""

from __future__ import annotations

from pathlib import Path

from tests.supply import hostile_archives, hostile_onnx, hostile_texts
from tests.supply.hostile_case import Case

CASES: list[Case] = [*hostile_archives.CASES, *hostile_onnx.CASES, *hostile_texts.CASES]


def write(case: Case, folder: Path) -> Path:
    """Write the files of `case`; what is to be scanned is the file itself, or the folder of several."""
    files = case.files()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder if len(files) > 1 or case.family == "folders" else folder / next(iter(files))
