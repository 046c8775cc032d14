"""What is in a cubin: the size of each kernel's machine code, and its instructions by kind."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

from harness.scratch import Scratch

KINDS = (
    ("tensor core", r"[BDHIOQ]MMA|[BHIQ]GMMA|UTC.*MMA"),
    ("asynchronous copy", r"LDGSTS|UBLKCP|UTMA.*"),
    ("atomic", r"ATOM|ATOMG|ATOMS|RED|REDG|UATOM.*|URED"),
    ("global load", r"LDG|LD"),
    ("global store", r"STG|ST"),
    ("shared load", r"LDS|LDSM"),
    ("shared store", r"STS|STSM"),
    ("local load", r"LDL"),
    ("local store", r"STL"),
    ("constant load", r"U?LDCU?"),
    ("warp exchange", r"SHFL|U?VOTEU?|MATCH|C?REDUX"),
    ("barrier", r"BAR|WARPSYNC|MEMBAR|(CGA)?ERRBAR|DEPBAR|LDGDEPBAR|SYNCS|ARRIVES|UCGABAR_.*|CCTL|FENCE"),
    ("special function", r"MUFU"),
    ("conversion", r"[FI]2[FI]P?|F2FP|I2FP|UI2F|UF2[FI]|FRND|I2IP"),
    ("float64", r"D(ADD|MUL|FMA|SETP|MNMX)"),
    ("float16", r"H(ADD|MUL|FMA|SETP|SET|MNMX)2(_MMA)?"),
    ("float32", r"U?F(ADD|MUL|FMA|SETP|SET|SEL|MNMX|CHK|SWZADD)[23]?"),
    ("move", r"U?MOV|U?SEL|S2U?R|S2UR|U?CS2R|R2UR|R2P|P2R|B2R|R2B|U?P2UR|UR2UP"),
    (
        "integer",
        r"U?(I(ADD|ADD3|MAD|MNMX|SETP|ABS|DP|DP4A|SCADD)|LEA|LOP3?|PLOP3|SH[FLR]|POPC|FLO|BREV|BMSK|SGXT|PRMT"
        r"|VI(ADD|ADD3|MNMX|MNMX3|ADDMNMX)|VABSDIFF4?)",
    ),
    ("control", r"BRA|BRX|BRXU|JMP|CALL|RET|EXIT|BSSY|BSYNC|BREAK|BPT|KILL|NANOSLEEP|YIELD|ACQBULK|PREEXIT|RPCMOV"),
)
"""Kinds of instructions, and the names that they have in the machine code of sm_80 and later, without suffixes."""

_PATTERNS = tuple((kind, re.compile(f"(?:{pattern})")) for kind, pattern in KINDS)


def kind_of(opcode: str) -> str:
    """The kind of an instruction; loads and stores of 16 bytes a thread from global memory are kinds of their own."""
    name, *suffixes = opcode.split(".")
    for kind, pattern in _PATTERNS:
        if pattern.fullmatch(name):
            return f"{kind} of 16 bytes" if kind.startswith("global") and "128" in suffixes else kind
    return "other"


def disassembler() -> str | None:
    """The path of nvdisasm: from its wheel, a toolkit, or the search path; None where there is none."""
    folders = [folder / "bin" for folder in wheel_folders()]
    folders += [Path(os.environ[name]) / "bin" for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    for folder in folders:
        if (folder / "nvdisasm").is_file():
            return str(folder / "nvdisasm")
    return shutil.which("nvdisasm")


def wheel_folders() -> list[Path]:
    """Where the wheels of CUDA 13 put their programs and headers."""
    spec = importlib.util.find_spec("nvidia")
    locations = spec.submodule_search_locations or () if spec else ()
    return [folder for one in locations if (folder := Path(one) / "cu13").is_dir()]


def instruction_mix(cubin: bytes) -> dict[str, tuple[tuple[str, int], ...]] | None:
    """By mangled name of the kernel: (kind, count) of its instructions, the most frequent first; without padding.

    None where no disassembler is installed, or where it fails: the figures are a help, and no reason to stop.
    """
    tool = disassembler()
    if tool is None:
        return None
    with Scratch("sass") as folder:
        file = Path(folder) / "kernels.cubin"
        file.write_bytes(cubin)
        done = subprocess.run([tool, "-json", "-ndf", str(file)], capture_output=True, text=True)
    try:
        _, functions = json.loads(done.stdout)
        return {one["function-name"]: _counted(one["sass-instructions"]) for one in functions}
    except (ValueError, KeyError, TypeError):
        return None


def _counted(instructions: list[dict[str, str]]) -> tuple[tuple[str, int], ...]:
    counts = Counter(kind_of(one["opcode"]) for one in instructions if one["opcode"] != "NOP")
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


ELF_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
CODE = ".text."


def code_sizes(cubin: bytes) -> dict[str, int]:
    """Bytes of machine code of each kernel, by mangled name: the sizes of the sections .text.NAME of the ELF file.

    Raises ValueError for what is no 64-bit little-endian ELF file.
    """
    if cubin[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not an ELF file as CUDA's compilers write it")
    *_, offset, _, _, _, _, entry_size, count, names_index = ELF_HEADER.unpack_from(cubin)
    sections = [SECTION_HEADER.unpack_from(cubin, offset + number * entry_size) for number in range(count)]
    names_at = sections[names_index][4]
    found = {}
    for name_at, _, _, _, _, size, *_ in sections:
        start = names_at + name_at
        name = cubin[start : cubin.index(b"\0", start)].decode()
        if name.startswith(CODE):
            found[name.removeprefix(CODE)] = size
    return found
