"""What real writers write is admitted, and holds what torch says it holds."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load as load_safetensors

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.supply.benign_weights import DTYPES, benign, flat, loaded, model, raw, saved, values
from tests.supply.hostile import over
from tests.supply.weights_files import Member, archive

from badnets.supply.digests import tensor_digest
from badnets.supply.scan import torch_zip
from badnets.supply.scan.findings import Severity, Verdict, verdict_of
from badnets.supply.scan.log import Log
from badnets.supply.scan.policy import Policy
from badnets.supply.scan.tensor_bytes import tensor_bytes
from badnets.supply.scan.weights import inspect_weights, weights_format
from badnets.supply.scan.zip_records import read_entries

FILES = dict(benign())


def content_of(content: bytes) -> dict[tuple[object, ...], torch.Tensor]:
    """What the writer's own reader gives, by path."""
    if weights_format(over(content)) == "safetensors":
        return {(name,): tensor for name, tensor in load_safetensors(content).items()}
    return dict(flat(loaded(content)))


@pytest.mark.parametrize("name", FILES)
def test_it_is_admitted_and_every_tensor_is_the_one_that_its_own_reader_gives(name: str) -> None:
    source = over(FILES[name])
    findings, inventory = inspect_weights(source, finite=True)
    assert verdict_of(finding.rule.severity for finding in findings) is Verdict.CLEAN, findings
    assert inventory is not None
    there = content_of(FILES[name])
    paths = [tensor.path for tensor in inventory.tensors]
    assert set(paths) == set(there)
    assert paths == list(there) or "safetensors" in name  # its reader sorts them by their place
    for spec in inventory.tensors:
        tensor = there[spec.path]
        assert (DTYPES[spec.dtype], spec.shape) == (tensor.dtype, tuple(tensor.shape))
        assert b"".join(tensor_bytes(source, inventory, spec)) == raw(tensor)
        assert spec.requires_grad == tensor.requires_grad
        assert spec.contiguous == tensor.is_contiguous() or not tensor.numel()


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 90


@pytest.mark.parametrize("protocol", [4, 5])
def test_protocols_that_torch_s_loader_does_not_read_are_refused_for_that_alone(protocol: int) -> None:
    content = saved(model().state_dict(), protocol=protocol)
    with pytest.raises(Exception, match="Weights only load failed"):
        loaded(content)
    assert {finding.rule.id for finding in torch_zip.check(over(content))} == {"pickle-protocol"}
    assert torch_zip.check(over(content), Policy(newest_protocol=5)) == []


def test_a_file_name_becomes_the_root(tmp_path: Path) -> None:
    torch.save(values()["a state dict"], tmp_path / "a model.v2.pt")
    content = (tmp_path / "a model.v2.pt").read_bytes()
    assert b"a model.v2/data.pkl" in content
    assert torch_zip.check(over(content)) == []


def test_archives_from_before_torch_2_are_admitted() -> None:
    """They have the pickle, the storages by the numbers of their addresses, and the version."""
    net = model()
    content = saved(net.state_dict())
    entries, _ = read_entries(Log(over(content)))
    files = {
        entry.name.removeprefix("archive/"): content[entry.data.start : entry.data.start + entry.data.length]
        for entry in entries
    }
    kept = [Member(name, held) for name, held in files.items() if name == "data.pkl" or name.startswith("data/")]
    old = archive([*kept, Member("version", b"3\n")])
    assert torch_zip.check(over(old)) == []
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in loaded(old).items())


def test_our_own_archives_are_those_of_torch() -> None:
    """The hostile files differ from real ones by their lies alone: the writer of the tests is torch's."""
    content = saved({"weight": torch.ones(4), "empty": torch.empty(0)})
    entries, sound = read_entries(Log(over(content)))
    assert sound
    again = [
        Member(entry.name.removeprefix("archive/"), content[entry.data.start : entry.data.start + entry.data.length])
        for entry in entries
    ]
    assert archive(again) == content


def test_python_2_s_legacy_form_is_admitted() -> None:
    """As files of 2018 have it: short strings, an OrderedDict made of a list of lists, no hooks, long numbers."""

    def short(text: str) -> bytes:
        return b"U" + bytes([len(text)]) + text.encode()

    from tests.supply.weights_files import MAGIC, ONES, VERSION  # noqa: PLC0415 - used here alone

    sizes = short("short") + b"K\x02" + short("int") + b"K\x04" + short("long") + b"K\x08"
    facts = b"\x80\x02}q\x01(" + short("type_sizes") + b"}(" + sizes + b"u"
    facts += short("little_endian") + b"\x88" + short("protocol_version") + b"M\xe9\x03u."
    held = b"(" + short("storage") + b"ctorch\nFloatStorage\n" + short("5") + short("cuda:0") + b"\x8a\x01\x04NtQ"
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(" + held + b"K\0(\x8a\x01\x02K\x02t(K\x02K\x01t\x89NtR"
    main = b"\x80\x02ccollections\nOrderedDict\n](](" + short("w") + view + b"ee\x85R."
    content = MAGIC + VERSION + facts + main + b"\x80\x02](" + short("5") + b"e." + b"\x04" + bytes(7) + ONES
    findings, inventory = inspect_weights(over(content))
    assert findings == []
    assert inventory is not None
    assert [tensor.path for tensor in inventory.tensors] == [("w",)]
    assert torch.equal(loaded(content)["w"], torch.ones(2, 2))


def test_hidden_bytes_of_a_storage_are_noted() -> None:
    """A view saves the whole storage behind it."""
    findings, _ = inspect_weights(over(saved({"w": torch.arange(10)[:2]})))
    assert [(finding.rule.id, finding.rule.severity) for finding in findings] == [("storage-slack", Severity.NOTE)]


def test_notes_in_safetensors_are_named_and_admitted() -> None:
    from safetensors.torch import save  # noqa: PLC0415 - used here alone

    content = save({"w": torch.ones(2)}, metadata={"format": "pt", "title": "a fine model", "sha256": "ab" * 32})
    findings, _ = inspect_weights(over(content))
    assert [finding.rule.id for finding in findings] == ["safetensors-note"] * 2
    assert all(finding.offset == content.index(key) for finding, key in zip(
        sorted(findings, key=lambda finding: finding.detail), (b'"sha256"', b'"title"'), strict=True))  # fmt: skip


def test_a_full_module_passes_only_with_its_classes_named() -> None:
    content = saved(torch.nn.Linear(2, 3))
    classes = {"torch.nn.modules.linear.Linear", "__builtin__.set"}
    named = [finding.detail for finding in torch_zip.check(over(content)) if finding.rule.id == "pickle-global"]
    assert named[0] == "torch.nn.modules.linear.Linear"
    with pytest.raises(Exception, match="cannot be allowed"):
        Policy(classes=frozenset(classes))
    rest = torch_zip.check(over(content), Policy(classes=frozenset(classes - {"__builtin__.set"})))
    assert {finding.detail for finding in rest if finding.rule.id == "pickle-global"} <= {"__builtin__.set"}


def test_a_counter_passes_once_it_is_named() -> None:
    from collections import Counter  # noqa: PLC0415 - used here alone

    content = saved({"milestones": Counter({30: 1, 60: 1}), "w": torch.ones(2)})
    assert {finding.rule.id for finding in torch_zip.check(over(content))} == {"pickle-global"}
    findings, inventory = torch_zip.inspect(over(content), Policy(classes=frozenset({"collections.Counter"})))
    assert findings == []
    assert inventory is not None
    assert [tensor.path for tensor in inventory.tensors] == [("w",)]


def test_the_digest_does_not_depend_on_format_order_or_strides() -> None:
    from safetensors.torch import save  # noqa: PLC0415 - used here alone

    weight = torch.randn(30, 20, 3)
    value = {"a": weight.permute(2, 0, 1), "b": weight[:, ::3], "c": torch.tensor(2.0), "d": torch.empty(3, 0)}
    plain = {name: tensor.contiguous().clone() for name, tensor in reversed(value.items())}
    digests = set()
    for content in (saved(value), saved(value, legacy=True), saved(plain, protocol=3), save(plain)):
        source = over(content)
        inventory = inspect_weights(source)[1]
        assert inventory is not None
        digests.add(tensor_digest(source, inventory))
    assert len(digests) == 1


def test_big_views_of_a_file_on_the_disk_are_gathered_from_a_map(tmp_path: Path) -> None:
    weight = torch.arange(2_000_000, dtype=torch.float32).reshape(2000, 1000)
    torch.save({"w": weight.t()}, tmp_path / "w.pt")
    expected = raw(weight.t())
    content = (tmp_path / "w.pt").read_bytes()
    for file in ((tmp_path / "w.pt").open("rb"), io.BytesIO(content)):
        with file:
            source = over(content)
            source.file = file
            inventory = torch_zip.inspect(source)[1]
            assert inventory is not None
            assert b"".join(tensor_bytes(source, inventory, inventory.tensors[0])) == expected
