"""The work of a cell, for nodes of a cluster, that tells who tries and can be held up until somebody kills it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from badnets.studies.cells import CellResult
from badnets.studies.runner import Assignment, carry_out_cell
from badnets.training.tasks import Hooks, Images


def held(images: Images, task: Assignment, hooks: Hooks) -> CellResult:
    """As `carry_out_cell`, in the order that the folder named by HELD_CELLS knows.

    There `tries/<cell>/<process>` is written first; and while `hold` is there, the cell goes no further.
    """
    import ray  # noqa: PLC0415 - only its nodes come here

    place = Path(os.environ["HELD_CELLS"])
    tries = place / "tries" / task.home.name
    tries.mkdir(parents=True, exist_ok=True)
    (tries / str(os.getpid())).write_text(ray.get_runtime_context().get_node_id())
    if (place / "hold").exists():
        time.sleep(3600)
    return carry_out_cell(images, task, hooks)
