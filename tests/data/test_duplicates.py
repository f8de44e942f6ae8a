"""Copies are found, strangers are not, and what lies on both sides is told first."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests.data.odd_pictures import encoded, photograph

import badnets.data.duplicates as duplicates_room
from badnets.artifacts import canonical_json, parse_json
from badnets.data.catalog import at_hand, tree_of
from badnets.data.duplicates import NEAR, Duplicates, Near, Same, duplicates
from badnets.data.fingerprint import MIRROR, fingerprint, signs
from badnets.data.inspection import Half, Item, inspect
from badnets.data.tree import Folder
from badnets.errors import InputError

Make = Callable[..., Path]


def scene(seed: int, side: int = 96) -> Image.Image:
    """Noise of several scales, the coarsest the strongest, as in photographs."""
    random = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), 128.0)
    for count, strength in ((2, 50), (4, 35), (8, 20), (16, 12), (32, 6)):
        grid = Image.fromarray(random.integers(0, 256, (count, count, 3), dtype=np.uint8))
        pixels += (np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC), float) - 128) * strength / 64
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def item(path: str, looks: int | None, half: Half = "train", label: str = "cat", pixels: str = "") -> Item:
    print_ = None if looks is None else f"{looks:016x}"
    return Item(path, label, half, 1, path, "JPEG", 9, 9, pixels or path, print_)


def distance(one: Image.Image, other: Image.Image) -> int:
    prints = [fingerprint(picture) or "" for picture in (one, other)]
    return int(prints[0], 16).__xor__(int(prints[1], 16)).bit_count()


# --- the fingerprint ---


def test_the_formula_by_brute_force() -> None:
    picture = photograph(4, 64, 96).convert("L")
    small = np.asarray(picture.resize((32, 32), Image.Resampling.BOX), dtype=float)
    expected = []
    for total in range(1, 12):
        for u in range(total + 1):
            v = total - u
            wave = [[np.cos(np.pi * u * (i + 0.5) / 32) * np.cos(np.pi * v * (j + 0.5) / 32) for j in range(32)]
                    for i in range(32)]  # fmt: skip
            expected.append(int((small * wave).sum() > 0))
    bits = "".join(map(str, expected[:64]))
    assert fingerprint(picture) == f"{int(bits, 2):016x}"


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_mirroring_turns_the_odd_signs(seed: int) -> None:
    picture = photograph(seed, 64, 64)
    plain, mirrored = (signs([fingerprint(one) or ""])[0] for one in (picture, ImageOps.mirror(picture)))
    assert (plain * MIRROR != mirrored).sum() <= 1, "but for a frequency that is nearly not there"


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=2))
def test_products_of_signs_count_bits(values: list[int]) -> None:
    one, other = signs([f"{value:016x}" for value in values])
    assert (64 - one @ other) / 2 == (values[0] ^ values[1]).bit_count()


# --- equal ---


def test_groups_of_equal_pictures() -> None:
    found = duplicates(
        [
            item("a", 0, pixels="p"),
            replace(item("b", 0, pixels="p"), sha256="a"),
            item("c", 1 << 40, pixels="q"),
            item("d", 1 << 40, "test", "dog", pixels="q"),
            item("e", None, pixels="r"),
            item("f", None, pixels="r", label="dog"),
            item("g", 2**64 - 1),
            replace(item("torn", None), pixels=""),
        ],
        near=0,
    )
    assert found.same == (
        Same(("c", "d"), "pixels", leaks=True, labels=("cat", "dog")),
        Same(("a", "b"), "bytes", leaks=False, labels=("cat",)),
        Same(("e", "f"), "pixels", leaks=False, labels=("cat", "dog")),
    )
    assert found.near == ()
    assert found.leaks == found.same[:1]
    assert found.contradictions == (found.same[0], found.same[2])
    assert parse_json(Duplicates, canonical_json(found), "here") == found


# --- near ---


def test_near_pairs_leaks_first_then_the_nearest() -> None:
    base = 0x0123456789ABCDEF
    found = duplicates(
        [item("a", base), item("b", base ^ 1), item("c", base ^ 0b110, "test", "dog"), item("d", base ^ 0xFFFF)], near=3
    )
    assert found.near == (
        Near(("a", "c"), 2, mirrored=False, leaks=True, labels=("cat", "dog")),
        Near(("b", "c"), 3, mirrored=False, leaks=True, labels=("cat", "dog")),
        Near(("a", "b"), 1, mirrored=False, leaks=False, labels=("cat",)),
    )
    assert (found.threshold, found.unlisted, found.same) == (3, 0, ())


def test_a_copy_of_an_equal_pair_is_told_once_for_each_half() -> None:
    rows = [item("a", 0, pixels="p"), item("b", 0, pixels="p"), item("c", 0, "test", pixels="p"), item("d", 1, "test")]
    found = duplicates(rows, near=4)
    assert [one.paths for one in found.same] == [("a", "b", "c")]
    assert [(one.paths, one.leaks) for one in found.near] == [(("a", "d"), True), (("c", "d"), False)]


def mirror_bits() -> int:
    return int("".join("1" if sign < 0 else "0" for sign in MIRROR), 2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), near=st.integers(0, 31), most=st.integers(1, 50), block=st.integers(1, 9))
def test_all_pairs_as_by_brute_force(seed: int, near: int, most: int, block: int) -> None:
    random = np.random.default_rng(seed)
    centre = int(random.integers(0, 2**63))
    looks = []
    for _ in range(25):
        flips = sum(1 << int(bit) for bit in set(random.integers(0, 64, random.integers(0, 20)).tolist()))
        looks.append(centre ^ flips ^ (mirror_bits() if random.random() < 0.3 else 0))
    rows = [item(f"{n:02d}", look, "test" if random.random() < 0.5 else "train") for n, look in enumerate(looks)]
    expected = []
    for i, one in enumerate(rows):
        for j in range(i):
            bits = looks[i] ^ looks[j]
            nearest = min(bits.bit_count(), (bits ^ mirror_bits()).bit_count())
            if nearest <= near:
                mirrored = nearest != bits.bit_count()
                expected.append(Near((rows[j].path, one.path), nearest, mirrored, one.half != rows[j].half, ("cat",)))
    expected.sort(key=lambda pair: (not pair.leaks, pair.distance, pair.paths))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates_room, "_BLOCK", block)
        found = duplicates(rows, near=near, most=most)
    assert found.near == tuple(expected[:most])
    assert found.unlisted == max(0, len(expected) - most)


def test_nothing_to_compare() -> None:
    assert duplicates([]) == Duplicates(NEAR, (), (), 0)
    assert duplicates([item("a", None)]).near == ()


@pytest.mark.parametrize(("near", "most"), [(-1, 5), (32, 5), (4, 0)])
def test_values_out_of_range(near: int, most: int) -> None:
    with pytest.raises(InputError):
        duplicates([], near=near, most=most)


# --- pictures ---


def changed(picture: Image.Image) -> dict[str, Image.Image]:
    """Copies as people make them."""
    width, height = picture.size
    crop = max(1, round(min(width, height) * 0.01))
    return {
        "JPEG of quality 30": Image.open(io.BytesIO(encoded(picture, "JPEG", quality=30))),
        "half the size": picture.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "squashed": picture.resize((width, height // 2), Image.Resampling.BICUBIC),
        "brighter": picture.point(lambda value: min(255, round(value * 1.2 + 10))),
        "1 % cropped": picture.crop((crop, crop, width - crop, height - crop)),
        "mirrored": ImageOps.mirror(picture),
        "grey": picture.convert("L"),
    }


def test_copies_across_halves_are_found_end_to_end(make_pictures: Make) -> None:
    root = make_pictures("a/train", count=1).parent
    make_pictures("a/test", count=1)
    pictures = [scene(number) for number in range(20)]
    for number, picture in enumerate(pictures):
        picture.save(root / "train" / "dog" / f"{number}.png")
    for number, copy in enumerate(changed(pictures[7]).values()):
        copy.save(root / "test" / "dog" / f"copy{number}.png")
    found = duplicates(inspect(Folder(root)).items)
    leaks = {one.paths for one in found.near if one.leaks}
    for number in range(len(changed(pictures[7]))):
        assert ("train/dog/7.png", f"test/dog/copy{number}.png") in leaks
    assert all("7.png" in pair[0] for pair in leaks if "copy" in pair[1])


def test_real_photographs(real_data: Path) -> None:
    """The threshold: strangers are further apart, common copies nearer; a sample of what `NEAR` was chosen by."""
    if not at_hand("catsdogs", real_data):
        pytest.skip("catsdogs is not among the real data here")
    tree = tree_of("catsdogs", data_dir=real_data)
    files = tree.files()[::30]
    pictures = [Image.open(io.BytesIO(tree.read(path))).convert("RGB") for path in files]
    rows = [item(path, int(fingerprint(one) or "", 16)) for path, one in zip(files, pictures, strict=True)]
    assert duplicates(rows).near == ()
    nearest = dict.fromkeys(changed(pictures[0]), 0)
    for picture in pictures[:20]:
        for name, copy in changed(picture).items():
            other = ImageOps.mirror(copy) if name == "mirrored" else copy
            nearest[name] += distance(picture, other) <= NEAR
    assert all(count >= 19 for count in nearest.values()), nearest
