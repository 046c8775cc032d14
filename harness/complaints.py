"""What a database said, in one line, and what to do about it."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from harness.location import HIDDEN, passwords

ADVICE = {
    "SQLITE_FULL": "make room on its disk",
    "SQLITE_IOERR": "look whether its disk is full or broken",
    "SQLITE_BUSY": "another process keeps it locked, and was waited for; end that process (`fuser {file}` names it)",
    "SQLITE_CORRUPT": "the file is damaged; `sqlite3 {file} .recover | sqlite3 saved.sqlite` saves what can be read, "
    "then type --store saved.sqlite",
    "SQLITE_NOTADB": "the file is no store, or is damaged; name another with --store",
    "SQLITE_READONLY": "it may only be read; copy it to a folder of yours, and name that with --store",
    "SQLITE_CANTOPEN": "it cannot be opened; look at the rights of the file and of its folder, or name another --store",
}
"""What to do, by the start of SQLite's name for the error."""
SERVER_ADVICE = {
    "password authentication failed": "put the URL with its right password into HARNESS_STORE, or that into ~/.pgpass",
    "no password supplied": "put the URL with its password into HARNESS_STORE, or the password into ~/.pgpass",
    "must be owner": "let its owner open it once, which brings it up to date",
    "does not exist": "make it: createdb NAME, createuser NAME",
    "permission denied": "who owns the database grants it: GRANT CREATE, USAGE ON SCHEMA public TO you",
    "too many": "the server takes no more connections: raise its max_connections, or start fewer writers",
    "No space left": "make room on the server's disk",
    "read-only transaction": "the server is a copy that may only be read; name the one that is written to",
}
"""What to do, by what PostgreSQL says: it gives no number for what goes wrong while a connection is made."""


def words(error: BaseException, file: Path | None) -> str:
    """What the database said, in one line, and what to do."""
    cause = getattr(error, "orig", None) or error
    said = " ".join(str(cause).split()) or type(cause).__name__
    name = getattr(cause, "sqlite_errorname", None) or ""
    advice = next((text for start, text in ADVICE.items() if name.startswith(start)), "")
    if not name and ("decode to UTF-8" in said or isinstance(error, UnicodeDecodeError)):
        advice = ADVICE["SQLITE_CORRUPT"]
    if not name and not advice and file is None:
        found = (text for start, text in SERVER_ADVICE.items() if start in said)
        advice = next(found, "look whether its server runs, and whether it lets you in")
    return f"{said}; {advice.format(file=file)}" if advice else said


def without_passwords(given: str, text: str) -> str:
    """A text of a driver without the passwords of a URL."""
    for secret in passwords(given):
        for written in (secret, urllib.parse.unquote(secret)):
            text = text.replace(written, HIDDEN)
    return text
