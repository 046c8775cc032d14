"""A CUDA source as text: its kernels, their signatures, and what has to be rewritten for a CPU compiler."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

C_TYPES = {
    "float64": "double",
    "float32": "float",
    "float16": "__half",
    "bfloat16": "__nv_bfloat16",
    "int64": "long long",
    "int32": "int",
    "bool": "bool",
}
"""The C type of an element, by the name of its dtype."""

_DTYPES = {
    "double": "float64",
    "float": "float32",
    "__half": "float16",
    "half": "float16",
    "__nv_bfloat16": "bfloat16",
    "nv_bfloat16": "bfloat16",
    "long long": "int64",
    "long long int": "int64",
    "long": "int64",
    "int64_t": "int64",
    "ptrdiff_t": "int64",
    "unsigned long long": "uint64",
    "unsigned long": "uint64",
    "uint64_t": "uint64",
    "size_t": "uint64",
    "int": "int32",
    "int32_t": "int32",
    "unsigned": "uint32",
    "unsigned int": "uint32",
    "uint32_t": "uint32",
    "short": "int16",
    "unsigned short": "uint16",
    "char": "int8",
    "signed char": "int8",
    "unsigned char": "uint8",
    "uint8_t": "uint8",
    "bool": "bool",
}
_QUALIFIERS = re.compile(r"\b(?:const|volatile|__restrict__|__restrict|restrict|__grid_constant__|struct)\b")
_KERNEL = re.compile(
    r"__global__(?P<before>[^;{}()]*?(?:__launch_bounds__\s*\((?P<bounds>[^()]*)\))?[^;{}()]*?)\b(?P<name>(?!__launch_bounds__)\w+)\s*\("
)
_TEMPLATE = re.compile(r"template\s*<")
_DYNAMIC_SHARED = re.compile(
    r"extern\s+(?:volatile\s+)?__shared__\s+(?:(?:__align__|alignas)\s*\((?:[^()]|\([^()]*\))*\)\s*)?(?P<type>[^;\[\]=]+?)\s*\b(?P<name>\w+)\s*\[\s*\]\s*;"
)
_UNSUPPORTED = (
    (re.compile(r"\b(?:asm|__asm__|__asm)\b"), "inline PTX"),
    (
        re.compile(
            r"\b(?:this_grid|g|grid)\s*(?:\(\s*\))?\s*\.\s*sync\s*\(|\bcooperative_groups::(?:this_)?grid\w*.*sync"
        ),
        "a barrier over the grid",
    ),
    (re.compile(r"\b__cluster_dims__|\bthis_cluster\b|\bmap_shared_rank\b"), "thread block clusters"),
    (re.compile(r"\bnvcuda::wmma\b|<mma\.h>|\bwmma::"), "tensor core fragments (wmma)"),
    (re.compile(r"\bcuda::(?:barrier|pipeline|memcpy_async|atomic_ref|atomic)\b|<cuda/\w+>"), "libcu++ (cuda::...)"),
    (re.compile(r"\btex[123]D\w*\s*[<(]|\bcudaTextureObject_t\b|\bsurf[123]D\w+\s*[<(]"), "textures and surfaces"),
    (re.compile(r"<cub/"), "CUB"),
    (re.compile(r"<<<"), "launches from kernels"),
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a kernel: `dtype` is "" for what is no plain number (a struct), whose size alone is checked."""

    name: str
    c_type: str
    dtype: str
    is_pointer: bool
    is_const: bool


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, or one instance of a template: `name` is spelled as in C++ (`sum_interleaved<float, float>`)."""

    source: Source
    name: str
    parameters: tuple[Parameter, ...]
    line: int
    max_threads: int | None

    @property
    def base(self) -> str:
        return self.name.partition("<")[0].strip()


@dataclass(frozen=True, slots=True)
class Source:
    """A .cu file, and the template instances of its kernels that are compiled together."""

    path: Path
    instances: tuple[str, ...] = ()

    @classmethod
    def beside(cls, module_file: str, name: str, instances: Sequence[str] = ()) -> Source:
        """The source `name` in the folder of a Python module (`__file__`)."""
        return cls(Path(module_file).resolve().parent / name, tuple(instances))

    def kernel(self, name: str) -> Kernel:
        """The kernel of that name. Raises LookupError with what there is instead."""
        return _kernel(self, name)

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def entries(self) -> tuple[str, ...]:
        """All that can be launched: the kernels that are no templates, and the instances of those that are."""
        plain = (name for name, (template, _, _, _) in kernels_of(self.path).items() if not template)
        return tuple(dict.fromkeys((*plain, *self.instances)))

    def with_instance(self, name: str) -> Source:
        """The same source, with one more instance to compile."""
        return self if name in self.instances else Source(self.path, (*self.instances, name))


@functools.cache
def kernels_of(path: Path) -> dict[str, tuple[list[tuple[str, str]], list[str], int, str]]:
    """Of each `__global__` function: template parameters (name, default), parameters, line, launch bounds."""
    code = masked(path.read_text(encoding="utf-8"))
    found = {}
    for match in _KERNEL.finditer(code):
        end = _closing(code, match.end() - 1, "(", ")")
        parameters = split(code[match.end() : end])
        line = code.count("\n", 0, match.start("name")) + 1
        found[match["name"]] = (_template_before(code, match.start()), parameters, line, match["bounds"] or "")
    return found


@functools.cache
def _kernel(source: Source, name: str) -> Kernel:
    base, _, rest = name.partition("<")
    known = kernels_of(source.path)
    if base.strip() not in known:
        there = ", ".join(known) or "no kernel"
        raise LookupError(f"{source.path.name} has no kernel {base.strip()!r}; there is: {there}")
    template, parameters, line, bounds = known[base.strip()]
    given = split(rest.rsplit(">", 1)[0]) if rest else []
    if len(given) > len(template):
        raise LookupError(f"{name}: {base.strip()} takes {len(template)} template arguments")
    values = {one: default for one, default in template if default}
    values.update(zip((one for one, _ in template), given, strict=False))
    missing = [one for one, _ in template if one not in values]
    if missing:
        raise LookupError(f"{name}: no template argument for {', '.join(missing)} of {source.path.name}:{line}")
    limit = _replaced(split(bounds)[0], values) if bounds else ""
    return Kernel(
        source.with_instance(name) if rest else source,
        name,
        tuple(_parameter(text, values) for text in parameters),
        line,
        int(limit) if limit.strip().isdigit() else None,
    )


def _parameter(text: str, values: dict[str, str]) -> Parameter:
    text = text.partition("=")[0]
    name = re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)?$", text)
    if name is None:
        raise ValueError(f"cannot read the parameter {text.strip()!r}")
    declared = text[: name.start()]
    is_pointer = "*" in declared or "[" in text[name.start() :]
    plain = " ".join(_QUALIFIERS.sub(" ", declared).replace("*", " ").replace("&", " ").split())
    c_type = " ".join(_replaced(plain, values).split())
    pointee = declared.partition("*")[0]
    vector = re.fullmatch(r"(float|double|int|uint|char|uchar|short|ushort|longlong)([1234])", c_type)
    element = {"uint": "unsigned", "uchar": "unsigned char", "ushort": "unsigned short", "longlong": "long long"}
    single = element.get(vector[1], vector[1]) if vector and is_pointer else c_type
    return Parameter(name[1], c_type, _DTYPES.get(single, ""), is_pointer, re.search(r"\bconst\b", pointee) is not None)


def _replaced(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\b\w+\b", lambda word: values.get(word[0], word[0]), text)


def masked(text: str) -> str:
    """The text with comments and the insides of strings as blanks; every line and column stays where it is."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", blank, text, flags=re.DOTALL)


def unsupported(text: str) -> tuple[int, str] | None:
    """The first line of a source that uses what the CPU device does not have, and what it is; None if there is none."""
    # strings are kept where an #include names its header
    lines = re.sub(r"//[^\n]*|/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.DOTALL)
    for number, line in enumerate(lines.splitlines(), 1):
        for pattern, what in _UNSUPPORTED:
            if pattern.search(line):
                return number, what
    return None


def for_cpu(text: str) -> str:
    """The text with `extern __shared__ T name[];` rewritten: g++ cannot combine extern with a thread's own storage."""
    code = masked(text)
    parts, end = [], 0
    for match in _DYNAMIC_SHARED.finditer(code):
        lines = "\n" * match[0].count("\n")
        parts += [text[end : match.start()], f"KH_DYNAMIC_SHARED({match['name']}, {match['type']});{lines}"]
        end = match.end()
    return "".join([*parts, text[end:]])


def split(text: str) -> list[str]:
    """The parts of a list at its outermost commas."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character in "<([{":
            depth += 1
        elif character in ">)]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _closing(code: str, start: int, opening: str, closing: str) -> int:
    depth = 0
    for position in range(start, len(code)):
        depth += (code[position] == opening) - (code[position] == closing)
        if depth == 0:
            return position
    return len(code)


def _template_before(code: str, position: int) -> list[tuple[str, str]]:
    """The template parameters that stand right before a function, as (name, default)."""
    opening = None
    for match in _TEMPLATE.finditer(code, 0, position):
        end = _closing(code, match.end() - 1, "<", ">")
        between = code[end + 1 : position]
        if re.fullmatch(r"(?:\s|extern|static|inline|__launch_bounds__\s*\([^()]*\))*", between):
            opening = (match.end(), end)
    if opening is None:
        return []
    found = []
    for part in split(code[opening[0] : opening[1]]):
        name, _, default = part.partition("=")
        found.append((name.split()[-1].lstrip("."), default.strip()))
    return found
