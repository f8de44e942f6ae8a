"""The benchmark of scanners judges a few files without rivals; what it would count of a rival is checked on answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.scan_files import Sample
from benchmarks.scan_tools import RIVALS, Answer, Call, Tool

from benchmarks import scan, scan_files, scan_tools

PICKLESCAN, MODELSCAN = RIVALS[0], next(tool for tool in RIVALS if tool.name == "modelscan")


def said(code: int | None, output: str = "", *, raised: bool = False) -> dict[str, object]:
    return {"code": code, "output": output, "raised": raised, "seconds": 0.25, "processor": 0.125}


@pytest.mark.parametrize(
    ("tool", "call", "answer"),
    [
        (PICKLESCAN, said(0, "Scanned files: 1\n"), Answer.PASSED),
        (PICKLESCAN, said(0, "Scanned files: 0\n"), Answer.NOTHING),
        (PICKLESCAN, said(1, "Scanned files: 1\n"), Answer.REFUSED),
        (PICKLESCAN, said(2, "Scanned files: 0\n"), Answer.ERROR),
        (PICKLESCAN, said(1, raised=True), Answer.ERROR),
        (PICKLESCAN, said(None), Answer.LATE),
        (MODELSCAN, said(3), Answer.NOTHING),
        (MODELSCAN, said(0, "Scanned files: 0\n"), Answer.PASSED),
        (MODELSCAN, said(-9), Answer.ERROR),
    ],
)
def test_what_an_exit_code_means(tool: Tool, call: dict[str, object], answer: Answer) -> None:
    assert scan_tools.answer_of(tool, call) is answer


def test_counts_and_families() -> None:
    judged = [Sample("weights", "a", dict), Sample("weights", "a", dict), Sample("formats", "b", dict)]
    judged.append(Sample("benign", "c", dict))
    answers = (Answer.PASSED, Answer.REFUSED, Answer.NOTHING, Answer.REFUSED)
    calls = [Call(answer, second, second / 2) for second, answer in enumerate(answers, 1)]
    found = scan.row(("x", "1"), judged, calls, [0.5, 0.25, 3.0])
    assert {name: count for name, count in found.hostile.items() if count} == {
        "passed": 1, "refused": 1, "nothing scanned": 1,
    }  # fmt: skip
    assert {name: count for name, count in found.benign.items() if count} == {"refused": 1}
    assert found.families == {"weights: a": "1 of 2", "formats: b": "1 of 1"}
    assert (found.milliseconds, found.processor, found.call) == ((2500.0, 4000.0), (1250.0, 2000.0), 500.0)


def test_a_sample_is_even_and_a_third_of_it_harmless() -> None:
    whole = [Sample("weights", str(number), dict) for number in range(90)]
    whole += [Sample("benign", str(number), dict) for number in range(30)]
    part = scan_files.even(whole, 9)
    assert [sample.family for sample in part] == ["0", "15", "30", "45", "60", "75", "0", "10", "20"]
    assert scan_files.even(whole, 0) == scan_files.even(whole, 500) == whole


def test_a_few_files_without_rivals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["scan.py", "--json", "--sample", "6", "--rounds", "1"])
    scan.main()
    printed = json.loads(capsys.readouterr().out)
    rows = {found["name"]: found for found in printed["rows"]}
    assert set(rows) == {scan.IN_PROCESS, "badnets scan"}
    for found in rows.values():
        assert (found["hostile"]["refused"], found["benign"]["passed"]) == (4, 2)
        assert set(found["families"].values()) == {"0 of 1"}
    assert "6 files, 4 of them hostile" in printed["notes"]
    assert sum("is not installed" in note for note in printed["notes"]) == len(RIVALS)


def test_the_driver_kills_what_takes_too_long_and_survives_what_dies(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "import os, sys, time\n"
        "def run():\n"
        "    print('told', sys.argv[-1])\n"
        "    {'sleep': lambda: time.sleep(60), 'die': lambda: os._exit(5), 'raise': lambda: 1 / 0,\n"
        "     'exit': lambda: sys.exit(3), 'fine': lambda: None}[sys.argv[-1]]()\n"
    )
    plan = {"entry": "odd:run", "argv": ["x"], "files": ["fine", "sleep", "die", "raise", "exit"], "warm": "fine"}
    done = scan_tools.drive(Path(sys.executable), plan | {"limit": 1.0, "kept": 1000}, tmp_path, {
        "PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"})  # fmt: skip
    assert [line["file"] for line in done] == plan["files"]
    assert [line["code"] for line in done] == [0, None, -1, 1, 3]
    assert [line["raised"] for line in done] == [False, False, True, True, False]
    assert done[0]["output"] == "told fine\n"
    assert "ZeroDivisionError" in done[3]["output"]
