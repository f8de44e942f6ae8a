"""One small set of scenes written in each format, so that one table of damages drives all readers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from badnets.data import SceneSplit
from badnets.data.scenes import coco, lisa, swedish, voc, yolo
from badnets.data.tree import Folder

Box = tuple[float, float, float, float]
HEIGHT, WIDTH = 24, 40


@dataclass(frozen=True)
class Scene:
    """A picture's name and the objects in it: left, top, right, bottom (outside), and "stop" or "warning"."""

    name: str
    objects: tuple[tuple[Box, str], ...] = ()
    content: bytes | None = field(default=None, repr=False)
    missing: bool = False


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _pictures(folder: Path, scenes: Sequence[Scene]) -> None:
    for place, scene in enumerate(scenes):
        path = folder / f"{scene.name}.png"
        if not scene.missing:
            picture(path, place)
        if scene.content is not None:
            path.write_bytes(scene.content)


def write_coco(root: Path, scenes: Sequence[Scene]) -> None:
    _pictures(root / "images", scenes)
    numbers = {"stop": 7, "warning": 9, "strange": 99}
    for half, chosen in (("train", scenes[1:]), ("test", scenes[:1])):
        images = [
            {"id": place, "file_name": f"{scene.name}.png", "height": HEIGHT, "width": WIDTH}
            for place, scene in enumerate(chosen)
        ]
        annotations = [
            {"id": f"{place}-{number}", "image_id": place, "category_id": numbers[label], "iscrowd": 0,
             "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
            for place, scene in enumerate(chosen) for number, (box, label) in enumerate(scene.objects)
        ]  # fmt: skip
        categories = [
            {"id": 7, "name": "stop", "us": "stop", "supercategory": "other"},
            {"id": 9, "name": "warning", "us": "warning", "supercategory": "warning"},
        ]
        (root / "annotations").mkdir(exist_ok=True)
        whole = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"{half}.json").write_text(json.dumps(whole))


def voc_object(box: Box, label: str, extra: str = "") -> str:
    """The corners that VOC writes: pixels counted from 1, the last ones inside."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, box[2], box[3]), strict=True)
    inner = "".join(f"<{corner}>{number}</{corner}>" for corner, number in corners)
    return f"<object><name>{label}</name>{extra}<bndbox>{inner}</bndbox></object>"


def voc_file(name: str, objects: str, size: tuple[int, int] = (HEIGHT, WIDTH)) -> str:
    return (
        f"<annotation><filename>{name}.png</filename><size><width>{size[1]}</width><height>{size[0]}</height>"
        f"<depth>3</depth></size>{objects}</annotation>"
    )


def write_voc(root: Path, scenes: Sequence[Scene]) -> None:
    _pictures(root / "JPEGImages", scenes)
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for scene in scenes:
        objects = "".join(voc_object(*one) for one in scene.objects)
        (root / "Annotations" / f"{scene.name}.xml").write_text(voc_file(scene.name, objects))
    for half, chosen in (("train", scenes[1:]), ("test", scenes[:1])):
        (root / "ImageSets" / "Main" / f"{half}.txt").write_text("\n".join(scene.name for scene in chosen) + "\n")


def yolo_line(box: Box, number: int) -> str:
    shares = ((box[0] + box[2]) / 2 / WIDTH, (box[1] + box[3]) / 2 / HEIGHT, (box[2] - box[0]) / WIDTH,
              (box[3] - box[1]) / HEIGHT)  # fmt: skip
    return " ".join([str(number), *(f"{share:.17g}" for share in shares)])


def write_yolo(root: Path, scenes: Sequence[Scene]) -> None:
    numbers = {"stop": 0, "warning": 1, "strange": 5}
    for half, chosen in (("train", scenes[1:]), ("test", scenes[:1])):
        _pictures(root / "images" / half, chosen)
        (root / "labels" / half).mkdir(parents=True)
        for scene in chosen:
            lines = [yolo_line(box, numbers[label]) for box, label in scene.objects]
            (root / "labels" / half / f"{scene.name}.txt").write_text("\n".join(lines))
    (root / "classes.txt").write_text("stop\nwarning\n")


LISA_HEADER = (
    "Filename;Annotation tag;Upper left corner X;Upper left corner Y;Lower right corner X;Lower right corner Y;"
    "Occluded,On another road;Origin file;Origin frame number;Origin track;Origin track frame number"
)


def write_lisa(root: Path, scenes: Sequence[Scene]) -> None:
    _pictures(root / "vid0" / "frames", scenes)
    tags = {"stop": "stop", "warning": "signalAhead", "strange": "keepRight"}
    rows = [
        f"vid0/frames/{scene.name}.png;{tags[label]};{';'.join(map(str, box))};0,0;a.avi;1;b.avi;1"
        for scene in scenes for box, label in scene.objects
    ]  # fmt: skip
    (root / lisa.FILE).write_text("\n".join([LISA_HEADER, *rows]) + "\n")


def write_swedish(root: Path, scenes: Sequence[Scene]) -> None:
    groups = {"stop": "OTHER, STOP", "warning": "WARNING, CURVE", "strange": "UNHEARD, OF"}
    for part, chosen in (("Set1", scenes[1:]), ("Set2", scenes[:1])):
        _pictures(root / part / "pictures", chosen)
        lines = []
        for scene in chosen:
            signs = [
                f"VISIBLE, {box[2]}, {box[3]}, {box[0]}, {box[1]}, {groups[label]};" for box, label in scene.objects
            ]
            lines.append(f"{scene.name}.png:{' '.join(signs)}")
        (root / part / swedish.FILE).write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Format:
    """How sets of one format are written and read.

    Attributes:
        write: the files into a folder.
        read: them.
        names: what "stop" and "warning" are called once read.
        strange: what is said of a class that there is not.
    """

    write: Callable[[Path, Sequence[Scene]], None]
    read: Callable[[Path], SceneSplit]
    names: tuple[str, str] = ("stop", "warning")
    strange: str = "unknown class"


FORMATS = {
    "coco": Format(write_coco, lambda root: coco.read_split(Folder(root), "us")),
    "voc": Format(write_voc, lambda root: voc.read_split(Folder(root), ("stop", "warning"))),
    "yolo": Format(write_yolo, lambda root: yolo.read_split(Folder(root))),
    "lisa": Format(write_lisa, lambda root: lisa.read_split(Folder(root)), strange="not wanted"),
    "swedish": Format(write_swedish, lambda root: swedish.read_split(Folder(root)), ("other", "warning")),
}

SOUND = (((3.0, 4.0, 13.0, 12.0), "stop"), ((20.0, 2.0, 31.0, 22.0), "warning"))


def sound(count: int = 8) -> list[Scene]:
    """Scenes with nothing wrong."""
    return [Scene(f"sound{number}", SOUND) for number in range(count)]


@dataclass(frozen=True)
class Found:
    """What was read, by the picture's name, of both halves."""

    objects: dict[str, list[tuple[str, Box, bool]]]
    skipped: tuple[str, ...]
    treated: tuple[str, ...]


def read(kind: str, root: Path, scenes: Sequence[Scene]) -> Found:
    """Write `scenes` among sound ones in a format, and read them."""
    root.mkdir(parents=True, exist_ok=True)
    FORMATS[kind].write(root, [*sound(), *scenes])
    return found(FORMATS[kind].read(root))


def found(split: SceneSplit) -> Found:
    objects = {}
    for half in (split.train, split.test):
        paths = half.pictures.paths  # type: ignore[attr-defined]
        for path, marked in zip(paths, half.objects, strict=True):
            numbers = [tuple(box) for box in marked.boxes.tolist()]
            labels = [half.classes[label] for label in marked.labels.tolist()]
            objects[Path(path).stem] = list(zip(labels, numbers, marked.ignored.tolist(), strict=True))
    return Found(
        objects,
        (*split.train.skipped, *split.test.skipped),
        (*split.train.treated, *split.test.treated),
    )
