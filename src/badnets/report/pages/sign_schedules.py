"""What pages say of the schedules of detectors. Apart from `page`, since it loads detectors."""

from __future__ import annotations

from badnets.report.pages.page import Schedule
from badnets.studies.sign_steps import StickerStep, step_schedules
from badnets.training import DetectTrainSpec


def sign_schedules(of: str, train: DetectTrainSpec, start: str, steps: tuple[StickerStep, ...]) -> tuple[Schedule, ...]:
    """The schedules of detectors whose BadNets may go on from the honest one in steps."""
    if not steps:
        return (Schedule(f"schedule of {of}", train, start),)
    found, before = [Schedule("schedule of the honest detector", train, start)], "the honest detector"
    for step, schedule in step_schedules(train, steps):
        size = "as large as it is measured" if step.size == 1 else f"{step.size:g} times as large"
        named = ", called the next class" if step.labels == "next" else ""
        found.append(Schedule(f"schedule of the BadNet, sticker {size}{named}", schedule, before))
        before = "the step before"
    return tuple(found)
