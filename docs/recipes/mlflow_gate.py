"""Decides about a version of a model in MLflow's registry, and writes the word into its tags.

    python mlflow_gate.py NAME VERSION gate.toml gate.key

Serving then asks for versions whose tag `gate` is `admit`, and loads with `badnets.load_admitted`, not from the
registry: a tag is a note for people, the signed verdict is what counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile


def decide(folder: str, policy: str, key: str) -> dict[str, object]:
    """What the gate says of the files in a folder."""
    command = ["badnets", "gate", folder, "--policy", policy, "--key", key, "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not done.stdout:  # undecided before it came to a decision, or wrong use
        sys.exit(done.stderr.strip())
    return dict(json.loads(done.stdout))


def main(name: str, version: str, policy: str, key: str) -> None:
    """Download, decide, tag."""
    import mlflow
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=folder)
        decision = decide(folder, policy, key)
    client = MlflowClient()
    client.set_model_version_tag(name, version, "gate", str(decision["word"]))
    client.set_model_version_tag(name, version, "gate_evidence", str(decision["evidence_folder"]))
    if decision["word"] != "admit":
        sys.exit(f"{name} {version}: {decision['word']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
