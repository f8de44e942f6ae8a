"""Walks a model's functions, graphs and nodes, graphs within nodes included."""

from __future__ import annotations

from dataclasses import dataclass, field

from badnets.supply.scan import onnx_rules as rules
from badnets.supply.scan.onnx_messages import Fault, Message, Messages
from badnets.supply.scan.onnx_ops import NEWEST, Operator, operator
from badnets.supply.scan.onnx_schema import ATTRIBUTE_TYPES, IR_VERSION
from badnets.supply.scan.onnx_tensor import External, check_entries, check_tensor, check_type, check_value

# Domain, name, overload.
Signature = tuple[str, str, str]


@dataclass
class _Scope:
    """The names that are made so far, here and in the graphs around."""

    outer: _Scope | None = None
    names: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.names or (self.outer is not None and name in self.outer)


@dataclass(frozen=True)
class _Place:
    """Where a node stands: which operator sets count there, and which function's attributes it may refer to."""

    opsets: dict[str, int]
    function: Signature | None = None
    attributes: frozenset[str] = frozenset()


class Walk:
    """One walk through one model.

    Attributes:
        externals: weights in other files, as far as the walk has come.
    """

    def __init__(self, messages: Messages) -> None:
        self.messages = messages
        self.externals: list[External] = []
        self._functions: dict[Signature, Message] = {}
        self._calls: dict[Signature, set[Signature]] = {}
        self._old = False

    def model(self) -> None:
        """Raises `Fault`, `WireError`, `Exhausted`."""
        read = self.messages
        model = read.read("ModelProto", 0, read.source.size)
        for name in ("producer_name", "producer_version", "domain", "doc_string"):
            read.text(model, name)
        check_entries(read, model, "metadata_props")
        version = read.number(model, "ir_version") or 0
        if not 3 <= version <= IR_VERSION:
            raise Fault(rules.OPSET, f"IR version {version}, known are 3 to {IR_VERSION}", 0)
        self._old = version < 4
        opsets = self._opsets(model)
        for function in read.inner(model, "functions"):
            self._declare(function)
        for signature, function in self._functions.items():
            self._function(signature, function, opsets)
        self._refuse_cycles()
        graph = next(read.inner(model, "graph"), None)
        if graph is None:
            raise Fault(rules.GRAPH, "a model without a graph", 0)
        self._graph(graph, _Place(opsets), None)

    def _opsets(self, message: Message) -> dict[str, int]:
        opsets: dict[str, int] = {}
        for item in self.messages.inner(message, "opset_import"):
            domain = _domain(self.messages.text(item, "domain"))
            version = self.messages.number(item, "version") or 0
            if domain in opsets or not 1 <= version <= NEWEST.get(domain, 2**31):
                raise Fault(rules.OPSET, f"operator set {domain or 'ai.onnx'!a} version {version}", item.start)
            opsets[domain] = version
        if not opsets:
            raise Fault(rules.OPSET, f"{message.kind} without operator sets", message.start)
        return opsets

    def _declare(self, function: Message) -> None:
        read = self.messages
        signature = (
            _domain(read.text(function, "domain")),
            read.text(function, "name"),
            read.text(function, "overload"),
        )
        if not signature[1] or not signature[0] or signature[0] in NEWEST or signature in self._functions:
            raise Fault(rules.FUNCTION, f"function {signature[1]!a} of domain {signature[0]!a}", function.start)
        self._functions[signature] = function

    def _function(self, signature: Signature, function: Message, around: dict[str, int]) -> None:
        read = self.messages
        read.text(function, "doc_string")
        check_entries(read, function, "metadata_props")
        opsets = self._opsets(function)
        for domain, version in opsets.items():
            if around.get(domain, version) != version:
                raise Fault(rules.OPSET, f"{signature[1]!a} has operator set {domain!a} {version}", function.start)
        defaults = {
            self._attribute(item, _Place(opsets), _Scope())[0] for item in read.inner(function, "attribute_proto")
        }
        place = _Place(opsets, signature, frozenset(read.texts(function, "attribute")) | defaults)
        for value in read.inner(function, "value_info"):
            check_value(read, value, typed=False)
        scope = _Scope()
        for name in read.texts(function, "input"):
            _make(scope, name, function.start)
        self._nodes(function, place, scope)
        _require(scope, read.texts(function, "output"), function.start)

    def _refuse_cycles(self) -> None:
        """A function that reaches itself would be unrolled for ever."""
        clear: set[Signature] = set()
        for first in self._calls:
            stack, seen = [first], set[Signature]()
            while stack:
                for called in self._calls.get(stack.pop(), set()) - seen - clear:
                    if called == first:
                        raise Fault(rules.FUNCTION, f"{first[1]!a} reaches itself", self._functions[first].start)
                    seen.add(called)
                    stack.append(called)
            clear.add(first)

    def _graph(self, graph: Message, place: _Place, outer: _Scope | None) -> None:
        read, scope = self.messages, _Scope(outer)
        if not read.text(graph, "name"):
            raise Fault(rules.GRAPH, "a graph without a name", graph.start)
        read.text(graph, "doc_string")
        check_entries(read, graph, "metadata_props")
        for value in read.inner(graph, "input"):
            _make(scope, check_value(read, value, typed=outer is None), value.start)
        self._initializers(graph, scope)
        for value in read.inner(graph, "value_info"):
            check_value(read, value, typed=False)
        for note in read.inner(graph, "quantization_annotation"):
            read.text(note, "tensor_name")
            check_entries(read, note, "quant_parameter_tensor_names")
        self._nodes(graph, place, scope)
        for value in read.inner(graph, "output"):
            _require(scope, [check_value(read, value, typed=outer is None)], value.start)

    def _initializers(self, graph: Message, scope: _Scope) -> None:
        inputs, seen = set(scope.names), set[str]()
        for tensor in self.messages.inner(graph, "initializer"):
            self._tensor(tensor)
            name = self.messages.text(tensor, "name")
            if not name or name in seen or (self._old and name not in inputs):
                raise Fault(
                    rules.GRAPH, f"initializer {name!a} without a name, twice or without an input", tensor.start
                )
            seen.add(name)
        scope.names |= seen

    def _tensor(self, tensor: Message) -> None:
        if external := check_tensor(self.messages, tensor):
            self.externals.append(external)

    def _nodes(self, around: Message, place: _Place, scope: _Scope) -> None:
        for node in self.messages.inner(around, "node"):
            self._node(node, place, scope)

    def _node(self, node: Message, place: _Place, scope: _Scope) -> None:
        read = self.messages
        inputs, outputs = read.texts(node, "input"), read.texts(node, "output")
        name, domain = read.text(node, "op_type"), _domain(read.text(node, "domain"))
        for text in ("name", "doc_string"):
            read.text(node, text)
        check_entries(read, node, "metadata_props")
        if not inputs and not outputs:
            raise Fault(rules.GRAPH, f"{name!a} with neither inputs nor outputs", node.start)
        _require(scope, [used for used in inputs if used], node.start)
        signature = (domain, name, read.text(node, "overload"))
        known = self._operator(node, signature, place)
        given: set[str] = set()
        for attribute in read.inner(node, "attribute"):
            key, letter = self._attribute(attribute, place, scope)
            if key in given or (known and known.attributes.get(key) != letter):
                raise Fault(rules.OPERATOR, f"{name!a} with attribute {key!a} of type {letter}", attribute.start)
            given.add(key)
        if known and not (
            known.required <= given
            and known.inputs[0] <= len(inputs) <= known.inputs[1]
            and known.outputs[0] <= len(outputs) <= known.outputs[1]
        ):
            detail = f"{name!a} with {len(inputs)} inputs, {len(outputs)} outputs, attributes {sorted(given)}"
            raise Fault(rules.OPERATOR, detail, node.start)
        for made in filter(None, outputs):
            if made in scope:
                raise Fault(rules.GRAPH, f"{made!a} is made twice", node.start)
            scope.names.add(made)

    def _operator(self, node: Message, signature: Signature, place: _Place) -> Operator | None:
        """The standard operator that a node is; None where it calls a function of the model."""
        domain, name, overload = signature
        if domain not in place.opsets:
            rule = rules.OPSET if domain in NEWEST or signature in self._functions else rules.DOMAIN
            raise Fault(rule, f"{name!a} of domain {domain!a}, whose operator set is not imported", node.start)
        if signature in self._functions:
            if place.function:
                self._calls.setdefault(place.function, set()).add(signature)
            return None
        if domain not in NEWEST:
            raise Fault(rules.DOMAIN, f"{name!a} of domain {domain!a}", node.start)
        known = operator(domain, name, place.opsets[domain])
        if known is None or overload:
            detail = f"{name!a} in operator set {domain or 'ai.onnx'} version {place.opsets[domain]}"
            raise Fault(rules.OPERATOR, detail, node.start)
        return known

    def _attribute(self, attribute: Message, place: _Place, scope: _Scope) -> tuple[str, str]:
        """The attribute's name and the letter of its type."""
        read = self.messages
        name, refers = read.text(attribute, "name"), read.text(attribute, "ref_attr_name")
        read.text(attribute, "doc_string")
        stated = read.number(attribute, "type")
        letters = dict(ATTRIBUTE_TYPES.values())
        held = [key for key in ATTRIBUTE_TYPES if attribute.all(key)]
        if not name or stated not in letters or (refers and (held or refers not in place.attributes)):
            raise Fault(rules.FIELD, f"attribute {name!a} of type {stated}", attribute.start)
        # An empty list leaves no field behind.
        if not refers and [ATTRIBUTE_TYPES[key][0] for key in held] not in ([stated], [] if stated >= 6 else [stated]):
            raise Fault(rules.FIELD, f"attribute {name!a} of type {stated} holds {held}", attribute.start)
        self._values(attribute, place, scope)
        return name, letters[stated]

    def _values(self, attribute: Message, place: _Place, scope: _Scope) -> None:
        read = self.messages
        for key in ("s", "strings"):
            read.texts(attribute, key)
        for key in ("ints", "floats"):
            read.count(attribute, key)
        for key in ("t", "tensors"):
            for tensor in read.inner(attribute, key):
                self._tensor(tensor)
        for key in ("tp", "type_protos"):
            for kind in read.inner(attribute, key):
                check_type(read, kind)
        for key in ("g", "graphs"):
            for graph in read.inner(attribute, key):
                self._graph(graph, place, scope)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _make(scope: _Scope, name: str, at: int) -> None:
    if not name or name in scope.names:
        raise Fault(rules.GRAPH, f"{name!a} is made twice or has no name", at)
    scope.names.add(name)


def _require(scope: _Scope, used: list[str], at: int) -> None:
    for name in used:
        if name not in scope:
            raise Fault(rules.GRAPH, f"{name!a} is used before it is made", at)
