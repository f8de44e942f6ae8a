"""The messages of an ONNX model: which fields each may have. What is not here is refused.

Left out on purpose: training, sparse tensors, opaque types, segments, and placement on devices.

Source: onnx.proto of the ONNX project, IR version 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

IR_VERSION = 14


class Kind(StrEnum):
    """What a field's value is."""

    INT = "int"
    FLOAT = "float"
    DOUBLE = "double"
    TEXT = "text"
    BYTES = "bytes"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field of a message; `message` names its type where it is one."""

    name: str
    kind: Kind
    repeated: bool
    message: str


# message: number name kind, with * after the kind where it may be repeated.
_TEXT = """
ModelProto: 1 ir_version int, 8 opset_import OperatorSetIdProto*, 2 producer_name text, 3 producer_version text
ModelProto: 4 domain text, 5 model_version int, 6 doc_string text, 7 graph GraphProto, 25 functions FunctionProto*
ModelProto: 14 metadata_props StringStringEntryProto*
GraphProto: 1 node NodeProto*, 2 name text, 5 initializer TensorProto*, 10 doc_string text, 11 input ValueInfoProto*
GraphProto: 12 output ValueInfoProto*, 13 value_info ValueInfoProto*, 14 quantization_annotation TensorAnnotation*
GraphProto: 16 metadata_props StringStringEntryProto*
NodeProto: 1 input text*, 2 output text*, 3 name text, 4 op_type text, 7 domain text, 8 overload text
NodeProto: 5 attribute AttributeProto*, 6 doc_string text, 9 metadata_props StringStringEntryProto*
AttributeProto: 1 name text, 21 ref_attr_name text, 13 doc_string text, 20 type int, 2 f float, 3 i int, 4 s bytes
AttributeProto: 5 t TensorProto, 6 g GraphProto, 7 floats float*, 8 ints int*, 9 strings bytes*, 10 tensors TensorProto*
AttributeProto: 11 graphs GraphProto*, 14 tp TypeProto, 15 type_protos TypeProto*
TensorProto: 1 dims int*, 2 data_type int, 4 float_data float*, 5 int32_data int*, 6 string_data bytes*
TensorProto: 7 int64_data int*, 8 name text, 12 doc_string text, 9 raw_data bytes, 14 data_location int
TensorProto: 13 external_data StringStringEntryProto*, 10 double_data double*, 11 uint64_data int*
TensorProto: 16 metadata_props StringStringEntryProto*
ValueInfoProto: 1 name text, 2 type TypeProto, 3 doc_string text, 4 metadata_props StringStringEntryProto*
TypeProto: 1 tensor_type TypeProto.Tensor, 4 sequence_type TypeProto.Sequence, 5 map_type TypeProto.Map
TypeProto: 9 optional_type TypeProto.Optional, 6 denotation text
TypeProto.Tensor: 1 elem_type int, 2 shape TensorShapeProto
TypeProto.Sequence: 1 elem_type TypeProto
TypeProto.Map: 1 key_type int, 2 value_type TypeProto
TypeProto.Optional: 1 elem_type TypeProto
TensorShapeProto: 1 dim TensorShapeProto.Dimension*
TensorShapeProto.Dimension: 1 dim_value int, 2 dim_param text, 3 denotation text
StringStringEntryProto: 1 key text, 2 value text
OperatorSetIdProto: 1 domain text, 2 version int
TensorAnnotation: 1 tensor_name text, 2 quant_parameter_tensor_names StringStringEntryProto*
FunctionProto: 1 name text, 4 input text*, 5 output text*, 6 attribute text*, 11 attribute_proto AttributeProto*
FunctionProto: 7 node NodeProto*, 8 doc_string text, 9 opset_import OperatorSetIdProto*, 10 domain text
FunctionProto: 13 overload text, 12 value_info ValueInfoProto*, 14 metadata_props StringStringEntryProto*
"""

_KINDS = frozenset(kind.value for kind in Kind)


def _parse() -> dict[str, dict[int, FieldType]]:
    messages: dict[str, dict[int, FieldType]] = {}
    for line in _TEXT.strip().splitlines():
        message, _, fields = line.partition(": ")
        for field in fields.split(", "):
            number, name, kind = field.split()
            plain = kind.removesuffix("*")
            known = Kind(plain) if plain in _KINDS else Kind.MESSAGE
            inner = plain if known is Kind.MESSAGE else ""
            messages.setdefault(message, {})[int(number)] = FieldType(name, known, kind != plain, inner)
    return messages


MESSAGES = _parse()

# Field of an attribute -> its AttributeType, and the letter of that type in the table of operators.
ATTRIBUTE_TYPES = {
    "f": (1, "f"), "i": (2, "i"), "s": (3, "s"), "t": (4, "t"), "g": (5, "g"), "floats": (6, "F"), "ints": (7, "I"),
    "strings": (8, "S"), "tensors": (9, "T"), "graphs": (10, "G"), "tp": (13, "y"), "type_protos": (14, "Y"),
}  # fmt: skip

# TensorProto.DataType -> (bits of an element, field other than raw_data that may hold it, entries of it an element).
# Elements of less than a byte are packed; their entries in int32_data are not read here.
DATA_TYPES = {
    1: (32, "float_data", 1), 2: (8, "int32_data", 1), 3: (8, "int32_data", 1), 4: (16, "int32_data", 1),
    5: (16, "int32_data", 1), 6: (32, "int32_data", 1), 7: (64, "int64_data", 1), 8: (0, "string_data", 1),
    9: (8, "int32_data", 1), 10: (16, "int32_data", 1), 11: (64, "double_data", 1), 12: (32, "uint64_data", 1),
    13: (64, "uint64_data", 1), 14: (64, "float_data", 2), 15: (128, "double_data", 2), 16: (16, "int32_data", 1),
    17: (8, "int32_data", 1), 18: (8, "int32_data", 1), 19: (8, "int32_data", 1), 20: (8, "int32_data", 1),
    21: (4, "", 0), 22: (4, "", 0), 23: (4, "", 0), 24: (8, "int32_data", 1), 25: (2, "", 0), 26: (2, "", 0),
}  # fmt: skip
