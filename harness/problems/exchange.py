"""What passes between the supervisor and the process of a problem: a JSON message, then the bytes of its arrays.

No array touches a file: a candidate runs as the same user, and could read one.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness import wire
from harness.precision import numpy_dtype

LARGEST = 1 << 36
"""Bytes of one array; more is a broken message."""


def send(connection: socket.socket, message: Mapping[str, Any], arrays: Sequence[np.ndarray] = ()) -> None:
    heads = [{"dtype": array.dtype.name, "shape": list(array.shape)} for array in arrays]
    wire.send(connection, {**message, "arrays": heads})
    for array in arrays:
        if array.size:
            connection.sendall(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[np.ndarray]] | None:
    """The next message with its arrays, or None at the end. Raises wire.WireError for what is no such message."""
    message = wire.receive(connection)
    if message is None:
        return None
    try:
        return message, [_array(connection, head) for head in message.pop("arrays")]
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise wire.WireError(f"an array without a head: {type(error).__name__}: {error}") from None


def _array(connection: socket.socket, head: Mapping[str, Any]) -> np.ndarray:
    shape, kind = tuple(int(size) for size in head["shape"]), numpy_dtype(str(head["dtype"]))
    count = math.prod(shape) * kind.itemsize
    if min(shape, default=0) < 0 or count > LARGEST:
        raise wire.WireError(f"an array of shape {shape}")
    memory = np.empty(count, np.uint8)
    view, done = memory.data, 0
    while done < count:
        got = connection.recv_into(view[done:], min(count - done, 1 << 24))
        if not got:
            raise wire.WireError("the connection ended inside an array")
        done += got
    return memory.view(kind).reshape(shape)
