"""Whether an implementation is the same code in two checkouts: what counts, and what is never called equal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.comparing import identity
from harness.comparing.environment import UnknownEnvironment, environment_digest
from harness.comparing.identity import Fingerprint, fingerprint
from harness.comparing.renaming import Source, renames
from harness.comparing.syntax import read

ROOT = Path(__file__).parent.parent

MAIN = '''"""softmax."""

import numpy as np

from harness import implementation

from .rows import rows

LIMIT = 3


@implementation("softmax", backend="numpy")
def builtin(x, *, dim):
    """Rows at once."""
    return rows(x, dim) * LIMIT


@implementation("softmax", backend="numpy", name="slow")
def one_by_one(x, *, dim):
    return np.exp(x)
'''

FILES = {
    "implementations/__init__.py": "",
    "implementations/numpy/__init__.py": '"""NumPy."""\n',
    "implementations/numpy/softmax.py": MAIN,
    "implementations/numpy/rows.py": "from . import deep\n\n\ndef rows(x, dim):\n    return deep.scaled(x)\n",
    "implementations/numpy/deep.py": "FACTOR = 2\n\n\ndef scaled(x):\n    return FACTOR * x\n",
    "implementations/numpy/unrelated.py": "A = 1\n",
    "implementations/cuda/__init__.py": "",
    "implementations/cuda/sum.py": ('from harness.cuda import Source\n\nSUM = Source.beside(__file__, "sum.cu")\n'),
    "implementations/cuda/sum.cu": '#include "blocks.cuh"\n#include <cuda_fp16.h>\n__global__ void sum() {}\n',
    "implementations/cuda/blocks.cuh": '#include "../shared/numbers.cuh"\n',
    "implementations/shared/numbers.cuh": "#define N 1\n",
    "docs/readme.md": "words\n",
}


def checkout(folder: Path, **changes: str | None) -> Path:
    """A folder with the files above; changes are by the end of a path."""
    files = dict(FILES)
    for path, content in changes.items():
        if content is None:
            del files[path]
        else:
            files[path] = content
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


def of(root: Path, file: str = "implementations/numpy/softmax.py", *sources: str) -> Fingerprint:
    return fingerprint(root / file, root, sources, root / "implementations")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return checkout(tmp_path / "base")


def changed(tmp_path: Path, path: str, content: str | None) -> Path:
    return checkout(tmp_path / "head", **{path: content})


def test_two_checkouts_of_the_same_code_agree(tmp_path: Path, base: Path) -> None:
    assert of(base) == of(checkout(tmp_path / "head"))
    assert of(base).files == (
        "implementations/__init__.py",
        "implementations/numpy/__init__.py",
        "implementations/numpy/deep.py",
        "implementations/numpy/rows.py",
        "implementations/numpy/softmax.py",
    )
    assert not of(base).whole_tree and of(base).doubt == ""


def test_comments_and_layout_do_not_count(tmp_path: Path, base: Path) -> None:
    commented = "# why\n\n" + MAIN.replace(
        "rows(x, dim) * LIMIT", "(  # faster\n        rows(x, dim)\n        * LIMIT\n    )"
    )
    assert of(changed(tmp_path, "implementations/numpy/softmax.py", commented)).digest == of(base).digest


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("implementations/numpy/softmax.py", MAIN.replace("LIMIT = 3", "LIMIT = 4")),
        ("implementations/numpy/softmax.py", MAIN.replace("Rows at once", "Rows")),
        ("implementations/numpy/softmax.py", MAIN.replace("LIMIT = 3", "LIMIT = 3.0")),
        ("implementations/numpy/deep.py", FILES["implementations/numpy/deep.py"].replace("2", "3")),
        ("implementations/numpy/__init__.py", '"""NumPy."""\nimport gc\n\ngc.disable()\n'),
        ("implementations/__init__.py", "X = 1\n"),
        ("implementations/numpy/table.bin", "data"),
        ("implementations/numpy/deep/__init__.py", "FACTOR = 9\n"),
        ("src/numpy.py", "exp = None\n"),
        ("numpy/__init__.py", "exp = None\n"),
        ("implementations/numpy/numpy.py", "exp = None\n"),
    ],
)
def test_what_the_code_reaches_counts(tmp_path: Path, base: Path, path: str, content: str) -> None:
    assert of(changed(tmp_path, path, content)).digest != of(base).digest


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("implementations/numpy/unrelated.py", "A = 2\n"),
        ("implementations/numpy/unrelated.py", None),
        ("docs/readme.md", "other words\n"),
        ("implementations/cuda/sum.cu", "other"),
        ("tests/test_new.py", "assert False\n"),
    ],
)
def test_what_it_cannot_reach_does_not(tmp_path: Path, base: Path, path: str, content: str | None) -> None:
    assert of(changed(tmp_path, path, content)).digest == of(base).digest


@pytest.mark.parametrize("path", ["cuda/sum.cu", "cuda/blocks.cuh", "shared/numbers.cuh"])
def test_cuda_sources_and_what_they_include_count(tmp_path: Path, base: Path, path: str) -> None:
    ours = "implementations/cuda/sum.py"
    sources = "implementations/cuda/sum.cu"
    path = f"implementations/{path}"
    head = changed(tmp_path, path, FILES[path] + "// a comment in C++ is not told from code\n")
    assert not of(base, ours, str(base / sources)).whole_tree
    assert of(base, ours, str(base / sources)).digest != of(head, ours, str(head / sources)).digest
    same = checkout(tmp_path / "same")
    assert of(base, ours, str(base / sources)) == of(same, ours, sources)


@pytest.mark.parametrize("text", ["#include NAME\n", '#include "nowhere.cuh"\n'])
def test_an_include_that_cannot_be_followed_is_a_doubt(tmp_path: Path, text: str) -> None:
    head = changed(tmp_path, "implementations/cuda/sum.cu", text)
    assert of(head, "implementations/cuda/sum.py", "implementations/cuda/sum.cu").whole_tree


@pytest.mark.parametrize(
    "line",
    [
        "import importlib; importlib.import_module('implementations.numpy.' + 'unrelated')",
        "import importlib as i; f = i.import_module",
        "from importlib import import_module",
        "import importlib.util; importlib.util.spec_from_file_location",
        "m = __import__('x')",
        "exec('import x')",
        "a = eval('1')",
        "b = open('table.txt').read()",
        "from pathlib import Path; c = Path('table.txt').read_text()",
        "from pathlib import Path; c = (Path('x') / 'y').read_bytes()",
        "import ctypes; d = ctypes.CDLL('x.so')",
        "from ctypes import cdll as library",
        "import cffi",
        "import runpy",
        "import pkgutil; pkgutil.get_data",
        "import numpy; e = numpy.load('x.npy')",
        "from numpy import load as fetched",
        "import numpy; e = numpy.fromfile('x')",
        "import sys; sys.path.insert(0, 'x')",
        "from sys import path",
        "from torch.utils import cpp_extension",
        "import torch; g = torch.utils.cpp_extension.load",
        "import os; os.system('x')",
        "h = __file__",
        "def late():\n    import subprocess",
        "import numpy; k = getattr(numpy, 'load')",
        "from numpy import *",
        "from .... import above",
        "x = (",
        "x = 1\0",
    ],
)
def test_what_cannot_be_followed_makes_the_whole_tree_count(tmp_path: Path, line: str) -> None:
    content = f"{line}\n{FILES['implementations/numpy/deep.py']}"
    head = changed(tmp_path, "implementations/numpy/deep.py", content)
    found = of(head)
    assert found.whole_tree
    assert "deep.py" in found.doubt
    assert "docs/readme.md" in found.files
    (head / "implementations/numpy/unrelated.py").write_text("A = 2\n")
    assert of(head).digest != found.digest


@pytest.mark.parametrize(
    "line",
    [
        "import importlib.util\nHAS = importlib.util.find_spec('torch') is not None",
        "import triton.language as tl\ndef f(x):\n    return tl.load(x)",
        "import json\nx = json.loads('1')",
        "import torch\nf = torch.compile(lambda x: x)",
        "import re\nr = re.compile('x')",
    ],
)
def test_what_reaches_no_file_is_no_doubt(tmp_path: Path, line: str) -> None:
    assert not of(changed(tmp_path, "implementations/numpy/deep.py", line)).whole_tree


def test_imports_are_followed_however_they_are_written(tmp_path: Path) -> None:
    lines = {
        "from harness.implementations.numpy import unrelated": True,
        "from harness.implementations import numpy as n\n\n\ndef f():\n    return n.unrelated.A": True,
        "import harness.implementations.numpy.unrelated": True,
        "from .unrelated import A": True,
        "from . import unrelated as u": True,
        "from .unrelated import *": True,
        "from . import *": True,
        "def f():\n    from implementations.numpy import unrelated": True,
        "import helper": False,
    }
    for number, (line, is_reached) in enumerate(lines.items()):
        root = checkout(tmp_path / str(number), **{"implementations/numpy/deep.py": line, "src/helper/__init__.py": ""})
        found = of(root)
        assert not found.whole_tree, (line, found.doubt)
        assert ("implementations/numpy/unrelated.py" in found.files) == is_reached, line
        assert ("src/helper/__init__.py" in found.files) == (not is_reached)


def test_extension_modules_and_namespaces_are_reached(tmp_path: Path) -> None:
    (tmp_path / "src/space").mkdir(parents=True)
    (tmp_path / "src/fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")
    (tmp_path / "src/space/inner.py").write_text("import fast\n")
    (tmp_path / "plugin.py").write_text("import space.inner\n")
    found = fingerprint(tmp_path / "plugin.py", tmp_path)
    assert set(found.files) >= {"plugin.py", "src/space/inner.py", "src/fast.cpython-311-x86_64-linux-gnu.so"}


def test_the_harness_is_the_same_on_both_sides(tmp_path: Path) -> None:
    changes = {"harness/__init__.py": "x = 1\n", "harness/cuda/__init__.py": ""}
    before = of(checkout(tmp_path / "base", **changes))
    after = of(checkout(tmp_path / "head", **{**changes, "harness/__init__.py": "x = 2\n"}))
    assert before == after


def test_a_file_that_is_moved_is_another_one(tmp_path: Path, base: Path) -> None:
    shutil.copy(base / "implementations/numpy/softmax.py", base / "implementations/numpy/moved.py")
    assert of(base).digest != of(base, "implementations/numpy/moved.py").digest


def test_a_large_file_never_agrees(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "LARGEST", 1000)
    for root in (base, checkout(tmp_path / "head")):
        (root / "implementations/numpy/table.bin").write_bytes(bytes(1001))
    assert of(base).digest != of(tmp_path / "head").digest
    assert of(base).digest == of(base).digest


def test_files_that_are_gone_or_outside_are_no_crash(tmp_path: Path, base: Path) -> None:
    assert of(base, "implementations/numpy/nothing.py").whole_tree
    assert of(base, "implementations/cuda/sum.py", "nothing.cu").whole_tree
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import math\n")
    assert fingerprint(plugin, base).files == (plugin.as_posix(),)


def test_in_a_repository_ignored_files_do_not_count(tmp_path: Path, base: Path) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    (base / ".gitignore").write_text("*.log\n")
    (base / "implementations/numpy/deep.py").write_text("x = open('y')\n")
    subprocess.run(["git", "init", "-q", str(base)], check=True, env=environment)
    subprocess.run(["git", "-C", str(base), "add", "."], check=True, env=environment)
    before = of(base)
    (base / "docs/run.log").write_text("noise")
    assert of(base) == before
    (base / "docs/new.txt").write_text("perhaps read")
    assert of(base).digest != before.digest


def digest(root: Path, where: str | int, file: str = "implementations/numpy/softmax.py") -> str | None:
    return Source(root / file, root, (), root / "implementations").digest(where)


def test_a_function_with_another_name_is_found(tmp_path: Path, base: Path) -> None:
    content = MAIN.replace("def builtin", "def by_rows").replace("LIMIT = 3", "LIMIT = 3\nOTHER = 4")
    head = changed(tmp_path, "implementations/numpy/softmax.py", content)
    before = {"softmax/numpy/builtin": digest(base, "builtin"), "softmax/numpy/slow": digest(base, "one_by_one")}
    after = {"softmax/numpy/by_rows": digest(head, "by_rows"), "softmax/numpy/slow": digest(head, "one_by_one")}
    assert renames(before, after) == {"softmax/numpy/by_rows": "softmax/numpy/builtin"}


def test_a_name_that_is_given_is_found_and_so_is_a_moved_function(tmp_path: Path, base: Path) -> None:
    head = changed(tmp_path, "implementations/numpy/moved.py", MAIN.replace('name="slow"', 'name="reference"'))
    before = {"softmax/numpy/slow": digest(base, "one_by_one")}
    after = {"softmax/numpy/reference": digest(head, "one_by_one", "implementations/numpy/moved.py")}
    assert renames(before, after) == {"softmax/numpy/reference": "softmax/numpy/slow"}


@pytest.mark.parametrize(
    ("old", "new"),
    [("LIMIT = 3", "LIMIT = 4"), ("* LIMIT", "+ LIMIT"), ('"softmax", backend="numpy")', '"sum", backend="numpy")')],
)
def test_a_function_that_changed_is_another_one(tmp_path: Path, base: Path, old: str, new: str) -> None:
    head = changed(tmp_path, "implementations/numpy/softmax.py", MAIN.replace("builtin", "other").replace(old, new))
    assert digest(base, "builtin") != digest(head, "other")
    far = checkout(tmp_path / "far", **{"implementations/numpy/deep.py": "def scaled(x):\n    return x\n"})
    assert digest(base, "builtin") != digest(far, "builtin")


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ("def helper():\n    return 1\n", True),
        ("UNUSED = {'a': 1}\n", True),
        ("@implementation('softmax', backend='numpy')\ndef third(x, *, dim):\n    return x\n", True),
        ("LIMIT += 1\n", False),
        ("old = np.seterr(all='ignore')\n", False),
        ("np.seterr(all='ignore')\n", False),
        ("np.exp = None\n", False),
        ("import scipy\n", False),
        ("def setup():\n    global LIMIT\n    LIMIT = 5\n", False),
        ("@np.vectorize\ndef patched(x):\n    return x\n", False),
        ("def late(x=np.seterr()):\n    return x\n", False),
        ("class Patch:\n    np.seterr()\n", False),
        ("X = globals()\n", False),
        ("if LIMIT:\n    X = 1\n", False),
        ("implementation = print\n", False),
    ],
)
def test_what_else_is_in_the_file_counts_where_it_may_matter(
    tmp_path: Path, base: Path, change: str, is_same: bool
) -> None:
    head = changed(tmp_path, "implementations/numpy/softmax.py", MAIN + change)
    assert (digest(base, "builtin") == digest(head, "builtin")) is is_same


def test_a_file_that_is_imported_back_counts_as_a_whole(tmp_path: Path) -> None:
    rows = FILES["implementations/numpy/rows.py"] + "\n\ndef late():\n    from .softmax import OTHER\n"
    roots = []
    for name in ("1", "2"):
        content = MAIN.replace("LIMIT = 3", f"LIMIT = 3\nOTHER = {name}")
        files = {"implementations/numpy/rows.py": rows, "implementations/numpy/softmax.py": content}
        roots.append(checkout(tmp_path / name, **files))
    assert None is not digest(roots[0], "builtin") != digest(roots[1], "builtin")


def test_a_function_is_found_by_its_lines(base: Path) -> None:
    line = MAIN.splitlines().index("def builtin(x, *, dim):") + 1
    assert digest(base, line) == digest(base, line - 1) == digest(base, "builtin") is not None
    assert digest(base, "nothing") is None and digest(base, 1) is None


def test_a_function_that_is_made_counts_with_its_file(tmp_path: Path) -> None:
    made = "def make(f):\n    def inner(x):\n        return f(x)\n\n    return inner\n\n\nA = make({})\n"
    roots = [
        checkout(tmp_path / name, **{"implementations/numpy/made.py": made.format(name)}) for name in ("abs", "min")
    ]
    first, second = (digest(root, "inner", "implementations/numpy/made.py") for root in roots)
    assert first is not None and first != second
    commented = checkout(tmp_path / "commented", **{"implementations/numpy/made.py": "# why\n" + made.format("abs")})
    assert digest(commented, "inner", "implementations/numpy/made.py") == first


def test_only_unique_matches_are_renames() -> None:
    assert renames({"a/b/x": "1"}, {"a/b/y": "1", "a/b/z": "1"}) == {}
    assert renames({"a/b/x": "1", "a/b/w": "1"}, {"a/b/y": "1"}) == {}
    assert renames({"a/b/x": "1"}, {"a/b/x": "1", "a/b/y": "1"}) == {}
    assert renames({"a/b/x": "1"}, {"a/c/y": "1"}) == {}
    assert renames({"a/b/x": None}, {"a/b/y": None}) == {}
    assert renames({"a/b/x": "1", "a/b/k": "2"}, {"a/b/y": "1", "a/b/k": "3"}) == {"a/b/y": "a/b/x"}


def test_an_environment_is_its_interpreter_and_its_distributions(tmp_path: Path) -> None:
    first, described = environment_digest(sys.executable)
    assert (first, described) == environment_digest(sys.executable)
    assert described["distributions"]["numpy"]
    without = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(without)], check=True)
    assert environment_digest(str(without / "bin/python"))[0] != first
    with pytest.raises(UnknownEnvironment, match="nothing"):
        environment_digest(str(tmp_path / "nothing"))
    with pytest.raises(UnknownEnvironment, match="cannot say"):
        environment_digest("/bin/false")


def test_a_package_installed_in_place_counts_by_its_files(tmp_path: Path) -> None:
    python = str(tmp_path / "env/bin/python")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    (packages,) = (tmp_path / "env/lib").glob("*/site-packages")
    project = checkout(tmp_path / "project")
    info = packages / "thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (info / "direct_url.json").write_text(f'{{"url": "{project.as_uri()}", "dir_info": {{"editable": true}}}}')
    before, own = environment_digest(python), environment_digest(python, project)
    (project / "docs/readme.md").write_text("changed")
    assert environment_digest(python)[0] != before[0]
    assert environment_digest(python, project) == own
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.1\n")
    (info / "direct_url.json").unlink()
    assert environment_digest(python)[1]["distributions"]["thing"] == "1.1"


def test_every_built_in_implementation_has_a_fingerprint() -> None:
    package = ROOT / "implementations"
    files = sorted(package.glob("*/*.py"))
    found = {file: fingerprint(file, ROOT, (), package) for file in files}
    assert len({one.digest for one in found.values()}) == len(files) > 100
    doubtful = {file.parent.name for file, one in found.items() if one.whole_tree}
    # torch_cuda asks the driver for a GPU by ctypes
    assert doubtful <= {"torch_cuda", "triton"}
    assert "implementations/numpy/blocks.py" in found[package / "numpy/sum.py"].files
    assert "implementations/cuda/sum.cu" in found[package / "cuda/sum.py"].files


def test_reading_a_file_never_fails() -> None:
    for content in (
        b"",
        b"\xff\xfe",
        b"(" * 5000,
        b"x = " + b"-" * 50_000 + b"1",
        "é = 1".encode("latin-1"),
        b'x = "\\d"',
    ):
        assert read(content).digest
