"""What an interpreter brings along: its version and all distributions, asked of it in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from harness.comparing.identity import tree_files
from harness.comparing.syntax import digest_of

DEADLINE_S = 60.0
INSTRUMENT = "kernel-harness"
"""This distribution: both sides are measured by one installation of it, whatever is installed beside them."""

_ASK = """
import importlib.metadata, json, platform, sys
found = {}
for one in importlib.metadata.distributions():
    name = (one.metadata["Name"] or "?").lower().replace("_", "-")
    try:
        direct = json.loads(one.read_text("direct_url.json") or "{}")
    except ValueError:
        direct = {}
    said = {"version": one.version or "?", "commit": (direct.get("vcs_info") or {}).get("commit_id", "")}
    if (direct.get("dir_info") or {}).get("editable"):
        said["editable"] = direct.get("url", "")
    found.setdefault(name, said)
python = [platform.python_implementation(), sys.version, platform.machine(), sys.flags.optimize]
print(json.dumps({"python": python, "distributions": found}))
"""


class UnknownEnvironment(RuntimeError):
    """An interpreter that did not answer; the message says which and how it failed."""


def environment_digest(python: str, root: Path | None = None) -> tuple[str, dict[str, Any]]:
    """A digest of an interpreter's version and its distributions, and what it was made of.

    A distribution that is installed in place (`pip install -e`) counts by the files of its folder; the one whose folder
    is `root` is what is compared and counts by its name alone. The harness itself does not count. Two installations of
    one version are assumed to be the same code; native libraries beyond those do not count. Raises UnknownEnvironment.
    """
    # no folder of ours, and no variable that adds one
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            [python, "-c", _ASK],
            capture_output=True,
            timeout=DEADLINE_S,
            check=True,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd="/",
        )
        said = dict(json.loads(done.stdout))
        distributions = dict(said["distributions"])
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        raise UnknownEnvironment(f"{python} cannot say what is installed in it: {last[0]}") from None
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise UnknownEnvironment(f"{python} cannot say what is installed in it: {error}") from None
    counted = {name: _counted(one, root) for name, one in sorted(distributions.items()) if name != INSTRUMENT}
    found = {"python": said["python"], "distributions": counted}
    return digest_of(json.dumps(found, sort_keys=True)), found


def _counted(one: dict[str, str], root: Path | None) -> str:
    """A distribution in one line: `2.1.0`, `2.1.0 @ COMMIT`, or the digest of its folder."""
    url = one.get("editable")
    if url is None:
        return f"{one['version']} @ {one['commit']}" if one["commit"] else one["version"]
    folder = Path(url.removeprefix("file://"))
    if root is not None and folder.resolve() == root.resolve():
        return "what is compared"
    parts = [str(folder.name)]
    for path in tree_files(folder) if folder.is_dir() else ():
        try:
            parts += [path.relative_to(folder).as_posix(), digest_of(path.read_bytes())]
        except OSError:
            parts += [path.relative_to(folder).as_posix(), "unreadable"]
    return f"in place, {digest_of(*parts)[:16]}"
