"""Compile CUDA sources without a GPU, and say what each kernel needs: NVIDIA's run-time compiler needs no driver.

The compiler is held at 13.0, since a driver refuses code of a newer one; headers come from its wheels. Its log says
what the assembler gave to each kernel. Figures are kept in the user's cache, one file for each source.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cache import folder as caches
from harness.cuda import sass
from harness.cuda.faults import CompileError
from harness.cuda.resources import Resources, read_log
from harness.whole import write_whole

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
OPTIONS = ("-std=c++17",)
INSTALL = "type: pip install 'kernel-harness[nvrtc]'"
CACHE_FORMAT = "1"
KEPT = 64
"""Builds that a source's cache file keeps, the newest ones."""
WHEELS = ("nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "nvidia-cuda-cccl", "nvidia-cuda-nvdisasm")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A source in machine code for one architecture: `names` maps the instances to their mangled names in the cubin."""

    cubin: bytes
    ptx: str
    log: str
    names: dict[str, str]


@functools.cache
def missing() -> str | None:
    """Why nothing can be compiled here and what to type, or None."""
    try:
        found = importlib.util.find_spec("cuda.bindings")
    except ImportError:
        found = None
    if found is None:
        return f"cuda-bindings is not installed; {INSTALL}"
    from cuda.bindings import nvrtc

    try:
        nvrtc.nvrtcVersion()
    except Exception as error:  # the binding has its own classes of errors for a library that is not there
        said = (str(error).splitlines() or [""])[0]
        return f"the library of NVRTC does not load ({type(error).__name__}: {said}); {INSTALL}"
    if not header_folders():
        return f"the headers of CUDA (cuda_fp16.h) are not installed; {INSTALL}"
    return None


def header_folders() -> list[Path]:
    """Where cuda_fp16.h and nv/target are: from the wheels, or from a toolkit."""
    bases = [folder / "include" for folder in sass.wheel_folders()]
    bases += [Path(os.environ[name]) / "include" for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    for base in bases:
        if (base / "cuda_fp16.h").is_file():
            return [folder for folder in (base, base / "cccl") if folder.is_dir()]
    return []


def compiler() -> str:
    """The version of the compiler that is loaded, as figures are labelled with."""
    from cuda.bindings import nvrtc

    _, major, minor = nvrtc.nvrtcVersion()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version("nvidia-cuda-nvrtc")
        if version.startswith(f"{major}.{minor}."):
            return f"NVRTC {version}"
    return f"NVRTC {major}.{minor}"


def resources(
    path: str | Path,
    instances: Sequence[str],
    architectures: Sequence[str] = ARCHITECTURES,
    *,
    includes: Sequence[str | Path] = (),
    options: Sequence[str] = (),
    cache: Path | None = None,
) -> tuple[Resources, ...]:
    """What each instance of a kernel in the source needs, for each architecture, in the order asked for.

    Instances are name expressions (`softmax_online<float, float>`). Headers named in quotes are found beside the source
    and in `includes`. `options` go to the compiler after the harness's own. `cache` is the folder of kept figures
    (default: `nvrtc` in the user's cache). Raises CompileError with the file and line of the first error, ImportError
    with a hint where the compiler is missing, OSError for a source that cannot be read.
    """
    hint = missing()
    if hint:
        raise ImportError(hint)
    source = Path(path).resolve()
    texts = source_texts(source, [Path(one) for one in includes])
    file = (cache or caches() / "nvrtc") / f"{source.stem}-{_digest([str(source)])[:12]}.json"
    kept = _load(file)
    versions = [CACHE_FORMAT, compiler(), *_versions()]
    found: list[Resources] = []
    fresh: dict[str, list[dict[str, Any]]] = {}
    for architecture in architectures:
        parts = [*versions, architecture, *map(str, includes), "", *OPTIONS, *options, "", *instances, "", *texts]
        key = _digest(parts)
        if key not in kept:
            built = compile_source(source, instances, architecture, includes=includes, options=options)
            figures = _figures(built, instances, architecture)
            kept[key] = fresh[key] = [dataclasses.asdict(one) for one in figures]
        found.extend(_from_data(one) for one in kept[key])
    if fresh:
        _save(file, kept)
    return tuple(found)


def compile_source(
    path: str | Path,
    instances: Sequence[str],
    architecture: str,
    *,
    includes: Sequence[str | Path] = (),
    options: Sequence[str] = (),
) -> Compiled:
    """Compile one source for one real architecture (`sm_90`); nothing is cached. Raises as `resources` does."""
    from cuda.bindings import nvrtc

    source = Path(path).resolve()
    folders = [source.parent, *map(Path, includes), *header_folders()]
    asked = [*OPTIONS, f"-arch={architecture}", "--ptxas-options=-v", *(f"-I{one}" for one in folders), *options]
    text = source.read_bytes()
    program = _ask(nvrtc.nvrtcCreateProgram(text, str(source).encode(), 0, [], []))
    try:
        for instance in instances:
            _ask(nvrtc.nvrtcAddNameExpression(program, instance.encode()))
        (status,) = nvrtc.nvrtcCompileProgram(program, len(asked), [one.encode() for one in asked])
        log = _text(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).decode(errors="replace")
        if int(status):
            raise first_error(log, str(source), instances)
        names = {one: _ask(nvrtc.nvrtcGetLoweredName(program, one.encode())).decode() for one in instances}
        ptx = _text(program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX).decode()
        return Compiled(_text(program, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN), ptx, log, names)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _ask(answer: tuple[Any, ...]) -> Any:
    """The value that NVRTC answered with; RuntimeError for a call that it refused."""
    status, *values = answer
    if int(status):
        raise RuntimeError(f"NVRTC refused a call: {status}")
    return values[0] if values else None


def _text(program: Any, size: Any, get: Any) -> bytes:
    text = bytes(_ask(size(program)))
    _ask(get(program, text))
    # text ends in a NUL; a cubin is an ELF file and has none to lose that counts
    return text if text.startswith(b"\x7fELF") else text.rstrip(b"\0")


ERROR = re.compile(
    r"^(?P<file>.+?)\((?P<line>\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: (?P<said>.*)$", re.MULTILINE
)
NAME_MAP = "__nv_name_map"
"""What NVRTC calls the list of name expressions in its messages."""
OTHER_ERROR = re.compile(r"^\s*(?:ptxas|nvrtc)\w*\s*:?\s*(?:error|fatal)\s*:\s*(?P<said>.*)$", re.MULTILINE)


def first_error(log: str, source: str, instances: Sequence[str] = ()) -> CompileError:
    """The first error in a compiler's log, with the file and line that it names; line 0 where it names none."""
    match = ERROR.search(log)
    if match and match["file"].strip() == NAME_MAP:
        named = re.search(r'Input name expression was: "(.*?)"', log)
        # the message has blanks of its own
        spelled = {"".join(one.split()): one for one in instances}
        instance = spelled.get("".join(named[1].split()), named[1].strip()) if named else "?"
        return CompileError(f"the instance {instance}: {match['said']}", source, 0)
    if match:
        return CompileError(match["said"], match["file"].strip(), int(match["line"]))
    match = OTHER_ERROR.search(log)
    return CompileError(match["said"] if match else log.strip() or "NVRTC gave no reason", source, 0)


ENTRY = re.compile(r"\.entry\s+(\w+)\s*\(.*?\)(.*?)\{", re.DOTALL)
LARGEST = re.compile(r"\.maxntid\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?")


def launch_bounds(ptx: str) -> dict[str, int]:
    """The most threads of a block that `__launch_bounds__` allows, by mangled name of the kernels that have it."""
    found = {}
    for name, directives in ENTRY.findall(ptx):
        if match := LARGEST.search(directives):
            x, y, z = (int(size or 1) for size in match.groups())
            found[name] = x * y * z
    return found


def _figures(built: Compiled, instances: Sequence[str], architecture: str) -> list[Resources]:
    figures, sizes, bounds = read_log(built.log), sass.code_sizes(built.cubin), launch_bounds(built.ptx)
    mix = sass.instruction_mix(built.cubin)
    label = compiler()
    found = []
    for instance in instances:
        name = built.names[instance]
        found.append(
            Resources(
                kernel=instance,
                architecture=architecture,
                compiler=label,
                **figures[name],
                code_bytes=sizes[name],
                max_threads=bounds.get(name),
                instructions=None if mix is None else mix.get(name),
            )
        )
    return found


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


def source_texts(source: Path, includes: Sequence[Path]) -> list[str]:
    """The text of a source and, in the order they are met, of the headers that it names in quotes; each once."""
    seen: set[Path] = set()
    texts = []
    waiting = [source]
    while waiting:
        file = waiting.pop(0)
        if file in seen:
            continue
        seen.add(file)
        text = file.read_text()
        texts.append(text)
        for name in INCLUDE.findall(text):
            places = (folder / name for folder in (file.parent, *includes))
            # one that is found nowhere is the compiler's to complain about
            waiting.extend([place.resolve() for place in places if place.is_file()][:1])
    return texts


# ---- what is kept


def _versions() -> list[str]:
    """Versions of what figures depend on, the disassembler included, so that installing it fills in what was None."""
    found = [str(sass.disassembler())]
    for name in WHEELS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return found


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def _from_data(data: dict[str, Any]) -> Resources:
    mix = data["instructions"]
    return Resources(**{**data, "instructions": None if mix is None else tuple((kind, count) for kind, count in mix)})


def _load(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        kept = json.loads(file.read_text())
        for rows in kept.values():
            for one in rows:
                _from_data(one)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return dict(kept)


def _save(file: Path, kept: dict[str, list[dict[str, Any]]]) -> None:
    """Replace the file as a whole; a cache that cannot be written is no reason to stop."""
    with contextlib.suppress(OSError):
        write_whole(file, json.dumps(dict(list(kept.items())[-KEPT:])))
