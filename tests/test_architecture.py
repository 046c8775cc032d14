"""Imports point one way, heavy libraries stay where they are used, and the supervisor never imports a plugin."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = (
    ("declare", "record", "nearest", "checkout", "timing.device.state", "timing.counters", "timing.pinning"),
    ("timing.device.timer", "timing.evidence", "comparing.syntax", "comparing.verdicts"),
    ("timing.device.readings", "timing.device.graphs", "timing.device.libraries"),
    ("precision", "machine", "implement", "cache", "cuda.faults", "cuda.source", "cuda.occupancy"),
    ("draw", "wire", "judge.trees", "schema", "sources.files", "sources.onnx_nodes", "sources.torch_samples"),
    ("cuda.building", "cuda.memory", "cuda.resources", "cuda.sass", "confinement"),
    ("cuda.nvrtc",),
    ("cuda.compiled",),
    ("cuda.device",),
    ("cuda.emulated", "cuda.gpu"),
    ("cuda.cpu",),
    ("cuda.declaring",),
    ("judge.arithmetic", "judge.exact", "judge.compare", "judge.revealed", "arena", "modules"),
    ("judge.truth", "judge.tracked", "judge.reveal", "judge.drawing", "process", "worker", "store", "timing.calling"),
    ("judge.admission", "judge.verdict", "judge.formula", "reading"),
    ("judge.diagnosis", "registry", "options"),
    ("plan",),
    ("stage", "listing", "figures", "series"),
    ("conformance", "timing.statistics", "timing.audit", "timing.ceiling", "timing.disturbance", "timing.instructions"),
    ("supervisor", "timing.groups", "drift", "comparing.deciding"),
    ("constants", "fuzz", "histories", "configuration"),
    ("terminal",),
    ("timing.turn",),
    ("timing.rotation", "timing.overhead"),
    ("timing.session",),
    ("execute", "doctor"),
    ("comparing.identity", "comparing.versions", "comparing.presence", "comparing.measured", "comparing.contest"),
    ("comparing.environment", "comparing.renaming", "comparing.machines", "comparing.pairs", "comparing.eligible"),
    ("comparing.counting",),
    ("comparing.live", "comparing.sides"),
    ("comparing.stored", "comparing.revisions"),
    ("comparing.abreast",),
    ("comparing.asking",),
    ("reporting", "revealing", "searching"),
    ("trials.binomial", "trials.hog", "trials.kept", "trials.rivals", "trials.slowed", "trials.advice"),
    ("trials.calibration", "trials.comparer"),
    ("trials.power", "trials.gate", "trials.intervals", "trials.noise", "trials.ours"),
    ("trials.showing",),
    ("commands.history", "commands.doctor"),
    ("api",),
    ("commands.compare",),
    ("cli",),
)
"""Modules of harness/, the lowest first: a module imports only from layers below its own."""

LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}
HEAVY = {
    "pandas", "torch", "cupy", "jax", "onnx", "hypothesis", "scipy", "ruptures", "sqlalchemy", "rich", "jinja2",
    "matplotlib",
}  # fmt: skip
MAY_IMPORT_AT_ONCE = {"store": {"sqlalchemy"}, "schema": {"sqlalchemy"}}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / "harness").rglob("*.py")):
        parts = path.relative_to(ROOT / "harness").with_suffix("").parts
        if parts[-1] != "__init__":
            found[".".join(parts)] = path
    return found


def imported(path: Path, *, at_once: bool) -> set[str]:
    """Full names that a file imports: all of them, or only those at module level and not for type checking."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_once and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return names


def test_every_module_has_a_layer() -> None:
    assert set(modules()) == set(LEVEL)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_layers_below_its_own(module: str) -> None:
    for name in imported(modules()[module], at_once=False):
        target = name.removeprefix("harness.")
        if name.startswith("harness.") and target in LEVEL and target != module:
            assert LEVEL[target] < LEVEL[module], f"harness.{module} imports harness.{target}, which stands above it"


@pytest.mark.parametrize("module", modules())
def test_heavy_libraries_are_imported_where_they_are_used(module: str) -> None:
    roots = {name.partition(".")[0] for name in imported(modules()[module], at_once=True)}
    assert roots & HEAVY <= MAY_IMPORT_AT_ONCE.get(module, set())


@pytest.mark.parametrize("module", modules())
def test_only_reports_import_pandas(module: str) -> None:
    assert "pandas" not in {name.partition(".")[0] for name in imported(modules()[module], at_once=False)}


@pytest.mark.parametrize("path", sorted(ROOT.glob("cases/*.py")), ids=lambda path: path.stem)
def test_cases_know_numpy_and_the_engine_and_no_implementation(path: Path) -> None:
    names = imported(path, at_once=False)
    assert not any("implementations" in name for name in names)
    roots = {name.partition(".")[0] for name in names}
    own = {path.stem for path in ROOT.glob("cases/*.py")}
    library = {"__future__", "collections", "dataclasses", "functools", "itertools", "math", "typing"}
    assert roots <= library | {"numpy", "harness"} | own


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_harness_is_light() -> None:
    heavy = sorted(HEAVY | {"typer", "psutil"})
    assert run_python(f"import sys, harness; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_listing_imports_no_framework_and_no_plugin() -> None:
    code = (
        "import sys; from harness.registry import load; registry = load();"
        "print(len(registry.declarations) > 20,"
        " [name for name in sys.modules if name.startswith('harness.implementations.') or name in ('torch', 'pandas')])"
    )
    assert run_python(code) == "True []"


def test_the_supervisor_never_unpickles() -> None:
    for path in (ROOT / "harness").rglob("*.py"):
        roots = {name.partition(".")[0] for name in imported(path, at_once=False)}
        assert not roots & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "multiprocessing"}


def test_no_module_outgrows_itself() -> None:
    for path in (*ROOT.glob("harness/**/*.py"), *ROOT.glob("reports/*.py"), *ROOT.glob("cases/*.py")):
        assert len(path.read_text().splitlines()) <= 380, f"{path.name} asks to be two things"
