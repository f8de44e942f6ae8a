"""Laws of the weights' readers: whatever is done to a file, what is admitted loads and is what the inventory says."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from safetensors import deserialize
from safetensors.torch import save as save_safetensors

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.supply.benign_weights import DTYPES, flat, loaded, raw, saved
from tests.supply.hostile import READERS, over
from tests.supply.weights_files import WEIGHTS, legacy, safetensors, torch_zip

from badnets.supply.digests import tensor_digest
from badnets.supply.safetensors_writer import header_of, in_order
from badnets.supply.scan import pickles
from badnets.supply.scan.findings import Verdict, verdict_of
from badnets.supply.scan.inventory import Inventory
from badnets.supply.scan.tensor_bytes import tensor_bytes
from badnets.supply.scan.weights import inspect_weights, weights_format

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
OPCODES = [bytes([code]) for code in b"(.012NIJKM]})tlaeudsbRhjqrcioQ\x85\x86\x87\x88\x89\x8a\x93\x94"]
VALUE = {"a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.tensor([True, False]), "c": {"n": 1, "t": "x"}}


@functools.cache
def bases() -> dict[str, bytes]:
    """Small files that are admitted as they are."""
    flat_value = {"a": torch.arange(6.0), "b": torch.tensor([True, False])}
    return {
        "zip": saved(VALUE),
        "legacy": saved(VALUE, legacy=True),
        "our zip": torch_zip(),
        "our legacy": legacy(),
        "safetensors": save_safetensors(flat_value, metadata={"format": "pt"}),
        "our safetensors": safetensors({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
    }


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with a few bytes changed, taken out, doubled, moved or put in."""
    content = bytearray(bases()[draw(st.sampled_from(sorted(bases())))])
    for _ in range(draw(st.integers(1, 3))):
        if not content:
            break
        place = draw(st.integers(0, len(content) - 1))
        length = draw(st.integers(1, 8))
        kind = draw(st.sampled_from(["set", "set", "remove", "double", "insert", "cut"]))
        if kind == "set":
            content[place] = draw(st.one_of(st.integers(0, 255), st.sampled_from(list(b"cRibo.(t\x93\x81\x80\x95"))))
        elif kind == "remove":
            del content[place : place + length]
        elif kind == "double":
            content[place:place] = content[place : place + length]
        elif kind == "insert":
            content[place:place] = draw(st.binary(min_size=1, max_size=8))
        else:
            del content[place:]
    return bytes(content)


def judge(content: bytes) -> tuple[Verdict, Inventory | None]:
    """The verdict, by the reader that the first bytes choose."""
    findings, inventory = inspect_weights(over(content))
    verdict = verdict_of(finding.rule.severity for finding in findings)
    return (verdict if weights_format(over(content)) else Verdict.UNJUDGED), inventory


def holds_what_it_says(content: bytes, inventory: Inventory) -> None:
    """The reader of the format's author gives the same tensors, bit for bit."""
    source = over(content)
    ours: dict[tuple[object, ...], tuple[tuple[int, ...], bytes]] = {
        spec.path: (spec.shape, b"".join(tensor_bytes(source, inventory, spec))) for spec in inventory.tensors
    }
    there: dict[tuple[object, ...], tuple[tuple[int, ...], bytes]]
    if weights_format(source) == "safetensors":
        entries = deserialize(content)  # type: ignore[no-untyped-call]
        there = {(name,): (tuple(entry["shape"]), bytes(entry["data"])) for name, entry in entries}
    else:
        there = {path: (tuple(tensor.shape), raw(tensor)) for path, tensor in flat(loaded(content))}
    assert ours == there


@seed(20261121)
@settings(QUICK, max_examples=150)
@given(content=damaged())
def test_no_damage_crashes_a_reader_and_what_is_still_admitted_loads(content: bytes) -> None:
    verdict, inventory = judge(content)
    if verdict is Verdict.CLEAN:
        assert inventory is not None
        holds_what_it_says(content, inventory)


@seed(20261121)
@QUICK
@given(content=st.binary(max_size=200))
@example(b"")
@example(b"\x80\x02.")
@example(b"PK\5\6" + bytes(18))
def test_no_bytes_crash_any_reader_and_none_is_clean(content: bytes) -> None:
    for name, reader in READERS.items():
        verdict = verdict_of(finding.rule.severity for finding in reader(over(content)))
        assert verdict is Verdict.REFUSED, name


@seed(20261121)
@QUICK
@given(place=st.integers(0, len(WEIGHTS) - 1), piece=st.binary(max_size=6), gone=st.integers(0, 6))
def test_no_change_of_the_pickle_is_admitted_that_torch_refuses(place: int, piece: bytes, gone: int) -> None:
    """Inside an archive whose checksums are right again."""
    content = torch_zip(WEIGHTS[:place] + piece + WEIGHTS[place + gone :])
    verdict, inventory = judge(content)
    if verdict is Verdict.CLEAN:
        assert inventory is not None
        holds_what_it_says(content, inventory)


@seed(20261121)
@QUICK
@given(body=st.lists(st.sampled_from(OPCODES), max_size=40))
def test_streams_of_opcodes_are_walked_to_an_end(body: list[bytes]) -> None:
    findings = pickles.check(over(b"\x80\x02" + b"".join(body)))
    assert verdict_of(finding.rule.severity for finding in findings) is Verdict.REFUSED


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Of any dtype and a small shape; often a view with other strides, or a part of a larger storage."""
    kind = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    count = int(torch.Size(shape).numel()) * torch.empty(0, dtype=kind).element_size()
    content = draw(st.binary(min_size=count, max_size=count))
    if kind is torch.bool:
        content = bytes(byte & 1 for byte in content)
    made = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(kind) if count else torch.empty(0, dtype=kind)
    made = made.reshape(shape)
    if made.dim() > 1 and draw(st.booleans()):
        made = made.transpose(0, 1)
    return made[::2] if made.dim() and draw(st.booleans()) else made


NAMES = st.text(st.characters(categories=["L", "N"], include_characters="._-"), min_size=1, max_size=12)


@seed(20261121)
@QUICK
@given(value=st.dictionaries(NAMES.filter(lambda name: name != "__metadata__"), tensors(), max_size=5))
def test_every_state_dict_of_torch_is_admitted_with_one_digest_in_all_formats(value: dict[str, torch.Tensor]) -> None:
    content = saved(value)
    verdict, inventory = judge(content)
    assert verdict is Verdict.CLEAN
    assert inventory is not None
    holds_what_it_says(content, inventory)
    if any(tensor.dtype is torch.complex128 for tensor in value.values()):
        return
    fresh = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in value.items()}
    plain = save_safetensors(fresh, metadata={"format": "pt"})
    verdict, there = judge(plain)
    assert verdict is Verdict.CLEAN
    assert there is not None
    assert tensor_digest(over(content), inventory) == tensor_digest(over(plain), there)
    # What we would write is what the library writes.
    header = header_of(in_order(inventory))
    assert plain[: len(header)] == header


@pytest.mark.parametrize("change", ["name", "dtype", "shape", "bytes", "count"])
def test_the_digest_changes_with_everything_that_it_covers(change: str) -> None:
    def digest(value: dict[str, torch.Tensor]) -> str:
        content = saved(value)
        inventory = inspect_weights(over(content))[1]
        assert inventory is not None
        return tensor_digest(over(content), inventory)

    base = torch.ones(4)
    others = {
        "name": {"v": base}, "dtype": {"w": base.view(torch.int32)}, "shape": {"w": base.reshape(2, 2)},
        "bytes": {"w": base * 2}, "count": {"w": base, "v": torch.empty(0)},
    }  # fmt: skip
    assert digest({"w": base}) != digest(others[change])


@seed(20261121)
@QUICK
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9),
       bad=st.sampled_from([float("nan"), float("inf"), float("-inf")]), data=st.data())  # fmt: skip
def test_the_first_number_that_is_not_finite_is_found(values: list[float], bad: float, data: st.DataObject) -> None:
    from badnets.supply.scan.finite import first_nonfinite  # noqa: PLC0415 - used here alone

    place = data.draw(st.integers(0, len(values) - 1))
    for name in ("F64", "F32", "F16", "BF16", "F8_E5M2"):
        good = torch.tensor(values, dtype=torch.float64).clamp(-200, 200).to(DTYPES[name])
        assert first_nonfinite(raw(good), name) is None
        broken = good.double()
        broken[place] = bad
        assert first_nonfinite(raw(broken.to(DTYPES[name])), name) == place * good.element_size()
    assert first_nonfinite(raw(torch.tensor(values).long()), "I64") is None
