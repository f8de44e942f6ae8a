"""Bounds of the weights' readers: wide archives, long pickles, files that shrink, and the corners of the machine."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.supply.hostile import over
from tests.supply.weights_files import (
    ONES,
    Ends,
    Member,
    archive,
    legacy,
    members,
    safetensors,
    state_dict,
    tensor,
    text,
)

from badnets.errors import DataError, InputError
from badnets.supply.digests import tensor_digest
from badnets.supply.safetensors_writer import weights_of, write_safetensors
from badnets.supply.scan import pickles, torch_legacy, torch_zip
from badnets.supply.scan.calling import HANDLERS as CALLING
from badnets.supply.scan.containers import HANDLERS as CONTAINERS
from badnets.supply.scan.inventory import Inventory, Span, TensorSpec
from badnets.supply.scan.log import MOST, Log, plain
from badnets.supply.scan.opcodes import OPCODES
from badnets.supply.scan.policy import Policy
from badnets.supply.scan.source import Budget, Exhausted, Limits, Source
from badnets.supply.scan.weights import inspect_weights
from badnets.supply.scan.zip_records import read_entries


def bounded(content: bytes, limits: Limits) -> Source:
    return Source(io.BytesIO(content), 0, len(content), Budget(limits))


def test_every_opcode_of_cpython_has_its_argument_and_a_meaning() -> None:
    import pickletools  # noqa: PLC0415 - used here alone

    theirs = {ord(opcode.code): (opcode.name, opcode.proto) for opcode in pickletools.opcodes}
    assert {code: (opcode.name, opcode.protocol) for code, opcode in OPCODES.items()} == theirs
    assert {opcode.name for opcode in OPCODES.values()} == set(CONTAINERS) | set(CALLING)
    for opcode in pickletools.opcodes:
        ours = OPCODES[ord(opcode.code)].argument
        assert (opcode.arg is None) == (ours == "-")
        if opcode.arg is not None and opcode.arg.n > 0:
            assert opcode.arg.n == {"u1": 1, "u2": 2, "i4": 4, "u4": 4, "u8": 8, "f8": 8}[ours]


def test_archives_beyond_4_gib_have_the_records_that_torch_writes(tmp_path: Path) -> None:
    """Sparse on the disk: torch writes the records and leaves the bytes out, so only the checksums are not right."""
    path = tmp_path / "big.pt"
    with torch.serialization.skip_data():
        torch.save({"a": torch.empty(2**30 + 10, device="cpu"), "b": torch.ones(3)}, path)
    assert path.stat().st_size > 2**32
    with path.open("rb") as file:
        log = Log(Source(file, 0, path.stat().st_size, Budget(Limits())))
        entries, sound = read_entries(log)
    assert (log.findings, sound) == ([], True)
    assert {entry.name: entry.data.length for entry in entries}["big/data/0"] == 4 * (2**30 + 10)


@pytest.mark.parametrize(
    ("limits", "content", "reason"),
    [
        (Limits(opcodes=10), b"\x80\x02" + b"N0" * 20 + b".", "more than 10 opcodes"),
        (Limits(read=2**17), b"\x80\x02X" + struct.pack("<I", 2**18) + b"a" * 2**18 + b".", "in one value"),
        (Limits(seconds=0.0), b"\x80\x02.", "no end after"),
    ],
)
def test_a_pickle_beyond_its_bounds_is_not_judged(limits: Limits, content: bytes, reason: str) -> None:
    with pytest.raises(Exhausted, match=reason):
        pickles.check(bounded(content, limits))


def test_an_archive_beyond_its_bounds_is_not_judged() -> None:
    with pytest.raises(Exhausted, match="entries"):
        torch_zip.check(bounded(archive(members()), Limits(members=3)))


def test_values_longer_than_a_chunk_are_read_whole() -> None:
    names = {f"layers.{number}.{'x' * 800}": b"N" for number in range(90)}
    long = "y" * 100 + " " + "z z" * 30_000
    findings = torch_zip.check(over(archive(members(state_dict(weight=tensor(), **names)))))
    assert findings == []
    findings = pickles.check(over(b"\x80\x02" + text(long) + b"."), Policy(bare=True))
    assert [finding.rule.id for finding in findings] == ["pickle-text"]
    line = b"\x80\x02c" + b"a" * 2**17 + b"\nb\n."
    assert any("a line of more than" in finding.detail for finding in pickles.check(over(line)))


def test_plain_containers_pass_on_their_own_only_if_asked() -> None:
    content = b"\x80\x02}(" + text("a") + b"](K\x01K\x02eu."
    assert [finding.rule.id for finding in pickles.check(over(content))] == ["pickle-bare"]
    assert pickles.check(over(content), Policy(bare=True)) == []
    held = pickles.check(over(b"\x80\x02}" + text("w") + tensor() + b"s."), Policy(bare=True))
    assert [finding.rule.id for finding in held] == ["pickle-persistent"]


def test_faults_are_counted_up_to_a_bound() -> None:
    findings = pickles.check(over(b"\x80\x02" + b"cposix\nsystem\n0" * 1000 + b"."))
    assert len(findings) == MOST
    assert plain("a\x1b\u202eb" + "c" * 300) == "a\\x1b\\u202eb" + "c" * 196 + "..."


@pytest.mark.parametrize("name", ["system", "os.system", "builtins.eval", "torch.hub.load", "numpy.testing.run"])
def test_what_runs_code_cannot_be_allowed(name: str) -> None:
    with pytest.raises(InputError, match="cannot be allowed"):
        Policy(classes=frozenset({name}))


def test_objects_of_allowed_classes_take_what_a_pickler_gives_them() -> None:
    named = Policy(classes=frozenset({"collections.Counter", "mine.Thing"}))
    body = state_dict(
        made=b"cmine\nThing\n)\x81}" + text("w") + tensor() + b"sb",
        called=b"cmine\nThing\n(K\x01tR(K\x02K\x03e",
    )
    content = archive(members(body))
    findings, inventory = torch_zip.inspect(over(content), named)
    assert findings == []
    assert inventory is not None
    assert [spec.path[0] for spec in inventory.tensors] == ["made"]
    assert {finding.rule.id for finding in torch_zip.check(over(content))} == {"pickle-global", "pickle-opcode"}
    keyed = b"\x80\x04" + state_dict(weight=tensor(), keyed=b"cmine\nThing\n)}\x92(" + text("k") + b"Nu")[2:]
    newer = Policy(classes=frozenset({"mine.Thing"}), newest_protocol=4)
    assert torch_zip.check(over(archive(members(keyed))), newer) == []
    stray = archive(members(state_dict(weight=tensor(), other=b"ctorch\nFloatStorage\n)\x81")))
    assert [finding.rule.id for finding in torch_zip.check(over(stray), named)] == ["pickle-call"]


def test_a_file_that_shrinks_is_said() -> None:
    content = safetensors({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})
    source = over(content)
    inventory = inspect_weights(source)[1]
    assert inventory is not None
    source.file = io.BytesIO(content[:-8])
    with pytest.raises(DataError, match="became shorter"):
        tensor_digest(source, inventory)
    cut = Source(io.BytesIO(b"\x80\x02N"), 0, 9, Budget(Limits()))
    assert [finding.rule.id for finding in pickles.check(cut)][:1] == ["pickle-bare"]
    assert "pickle-truncated" in [finding.rule.id for finding in pickles.check(cut)]
    whole = archive(members())
    short = Source(io.BytesIO(whole), 0, len(whole), Budget(Limits()))
    entries, _ = read_entries(Log(short))
    assert entries


def test_two_tensors_of_one_name_have_no_digest() -> None:
    specs = tuple(TensorSpec(path, "U8", (1,), (1,), "0") for path in (("a", "b"), ("a.b",)))
    with pytest.raises(InputError, match=r"two tensors are called 'a\.b'"):
        tensor_digest(over(b"x"), Inventory(specs, {"0": Span(0, 1)}))


def test_weights_are_written_in_process_as_in_the_child() -> None:
    source = over(legacy())
    inventory = inspect_weights(source)[1]
    assert inventory is not None
    target = io.BytesIO()
    write_safetensors(source, weights_of(inventory, None), target)
    header = {"__metadata__": {"format": "pt"}, "weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    plain_file = safetensors(header)
    assert target.getvalue()[8:].replace(b" ", b"") == plain_file[8:].replace(b" ", b"")
    assert target.getvalue().endswith(ONES)
    with pytest.raises(InputError, match="no tensors under 'model'"):
        weights_of(inventory, "model")
    with pytest.raises(InputError, match="wrapper is"):
        weights_of(inventory, "weights")
    assert torch_legacy.check(source) == []


@pytest.mark.parametrize("ends", [Ends(count=9, wide_count=9)])
def test_a_count_beyond_the_directory_is_refused(ends: Ends) -> None:
    log = Log(over(archive([Member("data.pkl", b"N.")], ends=ends)))
    assert read_entries(log) != ([], True)
    assert [finding.rule.id for finding in log.findings] == ["zip-directory"]
