"""What real writers write comes out clean: numpy, onnx, torch, safetensors, zip, tar, gzip, and model folders."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from safetensors.numpy import save as safetensors

from badnets.supply.scan.findings import FileReport, Verdict
from badnets.supply.scan.scan import scan

DTYPES = (
    "?", "b", "B", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", ">i8", "<u8", "<f2", "<f4", ">f4", "<f8", ">f8",
    "<c8", "<c16",
    "<f16", "S7", "<U5", ">U3", "<M8[ns]", "<m8[s]", "<M8[D]",
)  # fmt: skip
SHAPES = ((), (0,), (3,), (2, 3), (1, 0, 4), (2, 1, 2, 1, 2))


def clean(path: Path) -> list[FileReport]:
    reports = scan(path)
    assert all(report.verdict is Verdict.CLEAN for report in reports), [
        (report.path, finding.rule.id, finding.detail) for report in reports for finding in report.findings
    ]
    return reports


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_numpy_arrays(dtype: str, version: tuple[int, int], tmp_path: Path) -> None:
    for number, shape in enumerate(SHAPES):
        path = tmp_path / f"{number}.npy"
        array = np.zeros(shape, dtype)
        with path.open("wb") as file:
            np.lib.format.write_array(file, np.asfortranarray(array) if number % 2 else array, version)
        assert clean(path)[0].format == "npy"
        assert np.load(path, allow_pickle=False).shape == shape


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_numpy_archives(save: Callable[..., None], tmp_path: Path) -> None:
    arrays: dict[str, npt.NDArray[np.generic]] = {f"a{n}": np.zeros((50, n), d) for n, d in enumerate(DTYPES)}
    save(tmp_path / "a.npz", **arrays, big=np.zeros(1_000_000))
    assert clean(tmp_path / "a.npz")[0].format == "npz"


def _perceptron(**options: Any) -> onnx.ModelProto:  # noqa: ANN401 - as helper.make_model
    noise = np.random.default_rng(0)
    tensors = [
        onnx.numpy_helper.from_array(noise.normal(size=(4, 8)).astype(np.float32), "w"),
        onnx.numpy_helper.from_array(noise.normal(size=8).astype(np.float32), "b"),
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], alpha=1.0),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Softmax", ["r"], ["y"], axis=1, name="last"),
    ]
    return _model(nodes, tensors, **options)


def _model(
    nodes: list[onnx.NodeProto],
    tensors: list[onnx.TensorProto],
    shape: tuple[str | int, ...] = ("N", 4),
    **options: Any,  # noqa: ANN401 - as helper.make_model
) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    y.type.tensor_type.shape.SetInParent()
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], tensors), **options)


def _convolution() -> onnx.ModelProto:
    weight = onnx.numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    return _model(nodes, [weight], (1, 3, 8, 8))


def _branch() -> onnx.ModelProto:
    inner = [
        helper.make_graph([helper.make_node(op, ["x"], [f"z_{op}"])], op, [], [
            helper.make_tensor_value_info(f"z_{op}", TensorProto.FLOAT, None)]) for op in ("Relu", "Abs")
    ]  # fmt: skip
    condition = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("v", TensorProto.BOOL, [], [True]))
    return _model([condition, helper.make_node("If", ["c"], ["y"], then_branch=inner[0], else_branch=inner[1])], [])


def _loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["s", "s"], ["t"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, ["N", 4]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("t", TensorProto.FLOAT, ["N", 4]),
        ],
    )
    count = helper.make_tensor("n", TensorProto.INT64, [], [3])
    return _model([helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)], [count])


def _function() -> onnx.ModelProto:
    own = helper.make_function(
        "own.domain", "Twice", ["a"], ["b"],
        [helper.make_node("Constant", [], ["k"], value_float=2.0), helper.make_node("Mul", ["a", "k"], ["b"])],
        [helper.make_opsetid("", 21)],
    )  # fmt: skip
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("own.domain", 1)]
    return _model(
        [helper.make_node("Twice", ["x"], ["y"], domain="own.domain")], [], opset_imports=sets, functions=[own]
    )


def _types() -> onnx.ModelProto:
    tensors = [
        helper.make_tensor(f"t{kind}", kind, [3], [1, 2, 3])
        for kind in range(1, 17)
        if kind not in (TensorProto.STRING, TensorProto.BOOL)
    ]
    tensors += [
        onnx.numpy_helper.from_array(np.array(["a", "b"], dtype=object), "s"),
        helper.make_tensor("n", 9, [1], [True]),
    ]
    tensors += [onnx.numpy_helper.from_array(np.arange(6, dtype=kind), f"r{kind}") for kind in ("i8", "u2", "f2", "f8")]
    return _model([helper.make_node("Relu", ["x"], ["y"])], tensors)


def _learned() -> onnx.ModelProto:
    node = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0] * 4, scale=[1.0] * 4)
    model = _model([node], [], opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    model.metadata_props.add(key="author", value="nobody")
    model.doc_string = "Scales.\nNothing else."
    return model


def _old() -> onnx.ModelProto:
    return _perceptron(ir_version=7, opset_imports=[helper.make_opsetid("", 9)])


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "perceptron": _perceptron, "convolution": _convolution, "branch": _branch, "loop": _loop, "function": _function,
    "types": _types, "learned": _learned, "old": _old,
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_onnx_models(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "m.onnx")
    assert clean(tmp_path / "m.onnx")[0].format == "onnx"


@pytest.mark.parametrize("together", [True, False])
def test_onnx_with_weights_beside_it(together: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case of two
    model = _perceptron()
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, all_tensors_to_one_file=together,
              size_threshold=0,
              location="m.data" if together else None)  # fmt: skip
    formats = {report.path: report.format for report in clean(tmp_path)}
    assert set(formats.values()) == {"onnx", "onnx-data"}
    assert [finding.rule.id for finding in scan(tmp_path / "m.onnx")[0].findings] == ["onnx-external"] * 2
    (tmp_path / "more.onnx").write_bytes((tmp_path / "m.onnx").read_bytes())
    clean(tmp_path)


def test_torch_and_safetensors(tmp_path: Path) -> None:
    state = {"a.weight": torch.ones(3, 4), "a.bias": torch.zeros(3, dtype=torch.bfloat16)}
    torch.save(state, tmp_path / "zip.pt")
    torch.save(state, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(state, tmp_path / "named.dat")
    (tmp_path / "w.safetensors").write_bytes(safetensors({"w": np.ones((2, 2), np.float32)}))
    formats = {report.path: report.format for report in clean(tmp_path)}
    assert formats == {
        "zip.pt": "torch-zip", "legacy.pth": "torch-legacy", "named.dat": "torch-zip", "w.safetensors": "safetensors",
    }  # fmt: skip


def test_archives_of_clean_files(tmp_path: Path) -> None:
    weights = safetensors({"w": np.ones(3, np.float32)})
    notes = b"# Notes\n" * 2000
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / f"{method}.zip", "w", method) as archive:
            archive.writestr("model/w.safetensors", weights)
            archive.writestr("model/README.md", notes)
            archive.mkdir("model/empty")
            with archive.open("large.md", "w", force_zip64=True) as file:
                file.write(notes)

    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.safetensors", weights)
    (tmp_path / "streamed.zip").write_bytes(stream.getvalue())
    (tmp_path / "empty.zip").write_bytes(b"PK\5\6" + bytes(18))
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for compression in ("", "gz", "bz2", "xz"):
            name = f"{form}.tar" + (f".{compression}" if compression else "")
            mode: Any = f"w:{compression}"
            with tarfile.open(tmp_path / name, mode, format=form) as tar:
                for member in ("model/w.safetensors", "model/" + "deep/" * 30 + "w.safetensors"):
                    if form == tarfile.USTAR_FORMAT and len(member) > 100:
                        continue
                    info = tarfile.TarInfo(member)
                    info.size, info.mtime = len(weights), 1.5 if form == tarfile.PAX_FORMAT else 1
                    tar.addfile(info, io.BytesIO(weights))
    with gzip.open(tmp_path / "w.safetensors.gz", "wb") as packed:
        packed.write(weights)
    clean(tmp_path)


def test_what_the_tools_of_the_system_pack(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.safetensors").write_bytes(safetensors({"w": np.ones(3, np.float32)}))
    (folder / "README.md").write_text("# Model\n")
    subprocess.run(["tar", "-czf", "../model.tar.gz", "."], cwd=folder, check=True)  # noqa: S607 - as a user would
    subprocess.run(["tar", "-cf", "../model.tar", "-C", "..", "model"], cwd=folder, check=True)  # noqa: S607
    subprocess.run(["gzip", "-k", "w.safetensors"], cwd=folder, check=True)  # noqa: S607
    clean(tmp_path)


VOCABULARY = "[PAD]\n[UNK]\ncat\ndog\nR\n##ing\n\u00e9t\u00e9\n(\ntR.\n"
CONFIG = {
    "architectures": ["BertModel"], "hidden_size": 8, "model_type": "bert", "torch_dtype": "float32",
    "transformers_version": "4.50.0", "id2label": {"0": "a"}, "_name_or_path": "org/name", "trust_remote_code": False,
}  # fmt: skip


def _repository(folder: Path) -> None:
    files: dict[str, bytes] = {
        "config.json": json.dumps(CONFIG, indent=2).encode(),
        "generation_config.json": b'{"eos_token_id": [1, 2], "temperature": 0.6}\n',
        "tokenizer.json": json.dumps({"version": "1.0", "model": {"vocab": {"\u2581the": 1}, "merges": []}}).encode(),
        "tokenizer_config.json": b'{"tokenizer_class": "BertTokenizer", "model_max_length": 10000000000000000198}',
        "special_tokens_map.json": b'{"unk_token": "[UNK]"}',
        "vocab.txt": VOCABULARY.encode(),
        "merges.txt": b"#version: 0.2\n\xc4\xa0 t\nh e\n",
        "README.md": b"---\nlicense: mit\n---\n# Model\n\n```python\nimport torch\n```\n",
        "LICENSE": b"(c)\nNobody\nIn particular\n",
        ".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n",
        "added_tokens.json": b"{}",
        "notes.txt": b"",
        "model-00001-of-00002.safetensors": safetensors({"a": np.ones(3, np.float32)}),
        "model-00002-of-00002.safetensors": safetensors({"b": np.ones(3, np.float32)}),
        "model.safetensors.index.json": json.dumps({"metadata": {"total_size": 24}, "weight_map": {
            "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode(),
        "onnx/model.onnx": _perceptron().SerializeToString(),
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    Image.new("RGB", (8, 8)).save(folder / "figure.png")


def test_a_model_repository_of_weights_only(tmp_path: Path) -> None:
    _repository(tmp_path)
    reports = clean(tmp_path)
    assert len(reports) == sum(len(files) for _, _, files in os.walk(tmp_path))


def test_diffusers_layout(tmp_path: Path) -> None:
    for part in ("unet", "vae"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text('{"_class_name": "UNet2DConditionModel", "sample_size": 64}')
        (tmp_path / part / "diffusion_pytorch_model.safetensors").write_bytes(
            safetensors({"w": np.ones(2, np.float32)})
        )
    (tmp_path / "model_index.json").write_text(
        '{"_class_name": "Pipeline", "unet": ["diffusers", "UNet2DConditionModel"]}'
    )
    clean(tmp_path)


def test_a_header_that_numpy_wrote_long_ago(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".ljust(69) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8))
    clean(tmp_path / "a.npy")
