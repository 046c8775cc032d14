"""What a Python file says, read and never run: its code without layout and comments, what it imports, and where it may
reach files that cannot be named by reading."""

from __future__ import annotations

import ast
import functools
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

NAMES = {
    "__import__",
    "exec",
    "eval",
    "open",
    "compile",
    "__file__",
    "__path__",
    "__spec__",
    "__loader__",
    "__builtins__",
}
"""Names by which code reaches other files."""
MODULES = (
    "builtins", "cffi", "codecs", "ctypes", "fileinput", "glob", "gzip", "h5py", "imp", "importlib", "linecache",
    "marshal", "mmap", "multiprocessing", "numpy.ctypeslib", "pickle", "pkgutil", "pyximport", "runpy", "shelve",
    "site", "sqlite3", "subprocess", "sys.meta_path", "sys.modules", "sys.path", "sys.path_hooks", "tarfile",
    "torch.utils.cpp_extension", "zipfile", "zipimport", "os.listdir", "os.open", "os.popen", "os.scandir", "os.system",
    "os.walk",
)  # fmt: skip
"""Modules, and things in them, whose use means the same."""
ATTRIBUTES = {
    "CDLL", "FileIO", "LoadLibrary", "PyDLL", "RawModule", "__import__", "dlopen", "exec_module", "from_file",
    "fromfile", "genfromtxt", "get_data", "get_source", "import_module", "iterdir", "load", "loadtxt", "memmap",
    "open", "rglob", "run_module", "run_path", "safe_open",
}  # fmt: skip
PREFIXES = ("load_", "open_", "read_", "execl", "execv", "spawn")
"""Attributes of anything, and beginnings of such, that do."""
HARMLESS = ("importlib.metadata", "importlib.util.find_spec", "triton.")
"""What only asks whether a library is there, and what loads from arrays."""
FROM_DEVICE = "read_back"
"""Copies an array from a device of harness.cuda."""

Reference = tuple[int, str]
"""How many dots a relative import has (0 for an absolute one), and the dotted name."""


@dataclass(frozen=True, slots=True)
class Module:
    """A file: the digest of its code, the modules or things in them that it names, the packages of which it takes all
    names (`import *`), and why it may reach files beyond those (empty if it does not)."""

    digest: str
    references: tuple[Reference, ...]
    stars: tuple[Reference, ...]
    doubt: str


def parse(content: bytes) -> ast.Module | None:
    """The tree of a file, or None where it is no Python that this interpreter reads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in a plugin, its own users are told
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def digest_of(*parts: str | bytes) -> str:
    """A digest of parts and their limits."""
    found = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        found.update(len(raw).to_bytes(8, "little") + raw)
    return found.hexdigest()


@functools.lru_cache(maxsize=4096)
def read(content: bytes) -> Module:
    """A file by its content. Docstrings count; comments, layout and places do not."""
    tree = parse(content)
    if tree is None:
        return Module(digest_of("raw", content), (), (), "it is no Python that can be read here")
    try:
        dumped = ast.dump(tree)
    except RecursionError:
        return Module(digest_of("raw", content), (), (), "it is too deep to be read")
    reader = _Reader(tree)
    references = tuple(sorted(reader.references))
    return Module(digest_of("code", dumped), references, tuple(sorted(reader.stars)), reader.doubt)


class _Reader:
    """Walks one file twice: the imports first, then the uses of what they bind."""

    def __init__(self, tree: ast.Module) -> None:
        self.references: set[Reference] = set()
        self.stars: set[Reference] = set()
        self.doubt = ""
        self._bound: dict[str, set[Reference]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        self._visit(tree)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(0, alias.name, node)
            bound = alias.name if alias.asname else alias.name.partition(".")[0]
            self._bound.setdefault(alias.asname or bound, set()).add((0, bound))

    def _import_from(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.stars.add((node.level, node.module or ""))
                self._add(node.level, node.module or "", node)
                continue
            dotted = f"{node.module}.{alias.name}" if node.module else alias.name
            self._add(node.level, dotted, node)
            if _reaches(alias.name) and not _harmless(dotted):
                self._doubt(node, dotted)
            self._bound.setdefault(alias.asname or alias.name, set()).add((node.level, dotted))

    def _add(self, level: int, dotted: str, node: ast.AST, use: bool = False) -> None:
        self.references.add((level, dotted))
        # an import of importlib itself reaches nothing yet: what is used of it does
        if level == 0 and (use or dotted not in ("importlib", "importlib.util", "ctypes")):
            for name in MODULES:
                if (dotted == name or dotted.startswith(f"{name}.")) and not _harmless(dotted):
                    self._doubt(node, dotted)

    def _doubt(self, node: ast.AST, what: str) -> None:
        self.doubt = self.doubt or f"line {getattr(node, 'lineno', 0)} uses {what}"

    def _visit(self, tree: ast.AST) -> None:
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            children: Iterator[ast.AST] = ast.iter_child_nodes(node)
            if isinstance(node, ast.Call):
                waiting.extend(self._call(node, children))
                continue
            if isinstance(node, ast.Attribute):
                self._attribute(node)
                # the chain is read as a whole, so that `importlib.util.find_spec` is not taken for `importlib`
                inner = node.value
                while isinstance(inner, ast.Attribute):
                    inner = inner.value
                waiting.extend(() if isinstance(inner, ast.Name) else [node.value])
                continue
            if isinstance(node, ast.Name):
                self._name(node)
            waiting.extend(children)

    def _call(self, node: ast.Call, children: Iterator[ast.AST]) -> Iterator[ast.AST]:
        """What is in a call. `Source.beside(__file__, ...)` names a CUDA source, which is counted by itself, and
        `getattr(x, "load")` is `x.load`."""
        if isinstance(node.func, ast.Attribute) and node.func.attr == "beside" and "harness" in self._root(node.func):
            return (child for child in children if not (isinstance(child, ast.Name) and child.id == "__file__"))
        if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "attrgetter") and len(node.args) > 1:
            asked = node.args[1]
            if isinstance(asked, ast.Constant) and isinstance(asked.value, str):
                self._attribute(ast.Attribute(node.args[0], asked.value, ast.Load(), lineno=node.lineno))
        return children

    def _root(self, node: ast.AST) -> set[str]:
        while isinstance(node, ast.Attribute):
            node = node.value
        found = self._bound.get(node.id, set()) if isinstance(node, ast.Name) else set()
        return {dotted.partition(".")[0] for level, dotted in found if level == 0}

    def _name(self, node: ast.Name) -> None:
        if node.id in NAMES and isinstance(node.ctx, ast.Load):
            self._doubt(node, node.id)
        for level, dotted in self._bound.get(node.id, ()):
            self._add(level, dotted, node, use=True)

    def _attribute(self, node: ast.Attribute) -> None:
        chain, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        bound = self._bound.get(inner.id, set()) if isinstance(inner, ast.Name) else set()
        if isinstance(inner, ast.Name) and inner.id in NAMES:
            self._doubt(node, inner.id)
        known = [(level, ".".join([dotted, *reversed(chain)])) for level, dotted in bound]
        for level, dotted in known:
            self._add(level, dotted, node, use=True)
        if known and all(level == 0 and _harmless(dotted) for level, dotted in known):
            return
        for name in chain:
            if _reaches(name):
                self._doubt(node, f".{name}")


def _reaches(name: str) -> bool:
    return name in ATTRIBUTES or (name.startswith(PREFIXES) and name != FROM_DEVICE)


def _harmless(dotted: str) -> bool:
    return dotted.startswith(HARMLESS) or dotted in ("importlib", "importlib.util")
