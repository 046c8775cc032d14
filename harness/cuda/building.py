"""Compiles CUDA sources for the CPU, with g++ or clang++, and keeps what was built."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import cache
from harness.cuda.faults import CompileError
from harness.cuda.source import Source, for_cpu, unsupported
from harness.implement import Unsupported
from harness.scratch import Scratch

EMULATION = Path(__file__).parent / "emulation"
_COMMON = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-strict-aliasing"]
# two modules that hold a kernel of the same name must not share its static variables
_GCC_ONLY = ["-fno-gnu-unique"]
_FAST = ["-O2", "-g1"]
_CHECKS = "thread,alignment,bounds,signed-integer-overflow,integer-divide-by-zero"
_WATCHED = ["-O1", "-g", f"-fsanitize={_CHECKS}"]
_WATCHED_BY = {
    # volatile accesses are told apart, a read before a write is not left out, and no check is a trap
    "g++": ["--param", "tsan-distinguish-volatile=1"],
    "clang++": [
        *("-mllvm", "-tsan-distinguish-volatile", "-mllvm", "-tsan-instrument-read-before-write"),
        "-fno-sanitize=local-bounds",
    ],
}
HINT = "no C++ compiler is found; type: apt-get install g++ (or clang), or set CXX"


_STACKS: list[int] = []
"""The address of the stacks that the modules of this process share, once there is one."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A shared variable in a module's thread-local block."""

    offset: int
    bytes: int
    name: str
    kernel: str


@dataclass(frozen=True, slots=True)
class Module:
    """A built source: its library, and the number of each kernel instance."""

    library: ctypes.CDLL
    path: Path
    entries: tuple[str, ...]
    symbols: tuple[Symbol, ...]

    def entry(self, kernel: str) -> int:
        """The address of a kernel's entry."""
        function = getattr(self.library, f"kh_entry_{self.entries.index(kernel)}")
        return ctypes.cast(function, ctypes.c_void_p).value or 0

    def sizes(self, kernel: str) -> tuple[int, ...]:
        """Bytes of each parameter, as the compiler has them."""
        found = (ctypes.c_int * 64)()
        count = getattr(self.library, f"kh_sizes_{self.entries.index(kernel)}")(found)
        return tuple(found[:count])


def compiler() -> str | None:
    """The C++ compiler: what CXX names, else g++, else clang++; None if there is none."""
    for name in (os.environ.get("CXX", ""), "g++", "clang++"):
        if name and shutil.which(name):
            return name
    return None


@functools.cache
def build(source: Source, watched: bool) -> Module:
    """Compile all kernels of a source that can be named without template arguments, and all instances.

    `watched` asks for the instrumented build. Raises CompileError with file and line, and Unsupported where the source
    uses what a CPU cannot do.
    """
    found = compiler()
    if found is None:
        raise Unsupported(HINT)
    text = source.text
    beyond = unsupported(text)
    if beyond:
        raise Unsupported(f"cuda_cpu does not have {beyond[1]} ({source.path.name}:{beyond[0]})")
    entries = source.entries
    program = _program(source, text, entries)
    options = _options(found, watched)
    runtime = _runtime(found)
    key = _key(found, options, program, _headers(source), runtime.name)
    library = cache.kept("cuda", f"{source.path.stem}-{'watched' if watched else 'fast'}-{key}.so")
    if not library.exists():
        _compile(found, options, source, program, runtime, library, with_gaps=watched)
    module = ctypes.CDLL(str(library))
    module.kh_stacks.restype, module.kh_stacks.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    _STACKS[:] = [module.kh_stacks(*_STACKS or (None,))]
    if not _STACKS[0]:
        raise MemoryError("no memory for the stacks of 1024 threads")
    return Module(module, library, entries, _symbols(library) if watched else ())


def line_of(library: Path, pc: int) -> tuple[str, int]:
    """File name and line of an address in a library ("", 0 where binutils are missing)."""
    tool = shutil.which("addr2line")
    if tool is None:
        return "", 0
    said = subprocess.run([tool, "-e", str(library), hex(pc)], capture_output=True, text=True).stdout
    file, _, line = said.strip().splitlines()[0].partition(" (")[0].rpartition(":") if said.strip() else ("", "", "0")
    return os.path.basename(file), int(line) if line.isdigit() else 0


def _program(source: Source, text: str, entries: tuple[str, ...]) -> str:
    lines = [f'#line 1 "{source.path}"', for_cpu(text), '#line 1 "entries"']
    exported = 'extern "C" __attribute__((visibility("default")))'
    for number, name in enumerate(entries):
        lines.append(f"{exported} void kh_entry_{number}(void** arguments) {{ kh_call(&{name}, arguments); }}")
        lines.append(f"{exported} int kh_sizes_{number}(int* sizes) {{ return kh_sizes(&{name}, sizes); }}")
    # makes the thread that launches own its copy of the shared variables
    body = 'static thread_local char marker; marker = 1; asm volatile("" ::"r"(&marker));'
    lines.append(f'extern "C" void kh_touch_shared() {{ {body} }}')
    return "\n".join(lines) + "\n"


def _options(found: str, watched: bool) -> list[str]:
    kind = "clang++" if "clang" in found else "g++"
    return [
        *_COMMON,
        *(_GCC_ONLY if kind == "g++" else []),
        *(_WATCHED + _WATCHED_BY[kind] if watched else _FAST),
        f"-I{EMULATION / 'include'}",
    ]


def _headers(source: Source) -> str:
    """The text of all that a source may include: ours, and the headers beside it."""
    local = sorted([*source.path.parent.glob("*.cuh"), *source.path.parent.glob("*.h")])
    return "\n".join([_emulation(), *(path.read_text(encoding="utf-8") for path in local)])


@functools.cache
def _emulation() -> str:
    ours = sorted([*EMULATION.rglob("*.h"), *EMULATION.rglob("*.cpp")])
    return "\n".join(path.read_text(encoding="utf-8") for path in ours)


def version() -> str:
    """The compiler and its version; "" if there is none."""
    found = compiler()
    return _version(found) if found else ""


@functools.cache
def _version(found: str) -> str:
    said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    return said.splitlines()[0] if said else found


def _key(found: str, options: list[str], *texts: str) -> str:
    digest = hashlib.sha256("\0".join([_version(found), *options, *texts]).encode())
    return digest.hexdigest()[:20]


@functools.cache
def _runtime(found: str) -> Path:
    sources = sorted(EMULATION.glob("*.cpp"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in (*sources, *sorted(EMULATION.glob("*.h"))))
    options = [*_COMMON, "-O2", "-g1"]
    built = cache.kept("cuda", f"runtime-{_key(found, options, text)}.o")
    if not built.exists():
        _run([found, *options, "-c", *map(str, sources)], built, None)
    return built


@functools.cache
def _first_header(found: str, options: tuple[str, ...]) -> Path:
    """What every source includes first. g++ takes it in a form that it has read once for all sources: reading it is
    most of the work on a small one."""
    header = EMULATION / "cuda_cpu.h"
    if "clang" in found:
        return header
    built = cache.kept("cuda", f"header-{_key(found, list(options), _emulation())}/{header.name}.gch")
    folder = built.parent
    if not built.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # where the compiler finds that it cannot use that form after all, it takes this
        (folder / header.name).write_text(f'#include "{header}"\n', encoding="utf-8")
        _run([found, *options, "-x", "c++-header", str(header)], built, None)
    return folder / header.name


def _compile(
    found: str, options: list[str], source: Source, program: str, runtime: Path, library: Path, *, with_gaps: bool
) -> None:
    with Scratch("building") as folder:
        copy, part = Path(folder) / source.path.name, Path(folder) / "kernels.s"
        copy.write_text(program, encoding="utf-8")
        includes = [f"-iquote{source.path.parent}", "-include", str(_first_header(found, tuple(options)))]
        _run([found, *options, *includes, "-x", "c++", "-S", str(copy)], part, source)
        if with_gaps:
            part.write_text(_with_gaps(part.read_text("latin-1")), "latin-1")  # strings hold any bytes
        _run([found, "-shared", "-Wl,-Bsymbolic", str(part), str(runtime)], library, source)


def _with_gaps(assembly: str) -> str:
    """The assembly with 64 bytes of nobody's around each shared variable: past the end of one does not lie another."""
    lines, is_shared = [], False
    for line in assembly.splitlines():
        lines.append(line)
        section = re.match(r"\s*\.(?:section\s+(\S+?)(?:,|$)|text\b|data\b|bss\b)", line)
        if section:
            is_shared = (section[1] or "").startswith(".tbss")
        if is_shared and (section or re.match(r"\s*\.zero\b", line)):
            lines.append("\t.zero\t64")
    return "\n".join(lines) + "\n"


def _run(command: list[str], output: Path, source: Source | None) -> None:
    """Run a compiler; the output appears under its name only when it is whole."""
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cache.unfinished(output)
    # messages are read: in English, with plain quotes
    said_in = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run([*command, "-o", str(unfinished)], capture_output=True, text=True, env=said_in)
    if done.returncode == 0:
        os.replace(unfinished, output)
        return
    unfinished.unlink(missing_ok=True)
    error = re.search(
        r"^(?P<file>[^:\n]+):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<what>.+)$", done.stderr, re.MULTILINE
    )
    if error and source is not None:
        raise CompileError(error["what"], os.path.basename(error["file"]), int(error["line"]))
    raise CompileError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{command[0]} failed")


_TLS = re.compile(
    r"^\s*\d+:\s+(?P<offset>[0-9a-f]+)\s+(?P<bytes>\d+|0x[0-9a-f]+)\s+TLS\s+\w+\s+\w+\s+\w+\s+(?P<name>.+)$",
    re.MULTILINE,
)


def _symbols(library: Path) -> tuple[Symbol, ...]:
    """The shared variables of a module, from its symbol table; none where binutils are missing."""
    tool = shutil.which("readelf")
    if tool is None:
        return ()
    said = subprocess.run([tool, "-sW", "-C", str(library)], capture_output=True, text=True).stdout
    found = {}
    for match in _TLS.finditer(said):
        owner, _, name = match["name"].rpartition("::")
        if name != "marker":
            kernel = re.sub(r"[<(].*", "", owner).split(" ")[-1]
            found[int(match["offset"], 16)] = Symbol(int(match["offset"], 16), int(match["bytes"], 0), name, kernel)
    return tuple(found[offset] for offset in sorted(found))
