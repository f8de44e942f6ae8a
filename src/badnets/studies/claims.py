"""One run folder holds one study on one data set; what may be added later is named."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python

from badnets.artifacts import RunFolder
from badnets.data import ImageSource, SceneSplit, Split


def claim(
    folder: RunFolder,
    spec: Any,  # noqa: ANN401 - any spec
    split: Split[ImageSource] | SceneSplit,
    *,
    but: tuple[str, ...] = (),
    target: SceneSplit | None = None,
) -> None:
    """Make the folder ours for the study `spec`, or go on with the same one.

    Args:
        folder: of the run.
        spec: a frozen dataclass.
        split: its data. Their digests are claimed too: a folder of pictures can change under its name.
        but: fields of `spec` that may differ from the last time: finished cells have keys of their own, so more of
            them can always be added.
        target: the data of the victim's task, where they are others.

    Raises:
        InputError: the folder holds another study.
        StorageError: it cannot be written.
    """
    fixed = {name: value for name, value in to_jsonable_python(spec).items() if name not in but}
    study = type(spec).__name__.removesuffix("Spec").lower()
    beside = {} if target is None else {"target train": target.train.digest, "target test": target.test.digest}
    folder.claim({"study": study, "spec": fixed, "train": split.train.digest, "test": split.test.digest} | beside)
