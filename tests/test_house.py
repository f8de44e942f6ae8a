"""The rules of the house that a machine can check (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import badnets

SOURCE = Path(__file__).parents[1] / "src" / "badnets"
FILES = sorted(SOURCE.rglob("*.py"))

# Ground floor first: a room may import rooms before it and nothing behind it.
FLOORS = (
    ("errors",),
    ("seeds", "artifacts"),
    ("data",),
    ("triggers",),
    ("poison",),
    ("models",),
    ("training",),
    ("metrics",),
    ("neurons",),
    ("defenses",),
    ("audit",),
    ("supply",),
    ("admitted", "testimony"),
    ("studies",),
    ("report",),
    ("web",),
    ("cli",),
)
HEIGHT = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
TORCH_FREE = ("errors", "artifacts", "supply", "cli")


def imported(tree: ast.Module) -> set[str]:
    """Every dotted name that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def room_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "badnets" and len(parts) > 1 and parts[1] in HEIGHT else None


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_down(file: Path) -> None:
    own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert own in HEIGHT, f"{own} is not a room of the house: give it a floor"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    upward = {name for name in imported(tree) if (room := room_of(name)) and HEIGHT[room] > HEIGHT[own]}
    assert not upward


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_files_are_short_and_quiet(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert "print" not in calls
    assert "torch.load" not in calls


@pytest.mark.parametrize("module", ["badnets", "badnets.artifacts", "badnets.errors", "badnets.seeds", "badnets.cli"])
def test_light_rooms_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_resolve() -> None:
    for name in badnets.__all__:
        assert getattr(badnets, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = badnets.nothing


def test_missing_lab_names_the_install_line() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import badnets\n"
        "from badnets.errors import MissingPart\n"
        "try: badnets.fit\n"
        "except MissingPart as error: assert \"pip install 'badnets[lab]'\" in str(error), error\n"
        "else: raise SystemExit('no error')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_command_without_the_lab_says_one_line() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['badnets', 'data', 'show', 'digits']\n"
        "from badnets.cli import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["badnets: this command needs torch: pip install 'badnets[lab]'"]
