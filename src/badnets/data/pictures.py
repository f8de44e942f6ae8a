"""Picture files to pixels. Content decides what a file is, and whatever is done to one is said in a `Remark`.

The order of treatment: identify, refuse what is empty, no picture, too large or tiny; decode; bring to 8 bits; turn
upright; lay transparent parts on white; convert to the wanted mode. Colour profiles are not applied (torchvision and
Keras do not apply them either). A byte changed within the data of a JPEG may go unseen: the format has no checksum.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError

from badnets.data.content import SUFFIXES, nature
from badnets.data.imageset import ImageSet
from badnets.data.parallel import each
from badnets.data.remarks import Remark, remark
from badnets.data.tree import Tree, as_text
from badnets.errors import DataError

Mode = Literal["L", "RGB", "RGBA"]

# A picture of more pixels is not decoded: a few bytes can promise any number. Pillow warns from the same number on.
MOST_PIXELS = 89_478_485
# Of pictures with more pixels only one is decoded at a time, in whatever thread: it takes hundreds of megabytes.
_LARGE = 1 << 24
_alone = threading.Lock()
# A picture of fewer pixels a side is left out of folders of pictures: an icon, a tracking pixel.
LEAST_SIDE = 8

# Pillow reads more, but some of those start other programs (EPS) or hold no photographs. The commonest is tried first.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
# How a picture is turned upright for each value of EXIF's tag Orientation (Exif 2.3, 4.6.4 A).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded picture.

    Attributes:
        picture: upright, in 8 bits, in the wanted mode.
        form: the format of its file, such as "JPEG".
        grey: whether the file holds grey levels only.
        remarks: what was odd, and done about it.
        profile: the ICC profile of its colours, which is not applied; None for none, and for that of CMYK.
    """

    picture: Image.Image
    form: str
    grey: bool
    remarks: tuple[Remark, ...]
    profile: bytes | None = None


def decode(content: bytes, name: str = "", *, mode: Mode | None = None, least: int = 1) -> Decoded | Remark:
    """The picture in a file's content, or why there is none. Threads may call it at once.

    Args:
        content: of the whole file.
        name: of the file, whose ending is compared with the content; "" for none.
        mode: "L" for grey, "RGB" for colour, "RGBA" with opacity; None for "L" where the file is grey, else "RGB".
        least: pixels a side; a smaller picture is left out.
    """
    if not content:
        return remark("empty", "not a readable picture (an empty file, 0 bytes)")
    try:
        with _quiet(), Image.open(io.BytesIO(content), formats=_formats()) as picture:
            if refusal := _unfit(picture, least):
                return refusal
            with _alone if picture.width * picture.height > _LARGE else nullcontext():
                return _decoded(picture, name, mode)
    except UnidentifiedImageError:
        kind, what = nature(content)
        return remark(kind, f"not a readable picture ({what})")
    except Image.DecompressionBombError:  # from twice as many on
        return remark("too large", f"too many pixels to decode safely (over {2 * MOST_PIXELS:,})")
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's readers raise a dozen kinds about damaged files
        return remark("damaged", f"not a readable picture ({' '.join(str(error).split()) or type(error).__name__})")


def header(content: bytes) -> tuple[int, int, bool] | None:
    """Height, width (both upright) and whether it is grey; None where that alone shows that it is no picture."""
    try:
        with _quiet(), Image.open(io.BytesIO(content), formats=_formats()) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            lying = picture.format != "TIFF" and _orientation(picture) in (5, 6, 7, 8)
            height, width = (picture.width, picture.height) if lying else (picture.height, picture.width)
            return height, width, _is_grey(picture)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - as in decode
        return None


def open_picture(file: Path | io.BytesIO, mode: Mode | None = None, *, where: str | None = None) -> Decoded:
    """One picture, upright, with what was odd about it; see this module for odd files.

    Args:
        file: its path or its content.
        mode: as for `decode`.
        where: what messages call it; None for its path.

    Raises:
        DataError: not a picture, cut short, or a decompression bomb.
    """
    place = where or str(file)
    try:
        content = file.read_bytes() if isinstance(file, Path) else file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{place}: not a readable picture ({reason})") from error
    found = decode(content, file.name if isinstance(file, Path) else "", mode=mode)
    if isinstance(found, Remark):
        raise DataError(f"{place}: {found.found}")
    return found


def read_picture(
    file: Path | io.BytesIO, size: tuple[int, int] | None, mode: Mode, *, where: str | None = None
) -> np.ndarray:
    """One picture as uint8 (height, width, channels), fully decoded and upright.

    Args:
        file: its path or its content.
        size: (height, width) to scale to with antialiasing, or None to keep its own.
        mode: "L" for grey, "RGB" for colour, "RGBA" with opacity.
        where: what messages call it; None for its path.

    Raises:
        DataError: not a picture, cut short, or a decompression bomb.
    """
    return to_array(open_picture(file, mode, where=where).picture, size)


def to_array(picture: Image.Image, size: tuple[int, int] | None) -> np.ndarray:
    """Pixels as uint8 (height, width, channels), scaled with antialiasing to `size` (height, width) if given."""
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    array = np.array(picture)
    return array[:, :, None] if array.ndim == 2 else array


def read_each(
    tree: Tree, files: Sequence[tuple[str, int]], form: tuple[tuple[int, int], Mode], least: int = 1
) -> Iterator[tuple[np.ndarray | None, list[str]]]:
    """The pixels (height, width, channels) of each file, None where it is left out, with what is to be said of it.

    Args:
        tree: where the files are.
        files: path within the tree, and class number.
        form: size (height, width) and mode of all pictures.
        least: pixels a side; a smaller picture is left out.
    """
    size, mode = form

    def read(file: tuple[str, int]) -> tuple[np.ndarray | None, list[str]]:
        path, where = file[0], as_text(tree.where(file[0]))
        try:
            found = decode(tree.read(path), path, mode=mode, least=least)
        except DataError as error:
            found = remark("damaged", str(error).removeprefix(f"{tree.where(path)}: "))
        if isinstance(found, Remark):
            return None, [f"{where}: {found.found}"]
        return to_array(found.picture, size), [f"{where}: {one}" for one in found.remarks]

    return each(read, files)


def read_pictures(
    tree: Tree,
    files: Sequence[tuple[str, int]],
    classes: tuple[str, ...],
    name: str,
    *,
    form: tuple[tuple[int, int], Mode],
    least: int = 1,
) -> ImageSet:
    """An `ImageSet` of all readable `files`; the others are named in its `skipped`, odd ones in its `treated`.

    Args:
        tree: where the files are.
        files: path within the tree, and class number.
        classes: their names.
        name: of the set.
        form: size (height, width) and mode of all pictures.
        least: pixels a side; a smaller picture is left out.

    Raises:
        DataError: not one could be read.
    """
    pixels, labels, skipped, treated = [], [], [], []
    for (_, label), (array, said) in zip(files, read_each(tree, files, form, least), strict=True):
        if array is None:
            skipped += said
        else:
            pixels.append(array)
            labels.append(label)
            treated += said
    if not pixels:
        fault = f": {skipped[0]}" if skipped else ""
        raise DataError(f"{name}: not one readable picture among {len(files)} files{fault}")
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.tensor(labels), classes, name, tuple(skipped), tuple(treated))


def _unfit(picture: Image.Image, least: int) -> Remark | None:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        return remark("too large", f"too many pixels to decode safely ({width:,}x{height:,})")
    if min(width, height) < least:
        return remark("tiny", f"{width}x{height} pixels, fewer than {least} a side")
    return None


def _decoded(picture: Image.Image, name: str, mode: Mode | None) -> Decoded | Remark:
    form = "JPEG" if picture.format == "MPO" else str(picture.format)  # a camera's JPEG with more pictures behind
    white = _white(picture)
    several = bool(getattr(picture, "is_animated", False))
    # Pillow turns a TIFF itself while it loads it, and then forgets the tag; a PNG may have it behind the pixels.
    stored = _orientation(picture) if form == "TIFF" else None
    picture.load()
    orientation = _orientation(picture) if stored is None else stored
    if picture.mode == "F":
        return remark("depth", "pixels are 32-bit floats, for which no white is stated: save it with 8 or 16 bits")
    remarks = list(_marks(picture, form, name, white))
    if several:
        remarks.append(remark("frames", f"a {form} of several pictures"))
    remarks += _turns(orientation)
    plain = _to_8_bits(picture, white)
    if plain is None:
        return remark("depth", "grey levels outside 0..65535, for which no white is stated: save it with 8 or 16 bits")
    if form != "TIFF" and orientation in _UPRIGHT:
        plain = plain.transpose(_UPRIGHT[orientation])
    grey = _is_grey(picture)
    profile = None if picture.mode == "CMYK" else picture.info.get("icc_profile")
    wanted = mode or ("L" if grey or picture.mode in ("LA", "La") else "RGB")
    if wanted == "RGBA":
        return Decoded(plain.convert("RGBA"), form, grey, tuple(remarks), profile)
    opaque, was_transparent = _on_white(plain)
    if was_transparent:
        remarks.append(remark("transparent", "transparent parts"))
    if wanted == "RGB" and grey:
        remarks.append(remark("grey", "grey levels among colour pictures"))
    elif wanted == "L" and not grey:
        remarks.append(remark("colour", "colours among grey pictures"))
    finished = opaque if opaque.mode == wanted else opaque.convert(wanted)
    return Decoded(finished, form, grey, tuple(remarks), profile)


def _marks(picture: Image.Image, form: str, name: str, white: int) -> Iterator[Remark]:
    """What the kind of its file and pixels is worth saying."""
    suffix = Path(name).suffix.lower()
    if name and SUFFIXES.get(suffix) != form:
        yield remark("misnamed", f"named {suffix or 'without ending'}, but its content is {form}")
    if picture.mode == "CMYK":
        yield remark("cmyk", "CMYK colours")
    if white > 255:
        yield remark("deep", f"{white.bit_length()} bits a channel")
        if "transparency" in picture.info:
            yield remark("odd mark", "one transparent colour among 16-bit ones")
    if picture.mode in ("P", "PA"):
        yield remark("palette", "a palette of colours")


def _turns(orientation: int) -> list[Remark]:
    if orientation in _UPRIGHT:
        return [remark("rotated", f"EXIF orientation {orientation}")]
    if orientation == 1:
        return []
    said = "EXIF data that cannot be read" if orientation < 0 else "an EXIF orientation of no meaning"
    return [remark("odd mark", said)]


def _white(picture: Image.Image) -> int:
    """The largest value of a channel in the file, before Pillow decodes it; Pillow's modes do not tell."""
    tiles = getattr(picture, "tile", None) or [("", None, 0, "")]
    codec, _, _, args = tiles[0]
    parts = (args,) if isinstance(args, str) else tuple(args or ())
    raw = str(parts[0]) if parts else ""
    if ";12" in raw:
        return 4095
    if ";16" in raw or picture.mode.startswith("I"):
        return 65535
    return int(parts[1]) if codec.startswith("ppm") and len(parts) > 1 else 255


def _to_8_bits(picture: Image.Image, white: int) -> Image.Image | None:
    """Deep grey on the scale of 8 bits, rounded: Pillow's own conversion cuts all above 255 off to white.

    Deep colour comes from Pillow in 8 bits already, by the high byte of each channel. None where no scale is known.
    """
    if not picture.mode.startswith("I"):
        if white > 255:  # the transparent colour is a deep one, which no 8-bit pixel has
            picture.info.pop("transparency", None)
        return picture
    levels = np.asarray(picture)
    if levels.min() < 0 or levels.max() > 65535:
        return None
    scaled = levels.astype(np.uint32)
    scaled *= 255
    scaled += white // 2
    scaled //= white
    return Image.fromarray(scaled.astype(np.uint8))


def _on_white(picture: Image.Image) -> tuple[Image.Image, bool]:
    """Without opacity, as it looks on white paper, and whether any of it was not opaque.

    The colours beneath transparent pixels are seen by no viewer, so they are not trained on either.
    """
    if not picture.has_transparency_data:
        return picture, False
    layer = picture.convert("RGBA")
    if layer.getchannel("A").getextrema()[0] == 255:
        return layer.convert("RGB"), False
    paper = Image.new("RGBA", layer.size, "white")
    paper.alpha_composite(layer)
    return paper.convert("RGB"), True


def _is_grey(picture: Image.Image) -> bool:
    return picture.mode in ("1", "L") or picture.mode.startswith("I")


def _orientation(picture: Image.Image) -> int:
    """EXIF's tag: 1 where there is none, 0 where it has no meaning, -1 where it cannot be read."""
    try:
        value = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - as in decode; the pixels are as good without it
        return -1
    return value if value in range(1, 9) else 0


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(form for form in _FORMATS if form in Image.OPEN)


class _Quiet:
    """Keeps Pillow's warnings about odd EXIF blocks and palettes down while any thread decodes: they decode fine.

    `warnings.catch_warnings` is not made for threads, so the first one in sets the filters and the last one out
    puts back what was.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._caught = warnings.catch_warnings()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if not self._users:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._caught.__exit__(None, None, None)


_quiet = _Quiet()
