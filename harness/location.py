"""Where a store is, in words that may be shown: a URL without its password."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from pathlib import Path

HIDDEN = "***"
_IN_AUTHORITY = re.compile(r"(://[^:/?@]*):(.*)@", re.DOTALL)
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)([^&]*)", re.IGNORECASE)
WORDS = (
    "the password in --store is seen by every process of this machine: put the whole URL into HARNESS_STORE instead, "
    "or only the password into ~/.pgpass"
)


def passwords(given: str) -> list[str]:
    """The passwords in a URL, as they are written there; in what is no URL too, if it looks as if."""
    if "://" not in given:
        return []
    found = [one.group(2) for pattern in (_IN_AUTHORITY, _IN_QUERY) for one in pattern.finditer(given)]
    return [one for one in found if one]


def shown(given: str) -> str:
    """A URL that may be printed and logged."""
    if "://" not in given:
        return given
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_AUTHORITY.sub(rf"\1:{HIDDEN}@", given))


def typed_again(given: str) -> str | None:
    """What a later command is to be told by --store: a URL without its password, which is then asked of ~/.pgpass; None
    where HARNESS_STORE says the same."""
    if not passwords(given):
        return given
    if os.environ.get("HARNESS_STORE") == given:
        return None
    place, _, query = _IN_AUTHORITY.sub(r"\1@", given).partition("?")
    kept = "&".join(one for one in query.split("&") if not _IN_QUERY.match(f"&{one}"))
    return f"{place}?{kept}" if kept else place


def wipe_command_line(given: str) -> None:
    """Overwrite the passwords of a URL in what Linux shows of this process to all others: any process, and so a plugin,
    reads /proc/PID/cmdline. What this program was told stays as it is."""
    secrets, url = [os.fsencode(one) for one in passwords(given)], os.fsencode(given)
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, 48 and 49 of proc(5)
        held = ctypes.string_at(start, end - start) if 0 < start < end else b""
        place = held.find(url)
        while place >= 0:
            for secret in secrets:
                ctypes.memmove(start + place + url.find(secret), b"*" * len(secret), len(secret))
            place = held.find(url, place + 1)
