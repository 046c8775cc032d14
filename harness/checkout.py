"""A version of a project in a folder of its own, with its own interpreter: what a worker imports plugins from."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ENGINE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder `root` that is imported from before all else, by the interpreter `python`.

    The harness itself is never taken from there: the instrument is the same on both sides of a comparison. What the
    folder has in `implementations/` stands in for the harness's own, if it is a checkout of this project.
    """

    label: str
    root: Path
    python: str = sys.executable

    @property
    def implementations(self) -> Path | None:
        """The built-in implementations as this version has them, or None if it is another project."""
        package = self.root / "implementations"
        is_ours = (package / "__init__.py").is_file() and (self.root / "harness" / "registry.py").is_file()
        return package if is_ours else None

    @property
    def command(self) -> list[str]:
        """How a worker starts, up to its own arguments."""
        ours = str(self.implementations) if self.implementations else ""
        folders = [str(folder) for folder in (self.root / "src", self.root) if folder.is_dir()]
        return [self.python, "-c", _START, json.dumps([str(ENGINE), ours, folders])]


def worker_command(checkout: Checkout | None) -> list[str]:
    """How to start a worker: of this very installation, or with plugins from a checkout."""
    return [sys.executable, "-m", "harness.worker"] if checkout is None else checkout.command


def git_environment() -> dict[str, str]:
    """This process's, without what a hook has set, for a repository and an index that are not ours to touch."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def worker_environment() -> Mapping[str, str]:
    """The supervisor's environment without what tells a plugin about this run."""
    server = ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASS", "PGSERVICE", "PGSSL", "PGOPTIONS")
    hidden = ("HARNESS_", "PYTEST_", *server)  # how a store on PostgreSQL is reached, too
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


# Runs in the interpreter of a checkout, where another version of the harness may be installed, or none.
_START = """
import importlib.util, json, runpy, sys

engine, implementations, folders = json.loads(sys.argv.pop(1))

def package(name, folder):
    spec = importlib.util.spec_from_file_location(name, folder + "/__init__.py", submodule_search_locations=[folder])
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

harness = package("harness", engine)
if implementations:
    harness.implementations = package("harness.implementations", implementations)
sys.path[0:1] = folders
runpy.run_module("harness.worker", run_name="__main__", alter_sys=True)
"""
