"""Networks from ONNX files, as modules that gradients flow through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from badnets.errors import DataError, InputError, MissingPart

if TYPE_CHECKING:
    from torch import nn

# The newest operator set of which the converter knows all common operators.
_OPSET = 13


def read_onnx(file: Path) -> nn.Module:
    """The graph in an ONNX file as a torch module, after a scan.

    Raises:
        InputError: no such file.
        DataError: the scan refuses it, or it has operators that cannot be had in torch.
        MissingPart: the packages that read ONNX are not installed.
    """
    from badnets.supply.scan.scan import scan

    report = next(iter(scan(file)))
    if report.verdict != "clean":
        found = report.findings[0]
        raise DataError(
            f"{file}: {report.verdict} by the scan ({found.rule.id}: {found.detail}); see badnets scan {file}"
        )
    try:
        import onnx
        import onnx2torch
        from onnx import version_converter
    except ModuleNotFoundError as error:
        raise MissingPart(
            f"ONNX files need {error.name}: pip install 'badnets[onnx]', or bring weights as safetensors with --arch"
        ) from error
    try:
        graph = onnx.load(str(file))
        if any(one.version > _OPSET for one in graph.opset_import if not one.domain):
            graph = version_converter.convert_version(graph, _OPSET)
        module: nn.Module = onnx2torch.convert(graph)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error}") from error
    except Exception as error:  # these libraries raise anything
        line = next(iter(str(error).splitlines()), "")[:160]
        raise DataError(
            f"{file} cannot be had in torch ({type(error).__name__}: {line}): export it again with operator set "
            f"{_OPSET}, or bring its weights as safetensors with --arch"
        ) from error
    return module.eval()
