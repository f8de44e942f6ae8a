"""A small model, keys, an authority, and the reference implementation where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.supply.signing.forgery import AUTHORITY, FILES, Holder, certify

from badnets.supply.signing import new_key
from badnets.supply.signing.keys import PrivateKey


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Three files, one of them in a folder."""
    root = tmp_path / "model"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    """The signer's."""
    return new_key()


@pytest.fixture(scope="session")
def other_key() -> PrivateKey:
    """Somebody else's."""
    return new_key()


@pytest.fixture(scope="session")
def authority() -> Holder:
    """A root."""
    return certify(AUTHORITY)


Reference = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def reference() -> Reference:
    """Runs Python where model-signing is installed: here, or where `BADNETS_REFERENCE_PYTHON` says."""
    python = os.environ.get("BADNETS_REFERENCE_PYTHON")
    if python is None:
        if not (find_spec("model_signing") and find_spec("OpenSSL")):
            pytest.skip("model-signing and pyopenssl are not installed (group `interop`)")
        python = sys.executable

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([python, *map(str, words)], capture_output=True, text=True, check=False, timeout=60)

    return run
