"""Every planted bug is found, of the right kind and at its line, and no correct kernel is accused.

The kernels are in tests/sabotage_cuda, the table of how they are launched in its corpus.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sabotage_cuda import corpus
from sabotage_cuda.corpus import BUGS, CORRECT
from sabotage_cuda.entry import Entry, Extent, Launch, Output, Same

from harness.cuda import KernelFault, Source, building, nvrtc
from harness.cuda.cpu import CpuDevice
from harness.cuda.faults import BARRIER_AFTER_EXIT, SAME_VALUE

SEED = 20260101
FOLDER = Path(corpus.__file__).parent
ENTRIES = (*BUGS, *CORRECT)
needs_compiler = pytest.mark.skipif(building.compiler() is None, reason=building.HINT)


@pytest.fixture(scope="module")
def device() -> CpuDevice:
    return CpuDevice()


def marked_lines(entry: Entry) -> set[int]:
    lines = (FOLDER / entry.file).read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("// BUG")}


def given_to(entry: Entry) -> dict[str, Any]:
    """What is given to the kernels of an entry, as the host sees it: arrays, scalars, structs; no outputs."""
    rng = np.random.default_rng(SEED)
    inputs = {name: value for name, value in entry.arguments.items() if not isinstance(value, Output | Same)}
    return {name: value(rng) if callable(value) else value for name, value in inputs.items()}


def after(device: CpuDevice, entry: Entry, kernel: str, launch: Launch) -> dict[str, np.ndarray]:
    """The arrays that a launch of an entry's kernel leaves behind, by name."""
    given = given_to(entry)
    arrays, arguments = {}, []
    for name, value in entry.arguments.items():
        if isinstance(value, Output):
            arrays[name] = (device.zeros if value.zeroed else device.empty)(value.shape, value.dtype)
        elif isinstance(value, Same):
            arrays[name] = arrays[value.name]
        elif isinstance(given[name], np.ndarray):
            arrays[name] = device.upload(given[name])
        arguments.append(arrays[name] if name in arrays else given[name])
    source = Source.beside(corpus.__file__, entry.file)
    device.launch(source.kernel(kernel), launch.grid, launch.block, launch.shared_bytes, tuple(arguments))
    return {name: device.read_back(array) for name, array in arrays.items()}


def in_three(extent: Extent) -> tuple[int, ...]:
    extents = extent if isinstance(extent, tuple) else (extent,)
    return (*extents, 1, 1)[:3]


@needs_compiler
@pytest.mark.parametrize("entry", BUGS, ids=lambda entry: entry.name)
def test_a_planted_bug_is_found_at_its_line(device: CpuDevice, entry: Entry) -> None:
    with pytest.raises(KernelFault) as caught:
        after(device, entry, "planted", entry.launch)
    fault = caught.value
    assert fault.kind == entry.kind, str(fault)
    assert (Path(fault.file).name, fault.kernel) == (entry.file, "planted"), str(fault)
    assert {fault.line, *(other.line for other in fault.others)} <= marked_lines(entry), str(fault)
    for index, extent in ((fault.block, entry.launch.grid), (fault.thread, entry.launch.block)):
        assert all(0 <= one < limit for one, limit in zip(index, in_three(extent), strict=True)), str(fault)


@needs_compiler
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_correct_kernel_is_not_accused_and_right(device: CpuDevice, entry: Entry) -> None:
    got = after(device, entry, "twin", entry.twin_launch or entry.launch)
    for name, right in entry.expected(**given_to(entry)).items():
        exact = entry.relative == 0
        wanted = np.asarray(right).ravel().astype(got[name].dtype if exact else "float64")
        values = got[name].ravel().astype(wanted.dtype)
        if name in entry.unordered:
            values, wanted = np.sort(values), np.sort(wanted)
        np.testing.assert_allclose(values, wanted, rtol=entry.relative, atol=0, err_msg=name)


@needs_compiler
@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("correct_same_value_stored", SAME_VALUE),
        ("correct_early_return_of_warps", BARRIER_AFTER_EXIT),
        ("correct_early_return_of_lanes", BARRIER_AFTER_EXIT),
    ],
)
def test_what_is_allowed_but_worth_saying_is_a_note(name: str, note: str) -> None:
    device = CpuDevice()
    (entry,) = (one for one in CORRECT if one.name == name)
    after(device, entry, "twin", entry.launch)
    assert {one.kind for one in device.notes} == {note}


def test_the_corpus_is_what_lies_in_its_folder() -> None:
    assert sorted(entry.file for entry in ENTRIES) == sorted(path.name for path in FOLDER.glob("*.cu"))
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_how_its_kernels_are_launched(entry: Entry) -> None:
    text = (FOLDER / entry.file).read_text()
    kernels = dict(re.findall(r"__global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(([^)]*)\)", text))
    assert kernels.keys() == ({"planted", "twin"} if entry in BUGS else {"twin"})
    assert len(set(kernels.values())) == 1, "planted and twin have one signature"
    assert re.findall(r"(\w+)(?:,|$)", kernels["twin"]) == list(entry.arguments)
    twin = text[text.index("twin(") :]
    assert bool(marked_lines(entry)) == (entry in BUGS)
    assert "// BUG" not in twin[: twin.index("\n}\n") if "\n}\n" in twin else None]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_is_expected_has_the_shape_of_what_is_written(entry: Entry) -> None:
    given = given_to(entry)
    expected = entry.expected(**given)
    assert expected
    for name, right in expected.items():
        declared = entry.arguments[name]
        shape = declared.shape if isinstance(declared, Output) else given[name].shape
        assert np.size(right) == np.prod(shape), name


@pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_cuda(entry: Entry) -> None:
    """What only our own headers accept would show nothing about the kernels that people write."""
    kernels = ("planted", "twin") if entry in BUGS else ("twin",)
    assert nvrtc.compile_source(FOLDER / entry.file, kernels, "sm_90").cubin
