"""Has weights in the gate's quarantine audited by `badnets audit`, in a child process: the gate itself has no torch."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from badnets.supply.gate.evidence import AuditEvidence

_CHILD = "from badnets.cli import main; main()"
# What is begun when the budget is spent is let come to its end.
_GRACE = 600.0


@dataclass(frozen=True)
class AuditOrder:
    """What the audit is run with.

    Attributes:
        data: clean images, as `badnets audit --data`.
        arch: the architecture, as `--arch`; None where the audit can find it.
        population: folder of reference models, as `--population`; None leaves the verdict uncalibrated.
        seconds: after which no further test begins.
    """

    data: str
    arch: str | None = None
    population: Path | None = None
    seconds: float = 3600.0

    def __call__(self, weights: Path) -> AuditEvidence:
        """Run it.

        Raises:
            DataError: it came to no verdict.
        """
        from badnets.artifacts import parse_json, read_bytes, sha256_bytes
        from badnets.audit.verdict import VERDICT, Verdict
        from badnets.errors import DataError
        from badnets.testimony import evidence_of

        with tempfile.TemporaryDirectory(prefix="badnets-") as folder:
            said = self._run(weights, Path(folder))
            file = Path(folder) / VERDICT
            if not file.exists():
                raise DataError(f"the audit came to no verdict: {said}")
            content = read_bytes(file)
        return evidence_of(parse_json(Verdict, content, VERDICT), sha256_bytes(content))

    def _run(self, weights: Path, out: Path) -> str:
        """The last line that the audit said to people."""
        words = ["audit", str(weights), "--data", self.data, "--out", str(out), "--budget", str(self.seconds)]
        words += ["--arch", self.arch] if self.arch else []
        words += ["--population", str(self.population)] if self.population else []
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and program, no shell
                [sys.executable, "-c", _CHILD, *words],
                check=False,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=self.seconds + _GRACE,
            )
        except subprocess.TimeoutExpired:
            return f"no end after {self.seconds + _GRACE:g} seconds"
        return done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:300]
