"""Git revisions as folders to run from: each in a worktree of its own, prepared if asked, and removed in the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.checkout import Checkout, git_environment
from harness.scratch import PREFIX, Scratch

WORKING_TREE = "."
"""In place of a revision: the folder as it is, with what is not committed."""
GIT_DEADLINE_S = 300.0
TAIL = 2000


class VersionError(ValueError):
    """A version that cannot be had; the message says why, and what to type."""


def top_of(folder: Path) -> Path:
    """The root of the repository that a folder lies in. Raises VersionError outside of git."""
    return Path(_git(folder, "rev-parse", "--show-toplevel", what=f"{folder} is in no git repository"))


def commit_of(repository: Path, revision: str) -> str | None:
    """The full commit of a revision, or None if git knows none of that name."""
    try:
        return _git(
            repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", what=""
        )
    except VersionError:
        return None


def in_words(repository: Path, revision: str) -> str:
    """What was typed, with the commit that it stands for and the first line of its message."""
    if revision == WORKING_TREE:
        return ". (the working tree)"
    commit = commit_of(repository, revision) or revision
    subject = _git(repository, "log", "-1", "--format=%s", commit, what=f"{revision} has no message")
    return f"{revision} ({commit[:10]} {subject[:60]})"


@contextlib.contextmanager
def checkouts(
    repository: Path, revisions: Sequence[tuple[str, str]], setup: str | None, python: str | None
) -> Iterator[list[Checkout]]:
    """A checkout for each (label, revision). The working tree is used where it is; all others get worktrees, which go
    when the context is left.

    `setup` is a shell command that is run in each of them, `python` the interpreter inside of it (a relative path; by
    default the one that runs this). Raises VersionError.
    """
    with Scratch("compare") as scratch:
        _forget_abandoned(repository)
        made: list[Path] = []
        found = []
        try:
            for label, revision in revisions:
                root = repository
                if revision != WORKING_TREE:
                    root = Path(scratch) / label
                    what = f"{revision!r} cannot be checked out"
                    made.append(root)
                    _git(repository, "worktree", "add", "--quiet", "--detach", str(root), revision, what=what)
                if setup:
                    _prepare(root, revision, setup)
                found.append(Checkout(label, root, _interpreter(root, revision, python)))
            yield found
        finally:
            for root in made:
                _forget(repository, root)


def _forget_abandoned(repository: Path) -> None:
    """Git still lists the worktrees of a comparison that was killed; their folders are gone with `Scratch`."""
    with contextlib.suppress(VersionError):
        for line in _git(repository, "worktree", "list", "--porcelain", what="").splitlines():
            root = Path(line.removeprefix("worktree "))
            if line.startswith("worktree ") and root.parent.name.startswith(f"{PREFIX}compare-") and not root.exists():
                _forget(repository, root)


def _forget(repository: Path, root: Path) -> None:
    with contextlib.suppress(VersionError):
        # twice: also one that git was still making when it was killed
        _git(repository, "worktree", "remove", "--force", "--force", str(root), what="")


def _prepare(root: Path, revision: str, setup: str) -> None:
    done = subprocess.run(setup, shell=True, cwd=root, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        printed = (done.stdout + done.stderr)[-TAIL:].strip()
        raise VersionError(f"--setup {setup!r} ended with code {done.returncode} in {revision}:\n{printed}")


def _interpreter(root: Path, revision: str, python: str | None) -> str:
    if python is None:
        return sys.executable
    path = root / python
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise VersionError(
            f"--python {python}: there is no such program in the checkout of {revision}; --setup has to make it, "
            "for example --setup 'python -m venv .venv && .venv/bin/pip install -e .' --python .venv/bin/python"
        )
    return str(path)


def _git(folder: Path, *arguments: str, what: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_DEADLINE_S,
            stdin=subprocess.DEVNULL,
            env=git_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VersionError(f"{what}: git: {error}") from None
    if done.returncode:
        raise VersionError(f"{what}: {done.stderr.strip()[-TAIL:]}")
    return done.stdout.strip()
