"""Why a zip archive of torch is refused: it differs from what torch's own writer makes."""

from __future__ import annotations

from badnets.supply.scan.findings import Rule, Severity

_ATLAS = "AML.T0011.000"
_SAVE = "Ask the author for a file as torch.save writes it, or for safetensors."


def _refuse(name: str, what: str, remedy: str = _SAVE, cwe: str = "CWE-436") -> Rule:
    return Rule(name, Severity.REFUSE, what, remedy, cwe=cwe, atlas=_ATLAS)


DIRECTORY = _refuse("zip-directory", "The archive's directory, or the record of its end, is damaged or does not fit.")
COMMENT = _refuse("zip-comment", "The archive has a comment, where another file can hide.")
GAP = _refuse("zip-gap", "Bytes lie before, between or after the entries that the directory names.")
MISMATCH = _refuse("zip-mismatch", "An entry's own header says something else than the directory.")
FIELD = _refuse("zip-field", "A field has a value that torch's writer does not give it: flags, method, times, extras.")
ENCRYPTED = _refuse("zip-encrypted", "An entry is encrypted: nobody can tell what it holds.", cwe="CWE-311")
COMPRESSED = _refuse("zip-compressed", "An entry is compressed; torch stores its entries as they are.", cwe="CWE-409")
DUPLICATE = _refuse("zip-duplicate", "Two entries have one name, or names that differ in case alone.")
NAME = _refuse("zip-name", "An entry's name is no plain path below one folder.", cwe="CWE-22")
CHECKSUM = _refuse(
    "zip-checksum", "The content of an entry does not have the checksum that the directory gives.", cwe="CWE-354"
)

UNKNOWN_ENTRY = _refuse("torch-entry", "An entry that torch.save does not write.", cwe="CWE-506")
MISSING_ENTRY = _refuse("torch-missing", "An entry that every file of torch.save has is missing.", cwe="CWE-345")
RECORD = _refuse("torch-record", "A record of torch's archive has another content than torch.save gives it.")
STORAGE_MISSING = _refuse(
    "torch-storage-missing", "The pickle refers to a storage that is not in the file.", cwe="CWE-345"
)
STORAGE_UNUSED = _refuse("torch-storage-unused", "The file has a storage that nothing refers to.", cwe="CWE-506")
STORAGE_SIZE = _refuse("torch-storage-size", "A storage has another size than the pickle says.", cwe="CWE-130")
STORAGE_CLASH = _refuse("torch-storage-clash", "The pickle describes one storage in two ways.")
BYTE_ORDER = _refuse(
    "torch-byteorder", "The file was written on a big-endian machine; its numbers are the wrong way round."
)
SCRIPT = _refuse(
    "torch-script",
    "A TorchScript archive: it carries code, not only weights.",
    "Ask for the state dict instead.",
    "CWE-502",
)
EXPORT = _refuse(
    "torch-export", "A torch.export archive (.pt2): it carries a program.", "Ask for the state dict instead.", "CWE-502"
)
PACKAGE = _refuse(
    "torch-package", "A torch.package archive: it carries Python code.", "Ask for the state dict instead.", "CWE-502"
)

RULES = (
    DIRECTORY, COMMENT, GAP, MISMATCH, FIELD, ENCRYPTED, COMPRESSED, DUPLICATE, NAME, CHECKSUM, UNKNOWN_ENTRY,
    MISSING_ENTRY, RECORD, STORAGE_MISSING, STORAGE_UNUSED, STORAGE_SIZE, STORAGE_CLASH, BYTE_ORDER, SCRIPT, EXPORT,
    PACKAGE,
)  # fmt: skip
