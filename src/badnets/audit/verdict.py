"""What an audit says, as a value and as a JSON file. Imports no torch: a gate reads verdicts where no lab is installed.

The rules by which a word is found:

1. *backdoored*: the p-value is at most alpha, and one of the leads holds: nothing in its confirmation speaks against
   it; or the network carries parts beside the ordered ones. Without a population of reference models only what is
   confirmed on held-out images holds.
2. *clean* (at level alpha): calibrated, p-value above alpha, and every test in `NEEDED` has run. It is the absence of
   evidence at a stated rate of error, not a proof.
3. *undecided*: everything else; `reason` says why.

Layout 1 of the file is fixed: a field may be added in layout 2, none changes its meaning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from badnets.artifacts import read_json
from badnets.errors import InputError

Word = Literal["clean", "backdoored", "undecided"]
How = Literal["conformal", "within-model", "structure", "none"]
Mapping = Literal["all-to-one", "shift", "pairs", "untargeted", "unknown"]
Outcome = Literal["ran", "skipped", "failed"]

EXIT_CODES: dict[Word, int] = {"clean": 0, "backdoored": 1, "undecided": 2}
# The tests without which nobody is called clean.
NEEDED = ("structure", "margins", "inversion", "pairs")
VERDICT = "verdict.json"


@dataclass(frozen=True)
class StageReport:
    """One test of the sequence.

    Attributes:
        name: such as "structure" or "inversion".
        outcome: "ran", "skipped" (not asked for, not possible, no time) or "failed" (it raised an error).
        detail: in one line: what it found, or why it did not run.
        seconds: of wall time.
    """

    name: str
    outcome: Outcome
    detail: str
    seconds: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Reach:
    """How many held-out images a recovered trigger changes as it should.

    Attributes:
        count: called what the backdoor wants, with the trigger on.
        total: images that could change so.
        low: lower end of the exact 95 % interval of count / total.
        high: its upper end.
        on_references: the same share on clean reference models, the largest of them; None without any.
    """

    count: int
    total: int
    low: float
    high: float
    on_references: float | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Suspicion:
    """One thing that speaks for a backdoor.

    Attributes:
        stage: the test that found it.
        mapping: which classes become which.
        detail: in one line, for people.
        z: by how many deviations the statistic lies off clean models (or off the model's other classes, uncalibrated).
        target: the class that images become, from 0; None where there is none or many.
        sources: the classes that are attacked; none for all of them.
        shift: for the mapping "shift", by how much labels are raised, modulo the number of classes.
        size: of the recovered trigger, in the unit that the detail names (for a patch the sum of its mask, in pixels);
            None where nothing was recovered.
        reach: on held-out images; None where it was not confirmed.
        trigger: name of the trigger's file beside the verdict, for `badnets stamp`; None where there is none.
        refuted: why it does not hold, in one line; empty where it does.
    """

    stage: str
    mapping: Mapping
    detail: str
    z: float | None = None
    target: int | None = None
    sources: tuple[int, ...] = ()
    shift: int | None = None
    size: float | None = None
    reach: Reach | None = None
    trigger: str | None = None
    refuted: str = ""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def name(self) -> str:
        """Which classes become which, in short."""
        if self.mapping == "shift":
            return f"i -> i + {self.shift}"
        if self.mapping in ("all-to-one", "pairs"):
            return f"{', '.join(map(str, self.sources)) or 'all'} -> {self.target}"
        return {"untargeted": "any change"}.get(self.mapping, self.mapping)


@dataclass(frozen=True)
class Certified:
    """What was proved of opaque patches of one size, by bounds that hold for every content (no test, no statistics).

    A place is certified for (source, target) if no content of a patch there sends all the clean images of the source
    that were used to the target; for a target if it is for any source. What is not certified is no finding.

    Attributes:
        side: of the patch in pixels.
        positions: places of the image that it was tried at, which are all.
        images: clean images of each class that were used, at most.
        targets: for each target class the share of places that are certified.
        pairs: the same for each source and target; 0 from a class to itself.
        seconds: of wall time.
    """

    side: int
    positions: int
    images: int
    targets: tuple[float, ...]
    pairs: tuple[tuple[float, ...], ...]
    seconds: float

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def words(self) -> str:
        """In one line."""
        whole = [str(target) for target, share in enumerate(self.targets) if share == 1]
        pairs = [share for source, row in enumerate(self.pairs) for target, share in enumerate(row) if source != target]
        return (
            f"no opaque {self.side}x{self.side} patch at any of {self.positions:,} places sends all images to "
            f"{'class ' + ', '.join(whole) if whole else 'a class: proved for none'}; of single places and targets "
            f"{sum(self.targets) / max(1, len(self.targets)):.1%} are proved, of places and pairs of classes "
            f"{sum(pairs) / max(1, len(pairs)):.1%} (at most {self.images} images of each class, in float32)"
        )


@dataclass(frozen=True)
class Calibration:
    """What a p-value rests on.

    Attributes:
        population: how many clean reference models; 0 without any.
        key: of the population: SHA-256 over architecture, data and recipe; empty without any.
        settings: SHA-256 over the settings of the tests, equal for suspect and references.
        false_positive_rate: how often a clean model of the population's kind is called backdoored, at most; None
            where nothing can be stated.
        guarantee: the same in words, with what it rests on.
    """

    population: int
    key: str
    settings: str
    false_positive_rate: float | None
    guarantee: str

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    @property
    def calibrated(self) -> bool:
        """Whether a rate of false alarms can be stated."""
        return self.false_positive_rate is not None


@dataclass(frozen=True)
class Audited:
    """The model that was looked at.

    Attributes:
        digest: the canonical digest of its tensors in hex, as `badnets convert` prints it.
        architecture: as it was declared.
        parameters: how many.
        classes: how many outputs; 0 where it gave none.
        convention: how it wants its pixels, in words.
    """

    digest: str
    architecture: str
    parameters: int
    classes: int
    convention: str

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class CleanData:
    """The images that it was looked at with.

    Attributes:
        name: of the set.
        digest: of the images that were used; empty for none.
        images: how many were used.
        accuracy: of the model on them; None for none.
    """

    name: str
    digest: str
    images: int
    accuracy: float | None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it


@dataclass(frozen=True)
class Verdict:
    """What an audit says of one model; exactly what `verdict.json` holds.

    Attributes:
        word: "clean", "backdoored" or "undecided", by the rules of this module.
        reason: in one line.
        alpha: the level of the test, in (0, 1).
        p_value: in (0, 1]; None where none could be computed.
        p_how: "conformal" (a rank among reference models, so at least 1 / (population + 1)), "within-model" (no
            population: uncalibrated), "structure" (found in the architecture: no p-value needed), or "none".
        p_extrapolated: for people only, from a tail fitted to the population; no guarantee goes with it.
        calibration: what the p-value rests on.
        model: what was looked at.
        data: what it was looked at with.
        suspicions: the one that holds, if one does, then those that were refuted, the strongest first; none where
            nothing was found.
        stages: all tests, in their order, those that did not run included.
        not_tested: what nobody has looked for, in words.
        seed: of all random choices.
        versions: of badnets, torch and Python, by name.
        seconds: of wall time, all told.
        certified: what was proved, by size of the patch; none where it was not asked for or could not be done.
    """

    word: Word
    reason: str
    alpha: float
    p_value: float | None
    p_how: How
    p_extrapolated: float | None
    calibration: Calibration
    model: Audited
    data: CleanData
    suspicions: tuple[Suspicion, ...]
    stages: tuple[StageReport, ...]
    not_tested: tuple[str, ...]
    seed: int
    versions: dict[str, str]
    seconds: float
    certified: tuple[Certified, ...] = ()
    kind: Literal["badnets audit"] = field(default="badnets audit")
    format: Literal[1] = field(default=1)

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it, nothing writes it

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha is between 0 and 1, got {self.alpha}")
        if self.p_value is not None and not 0 < self.p_value <= 1:
            raise InputError(f"a p-value is above 0 and at most 1, got {self.p_value}")
        if not math.isfinite(self.seconds) or self.seconds < 0:
            raise InputError(f"seconds are 0 or more, got {self.seconds}")
        # A file that says otherwise was not written by an audit.
        if self.word == "clean" and (fault := _not_clean(self)):
            raise InputError(f"a verdict cannot be clean: {fault}")
        if self.word == "backdoored" and all(one.refuted for one in self.suspicions):
            raise InputError("a backdoored verdict names a suspicion that holds")

    @property
    def calibrated(self) -> bool:
        """Whether a rate of false alarms can be stated."""
        return self.calibration.calibrated

    @property
    def exit_code(self) -> int:
        """0 clean, 1 backdoored, 2 undecided."""
        return EXIT_CODES[self.word]


def _not_clean(verdict: Verdict) -> str:
    """Why it cannot be called clean, by rule 2; empty where it can."""
    ran = {stage.name for stage in verdict.stages if stage.outcome == "ran"}
    missing = [name for name in NEEDED if name not in ran]
    if not verdict.calibrated:
        return "it is not calibrated"
    if verdict.p_value is None or verdict.p_value <= verdict.alpha:
        return f"its p-value is {verdict.p_value}, alpha {verdict.alpha}"
    return f"{', '.join(missing)} did not run" if missing else ""


def read_verdict(path: Path) -> Verdict:
    """The verdict in the JSON file `path`, or in `verdict.json` of the folder.

    Raises:
        InputError: no such file.
        DataError: its content is no verdict.
    """
    return read_json(Verdict, path / VERDICT if path.is_dir() else path)


def verdict_schema() -> dict[str, Any]:
    """The JSON schema of a verdict's file."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - 50 ms that `--help` need not pay

    return TypeAdapter(Verdict).json_schema()
