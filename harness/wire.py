"""What passes between supervisor and worker: length-prefixed JSON over a socket, and arrays in shared memory.

Nothing here is pickled. The supervisor checks every field of a reply before it uses it: a worker may lie.
"""

from __future__ import annotations

import json
import mmap
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harness.precision import numpy_dtype

HEADER = struct.Struct("<I")
LARGEST_MESSAGE = 16 * 2**20
MOST_OUTPUTS = 16
GUARD = 64
"""Bytes of guard zone on either side of every array in shared memory."""
POPULATE = getattr(mmap, "MAP_POPULATE", 0)
"""All pages of shared memory at once, on both sides: faulting them one by one takes longer than many a kernel, and the
first calls would be charged."""


class WireError(Exception):
    """A message that is not what the protocol allows; from a worker it means that the worker is not to be trusted."""


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > LARGEST_MESSAGE:
        raise WireError(f"a message of {len(body)} bytes; at most {LARGEST_MESSAGE} are allowed")
    connection.sendall(HEADER.pack(len(body)) + body)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """The next message of a blocking socket, or None at its end."""
    header = _exactly(connection, HEADER.size)
    if header is None:
        return None
    body = _exactly(connection, HEADER.unpack(header)[0])
    return None if body is None else parse(body)


def parse(body: bytes | bytearray) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a message that is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise WireError(f"a message that is no object but {type(message).__name__}")
    return message


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an array lies in shared memory: `offset` of its first element in bytes, strides in bytes."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str

    def view(self, memory: np.ndarray) -> np.ndarray:
        """The array itself; `memory` is the arena as bytes."""
        kind = numpy_dtype(self.dtype)
        if 0 in self.shape:
            return np.empty(self.shape, kind)
        first = memory[self.offset : self.offset + kind.itemsize].view(kind)
        return np.lib.stride_tricks.as_strided(first, self.shape, self.strides)

    def as_message(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_message(message: Mapping[str, Any]) -> Placed:
        return Placed(message["offset"], tuple(message["shape"]), tuple(message["strides"]), message["dtype"])


@dataclass(frozen=True, slots=True)
class Output:
    """One array of an answer as the worker reports it; its bytes are at the start of the slot, if they fit."""

    shape: tuple[int, ...]
    dtype: str
    kind: str
    aliases_input: bool
    offset: int
    stored: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call gave: outputs, or the exception that it raised."""

    outputs: tuple[Output, ...] = ()
    error: str = ""
    error_kind: str = ""


@dataclass(frozen=True, slots=True)
class DeviceWork:
    """What kernels did: how many launches, how often the host waited for a result (host round trips), and of the
    largest of them the registers of a thread and the bytes that it spills, where a CUDA compiler told (sm_90)."""

    launches: int
    host_round_trips: int
    registers: int | None
    spill_bytes: int | None

    def of_one(self, calls: int) -> DeviceWork:
        """The share of one of several equal calls."""
        return DeviceWork(self.launches // calls, self.host_round_trips // calls, self.registers, self.spill_bytes)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the system did for a worker during one sample."""

    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from one `run` request: answers call by call, and the worker's own readings sample by sample."""

    answers: tuple[Answer, ...]
    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    prepare_ns: int | None
    state_changes: str
    device: DeviceWork | None = None
    device_ns: tuple[int | None, ...] = ()
    """By the device's own clock, sample by sample, where it has one."""
    usage: tuple[Usage | None, ...] = ()


STRANGE = dict.fromkeys(
    (
        *range(32),
        *range(127, 160),
        *range(0xD800, 0xE000),
        # what turns a line around, breaks it or is not seen: text that reads otherwise than it is
        *(0x200B, 0x200E, 0x200F, 0xFEFF),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xE0000, 0xE0080),
    ),
    "�",
)
LONGEST_TEXT = 2000


def text_of(value: Any) -> str:
    """What a worker says, fit for a terminal, a store and a report: short, no control characters, no half ones, none
    that cannot be seen."""
    return str(value)[:LONGEST_TEXT].translate(STRANGE)


def reply_from(message: Mapping[str, Any], calls: int, samples: int) -> Reply:
    """Check a worker's reply field by field; raises WireError where it is not what was asked for."""
    try:
        answers = tuple(_answer(one) for one in _list(message, "answers", calls))
        wall = tuple(_natural(value) for value in _list(message, "wall_ns", samples))
        cpu = tuple(_natural(value) for value in _list(message, "cpu_ns", samples))
        prepare = message.get("prepare_ns")
        return Reply(
            answers,
            wall,
            cpu,
            None if prepare is None else _natural(prepare),
            text_of(message["state_changes"]),
            _device_work(message.get("device")),
            tuple(None if value is None else _natural(value) for value in _list(message, "device_ns", samples)),
            tuple(_usage(value) for value in _list(message, "usage", samples)),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise WireError(f"a malformed reply: {type(error).__name__}: {error}") from None


def _usage(value: Any) -> Usage | None:
    return None if value is None else Usage(*(_natural(one) for one in value))


def _device_work(message: Sequence[Any] | None) -> DeviceWork | None:
    if message is None:
        return None
    launches, round_trips, registers, spills = message
    known = [None if one is None else _natural(one) for one in (registers, spills)]
    return DeviceWork(_natural(launches), _natural(round_trips), *known)


def _answer(message: Mapping[str, Any]) -> Answer:
    if message.get("error"):
        if message["error_kind"] not in ("error", "failed", "out_of_memory"):
            raise WireError(f"an error of kind {text_of(message['error_kind'])!r}")
        return Answer((), text_of(message["error"]), message["error_kind"])
    outputs = message["outputs"]
    if not isinstance(outputs, list) or len(outputs) > MOST_OUTPUTS:
        raise WireError(f"an answer of more than {MOST_OUTPUTS} arrays")
    return Answer(tuple(_output(one) for one in outputs))


def _output(message: Mapping[str, Any]) -> Output:
    shape = message["shape"]
    if not isinstance(shape, list) or len(shape) > 64:
        raise WireError("an array of more than 64 dimensions")
    return Output(
        tuple(_natural(size) for size in shape),
        text_of(message["dtype"])[:100],
        text_of(message["kind"])[:200],
        bool(message["aliases_input"]),
        _natural(message["offset"]),
        bool(message["stored"]),
    )


def _list(message: Mapping[str, Any], key: str, length: int) -> Sequence[Any]:
    value = message[key]
    if not isinstance(value, list) or len(value) != length:
        raise WireError(f"{key} is no list of {length}")
    return value


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise WireError(f"{value!r} where a natural number is right")
    return value
