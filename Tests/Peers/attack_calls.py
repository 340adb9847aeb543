"""Calls of library functions that run text, and values that exhaust time or memory."""

import struct

from attack_archives import library
from attack_kinds import recipe
from attack_pickles import arguments, call, le64, name, stream, string_of_bytes, text
from attack_streams import legacy


# Kind 10. Functions of libraries.

TEXT = "__import__('os').mkdir('ran')"
FUNCTIONS = [
    ("sympy.core.sympify", "sympify", [TEXT]),
    ("sympy", "sympify", [TEXT]),
    ("sympy", "S", [TEXT]),
    ("sympy.core.singleton", "S", [TEXT]),
    ("sympy", "simplify", [TEXT]),
    ("sympy", "sin", [TEXT]),
    ("sympy.functions.elementary.trigonometric", "cos", [TEXT]),
    ("sympy.functions.elementary.exponential", "log", [TEXT]),
    ("sympy", "expand", [TEXT]),
    ("sympy", "N", [TEXT]),
    ("sympy", "Matrix", [[TEXT]]),
    ("sympy", "Poly", [TEXT]),
    ("sympy.parsing.sympy_parser", "parse_expr", [TEXT]),
    ("sympy", "parse_expr", [TEXT]),
    ("sympy.sets.sets", "FiniteSet", [TEXT]),
    ("mpmath.libmp.backend", "exec_", [TEXT, {}]),
    ("mpmath", "identify", [1, [TEXT]]),
    ("setuptools._distutils.spawn", "spawn", [["touch", "ran"]]),
    ("setuptools._distutils.dir_util", "mkpath", ["ran"]),
    ("pip._internal.utils.misc", "ensure_dir", ["ran"]),
    ("pip._internal.cli.spinners", "contextlib.os.mkdir", ["ran"]),
    ("numpy.testing", "measure", [TEXT, 1]),
    ("numpy.testing._private.utils", "runstring", [TEXT, {}]),
    ("numpy", "memmap", ["ran", "uint8", "w+", 0, 1]),
    ("numpy.f2py.crackfortran", "myeval", [TEXT]),
    ("torch.utils.collect_env", "run", ["touch ran"]),
    ("torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler", "SubprocessHandler",
     ["/bin/mkdir", ["ran"], {}, None, None, 0, None]),
    ("torch.fx._symbolic_trace", "os.mkdir", ["ran"]),
    ("torch.serialization", "shutil.copyfile", ["/etc/hostname", "ran"]),
    ("torch.utils.mkldnn", "torch.os.mkdir", ["ran"]),
    ("torch.utils.data.datapipes.utils.common", "os.mkdir", ["ran"]),
    ("torch.storage", "_load_from_bytes", None),
    ("fsspec.implementations.local", "LocalFileSystem.touch", None),
    ("fsspec.implementations.local", "LocalFileOpener", ["ran", "wb"]),
    ("filelock", "FileLock.acquire", None),
]  # fmt: skip


def object_ops(rng, item) -> bytes:
    if isinstance(item, dict):
        return b"}"
    if item is None:
        return b"N"
    if isinstance(item, list):
        return b"(" + b"".join(object_ops(rng, part) for part in item) + rng.choice([b"l", b"t"])
    return b"J" + struct.pack("<i", item) if isinstance(item, int) else text(rng, item)


def special_call(rng, module: str, attribute: str) -> bytes:
    """Calls that need an object of their own."""
    made = {
        "_load_from_bytes": lambda: b"ctorch.storage\n_load_from_bytes\n" + payload(rng) + b"\x85R",
        "LocalFileSystem.touch": lambda: (
            name(rng, module, attribute) + name(rng, module, "LocalFileSystem") + b")R" + text(rng, "ran") + b"\x86R"
        ),
        "FileLock.acquire": lambda: (
            name(rng, module, attribute) + name(rng, module, "FileLock") + arguments(rng, ["ran"]) + b"R\x85R"
        ),
    }.get(attribute)
    return made() if made else call(rng)


def payload(rng) -> bytes:
    code = stream(rng, call(rng, searchable=False))
    return string_of_bytes(rng, len(code)) + code


@recipe(10, "pickle", "torch", count=len(FUNCTIONS))
def library_function(rng):
    """Each of the functions once."""
    module, attribute, items = FUNCTIONS[rng.number % len(FUNCTIONS)]
    if items is None:
        code = special_call(rng, module, attribute)
    else:
        code = name(rng, module, attribute) + b"(" + b"".join(object_ops(rng, item) for item in items) + b"tR"
    return {".pkl": stream(rng, code, rng.choice([2, 4, 5]) if "." not in attribute else 4)}


# sympy's functions and classes evaluate a text that they are given.
SYMPY = """
Sum Integral Derivative Limit Lambda Abs Point Max Min solve diff Not Tuple Range ImmutableMatrix factorial gamma floor re conjugate
nsimplify tan exp erf zeta binomial expand factor apart together limit series trigsimp
""".split()


@recipe(10, "pickle", count=8)
def sympy_function(rng):
    function = rng.choice(SYMPY)
    more = {
        "Sum": ["x"],
        "Integral": ["x"],
        "Derivative": ["x"],
        "Limit": ["x", 0],
        "Lambda": ["x"],
        "Point": [1],
        "limit": ["x", 0],
    }
    items = [TEXT, *more.get(function, [])]
    if function == "Lambda":
        items.reverse()
    if function == "ImmutableMatrix":
        items = [[TEXT]]
    code = name(rng, "sympy", function) + b"(" + b"".join(object_ops(rng, item) for item in items) + b"tR"
    return {".pkl": stream(rng, code)}


@recipe(10, "pickle", count=4)
def module_of_pypy(rng):
    """PyPy's own modules that load libraries; no CPython has them."""
    module, function, items = rng.choice(
        [
            ("_rawffi", "CDLL", ["./plug.so"]),
            ("_cffi_backend", "load_library", ["./plug.so", 0]),
        ]
    )
    code = name(rng, module, function) + b"(" + b"".join(object_ops(rng, item) for item in items) + b"tR"
    return {"model.pkl": stream(rng, code), "plug.so": library()}


@recipe(10, "pickle", count=2, argued="CPython 3.15 (PEP 799): Lib/profiling/tracing/__init__.py, run and runctx")
def module_of_the_next_version(rng):
    function, items = rng.choice([("run", [TEXT]), ("runctx", [TEXT, {}, {}])])
    code = name(rng, "profiling.tracing", function) + b"(" + b"".join(object_ops(rng, item) for item in items) + b"tR"
    return {".pkl": stream(rng, code)}


@recipe(
    10,
    "pickle",
    count=2,
    argued="fickling/hook.py and picklescan/cli.py: they undo a scanner's hooks, or run it on other files",
)
def hook_of_a_scanner(rng):
    module, function = rng.choice([
        ("fickling.hook", "remove_hook"), ("fickling.hook", "deactivate_safe_ml_environment"), ("picklescan.cli", "main"),
        ("modelscan.cli", "main"),
    ])  # fmt: skip
    return {".pkl": stream(rng, name(rng, module, function) + b")R")}


@recipe(10, "pickle", count=3)
def plug_in(rng):
    """pygments runs the Python file that it is told to take a lexer from."""
    module, function, kind = rng.choice([
        ("pygments.lexers", "load_lexer_from_file", "lexer"), ("pygments.formatters", "load_formatter_from_file", "formatter"),
        ("pip._vendor.pygments.lexers", "load_lexer_from_file", "lexer"),
    ])  # fmt: skip
    source = "open('ran', 'w').close()\nclass CustomLexer: pass\nclass CustomFormatter: pass\n"
    code = name(rng, module, function) + b"(" + text(rng, "plug.py") + b"tR"
    return {"model.pkl": stream(rng, code), "plug.py": source.encode()}


# Kind 11. Denial of service.


@recipe(11, "pickle", "torch, weights only", count=6, needs="not clean", denial=True)
def endless(rng):
    deep = rng.randint(60, 400)
    nested = b")" + b"2\x86" * deep
    return {".pkl": rng.choice([
        lambda: b"\x80\x02}" + nested + b"Ns.",
        lambda: b"\x80\x04\x8f(" + nested + b"\x90.",
        lambda: b"\x80\x04(" + nested + b"\x91.",
        lambda: b"\x80\x02cbuiltins\nset\n](" + nested + b"e\x85R.",
        lambda: b"\x80\x02ccollections\nOrderedDict\n)R" + nested + b"Ns.",
        lambda: b"\x80\x02ccollections\nCounter\n](" + nested + b"e\x85R.",
    ])()}  # fmt: skip


@recipe(11, "torch", "pickle", count=5, needs="not clean", denial=True)
def terabytes(rng):
    huge = b"\x8a\x06" + (10 ** rng.randint(11, 13)).to_bytes(6, "little")
    count = b"cbuiltins\nrange\n" + huge + b"\x85R"
    return {".pkl": rng.choice([
        lambda: b"\x80\x02ctorch\nSize\n" + count + b"\x85R.",
        lambda: b"\x80\x02cbuiltins\nlist\n" + count + b"\x85R.",
        lambda: b"\x80\x02cbuiltins\nbytearray\n" + huge + b"\x85R.",
        lambda: b"\x80\x02cbuiltins\ntuple\n" + count + b"\x85R.",
        lambda: b"\x80\x02cbuiltins\nfrozenset\n" + count + b"\x85R.",
        lambda: b"\x80\x02ccollections\nCounter\n" + count + b"\x85R.",
        lambda: b"\x80\x02](cbuiltins\nset\n" + count + b"\x85Re.",
    ])()}  # fmt: skip


@recipe(11, "torch", "torch, weights only", count=3, needs="not clean", denial=True)
def storage_larger_than_its_record(rng):
    """A legacy storage of terabytes, which torch allocates before it reads."""
    count = b"\x8a\x06" + (10 ** rng.randint(11, 13)).to_bytes(6, "little")
    body = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu" + count + b"NtQ"
    return {".pth": legacy(rng, body, keys=["0"], tail=le64(4) + bytes(16))}
