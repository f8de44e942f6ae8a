"""What several rooms' tests share: real data, trees of pictures, a disk that is really full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

# A change is judged by the same examples every time; `make fuzz` looks for new ones.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

MakePictures = Callable[..., Path]


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; the test is skipped where there is none."""
    named = os.environ.get("BADNETS_DATA")
    if not named:
        pytest.skip("BADNETS_DATA is not set: no real data here")
    return Path(named).resolve()


@pytest.fixture
def make_pictures(tmp_path: Path) -> MakePictures:
    """Makes `<name>/<class>/<number>.png`: noise, `count` of them in each class, the same for the same arguments."""

    def make(
        name: str = "pictures",
        *,
        classes: tuple[str, ...] = ("cat", "dog"),
        count: int = 10,
        size: tuple[int, int] = (32, 32),
        mode: str = "RGB",
    ) -> Path:
        noise = np.random.default_rng(0)
        for label in classes:
            (tmp_path / name / label).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(tmp_path / name / label / f"{number:03d}.png")
        return tmp_path / name

    return make


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A real file system of its own in memory; the test is skipped where none may be mounted."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if mount is None or unmount is None:
        pytest.skip("no mount command: no disk of our own here")
    place.mkdir()
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True, check=False, text=True
    )
    if made.returncode:
        pytest.skip(f"no disk of our own here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run([unmount, "--lazy", str(place)], check=True)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk with not one byte left."""
    with mounted(tmp_path / "full", "size=64k") as place:
        with (place / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(b"\0" * 4096):
                pass
        yield place


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder where not even root may write."""
    with mounted(tmp_path / "locked", "ro,size=64k") as place:
        yield place
