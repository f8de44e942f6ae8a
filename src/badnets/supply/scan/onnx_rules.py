"""Why an ONNX model is refused."""

from __future__ import annotations

from badnets.supply.scan.findings import Rule, Severity


def _rule(name: str, what: str, remedy: str, cwe: str, atlas: str = "AML.T0011.000") -> Rule:
    return Rule(f"onnx-{name}", Severity.REFUSE, what, remedy, cwe=cwe, atlas=atlas)


MALFORMED = _rule(
    "malformed", "Bytes that are no field of a message.", "Get the model again, or export it anew.", "CWE-20"
)
FIELD = _rule(
    "field",
    "A field that ONNX does not have, has once only, or that has no reader here.",
    "Export the model for inference, without training, sparse or device fields.",
    "CWE-20",
)
TEXT = _rule("text", "A text that is no UTF-8, too long, or full of control characters.", "Export it anew.", "CWE-20")
DEPTH = _rule(
    "depth", "Messages nested deeper than any model needs.", "Export the model without such nesting.", "CWE-674"
)
DOMAIN = _rule(
    "domain",
    "An operator from outside the standard: running it loads code that is not in the file.",
    "Export the model with standard operators, or with functions of its own.",
    "CWE-829",
)
OPERATOR = _rule("operator", "An operator that its operator set does not have, or not so.", "Export it anew.", "CWE-20")
OPSET = _rule(
    "opset", "An operator set or version that is not known here.", "Export it for an older operator set.", "CWE-20"
)
GRAPH = _rule("graph", "A graph that uses names it has not made, or makes them twice.", "Export it anew.", "CWE-20")
TENSOR = _rule("tensor", "A tensor whose bytes do not fit its type and shape.", "Export the model anew.", "CWE-131")
FUNCTION = _rule(
    "function", "A function that calls itself, or takes the place of another.", "Export it anew.", "CWE-674"
)
OUTSIDE = _rule(
    "external-path",
    "Weights in a file outside the model's folder.",
    "Ask for the weights inside the model, or beside it.",
    "CWE-22",
    "AML.T0010.003",
)
EXTERNAL_KEY = _rule(
    "external-key", "External weights described in words that are not known.", "Export it anew.", "CWE-20"
)
EXTERNAL = Rule(
    "onnx-external",
    Severity.UNJUDGED,
    "Weights in another file, which was not read with this one.",
    "Scan the folder that holds both, named as a folder.",
    cwe="CWE-353",
    atlas="AML.T0010.003",
)
RULES = (
    MALFORMED, FIELD, TEXT, DEPTH, DOMAIN, OPERATOR, OPSET, GRAPH, TENSOR, FUNCTION, OUTSIDE, EXTERNAL_KEY, EXTERNAL,
)  # fmt: skip
