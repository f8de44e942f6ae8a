"""The notebooks run from top to bottom, in fewer epochs, and say what their text says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def run(name: str, epochs: int, place: Path) -> str:
    code = (NOTEBOOKS / name).read_text(encoding="utf-8")
    code, changed = re.subn(r"^EPOCHS = \d+$", f"EPOCHS = {epochs}", code, flags=re.MULTILINE)
    assert changed == 1
    script = place / name
    script.write_text(code, encoding="utf-8")
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_notebook_has_a_test_here() -> None:
    assert [path.name for path in sorted(NOTEBOOKS.iterdir()) if path.suffix] == ["photos.py"]


def test_photos(tmp_path: Path) -> None:
    said = run("photos.py", 5, tmp_path)
    assert "600 clean pictures, 30 stamped ones" in said
    honest, badnet = (float(re.findall(rf"{name}: .*attack success ([\d.]+)%", said)[0]) for name in ("twin", "BadNet"))
    assert badnet > 80
    assert honest < 40
