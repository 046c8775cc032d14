"""Declarations, selections, messages, shared memory: the parts between an author's file and a verdict."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pytest

from harness.arena import Arena, placed_bytes, slot_bytes
from harness.declare import LAYOUTS, Accumulation, Case, DeclarationError, Tree, grid
from harness.implement import Declaration, implementation, implementations_in
from harness.plan import KINDS, NothingSelected, Selection, plan, require_match, tasks
from harness.registry import Registry, load
from harness.wire import GUARD, Usage, WireError, parse, reply_from

REGISTRY = load()


# ---- declare


def test_a_cases_id_reads_as_the_design_has_it() -> None:
    assert Case("float32", ((1024, 1000),), (("dim", 1),)).id == "float32[1024x1000]dim=1"
    assert Case("float16", ((3,), (3,)), values="nan", layout="strided").id == "float16[3,3]values=nan,layout=strided"
    assert Case("float64", ((),), (("dim", None),), raises="why").id == "float64[]dim=None,raises"


def test_ids_of_cases_that_users_have_stored_stay_as_they_are() -> None:
    """These stand in people's stores and scripts: renaming one is a breaking change."""
    known = {case.id for operator in REGISTRY.operators.values() for case in operator.conformance + operator.benchmarks}
    assert known >= {
        "float32[1024x1000]dim=1",
        "float32[9x300]dim=1,values=overflow",
        "float32[1025]dim=0,values=integers",
        "bfloat16[37x53]dim=0,layout=transposed",
        "float32[]dim=-1",
        "float32[257,257]layout=reversed",
    }


def test_a_grid_is_every_combination() -> None:
    cases = grid(dtype=["float32", "float64"], shape=[(2,), (3, 4)], dim=[0, -1], values=["normal", "wide"])
    assert len(cases) == 16 and len({case.id for case in cases}) == 16
    assert grid(dtype="float32", shape=[((2,), (3,))])[0].shapes == ((2,), (3,))


def test_two_cases_of_one_id_are_refused() -> None:
    operator = REGISTRY.operators["max"]
    with pytest.raises(DeclarationError, match="two cases are called"):
        dataclasses.replace(operator, conformance=operator.conformance[:1] * 2)


def test_an_unknown_layout_is_refused_by_name() -> None:
    with pytest.raises(DeclarationError, match="'diagonal' is none of contiguous"):
        Case("float32", ((2,),), layout="diagonal")


def test_the_decorator_marks_and_returns_the_function_itself() -> None:
    def twice(x: Any) -> Any:
        return x

    marked = implementation("max", backend="numpy")(implementation("sum", backend="numpy", name="other")(twice))
    assert marked is twice
    assert [(one.operator, one.name) for one in implementations_in([twice, twice])] == [
        ("sum", "other"),
        ("max", "twice"),
    ]
    assert not any(one.implementation in ("twice", "other") for one in load().declarations)


def test_a_claim_reads_as_a_person_would_say_it() -> None:
    claim = Accumulation(Tree("blocks", 256, "warp", "grid"), intermediate="case", strided=Tree("any"))
    assert str(claim) == "blocks(warp, 256, grid) steps in the case's dtype strided any"


# ---- plan


IDS = ("softmax/numpy/online/float32[9x300]dim=1,values=nan", "softmax/torch/builtin/float16[]dim=0", "sum/numpy/a/b")


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("softmax", {0, 1}),
        ("soft", set()),
        ("softmax/numpy", {0}),
        ("softmax/num", set()),
        ("*/numpy/*", {0, 2}),
        ("*float16*", {1}),
        ("softmax/*values=nan", {0}),
        (IDS[0], {0}),
        ("softmax/torch/builtin/float1?[]dim=0", {1}),
        ("*", {0, 1, 2}),
    ],
)
def test_a_selector_is_a_glob_or_a_prefix(selector: str, chosen: set[int]) -> None:
    selection = Selection([selector])
    assert {number for number, identity in enumerate(IDS) if identity in selection} == chosen


def test_brackets_of_an_id_stand_for_themselves() -> None:
    assert "a/b/c/float32[7]" in Selection(["a/b/c/float32[7]"])
    assert "a/b/c/float327" not in Selection(["a/b/c/float32[7]"])


@pytest.mark.parametrize(
    "selector",
    ["", "sum", "/sum/numpy/", "su?/*/builtin", "*x300*", "sum/numpy/b*", "sum/numpy/builtin/float32[33]dim=0", "su"],
)
def test_what_is_planned_is_every_task_whose_id_is_selected(selector: str) -> None:
    """Ids are made only where the selector may reach; that loses none and keeps the order."""
    for kind in KINDS:
        everything = [task.id for task in tasks(REGISTRY, kind)]
        for selectors in ([selector], [selector, "max/*/builtin"]):
            selection = Selection(selectors)
            found = [task.id for task in plan(REGISTRY, selectors, kind)]
            assert found == [one for one in everything if one in selection]


def test_every_id_selects_itself_and_nothing_else() -> None:
    tasks = plan(REGISTRY, ["sum/numpy/builtin"], "conformance")
    for task in tasks[::10]:
        assert [one.id for one in plan(REGISTRY, [task.id], "conformance")] == [task.id]


def test_a_selector_that_matches_nothing_names_the_nearest() -> None:
    with pytest.raises(NothingSelected, match="softmax"):
        require_match(REGISTRY, ["sofmax"])
    with pytest.raises(NothingSelected, match=r"nothing matches 'max/numpy/bultin'.*max/numpy/builtin"):
        require_match(REGISTRY, ["max", "max/numpy/bultin"])


def test_a_large_plan_is_small_in_memory() -> None:
    cases = tuple(Case("float32", ((number,),), (("dim", 0),)) for number in range(1, 2001))
    operators = {"max": dataclasses.replace(REGISTRY.operators["max"], conformance=cases, benchmarks=())}
    declared = tuple(Declaration("max", "numpy", f"n{number}") for number in range(10))
    large = Registry(operators, REGISTRY.backends, declared)
    tracemalloc.start()
    tasks = plan(large, ["max"], "conformance")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(tasks) == 20_000
    assert peak / len(tasks) < 3000, "300 MB for 100,000 tasks"


# ---- messages


GOOD: dict[str, Any] = {
    "answers": [
        {
            "outputs": [
                {"shape": [2], "dtype": "float32", "kind": "k", "aliases_input": False, "offset": 64, "stored": True}
            ]
        }
    ],
    "wall_ns": [5],
    "cpu_ns": [4],
    "device_ns": [None],
    "usage": [[3, 0, 1, 0]],
    "prepare_ns": None,
    "state_changes": "",
}


def test_a_good_reply_is_read() -> None:
    reply = reply_from(GOOD, 1, 1)
    assert reply.usage[0] == Usage(3, 0, 1, 0)
    assert reply.wall_ns == (5,) and reply.answers[0].outputs[0].shape == (2,)


@pytest.mark.parametrize(
    "change",
    [
        {"answers": []},
        {"answers": GOOD["answers"] * 2},
        {"answers": "passed"},
        {"answers": [None]},
        {"answers": [{"error": "x", "error_kind": "passed"}]},
        {"answers": [{"outputs": [{**GOOD["answers"][0]["outputs"][0], "shape": [-1]}]}]},
        {"answers": [{"outputs": [{**GOOD["answers"][0]["outputs"][0], "shape": [True]}]}]},
        {"answers": [{"outputs": [{**GOOD["answers"][0]["outputs"][0], "shape": [1] * 65}]}]},
        {"answers": [{"outputs": [{**GOOD["answers"][0]["outputs"][0], "offset": 1.5}]}]},
        {"answers": [{"outputs": GOOD["answers"][0]["outputs"] * 17}]},
        {"wall_ns": [-1]},
        {"wall_ns": [2**63]},
        {"wall_ns": [float("nan")]},
        {"wall_ns": ["5"]},
        {"cpu_ns": None},
        {"device_ns": [-1]},
        {"usage": [[1, 2, 3]]},
        {"usage": [[1, 2, 3, 4.0]]},
        {"prepare_ns": -3},
    ],
    ids=repr,
)
def test_a_malformed_reply_is_a_wire_error(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        reply_from({**GOOD, **change}, 1, 1)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_is_a_wire_error(body: bytes) -> None:
    with pytest.raises(WireError):
        parse(body)


# ---- shared memory


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (2, 3, 4), (0,), (3, 0), (0, 3)])
def test_every_layout_holds_the_values_between_guard_zones_of_nan(layout: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    if layout == "expanded" and array.ndim and array.size:
        array = np.broadcast_to(array[:1], shape).copy()
    arena = Arena()
    arena.reserve(placed_bytes(array, layout) + GUARD)
    arena.clear()
    region = arena.place(array, layout)
    view = region.placed.view(arena.memory)
    assert np.array_equal(view, array)
    assert np.isnan(arena.memory[region.start : region.start + GUARD].view(np.float32)).all()
    assert arena.damage() == ""
    arena.close()


def test_layouts_are_what_they_are_called() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    arena = Arena()
    arena.reserve(8192)
    arena.clear()
    strides = {layout: arena.place(array, layout).placed.strides for layout in LAYOUTS}
    assert strides["contiguous"] == (16, 4) and strides["transposed"] == (4, 12)
    assert strides["strided"] == (32, 8) and strides["reversed"] == (-16, -4) and strides["expanded"] == (0, 4)
    assert arena.place(array, "offset").placed.offset % 64 == 4
    arena.close()


def staged() -> tuple[Arena, Any, Any]:
    arena = Arena()
    array = np.ones(10, np.float32)
    arena.reserve(placed_bytes(array) + slot_bytes(40) + GUARD)
    arena.clear()
    return arena, arena.place(array), arena.slot(40)


def test_what_the_worker_may_not_change_is_noticed() -> None:
    for attack, words in [
        (lambda arena, region, slot: arena.memory.__setitem__(region.placed.offset + 8, 7), "modified its input 0"),
        (lambda arena, region, slot: arena.memory.__setitem__(region.placed.offset - 1, 7), "outside of input 0"),
        (lambda arena, region, slot: arena.memory.__setitem__(slot.stop, 7), "outside of its output"),
        (lambda arena, region, slot: arena.memory.__setitem__(slot.start - 1, 7), "outside of its output"),
    ]:
        arena, region, slot = staged()
        attack(arena, region, slot)
        assert words in arena.damage()
        arena.close()


def test_what_the_supervisor_writes_is_no_damage() -> None:
    arena, region, _ = staged()
    for array in (arena.shared(region), region.own()):
        array[[0, 9]] = 5, 6
    assert region.placed.view(arena.memory)[[0, 9]].tolist() == [5, 6]
    assert arena.damage() == ""
    region.own()[3] = 7
    assert "modified its input 0" in arena.damage({region}) and not arena.damage(()), "only where it was asked for"
    arena.close()


def test_the_same_placements_get_the_same_addresses() -> None:
    arena, region, slot = staged()
    arena.clear()
    again, slot_again = arena.place(np.zeros(10, np.float32)), arena.slot(40)
    assert (again.start, slot_again.start) == (region.start, slot.start)
    arena.close()
