"""Brings a model of the Hugging Face Hub through the gate and loads its weights.

    python hugging_face.py ORG/NAME@COMMIT gate.toml gate.key

A commit has 40 hex digits; a branch or a tag is refused, as it can be moved to other files. Needs huggingface_hub. The
policy says which repositories may be asked, with the rule `huggingface`.
"""

from __future__ import annotations

import subprocess
import sys

from badnets import load_admitted


def main(address: str, policy: str, key: str) -> None:
    """Decide, then load what was admitted."""
    command = ["badnets", "gate", f"hf:{address}", "--policy", policy, "--key", key]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    weights = load_admitted(done.stdout.strip(), policy)
    sys.stdout.write(f"{len(weights)} tensors of {address}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
