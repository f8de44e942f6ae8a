"""Why a pickle is refused. The closed grammar: what torch's writers put into a file of weights, and nothing else."""

from __future__ import annotations

from badnets.supply.scan.findings import Rule, Severity

_CWE = "CWE-502"
_ATLAS = "AML.T0011.000"
_SAVE = "Do not load it. Ask the author for safetensors, or for a state dict saved by torch.save."


def _refuse(name: str, what: str, remedy: str = _SAVE, cwe: str = _CWE) -> Rule:
    return Rule(name, Severity.REFUSE, what, remedy, cwe=cwe, atlas=_ATLAS)


GLOBAL = _refuse("pickle-global", "A pickle names something importable that weights do not need; loading may run it.")
OPCODE = _refuse("pickle-opcode", "A pickle uses an opcode that no writer of weights emits.")
PROTOCOL = _refuse(
    "pickle-protocol",
    "A pickle has no protocol header, a second one, or a protocol that torch's weights-only loader cannot read.",
    "Ask the author to save with torch.save's default protocol.",
)
TRUNCATED = _refuse(
    "pickle-truncated",
    "A pickle breaks off before its end; what comes before the break would still run.",
    cwe="CWE-754",
)
MALFORMED = _refuse("pickle-malformed", "A pickle cannot be decoded, or takes values from an empty stack.")
FRAME = _refuse("pickle-frame", "A frame of a pickle has a length that its opcodes do not have.", cwe="CWE-130")
MEMO = _refuse("pickle-memo", "A pickle fetches a value it never stored, or stores one twice under a number.")
TRAILING = _refuse("pickle-trailing", "Bytes follow the end of the pickle.", cwe="CWE-436")
CALL = _refuse("pickle-call", "A pickle calls something with other arguments than torch's writer gives it.")
BUILD = _refuse("pickle-build", "A pickle sets the attributes of an object that weights do not set.")
PERSISTENT = _refuse("pickle-persistent", "A pickle refers to outside data in another form than torch's storages.")
EXTENSION = _refuse("pickle-extension", "A pickle names code by a number of the extension registry.")
BUFFER = _refuse("pickle-buffer", "A pickle expects buffers from outside.")
VALUE = _refuse("pickle-value", "A pickle holds a value that weights do not have: bytes, a class, an object.")
TEXT = _refuse("pickle-text", "A text in the pickle looks like code, markup or packed data.", cwe="CWE-506")
KEY = _refuse("pickle-key", "A dict in the pickle has a key twice, or one that is neither text nor a whole number.")
NUMBER = _refuse("pickle-number", "A number in the pickle is wider than 64 bits.", cwe="CWE-400")
EXPANSION = _refuse(
    "pickle-expansion", "Values of the pickle contain each other so often that walking them never ends.", cwe="CWE-776"
)
BARE = _refuse(
    "pickle-bare",
    "A pickle on its own: no loader of weights reads it, only one that runs whatever it names.",
    "Do not unpickle it. Ask the author for safetensors, npz or JSON.",
)

RULES = (
    GLOBAL, OPCODE, PROTOCOL, TRUNCATED, MALFORMED, FRAME, MEMO, TRAILING, CALL, BUILD, PERSISTENT, EXTENSION, BUFFER,
    VALUE, TEXT, KEY, NUMBER, EXPANSION, BARE,
)  # fmt: skip
