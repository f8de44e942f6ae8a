"""Hostile pickles: names that run code, opcodes that weights do not have, streams that lie about themselves.

Nothing here does harm when it is run: the one command is `true`.
"""

from __future__ import annotations

import base64
import os
import pickle
import struct
from collections.abc import Iterator

from tests.supply.hostile import Hostile, marked
from tests.supply.weights_files import ORDERED, REBUILD, numbers, state_dict, storage, tensor, text, torch_zip

CALL = b"X\x04\x00\x00\x00true\x85R"  # the argument of a command, and the call
SYSTEM = b"cposix\nsystem\n" + CALL

# What attackers and the tables of scanners name, and what those tables forget.
GADGETS = (
    """
builtins eval;builtins exec;builtins compile;builtins open;builtins getattr;builtins __import__;builtins breakpoint
builtins input;builtins globals;builtins setattr;builtins map;builtins type;builtins super;builtins bytearray
__builtin__ eval;__builtin__ apply;__builtin__ execfile;__builtin__ set;os system;os popen;os execv;os spawnl
os putenv;os remove;posix system;posix popen;posix fork;nt system;subprocess Popen;subprocess call
subprocess check_output;subprocess getoutput;commands getoutput;sys settrace;sys exit;sys modules
importlib import_module;importlib.util spec_from_file_location;runpy run_module;runpy run_path;pty spawn
shutil rmtree;shutil copyfile;socket socket;socket create_connection;urllib.request urlopen;urllib.request urlretrieve
http.client HTTPSConnection;ftplib FTP;smtplib SMTP;webbrowser open;ctypes CDLL;ctypes.util find_library
pickle loads;_pickle loads;cPickle loads;dill loads;cloudpickle loads;joblib load;marshal loads;types FunctionType
types CodeType;operator attrgetter;operator methodcaller;functools partial;functools reduce;code InteractiveInterpreter
codeop compile_command;bdb Bdb;pdb run;cProfile run;profile run;timeit timeit;trace Trace;pydoc pipepager
pip main;distutils.spawn spawn;idlelib.pyshell ModifiedInterpreter;lib2to3.pgen2.pgen ParserGenerator;asyncio run
multiprocessing.util spawnv_passfds;tempfile NamedTemporaryFile;zipimport zipimporter;logging.config fileConfig
torch load;torch.hub load;torch.jit load;torch.utils.cpp_extension load_inline;torch._inductor.codecache compile_file
torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards_expression;torch.storage _load_from_bytes
torch.distributed.rpc rpc_async;torch.utils._config_module load_config;torch._dynamo.guards GuardBuilder.get
torch.serialization load;torch._utils _rebuild_wrapper_subclass;torch._utils _rebuild_sparse_tensor
torch._utils _rebuild_meta_tensor_no_storage;torch._utils _rebuild_qtensor;torch._utils _rebuild_parameter_with_state
torch._utils _rebuild_device_tensor_from_numpy;torch._utils _rebuild_nested_tensor;torch._tensor _rebuild_from_type_v2
torch._utils _import_dotted_name;torch.nn.parameter Parameter;torch.nn.modules.linear Linear;torch QInt8Storage
numpy.core.multiarray _reconstruct;numpy.testing._private.utils runstring;numpy load;numpy.f2py.crackfortran getlincoef
sklearn.utils._joblib load;pandas read_pickle;collections OrderedDict.fromkeys;collections namedtuple;_codecs encode
""".strip()
    .replace("\n", ";")
    .split(";")
)


class _Command:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def in_zip(family: str, name: str, body: bytes, expected: tuple[str, bytes | int | None]) -> Hostile:
    """A pickle in an archive that is honest otherwise."""
    return marked(family, name, torch_zip(body), expected, "torch-zip")


def with_value(family: str, name: str, value: bytes, expected: tuple[str, bytes | int | None]) -> Hostile:
    """A state dict of a good tensor and something else."""
    return in_zip(family, name, state_dict(weight=tensor(), other=value), expected)


def hostile_pickles() -> Iterator[Hostile]:
    """All of them."""
    yield from _commands()
    yield from _gadgets()
    yield from _opcodes()
    yield from _streams()
    yield from _memos()
    yield from _values()
    yield from _calls()
    yield from _persistent()


def _commands() -> Iterator[Hostile]:
    for protocol in range(6):
        content = pickle.dumps(_Command(), protocol)
        # Protocol 4 and 5 name it by two texts on the stack; the name is complete at STACK_GLOBAL.
        mark = b"cposix\nsystem" if protocol < 4 else b"\x93"
        yield marked("command", f"bare, protocol {protocol}", content, ("pickle-global", mark), "pickle")
        yield in_zip(
            "command", f"in an archive, protocol {protocol}", content, ("pickle-global", 64 + content.index(mark))
        )


def _gadgets() -> Iterator[Hostile]:
    for gadget in GADGETS:
        module, name = gadget.split()
        named = f"c{module}\n{name}\n".encode()
        yield with_value("gadget", f"{module}.{name}", named + CALL, ("pickle-global", named))


def _opcodes() -> Iterator[Hostile]:
    inst = b"(X\x04\x00\x00\x00trueiposix\nsystem\n"
    yield with_value("opcode", "INST", inst, ("pickle-global", b"iposix"))
    yield with_value("opcode", "INST is no opcode of weights", inst, ("pickle-opcode", b"iposix"))
    yield with_value("opcode", "OBJ", b"(cposix\nsystem\nX\x04\x00\x00\x00trueo", ("pickle-global", b"cposix"))
    yield with_value("opcode", "NEWOBJ", b"cposix\nsystem\nX\x04\x00\x00\x00true\x85\x81", ("pickle-global", b"cposix"))
    yield with_value("opcode", "NEWOBJ of an allowed name", b"ctorch\nFloatStorage\n)\x81", ("pickle-opcode", b"\x81"))
    yield with_value("opcode", "NEWOBJ of nothing", b"N)\x81", ("pickle-call", b"\x81"))
    yield with_value("opcode", "NEWOBJ_EX", b"ctypes\nCodeType\n)}\x92", ("pickle-global", b"ctypes"))
    for code, opcode in ((b"\x82\x01", "EXT1"), (b"\x83\x01\x00", "EXT2"), (b"\x84\x01\x00\x00\x00", "EXT4")):
        yield with_value("opcode", opcode, code + b")R", ("pickle-extension", code))
    yield with_value("opcode", "BUILD on a dict", b"}}b", ("pickle-build", b"}}b"[2:] + b"u.PK\7"))
    shadow = ORDERED + b"}" + text("keys") + b"Nsb"
    yield with_value("opcode", "BUILD of an attribute", shadow, ("pickle-build", b"bu.PK\7"))
    twice = ORDERED + b"}b}b"
    yield with_value("opcode", "BUILD twice", twice, ("pickle-build", b"bu.PK\7"))
    odd = ORDERED + b"}" + text("_metadata") + b"Nsb"
    yield with_value("opcode", "BUILD of metadata that is no dict", odd, ("pickle-build", b"bu.PK\7"))
    memo = text("posix") + b"q\x01" + text("system") + b"q\x020" * 1 + b"0h\x01h\x02\x93" + CALL
    yield with_value("opcode", "STACK_GLOBAL through the memo", memo, ("pickle-global", b"\x93"))
    yield with_value("opcode", "STACK_GLOBAL of numbers", b"K\x01K\x02\x93", ("pickle-global", b"\x93"))
    yield with_value(
        "opcode", "STACK_GLOBAL in protocol 2", text("a") + text("b") + b"\x93", ("pickle-protocol", b"\x93")
    )
    yield with_value("opcode", "DUP", b"N20", ("pickle-opcode", b"20u"))
    yield with_value("opcode", "POP", b"NN0", ("pickle-opcode", b"0u.PK"))
    yield with_value("opcode", "POP_MARK", b"N(N1", ("pickle-opcode", b"1u.PK"))
    yield with_value("opcode", "LIST", b"(l", ("pickle-opcode", b"lu.PK"))
    yield with_value("opcode", "DICT", b"(d", ("pickle-opcode", b"du.PK"))
    yield with_value("opcode", "EMPTY_SET", b"\x8f", ("pickle-opcode", b"\x8f"))
    yield with_value("opcode", "FROZENSET", b"(\x91", ("pickle-opcode", b"\x91"))
    yield with_value("opcode", "STRING, which must be evaluated", b"S'x'\n", ("pickle-opcode", b"S'x'"))
    yield with_value("opcode", "UNICODE", b"Vx\n", ("pickle-opcode", b"Vx\n"))
    yield with_value(
        "opcode", "a dotted name", b"ctorch\n_utils._rebuild_tensor_v2\n", ("pickle-global", b"ctorch\n_u")
    )
    yield with_value("opcode", "a name with a space", b"ctorch \nFloatStorage\n", ("pickle-global", b"ctorch \n"))
    yield with_value("opcode", "an empty name", b"c\n\n", ("pickle-global", b"c\n\n"))


def _streams() -> Iterator[Hostile]:
    good = state_dict(weight=tensor())
    run = b"\x80\x02" + SYSTEM
    yield in_zip("stream", "runs, then no such opcode", run + b"\xff.", ("pickle-malformed", b"\xff."))
    yield in_zip("stream", "runs, then ends", run, ("pickle-truncated", 64 + len(run)))
    yield in_zip("stream", "runs, then a text that is cut off", run + b"X\xff\0\0\0a", ("pickle-truncated", b"X\xff"))
    yield in_zip("stream", "runs, then a line without end", run + b"I12", ("pickle-truncated", b"I12"))
    yield in_zip("stream", "runs, then an empty stack", run + b"00.", ("pickle-malformed", 64 + len(run) + 1))
    yield in_zip("stream", "an empty pickle", b"", ("pickle-truncated", 64))
    yield in_zip("stream", "STOP alone", b"\x80\x02.", ("pickle-malformed", 66))
    yield in_zip("stream", "two pickles", good + run + b".", ("pickle-trailing", 64 + len(good)))
    yield in_zip("stream", "bytes after STOP", good + b"\0", ("pickle-trailing", 64 + len(good)))
    yield in_zip("stream", "two values at STOP", b"\x80\x02N" + good[2:], ("pickle-malformed", 64 + len(good)))
    yield in_zip("stream", "a mark that stays open", b"\x80\x02(" + good[2:], ("pickle-malformed", 64 + len(good)))
    yield in_zip("stream", "a mark that was never set", b"\x80\x02t.", ("pickle-malformed", b"t.PK"))
    yield in_zip("stream", "no header", good[2:], ("pickle-protocol", 64))
    yield in_zip("stream", "two headers", good[:-1] + b"\x80\x02.", ("pickle-protocol", 64 + len(good) - 1))
    yield in_zip("stream", "protocol 6", b"\x80\x06" + good[2:], ("pickle-protocol", 64))
    yield in_zip("stream", "protocol 0 in its header", b"\x80\x00" + good[2:], ("pickle-protocol", 64))
    for name, length, mark in (("long", 999, 0), ("short", 3, 9), ("beyond", 2**63, 0)):
        body = b"\x80\x04\x95" + struct.pack("<Q", length) + b"}" + text("k") + text("v") + b"s."
        place = 66 if mark == 0 else 64 + body.index(b"X")
        yield in_zip("frame", f"too {name}", body, ("pickle-frame", place))
    nested = b"\x80\x04\x95" + struct.pack("<Q", 11) + b"\x95" + struct.pack("<Q", 2) + b"}."
    yield in_zip("frame", "within a frame", nested, ("pickle-frame", 64 + 11))
    yield in_zip(
        "frame", "longer than the pickle", b"\x80\x04\x95" + struct.pack("<Q", 4) + b"}.NN", ("pickle-frame", 76)
    )
    yield in_zip("stream", "text that is no UTF-8", b"\x80\x02X\x01\0\0\0\xff.", ("pickle-malformed", 66))


def _memos() -> Iterator[Hostile]:
    yield with_value("memo", "fetches what is not there", b"h\x09", ("pickle-memo", b"h\x09"))
    yield with_value("memo", "a number far away", b"Nr\xff\xff\xff\x7f", ("pickle-memo", b"r\xff\xff"))
    yield with_value("memo", "stores twice", b"Nq\x01q\x01", ("pickle-memo", b"q\x01u"))
    yield with_value("memo", "a number in words", b"gten\n", ("pickle-malformed", b"gten"))
    yield in_zip("memo", "stores from an empty stack", b"\x80\x02q\x00N.", ("pickle-malformed", 66))
    flood = b"\x80\x02N" + b"q\x00" * 100_000 + b"."
    yield in_zip("memo", "stores without end", flood, ("pickle-memo", 69))
    laughs = b"\x80\x02]q\x00" + b"".join(b"(" + b"h%c" % i * 10 + b"tq%c" % (i + 1) for i in range(40)) + b"."
    yield in_zip("memo", "a billion laughs", laughs, ("pickle-expansion", None))
    yield in_zip("memo", "a list within itself", b"\x80\x02]q\x00h\x00a.", ("pickle-expansion", None))
    yield in_zip("memo", "a thousand levels", b"\x80\x02" + b"]" * 1000 + b"a" * 999 + b".", ("pickle-expansion", None))


def _values() -> Iterator[Hostile]:
    inner = pickle.dumps(_Command(), 2)
    packed = base64.b64encode(inner * 4).decode()
    counted = struct.pack("<Q", len(inner))
    yield with_value("hidden", "in bytes", b"B" + counted[:4] + inner, ("pickle-value", b"B" + counted[:4]))
    yield with_value("hidden", "in short bytes", b"C" + counted[:1] + inner, ("pickle-value", b"C" + counted[:1]))
    yield with_value("hidden", "in long bytes", b"\x8e" + counted + inner, ("pickle-value", b"\x8e"))
    yield with_value("hidden", "in a bytearray", b"\x96" + counted + inner, ("pickle-value", b"\x96"))
    yield with_value("hidden", "in base64", text(packed), ("pickle-text", text(packed)))
    source = "__import__('os').system('true')"
    yield with_value("hidden", "in a text", text(source), ("pickle-text", text(source)))
    template = "{{ self.__init__.__globals__ }}"
    yield with_value("hidden", "in a template", text(template), ("pickle-text", text(template)))
    yield with_value("hidden", "in controls", text("a\x1b[2J bcdefgh"), ("pickle-text", text("a\x1b[2J bcdefgh")))
    yield with_value("hidden", "out of band", b"\x97", ("pickle-buffer", b"\x97"))
    yield with_value("hidden", "out of band, read only", b"\x97\x98", ("pickle-buffer", b"\x98"))
    yield with_value("value", "a class", b"ctorch\nFloatStorage\n", ("pickle-value", b"ctorch\nFloatStorage\nu"))
    yield with_value("value", "a storage without a tensor", storage(), ("pickle-value", b"Qu.PK"))
    yield with_value("value", "a number of 800 bits", b"\x8a\x64" + b"\x7f" * 100, ("pickle-number", b"\x8a\x64"))
    yield with_value("value", "a number of 8 million bits", b"\x8b" + struct.pack("<I", 10**6) + b"\x7f" * 10**6,
                     ("pickle-number", b"\x8b"))  # fmt: skip
    yield in_zip("value", "a key twice", b"\x80\x02}(" + (text("a") + tensor()) * 2 + b"u.", ("pickle-key", b"u.PK"))
    yield in_zip("value", "a tuple as a key", b"\x80\x02}()Nu.", ("pickle-key", b"u.PK"))
    yield in_zip("value", "a key without a value", b"\x80\x02}(Nu.", ("pickle-malformed", b"u.PK"))
    yield with_value("value", "items on a list", b"]NNs", ("pickle-malformed", b"su.PK"))
    yield with_value("value", "appended to a dict", b"}Na", ("pickle-malformed", b"au.PK"))
    name = "weight\u202egpj"
    body = b"\x80\x02}" + text(name) + tensor() + b"s."
    yield in_zip("value", "a name from right to left", body, ("tensor-name", b"Rs.PK"))
    yield in_zip(
        "value", "a name of a page", b"\x80\x02}" + text("w" * 2000) + tensor() + b"s.", ("tensor-name", b"Rs.PK")
    )


def _calls() -> Iterator[Hostile]:
    end = b"R" + b"u.PK\7"
    size = numbers((4,))
    one = numbers((1,))
    held = storage()
    rest = b"\x89" + ORDERED + b"tR"
    cases = {
        "no arguments": REBUILD + b")R",
        "one argument too many": REBUILD + b"(" + held + b"K\0" + size + one + b"\x89" + ORDERED + b"NNtR",
        "a text instead of a storage": REBUILD + b"(" + text("x") + b"K\0" + size + one + rest,
        "sizes in a list": REBUILD + b"(" + held + b"K\0](K\x04e" + one + rest,
        "sizes in texts": REBUILD + b"(" + held + b"K\0" + text("4") + b"\x85" + one + rest,
        "sizes that are true": REBUILD + b"(" + held + b"K\0\x88\x85" + one + rest,
        "a start that is a fraction": REBUILD + b"(" + held + b"G?\xf0\0\0\0\0\0\0" + size + one + rest,
        "a negative start": tensor(start=-1),
        "requires_grad of 1": tensor(flag=b"K\x01"),
        "requires_grad of whole numbers": tensor(storage(kind="torch\nLongStorage"), flag=b"\x88"),
        "hooks": tensor(hooks=ORDERED + text("hook") + b"Ns"),
        "hooks in a dict": tensor(hooks=b"}"),
        "a conjugate view": REBUILD + b"(" + held + b"K\0" + size + one + b"\x89" + ORDERED + b"}"
        + text("conj") + b"\x88stR",
        "a parameter of nothing": b"ctorch._utils\n_rebuild_parameter\n(N\x89" + ORDERED + b"tR",
        "v3 of a typed storage": b"ctorch._utils\n_rebuild_tensor_v3\n(" + held + b"K\0" + size + one
        + b"\x89" + ORDERED + b"ctorch\nfloat32\ntR",
        "v3 without a dtype": b"ctorch._utils\n_rebuild_tensor_v3\n(" + storage(kind="torch.storage\nUntypedStorage")
        + b"K\0" + size + one + b"\x89" + ORDERED + b"NtR",
        "a storage class": b"ctorch\nFloatStorage\n)R",
        "a dtype": b"ctorch\nfloat32\n)R",
        "a number": b"K\x01)R",
        "with a list": b"ccollections\nOrderedDict\n]R",
        "OrderedDict of a dict": b"ccollections\nOrderedDict\n}\x85R",
        "OrderedDict of no pairs": b"ccollections\nOrderedDict\n](NNe\x85R",
        "a device of a path": b"ctorch\ndevice\n" + text("../x") + b"\x85R",
        "a size of texts": b"ctorch\nSize\n" + text("4") + b"\x85\x85R",
    }  # fmt: skip
    for name, value in cases.items():
        yield with_value("call", name, value, ("pickle-call", end))


def _persistent() -> Iterator[Hostile]:
    end = b"Q" + b"u.PK\7"
    cases = {
        "source code of a module": b"(" + text("module") + b"N" + text("f.py") + text("x = 1") + b"tQ",
        "a text": text("storage") + b"Q",
        "a number": b"K\x01Q",
        "a field too many": storage(more=b"N"),
        "a path as its key": storage("../0"),
        "a class of ours": storage(kind="collections\nOrderedDict"),
        "a path as its location": storage(location="cuda/../0"),
        "a negative count": storage(count=-1),
        "a count beyond 64 bits": storage(count=2**61),
    }
    for name, value in cases.items():
        yield with_value("persistent id", name, value, ("pickle-persistent", end))
    yield with_value("persistent id", "in the old opcode", b"P0\n", ("pickle-persistent", b"P0\n"))
