"""Ways to fool the harness are functions under tests/sabotage/plugins; each is rejected here for the right reason.

The plugins are grouped by what they attack: the numbers (wrong_*.py), the checks (memory.py), the process (crashes.py),
its state (states.py) and the clock (time_thieves.py). Each group has an honest twin that must pass the same cases.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from harness.cases.softmax import softmax

from harness.comparing.contest import Contest, contest
from harness.comparing.live import Effort, compare_pairs
from harness.cuda import building
from harness.declare import Accumulation, Case, Operator, Tree
from harness.heavy import PLAIN, heavy_of, outweighed_inputs, timed_inputs
from harness.judge.compare import compare
from harness.judge.truth import Truth, draw_inputs, generator, truth
from harness.judge.verdict import Verdict
from harness.plan import Task, plan
from harness.registry import Registry, load
from harness.stage import Stage
from harness.supervisor import Supervisor
from harness.timing.groups import Settings, Side, Timing, group_tasks
from harness.timing.session import time_groups

PLUGINS = Path(__file__).parent / "sabotage" / "plugins"
GROUPS = ("wrong_*.py", "memory.py", "crashes.py", "states.py", "time_*.py", "honest_*.py", "softmax_without_max.py")
SEED = 20260101
HONEST = "sum/numpy/builtin/float32[33]dim=0,values=integers"


@pytest.fixture(scope="module")
def registry() -> Registry:
    loaded = load([str(file) for pattern in GROUPS for file in sorted(PLUGINS.glob(pattern))])
    ours = [problem for problem in loaded.problems if str(PLUGINS) in problem.where]
    assert not ours
    return loaded


@pytest.fixture(scope="module")
def supervisor(registry: Registry) -> Iterator[Supervisor]:
    """One supervisor for all wrong kernels: what one of them leaves behind must not change the verdict on the next."""
    with Supervisor(registry, SEED) as shared:
        yield shared


@pytest.fixture
def attacked(registry: Registry) -> Iterator[Supervisor]:
    """A supervisor for one attack on the process, with a short deadline, and for the honest task after it."""
    with Supervisor(registry, SEED, deadline_s=2, memory_limit_bytes=4 << 30) as shared:
        yield shared


def tasks(registry: Registry, selector: str) -> list[Task]:
    chosen = plan(registry, [selector], "conformance")
    assert chosen, f"{selector} selects nothing"
    return chosen


def first_rejection(supervisor: Supervisor, selector: str) -> Verdict:
    """The verdict on the first selected case that is not passed, else the last one."""
    for task in tasks(supervisor.registry, selector):
        verdict = supervisor.check(task)
        if verdict.status != "passed":
            return verdict
    return verdict


def assert_goes_on(supervisor: Supervisor, selector: str = HONEST) -> None:
    """An honest task is not touched by what ran before it."""
    (task,) = tasks(supervisor.registry, selector)
    verdict = supervisor.check(task)
    assert (verdict.status, verdict.reason) == ("passed", ""), "the honest task after it is lost"


# ---- the numbers are wrong

EXACT = "every correct order of operations is exact"
WRONG_NUMBERS = {
    # sums
    "sum/numpy/drops_the_last_when_odd/float32[33]dim=0,values=integers": EXACT,
    "sum/numpy/skips_the_tail_past_256/float32[257]dim=0,values=integers": EXACT,
    "sum/numpy/skips_the_tail_past_1024/float32[1025]dim=0,values=integers": EXACT,
    "sum/numpy/skips_the_last_row/float32[300x9]dim=0,values=integers": EXACT,
    "sum/numpy/estimates_from_every_other_element/float32[1025]dim=0,values=integers": "1 of 1 elements are wrong",
    "sum/numpy/accumulates_in_float16/float32[1025]dim=0,values=integers": "1 of 1 elements are wrong",
    "sum/numpy/rounds_its_input_to_bfloat16/float32[1025]dim=0,values=integers": "1 of 1 elements are wrong",
    "sum/numpy/is_a_constant/float32[33]dim=0,values=integers": "0.5 where",
    "sum/numpy/is_the_mean/float32[33]dim=0,values=integers": EXACT,
    "sum/numpy/adds_absolute_values/float32[33]dim=0,values=integers": EXACT,
    "sum/numpy/assumes_contiguous_memory/float32[37x53]dim=1,layout=transposed": "elements are wrong",
    "sum/numpy/assumes_contiguous_memory/float32[37x53]dim=1,layout=strided": "nan where",
    "sum/numpy/takes_the_other_dim/float32[7x33]dim=0": "shape (7,) where (33,) is right",
    "sum/numpy/takes_a_negative_dim_for_the_last/float32[7x33]dim=-2": "shape (7,) where (33,) is right",
    "sum/numpy/takes_no_dim_for_dim_0/float32[7x33]dim=None": "shape (33,) where () is right",
    "sum/numpy/keeps_the_dim/float32[7x33]dim=1": "shape (7, 1) where (7,) is right",
    "sum/numpy/clips_a_dim_out_of_range/*raises": "for bad input instead of raising: dim out of range",
    "sum/numpy/swallows_nan/float32[9x300]dim=1,values=nan": "where nan is right",
    "sum/numpy/turns_infinities_into_nan/float32[9x300]dim=1,values=infinities": "nan where",
    "sum/numpy/saturates_infinities/float32[9x300]dim=1,values=infinities": "inf is right",
    "sum/numpy/flushes_subnormal_numbers/float32[300]dim=0,values=subnormal": EXACT,
    "sum/numpy/takes_the_sum_of_nothing_for_nan/float32[0]dim=0": "nan where 0 is right",
    "sum/numpy/adds_one_by_one_and_claims_pairwise/float32*": "times the bound",
    "sum/numpy/adds_in_float32_and_claims_float64/float32[1025]dim=0,values=cancelling": "1 of 1 elements are wrong",
    # maxima
    "max/numpy/starts_from_zero/float32[1025]dim=0,values=negative": "0 where",
    "max/numpy/swallows_nan/float32[9x300]dim=1,values=nan": "where nan is right",
    "max/numpy/is_a_constant/float32[33]dim=0": EXACT,
    "max/numpy/looks_at_the_first_256_only/float32[?0??]dim=0": EXACT,
    "max/numpy/takes_the_neighbour_of_the_largest/float32[33]dim=0": EXACT,
    "max/numpy/rounds_to_float16/float32[33]dim=0": EXACT,
    "max/numpy/compares_absolute_values/float32[1025]dim=0,values=negative": EXACT,
    "max/numpy/drops_the_last_element/float32[2]dim=0": EXACT,
    "max/numpy/drops_the_last_element/float32[?]dim=0": EXACT,
    "max/numpy/finds_a_maximum_of_nothing/float32[0]dim=0,raises": "instead of raising: the maximum of nothing",
    "max/numpy/returns_a_view_of_its_input/float32[5x1]dim=-1": "shares memory with an input",
    # dot products
    "dot/numpy/rounds_its_inputs_to_bfloat16/float32[1025,1025]values=integers": "1 of 1 elements are wrong",
    "dot/numpy/rounds_its_inputs_as_tensor_cores_do/float32[*]values=integers": EXACT,
    "dot/numpy/rounds_its_products_to_10_bits/float32[*]values=integers": EXACT,
    "dot/numpy/accumulates_in_float16/float32[1025,1025]values=integers": "1 of 1 elements are wrong",
    "dot/numpy/drops_the_last_when_odd/float32[33,33]values=integers": EXACT,
    "dot/numpy/skips_the_tail_past_256/float32[257,257]values=integers": EXACT,
    "dot/numpy/squares_the_first/float32[33,33]values=integers": EXACT,
    "dot/numpy/broadcasts_different_lengths/float32[1,4]raises": "instead of raising: two different lengths",
    "dot/numpy/multiplies_matrices_too/float32[3x3,3x3]raises": "instead of raising: not vectors",
    "dot/numpy/ignores_strides/float32[257,257]layout=strided": "nan where",
    "dot/numpy/ignores_the_sign_of_strides/float32[257,257]values=integers,layout=reversed": "every correct order",
    "dot/numpy/cleans_nan_away/float32[300,300]values=nan": "where nan is right",
    "dot/numpy/adds_one_by_one_and_claims_a_tree/float32*": "times the bound",
    # softmaxes
    "softmax/numpy/subtracts_the_max_of_the_first_256/float32[2x1500]*": "nan where",
    "softmax/numpy/is_all_zeros/float32[65537]dim=0,values=uniform": "0 where",
    "softmax/numpy/is_uniform/float32[65537]dim=0,values=uniform": "times the bound",
    "softmax/numpy/takes_the_other_dim/float32[7x33]dim=0": "times the bound",
    "softmax/numpy/rounds_exp_to_bfloat16/float32[3x33]dim=1": "times the bound",
    "softmax/numpy/approximates_exp/float32[3x33]dim=1": "times the bound",
    "softmax/numpy/divides_by_an_approximate_reciprocal/float32[3x33]dim=1": "times the bound",
    "softmax/numpy/turns_nan_into_zero/float32[9x300]dim=1,values=infinities": "0 where nan is right",
    "softmax/numpy/turns_masked_entries_into_nan/float32[9x300]dim=1,values=masked": "nan where",
    "softmax/numpy/forgets_to_rescale/float32[9x300]dim=1,values=wide": "times the bound",
    "softmax/numpy/normalises_over_everything/float32[7x33]dim=1": "times the bound",
    "softmax/numpy/leaves_the_last_row_out/float32[9x300]dim=1,values=wide": "0 where",
    "softmax/numpy/adds_one_by_one_and_claims_pairwise/float32*values=uniform": "times the bound",
    "softmax/numpy/clips_a_dim_out_of_range/*raises": "for bad input instead of raising: dim out of range",
    "softmax/numpy/modifies_its_input/float32[3x33]dim=1": "modified its input 0",
    "softmax/numpy/restores_its_input_wrongly/float32[3x33]dim=1": "modified its input 0",
    "log_softmax/numpy/is_the_log_of_softmax/float32[9x300]dim=1,values=overflow": "-inf where",
    "log_softmax/numpy/does_not_subtract_the_max/float32[9x300]dim=1,values=overflow": "inf where",
    "log_softmax/numpy/forgets_the_log_of_the_sum/float32[3x33]dim=1": "times the bound",
    "log_softmax/numpy/adds_a_small_number_inside_the_log/float32[9x300]dim=1,values=wide": "times the bound",
    "log_softmax/numpy/takes_logarithms_to_base_2/float32[3x33]dim=1": "times the bound",
    # log-sum-exps
    "logsumexp/numpy/does_not_subtract_the_max/float32[9x300]dim=1,values=overflow": "inf where",
    "logsumexp/numpy/turns_plus_infinity_into_nan/float32[9x300]dim=1,values=infinities": "nan where inf is right",
    "logsumexp/numpy/turns_rows_of_minus_infinity_into_nan/*": "nan where -inf is right",
    "logsumexp/numpy/is_only_the_max/float32[3x33]dim=1": "times the bound",
    "logsumexp/numpy/subtracts_the_max_of_the_first_256/float32[9x300]*": "inf where",
    "logsumexp/numpy/drops_the_last_element/float32[3x33]dim=1": "times the bound",
    "logsumexp/numpy/adds_a_small_number_inside_the_log/*": "elements are wrong",
    "logsumexp/numpy/swallows_nan/float32[9x300]dim=1,values=nan": "where nan is right",
    "logsumexp/numpy/is_the_log_of_the_mean_of_exp/float32[3x33]dim=1": "times the bound",
    "logsumexp/numpy/clips_a_dim_out_of_range/*raises": "for bad input instead of raising: dim out of range",
}


@pytest.mark.parametrize("selector", WRONG_NUMBERS)
def test_wrong_numbers_are_rejected(supervisor: Supervisor, selector: str) -> None:
    verdict = first_rejection(supervisor, selector)
    assert verdict.status == "failed"
    assert WRONG_NUMBERS[selector] in verdict.reason


def test_the_wrong_softmax_of_the_readme_is_told_what_it_forgot(supervisor: Supervisor) -> None:
    verdict = first_rejection(supervisor, "softmax/numpy/without_max/float32[9x300]dim=1,values=overflow")
    assert verdict.status == "failed"
    assert "no_max_subtraction" in verdict.reason


@pytest.mark.parametrize(
    "implementation",
    [
        "sum/numpy/honest",
        "max/numpy/honest",
        "dot/numpy/honest",
        "softmax/numpy/honest",
        "log_softmax/numpy/honest",
        "logsumexp/numpy/honest",
    ],
)
def test_an_honest_twin_passes_every_case(supervisor: Supervisor, implementation: str) -> None:
    """The honest twins clip no dim and never raise but where they must: nothing above is a false alarm."""
    verdicts = {task.id: supervisor.check(task) for task in tasks(supervisor.registry, implementation)}
    assert {name: verdict.reason for name, verdict in verdicts.items() if verdict.status != "passed"} == {}


# ---- the right numbers in the wrong thing

ON_33 = "float32[3x33]dim=1"
REUSED = "written again by a later call|elements are wrong"
WRONG_STRUCTURE = {
    f"softmax/numpy/returns_a_copy_of_its_input/{ON_33}": "elements are wrong",
    f"softmax/numpy/returns_its_input/{ON_33}": "shares memory with an input",
    f"softmax/numpy/writes_into_its_input_and_returns_it/{ON_33}": "modified its input 0",
    f"softmax/numpy/returns_float64/{ON_33}": "dtype float64 where float32 is right",
    f"softmax/numpy/returns_complex_numbers/{ON_33}": "dtype complex64 where float32 is right",
    f"softmax/numpy/returns_objects/{ON_33}": "dtype object where float32 is right",
    f"softmax/numpy/returns_records/{ON_33}": "dtype void32 where float32 is right",
    f"softmax/numpy/returns_text/{ON_33}": "dtype str512 where float32 is right",
    f"softmax/numpy/returns_the_other_byte_order/{ON_33}": "elements are wrong",
    f"softmax/numpy/returns_an_extra_axis/{ON_33}": r"shape \(1, 3, 33\) where \(3, 33\) is right",
    f"softmax/numpy/returns_one_row_to_be_broadcast/{ON_33}": r"shape \(1, 33\) where \(3, 33\) is right",
    f"softmax/numpy/returns_the_transpose/{ON_33}": r"shape \(33, 3\) where \(3, 33\) is right",
    f"softmax/numpy/returns_it_flat/{ON_33}": r"shape \(99,\) where \(3, 33\) is right",
    "sum/numpy/returns_a_numpy_scalar/float32[33]dim=0,values=integers": "returned a numpy.float32",
    "sum/numpy/returns_a_python_number/float32[33]dim=0,values=integers": "returned a builtins.float",
    f"softmax/numpy/returns_a_list/{ON_33}": "returned a builtins.list",
    f"softmax/numpy/returns_nested_lists/{ON_33}": "returned a builtins.list",
    f"softmax/numpy/returns_two_arrays/{ON_33}": "returned 2 arrays where one is right",
    f"softmax/numpy/returns_an_empty_tuple/{ON_33}": "returned 0 arrays where one is right",
    f"softmax/numpy/returns_nothing/{ON_33}": "returned a builtins.NoneType",
    f"softmax/numpy/returns_a_lazy_subclass/{ON_33}": "Lazy where exactly a numpy.ndarray is right",
    f"softmax/numpy/returns_a_subclass_under_a_false_name/{ON_33}": "where exactly a numpy.ndarray is right",
    f"softmax/numpy/returns_something_with_an_array_interface/{ON_33}": "where exactly a numpy.ndarray is right",
    f"softmax/numpy/returns_a_masked_array/{ON_33}": "where exactly a numpy.ndarray is right",
    f"softmax/numpy/returns_a_matrix/{ON_33}": "where exactly a numpy.ndarray is right",
    f"softmax/numpy/is_nan_everywhere/{ON_33}": "99 of 99 elements are wrong",
    f"softmax/numpy/leaves_the_tail_unwritten/{ON_33}": "elements are wrong",
    f"softmax/numpy/trusts_what_the_allocator_left_behind/{ON_33}": "elements are wrong",
    f"softmax/numpy/returns_one_buffer_again_and_again/{ON_33}": REUSED,
    f"softmax/numpy/returns_a_view_of_one_buffer/{ON_33}": REUSED,
    "softmax/numpy/alternates_between_two_buffers/float32[9x300]dim=1*": REUSED,
}


@pytest.mark.parametrize("selector", WRONG_STRUCTURE)
def test_the_right_numbers_in_the_wrong_thing_are_rejected(supervisor: Supervisor, selector: str) -> None:
    verdict = first_rejection(supervisor, selector)
    assert verdict.status == "failed"
    assert re.search(WRONG_STRUCTURE[selector], verdict.reason)


def test_an_implementation_that_always_raises_is_an_error(supervisor: Supervisor) -> None:
    verdict = first_rejection(supervisor, f"softmax/numpy/raises_always/{ON_33}")
    assert (verdict.status, "RuntimeError: no kernel for this shape" in verdict.reason) == ("error", True)


def test_an_answer_of_a_hundred_arrays_is_untrusted(supervisor: Supervisor) -> None:
    verdict = first_rejection(supervisor, f"softmax/numpy/returns_a_hundred_arrays/{ON_33}")
    assert verdict.status in ("failed", "untrusted")
    assert "arrays" in verdict.reason
    assert_goes_on(supervisor)


# ---- the answer is remembered, or right only where it is looked for

FORGETFUL = {
    f"remembers_by_address/{ON_33}": "on new values at the same address",
    f"remembers_by_shape/{ON_33}": "elements are wrong",
    "remembers_by_a_few_samples/float32[3x1025]dim=1": "elements are wrong",
    f"remembers_the_previous_call/{ON_33}": "elements are wrong",
    f"is_right_on_the_first_call_only/{ON_33}": "0 where",
    f"is_right_on_the_first_call_of_each_shape/{ON_33}": "0 where",
    "is_right_on_contiguous_memory_only/float32[37x53]dim=1,layout=transposed": "0 where",
    f"is_right_on_powers_of_two_only/{ON_33}": "0 where",
    "is_right_on_aligned_memory_only/float32[37x53]dim=1,layout=offset": "0 where",
    "is_right_on_most_elements/float32[3x1025]dim=1": "25 of 3075 elements are wrong",
    f"is_sometimes_wrong/{ON_33}": "0 where",
}


@pytest.mark.parametrize("selector", FORGETFUL)
def test_what_is_not_worked_out_each_time_is_rejected(supervisor: Supervisor, selector: str) -> None:
    verdict = first_rejection(supervisor, f"softmax/numpy/{selector}")
    assert verdict.status == "failed"
    assert FORGETFUL[selector] in verdict.reason


@pytest.mark.parametrize("implementation", ["structure_honest", "memory_honest"])
def test_honest_twins_of_those_that_cheat_the_checks_pass(supervisor: Supervisor, implementation: str) -> None:
    for case in (ON_33, "float32[3x1025]dim=1", "float32[9x300]*", "float32[37x53]*"):
        verdict = first_rejection(supervisor, f"softmax/numpy/{implementation}/{case}")
        assert (verdict.status, verdict.reason) == ("passed", "")


# ---- the process is attacked: each attack is one row, and the tasks after it go on

ATTACKS = {
    "reads_address_zero": ("crashed", "SIGSEGV"),
    "reads_address_zero_in_silence": ("crashed", "SIGSEGV"),
    "aborts": ("crashed", "SIGABRT"),
    "exits_at_once": ("crashed", "exited with code 3"),
    "exits_at_once_as_if_well": ("crashed", "exited with code 0"),
    "exits": ("error", "SystemExit"),
    "interrupts": ("error", "KeyboardInterrupt"),
    "raises_what_nobody_catches": ("crashed", "beyond Exception"),
    "loops": ("timeout", "no answer within 2 s"),
    "loops_and_catches_everything": ("timeout", "no answer within 2 s"),
    "waits_in_native_code": ("timeout", "no answer within 2 s"),
    "stops_itself": ("timeout", "no answer within 2 s"),
    "kills_itself": ("out_of_memory", "SIGKILL"),
    "terminates_itself": ("crashed", "SIGTERM"),
    "takes_all_memory": ("out_of_memory", "MemoryError"),
    "asks_for_too_much_at_once": ("out_of_memory", "MemoryError"),
    "recurses": ("error", "RecursionError"),
    "floods_stdout": ("error", "printed more than 8 MiB"),
    "floods_the_descriptors": ("error", "printed more than 8 MiB"),
    "opens_every_descriptor": ("error", "Too many open files"),
    "closes_all_descriptors": ("crashed", ""),
    "writes_garbage_to_the_socket": ("untrusted", "a reply that claims"),
    "claims_a_reply_without_end": ("untrusted", "a reply that claims 2147483648 bytes"),
    "sends_a_reply_that_is_no_json": ("untrusted", "no JSON|more than one reply"),
    "sends_a_reply_nested_without_end": ("untrusted", ""),
    "sends_a_reply_that_is_a_list": ("untrusted", "no object but list|more than one reply"),
    "sends_an_empty_reply": ("untrusted", "malformed reply|more than one reply|another request"),
    "sends_the_reply_of_a_passed_test": ("untrusted", "answers is no list of|more than one reply|another request"),
    "claims_to_be_unsupported_in_a_forged_reply": ("untrusted", ""),
    "forks_and_answers_twice": ("untrusted", ""),
    "reports_an_error_that_counts_as_passed": ("untrusted", ""),
    "reports_an_error_of_a_kind_of_its_own": ("untrusted", ""),
    "claims_a_dtype_of_objects": ("failed", "where"),
    "claims_a_dtype_without_size": ("failed", r"where \(\) is right"),
    "claims_a_dtype_that_is_none": ("failed", "where"),
    "claims_a_shape_beyond_memory": ("failed", r"where \(\) is right"),
    "claims_an_answer_elsewhere": ("untrusted", "stored no answer"),
    "claims_two_answers_in_one": ("failed", r"returned 2 arrays"),
    "raises_what_cannot_be_shown": ("error", ""),
    "raises_what_can_never_be_shown": ("error", ""),
    "raises_a_huge_message": ("error", "RuntimeError: xxx"),
    "raises_escapes_and_markup": ("error", "<script>alert"),
    "raises_half_characters": ("error", "half"),
    "refuses_at_length": ("unsupported", "no"),
    "fails_to_say_what_it_supports": ("error", "support unknown"),
    "fails_in_its_preparation": ("error", "support unknown"),
    "exits_in_its_preparation": ("crashed", "exited with code 4"),
    "writes_before_its_input": ("failed", "wrote outside of input 0: the guard zone is damaged"),
    "writes_behind_its_input": ("failed", "wrote outside of input 0: the guard zone is damaged"),
    "writes_outside_of_its_output": ("failed", "wrote outside of its output: the guard zone is damaged"),
    "writes_over_all_shared_memory": ("failed", "modified its input 0"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_the_process_is_one_row_and_the_next_task_goes_on(attacked: Supervisor, attack: str) -> None:
    status, fragment = ATTACKS[attack]
    verdict = first_rejection(attacked, f"sum/numpy/{attack}/float32[33]dim=0,values=integers")
    assert_goes_on(attacked)
    assert verdict.status == status, verdict.reason[:300]
    assert re.search(fragment, verdict.reason)
    assert verdict.reason, "a row that is not passed says why"


@pytest.mark.parametrize(
    "attack",
    ["raises_escapes_and_markup", "raises_half_characters", "raises_a_huge_message", "refuses_at_length"],
)
def test_a_reason_can_be_printed_and_stored(attacked: Supervisor, attack: str) -> None:
    """No escape reaches a terminal, no half character breaks an encoder, and no message fills the store."""
    reason = first_rejection(attacked, f"sum/numpy/{attack}/float32[33]dim=0,values=integers").reason
    assert len(reason.encode()) <= 10_000
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", reason) is None


@pytest.mark.parametrize(
    "harmless", ["behaves", "prints_a_little", "prints_half_characters", "closes_its_standard_streams"]
)
def test_what_only_prints_is_right(attacked: Supervisor, harmless: str) -> None:
    verdict = first_rejection(attacked, f"sum/numpy/{harmless}/float32[33]dim=0,values=integers")
    assert (verdict.status, verdict.reason) == ("passed", "")
    assert_goes_on(attacked)


@pytest.mark.parametrize("attack", ["starts_a_child", "starts_a_child_in_a_session_of_its_own"])
def test_a_child_does_not_outlive_its_worker(registry: Registry, attack: str) -> None:
    with Supervisor(registry, SEED) as supervisor:
        verdict = first_rejection(supervisor, f"sum/numpy/{attack}/float32[33]dim=0,values=integers")
    child = int(re.search(r"child (\d+)", verdict.reason)[1])
    assert _ends(child, 5.0)


def _ends(pid: int, deadline_s: float) -> bool:
    """Whether a process ends before the deadline; one that does not is killed."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended = bool(select.select([watch], [], [], deadline_s)[0])
        if not ended:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(watch)
    return ended


@pytest.mark.parametrize("attack", ["builtin", "exits_at_once"])
def test_a_group_is_killed_while_its_number_is_its_own(
    registry: Registry, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process number goes to somebody else once its process is reaped; after 32,768 others, that has happened."""
    killed: list[int] = []

    def kill_group(pid: int, number: int) -> None:
        assert Path(f"/proc/{pid}").exists()
        killed.append(pid)
        killpg(pid, number)

    killpg = os.killpg
    monkeypatch.setattr(os, "killpg", kill_group)
    with Supervisor(registry, SEED) as supervisor:
        first_rejection(supervisor, f"sum/numpy/{attack}/float32[33]dim=0,values=integers")
    assert killed and len(killed) == len(set(killed))


@pytest.mark.parametrize("attack", ["shrinks_the_shared_memory", "shrinks_the_shared_memory_after_answering"])
def test_shared_memory_cannot_be_taken_from_under_the_supervisor(attack: str) -> None:
    """In a process of its own: where the defence fails, the supervisor dies of SIGBUS."""
    script = f"""
        from harness.plan import plan
        from harness.registry import load
        from harness.supervisor import Supervisor

        registry = load([{str(PLUGINS / "crashes.py")!r}])
        with Supervisor(registry, 1) as supervisor:
            for name in ({attack!r}, "behaves"):
                (task,) = plan(registry, [f"sum/numpy/{{name}}/float32[33]dim=0,values=integers"], "conformance")
                print(supervisor.check(task).status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"the supervisor died: {done.returncode} {done.stderr[-300:]}"
    first, second = done.stdout.split()
    assert first in ("error", "crashed", "out_of_memory", "untrusted")
    assert second == "passed"


def test_a_late_second_reply_is_never_taken_for_an_answer_to_the_next_request(attacked: Supervisor) -> None:
    (task,) = tasks(attacked.registry, "sum/numpy/sends_a_second_reply_later/float32[33]dim=0,values=integers")
    verdict = attacked.check(task)
    assert verdict.status == "untrusted"
    assert_goes_on(attacked)


def test_a_time_bomb_hits_only_the_one_that_laid_it(attacked: Supervisor) -> None:
    first_rejection(attacked, "sum/numpy/dies_while_another_is_running/float32[33]dim=0,values=integers")
    assert_goes_on(attacked)


# ---- the state of the process is changed

STATES = {
    "sets_flush_to_zero": "flush-to-zero mode",
    "rounds_downwards": "rounding mode",
    "sets_flush_to_zero_in_its_preparation": "flush-to-zero mode",
    "sets_the_error_state": "NumPy error state",
    "changes_the_directory": "current directory",
}
SUBNORMAL = "sum/numpy/builtin/float64[300]dim=0,values=subnormal"


@pytest.mark.parametrize("change", STATES)
def test_a_changed_state_is_reported_and_does_not_reach_the_next_task(attacked: Supervisor, change: str) -> None:
    case = "float64[33]dim=0,values=integers"
    verdict = first_rejection(attacked, f"sum/numpy/{change}/{case}")
    assert_goes_on(attacked, SUBNORMAL)
    assert verdict.status == "failed"
    assert f"changed the state of the process: {STATES[change]}" in verdict.reason


@pytest.mark.parametrize(
    "patch",
    [
        "changes_the_locale",
        "makes_warnings_errors",
        "patches_the_functions_of_numpy",
        "makes_numpy_wrong",
        "patches_json",
        "patches_the_clock",
        "patches_builtins",
        "freezes_the_collector_and_the_recursion_limit",
    ],
)
def test_a_patched_process_does_not_reach_another_plugin(attacked: Supervisor, patch: str) -> None:
    first_rejection(attacked, f"sum/numpy/{patch}/float32[33]dim=0,values=integers")
    assert_goes_on(attacked)


def test_an_alias_is_seen_though_numpy_is_patched_to_deny_it(attacked: Supervisor) -> None:
    verdict = first_rejection(attacked, "max/numpy/denies_that_it_shares_memory/float32[5x1]dim=-1")
    assert verdict.status == "failed"
    assert "shares memory" in verdict.reason


# ---- plugins that cannot be read: a problem with a place and a reason, and the others go on

GOOD = (
    "import numpy as np\nfrom harness import implementation\n"
    '@implementation("sum", backend="numpy")\n'
    "def goes_on(x, *, dim):\n    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)\n"
)
HEADER = "from harness import Accumulation, Backend, Tree, implementation\n"
UNREADABLE = {
    "raises": ("raise ValueError('not today')", "ValueError: not today"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "aborts": ("import os; os.abort()", "SIGABRT"),
    "exits_at_once": ("import os; os._exit(5)", "exited with code 5"),
    "is_no_python": ("def broken(:\n    pass", "SyntaxError"),
    "holds_null_bytes": ("x = 1\0", "null bytes"),
    "recurses": ("def f(): f()\nf()", "RecursionError"),
    "imports_what_is_not_there": ("import a_library_that_nobody_has", "ModuleNotFoundError"),
    "misspells_the_operator": (
        '@implementation("sotfmax", backend="numpy")\ndef f(x, *, dim): return x',
        "did you mean softmax",
    ),
    "misspells_the_backend": (
        '@implementation("softmax", backend="nunpy")\ndef f(x, *, dim): return x',
        "did you mean numpy",
    ),
    "takes_a_taken_id": (
        '@implementation("sum", backend="numpy", name="f")\ndef f(x, *, dim): return x\n'
        '@implementation("sum", backend="numpy", name="f")\ndef g(x, *, dim): return x',
        "sum/numpy/f is already declared by",
    ),
    "has_markup_for_a_name": (
        '@implementation("sum", backend="numpy", name="<script>")\ndef f(x, *, dim): return x',
        "no Python identifier",
    ),
    "has_escapes_for_a_name": (
        '@implementation("sum", backend="numpy", name="\\x1b[2J")\ndef f(x, *, dim): return x',
        "no Python identifier",
    ),
    "has_a_path_for_a_name": (
        '@implementation("sum", backend="numpy", name="../../etc/passwd")\ndef f(x, *, dim): return x',
        "no Python identifier",
    ),
    "has_a_number_for_an_operator": (
        '@implementation(7, backend="numpy")\ndef f(x, *, dim): return x',
        "operator is 7; it has to be a text",
    ),
    "has_a_list_for_an_operator": (
        '@implementation([7], backend="numpy")\ndef f(x, *, dim): return x',
        "operator is a list of 1; it has to be a text",
    ),
    "replaces_a_backend": (
        'backend = Backend("numpy", "numpy", lambda a: a, lambda a: a, "builtins.object")',
        "backend numpy is already declared",
    ),
    "has_a_backend_of_numbers": ("backend = Backend(1, 2, 3, 4, 5)", ""),
    "claims_an_unknown_tree": (
        '@implementation("sum", backend="numpy", accumulation=Accumulation(Tree("fir")))\ndef f(x, *, dim): return x',
        "fir",
    ),
    "claims_a_tree_of_text": (
        '@implementation("sum", backend="numpy", accumulation=Accumulation("pairwise"))\ndef f(x, *, dim): return x',
        "",
    ),
    "claims_a_width_of_nothing": (
        '@implementation("sum", backend="numpy", accumulation=Accumulation(Tree("lanes", 0)))\n'
        "def f(x, *, dim): return x",
        "width",
    ),
    "claims_a_negative_width": (
        '@implementation("sum", backend="numpy", accumulation=Accumulation(Tree("pairwise", -100)))\n'
        "def f(x, *, dim): return x",
        "width",
    ),
    "claims_a_width_of_text": (
        '@implementation("sum", backend="numpy", accumulation=Accumulation(Tree("lanes", "8")))\n'
        "def f(x, *, dim): return x",
        "width",
    ),
    "claims_an_unknown_dtype": (
        '@implementation("sum", backend="numpy", accumulation=Accumulation(dtype="float31"))\n'
        "def f(x, *, dim): return x",
        "float31",
    ),
    "claims_a_negative_rescaling": (
        '@implementation("sum", backend="numpy", accumulation=Accumulation(rescale=-1))\ndef f(x, *, dim): return x',
        "rescale",
    ),
    "sends_a_forged_list_of_declarations": (
        "import os, stat\n"
        "for name in os.listdir('/proc/self/fd'):\n"
        "    try:\n"
        "        if stat.S_ISSOCK(os.fstat(int(name)).st_mode):\n"
        '            body = b\'{"modules": [{"implementations": [7]}]}\'\n'
        "            os.write(int(name), len(body).to_bytes(4, 'little') + body)\n"
        "    except OSError:\n"
        "        pass\n"
        "os._exit(0)",
        "",
    ),
}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_an_unreadable_plugin_is_a_problem_of_its_own(tmp_path: Path, fault: str) -> None:
    """The next plugin in the same folder is read."""
    text, fragment = UNREADABLE[fault]
    bad = tmp_path / "a_bad_one.py"
    bad.write_text(HEADER + text + "\n")
    good = tmp_path / "b_good_one.py"
    good.write_text(GOOD)
    registry = load([str(tmp_path)])
    problems = [problem for problem in registry.problems if "bad_one" in problem.where]
    assert problems, "nothing is said of it"
    assert fragment in problems[0].message
    assert [one.id for one in registry.declarations if one.path == str(bad)] in ([], ["sum/numpy/f"])
    assert "sum/numpy/goes_on" in {one.id for one in registry.declarations}


def test_a_plugin_cannot_change_what_another_one_declares(tmp_path: Path) -> None:
    """While they are read, plugins are as much strangers to each other as while they run."""
    (tmp_path / "a_bad_one.py").write_text(
        "import harness.modules\n"
        "honest = harness.modules._implementation_data\n"
        'harness.modules._implementation_data = lambda one: {**honest(one), "operator": "max"}\n'
    )
    (tmp_path / "b_good_one.py").write_text(GOOD)
    registry = load([str(tmp_path)])
    assert "sum/numpy/goes_on" in {one.id for one in registry.declarations}


def test_what_a_plugin_leaves_in_its_folder_does_not_stop_the_run(registry: Registry) -> None:
    """A folder nested deeper than Python can recurse into."""
    selector = "sum/numpy/leaves_a_deep_folder/float32[33]dim=0,values=integers"
    folder = ""
    try:
        with Supervisor(registry, SEED) as supervisor:
            folder = re.search(r"folder (\S+)", first_rejection(supervisor, selector).reason)[1]
            supervisor.close()
            assert_goes_on(supervisor)
    finally:
        subprocess.run(["rm", "-rf", folder], check=False)


# ---- the clock is attacked

BENCHMARK = "float32[1024x1000]dim=1"
LARGE_SUM = "float32[2097152]dim=0*"


def timings(registry: Registry, *names: str, operator: str, case: str, budget_s: float = 0.6) -> dict[str, Timing]:
    """Time implementations of one benchmark case against each other, in one process."""
    chosen = plan(registry, [f"{operator}/numpy/{name}/{case}" for name in names], "benchmarks")
    assert len(chosen) == len(names)
    groups = group_tasks(chosen, registry.operators)
    time_groups(
        groups, registry, SEED, Settings(budget_s=budget_s, processes=1, deadline_s=20), lambda _: None, lambda *_: None
    )
    return {timing.task.declaration.implementation: timing for timing in groups[0].timings.values()}


@pytest.mark.parametrize(("operator", "case"), [("softmax", BENCHMARK), ("sum", LARGE_SUM)])
@pytest.mark.timed
def test_an_honest_implementation_is_timed(registry: Registry, operator: str, case: str) -> None:
    timing = timings(registry, "takes_its_time", operator=operator, case=case)["takes_its_time"]
    assert timing.failure is None
    assert timing.samples


THIEVES = {
    "stops_the_clock": ("untrusted", "work is hidden from the worker's clock|where a natural number is right"),
    "stops_the_cpu_clock": ("untrusted", "by the kernel's books for all threads|where a natural number is right"),
    "works_in_its_input_when_timed": ("failed", ""),
    "exits_when_timed": ("crashed", "exited with code 7"),
}
"""More of them are rows of the corpus: test_corpus.py times those, and has the same words for each in AT_ONCE."""


@pytest.mark.parametrize("thief", THIEVES)
@pytest.mark.timed
def test_a_time_that_was_not_earned_is_never_shown(registry: Registry, thief: str) -> None:
    timing = timings(registry, thief, operator="softmax", case=BENCHMARK, budget_s=0.8)[thief]
    status, fragment = THIEVES[thief]
    assert timing.failure is not None, f"it is shown with {timing.interval()}, {timing.checked} answers judged"
    assert timing.failure[0] == status
    assert re.search(fragment, timing.failure[1])


@pytest.mark.timed
def test_a_lie_is_told_again_in_the_next_process(registry: Registry) -> None:
    """What one process alone says may be the load of the machine; that it is repeated is no chance."""
    chosen = plan(registry, [f"softmax/numpy/slows_the_clock/{BENCHMARK}"], "benchmarks")
    groups = group_tasks(chosen, registry.operators)
    settings = Settings(budget_s=2.4, processes=3, precision=1e-9, deadline_s=20)
    time_groups(groups, registry, SEED, settings, lambda _: None, lambda *_: None)
    (timing,) = groups[0].timings.values()
    assert timing.failure is not None and timing.failure[0] == "untrusted"
    assert "work is hidden from the worker's clock" in timing.accused


@pytest.mark.skipif((os.cpu_count() or 1) < 2 or sys.platform != "linux", reason="there is no other core to move to")
@pytest.mark.timed
def test_a_worker_stays_on_the_cores_that_it_was_given(registry: Registry) -> None:
    thief = "moves_to_another_core"
    timing = timings(registry, thief, operator="softmax", case=BENCHMARK, budget_s=0.8)[thief]
    assert timing.failure == ("untrusted", "while it was timed it moved to cores that it was not given")


@pytest.mark.timed
def test_one_that_errs_in_a_third_of_the_timed_calls_is_found_or_was_very_lucky(registry: Registry) -> None:
    """It is wrong in 30 % of the calls: it survives k judged answers with a probability of 0.7**k."""
    timing = timings(registry, "is_wrong_now_and_then", operator="softmax", case=BENCHMARK)["is_wrong_now_and_then"]
    if timing.failure is None:
        assert 0.7**timing.checked > 0.001
    else:
        assert timing.failure[0] == "failed"
        assert "an answer of a timed call is wrong" in timing.failure[1]


@pytest.mark.timed
def test_so_many_answers_are_judged_that_one_wrong_in_three_is_found(registry: Registry) -> None:
    """Nine judged answers over a run of three processes let it through with 0.7**9, 4 %."""
    chosen = plan(registry, [f"softmax/numpy/takes_its_time/{BENCHMARK}"], "benchmarks")
    groups = group_tasks(chosen, registry.operators)
    settings = Settings(budget_s=1.5, processes=3, precision=1e-9)
    time_groups(groups, registry, SEED, settings, lambda _: None, lambda *_: None)
    (timing,) = groups[0].timings.values()
    assert timing.failure is None
    assert timing.checked >= 9


LONG_MEANS = [
    "mean", "mse", "l1", "smooth_l1", "bce_with_logits", "hinge_embedding", "margin_ranking", "kl_div", "bce", "js_div",
    "soft_margin", "poisson_nll",
]  # fmt: skip


@pytest.mark.parametrize("operator", ["sum", "max", "dot", "softmax", "log_softmax", "logsumexp", *LONG_MEANS])
def test_no_benchmark_accepts_zeros_or_the_answer_of_an_earlier_call(registry: Registry, operator: str) -> None:
    """Under the widest claim there is. Else what is timed on this case need not be worked out."""
    declared = registry.operators[operator]
    accepted = []
    for case in declared.benchmarks:
        before = timed_inputs(declared, case, generator(SEED, case.id, 0))
        after = _touched(declared, case, before)
        stale = truth(declared, case, before, None)
        now = truth(declared, case, after, None)
        for fault, answer in (("zeros", np.zeros_like(stale.expected)), ("stale", stale.expected)):
            if not compare(answer.astype(case.dtype), now.expected, now.bound, case.dtype).reason:
                accepted.append(f"{case.id} accepts {fault}")
    assert not accepted


PARTS = {
    "the first half": lambda x: np.concatenate([x[: x.size // 2], x[: x.size // 2]]),
    "every other": lambda x: np.repeat(x[::2], 2),
    "all but a tenth": lambda x: np.concatenate([x[: -(x.size // 10)], x[: x.size // 10]]),
}


@pytest.mark.parametrize("operator", LONG_MEANS)
def test_a_part_of_a_million_losses_is_not_the_whole(registry: Registry, operator: str) -> None:
    """The bound of a million additions in any order is 7 %, wider than what chance makes of half of the terms. A tenth
    holds one of the three that outweigh all others in 27 % of the bursts."""
    declared = registry.operators[operator]
    case = next(case for case in declared.benchmarks if heavy_of(declared, case) is not None)
    inputs = timed_inputs(declared, case, generator(SEED, case.id, 0))
    found = Counter[str]()
    for seed in range(5):
        found.update(_rejected_parts(declared, case, _touched(declared, case, inputs, seed)))
    assert found["the first half"] >= 3 and found["every other"] >= 3, found
    assert found["all but a tenth"] >= 1, found


@pytest.mark.parametrize("operator", [*LONG_MEANS, "sum", "nll"])
def test_a_part_of_a_long_sum_is_rejected_before_anything_is_timed(registry: Registry, operator: str) -> None:
    """Of 65,537 terms as they are usually drawn, half are as near to the whole as the bound is wide."""
    declared = registry.operators[operator]
    long = [one for one in declared.conformance if one.values in PLAIN and one.layout == "contiguous"]
    case = next(case for case in long if heavy_of(declared, case) is not None)
    found = Counter[str]()
    for seed in range(8):
        inputs = outweighed_inputs(declared, case, generator(seed, case.id, 1))
        found.update(_rejected_parts(declared, case, inputs))
    assert found["the first half"] >= 5 and found["every other"] >= 5, found
    assert found["all but a tenth"] >= 1, found


def _rejected_parts(operator: Operator, case: Case, inputs: tuple[np.ndarray, ...]) -> set[str]:
    """Which parts of the terms are not taken for the whole, under the widest claim there is."""
    true, found = truth(operator, case, inputs, None), set()
    for name, part in PARTS.items():
        known = [_part_of(array, inputs[-1].size, part) for array in inputs]
        answer = np.asarray(operator.oracle(*known, **dict(case.parameters))).astype(case.dtype)
        if compare(answer, true.expected, true.bound, case.dtype).reason:
            found.add(name)
    return found


def _part_of(array: np.ndarray, terms: int, part: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The array with another choice of its rows, each of which belongs to one term."""
    rows = part(np.arange(terms))
    rows = np.concatenate([rows, np.arange(rows.size, terms)])[:terms]  # of an odd number the last stays
    return array.reshape(terms, -1)[rows].reshape(array.shape)


def _touched(
    operator: Operator, case: Case, inputs: tuple[np.ndarray, ...], seed: int = SEED
) -> tuple[np.ndarray, ...]:
    """The inputs after what the session changes between bursts."""
    stage = object.__new__(Stage)  # its memory is none: only what it does to the inputs is looked at
    own = tuple(array.copy() for array in inputs)
    stage.calls = [Truth(case, own, np.zeros(()), np.zeros(()))]
    stage._pairs = {0: [(array, array.copy()) for array in own]}
    stage._raised, stage._largest, stage._parts = {}, {}, {}
    fresh = timed_inputs(operator, case, np.random.default_rng(seed + 1)) if operator.redraw else None
    stage.touch(np.random.default_rng(seed), [0], fresh, heavy_of(operator, case))
    return stage.calls[0].inputs


@pytest.mark.timed
def test_remembering_whole_inputs_wins_nothing(registry: Registry) -> None:
    """It is never wrong, so it must never meet the same input twice: then it is slower than its honest twin."""
    both = timings(
        registry, "takes_its_time", "remembers_whole_inputs", operator="softmax", case=BENCHMARK, budget_s=1.5
    )
    honest, thief = both["takes_its_time"].interval(), both["remembers_whole_inputs"].interval()
    assert honest is not None
    assert thief is None or thief.estimate > 0.9 * honest.estimate


@pytest.mark.parametrize(
    "thief", ["exits_when_timed", "raises_when_timed", "stops_the_clock", "gives_up_after_a_while"]
)
@pytest.mark.timed
def test_one_that_cheats_does_not_take_the_others_time(registry: Registry, thief: str) -> None:
    both = timings(registry, "takes_its_time", thief, operator="softmax", case=BENCHMARK, budget_s=0.8)
    assert both["takes_its_time"].failure is None
    assert both["takes_its_time"].samples
    assert both[thief].failure is not None


@pytest.mark.timed
def test_one_that_slows_the_library_down_does_not_slow_its_rivals(registry: Registry) -> None:
    """It would take them more than three times as long."""
    alone = timings(registry, "builtin", operator="softmax", case=BENCHMARK)["builtin"].interval()
    beside = timings(registry, "builtin", "slows_numpy_down", operator="softmax", case=BENCHMARK)["builtin"].interval()
    assert alone is not None
    assert beside is not None
    assert beside.estimate < 3 * alone.estimate


# ---- the comparator itself: what third-party comparators accept (reference table), ours must not

COMPARED = Case("float32", ((64, 1000),), (("dim", 1),))


@pytest.fixture(scope="module")
def softmax_truth() -> Truth:
    inputs = draw_inputs(softmax, COMPARED, generator(SEED, COMPARED.id, 0))
    return truth(softmax, COMPARED, inputs, Accumulation(Tree("any")))


def _one_nan(answer: np.ndarray) -> np.ndarray:
    answer[17, 500] = np.nan
    return answer


def _a_few_huge(answer: np.ndarray) -> np.ndarray:
    answer.reshape(-1)[np.random.default_rng(0).permutation(answer.size)[: answer.size // 200]] = 1e6
    return answer


def _bfloat16(answer: np.ndarray) -> np.ndarray:
    raw = answer.view(np.uint32)
    return ((raw + 0x8000) & np.uint32(0xFFFF0000)).astype(np.uint32).view(np.float32)


BROKEN = {
    "one NaN": (_one_nan, "nan where"),
    "one infinity": (lambda y: np.where(y == y.max(), np.float32(np.inf), y), "inf where"),
    "all NaN": (lambda y: np.full_like(y, np.nan), "64000 of 64000 elements are wrong"),
    "all zeros": (np.zeros_like, "0 where"),
    "half a percent huge": (_a_few_huge, "320 of 64000 elements are wrong"),
    "one row to be broadcast": (lambda y: y[:1], "shape (1, 1000) where (64, 1000) is right"),
    "one number to be broadcast": (lambda y: y[0, 0], "shape () where (64, 1000) is right"),
    "an extra axis": (lambda y: y[None], "shape (1, 64, 1000)"),
    "empty": (lambda y: y[:0], "shape (0, 1000)"),
    "rows shuffled": (lambda y: y[np.random.default_rng(0).permutation(64)], "times the bound"),
    "storage scrambled": (lambda y: y.reshape(1000, 64).T.copy(), "times the bound"),
    "uniform": (lambda y: np.full_like(y, 1 / 1000), "times the bound"),
    "float64": (lambda y: y.astype(np.float64), "dtype float64 where float32 is right"),
    "float16": (lambda y: y.astype(np.float16), "dtype float16 where float32 is right"),
    "0.9 % too large": (lambda y: y * np.float32(1.009), "times the bound"),
    "one element 0.1 % too large": (lambda y: y * np.where(np.arange(1000) == 999, np.float32(1.001), 1), "times"),
    "rounded to bfloat16": (_bfloat16, "times the bound"),
    "negated": (np.negative, "times the bound"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_comparator_rejects_what_others_accept(softmax_truth: Truth, fault: str) -> None:
    change, fragment = BROKEN[fault]
    right = softmax_truth.expected.astype(np.float32)
    reason = compare(change(right), softmax_truth.expected, softmax_truth.bound, "float32").reason
    assert fragment in reason


def test_the_comparator_accepts_the_truth_and_what_lies_within_the_bound(softmax_truth: Truth) -> None:
    right = softmax_truth.expected.astype(np.float32)
    for answer in (right, np.nextafter(right, np.float32(1)), np.nextafter(right, np.float32(0))):
        assert compare(answer, softmax_truth.expected, softmax_truth.bound, "float32").reason == ""


def test_the_comparator_rejects_everything_where_the_bound_is_infinite(softmax_truth: Truth) -> None:
    right = softmax_truth.expected.astype(np.float32)
    reason = compare(
        right * np.float32(1.5), softmax_truth.expected, np.full_like(softmax_truth.bound, np.inf), "float32"
    )
    assert "single digit" in reason.reason


# ---- gradients are wrong, and marks of known failures are

SMALL_MSE = "float32[7x33,7x33]reduction=mean"
WRONG_GRADIENTS = {
    "cotangent_ignored": "gradient of input 0: 231 of 231 elements are wrong",
    "two_forgotten": "gradient of input 0: 231 of 231 elements are wrong",
    "target_with_the_same_sign": "gradient of input 1: 231 of 231 elements are wrong",
    "gradient_summed_up": "gradient of input 0: shape () where (7, 33) is right",
    "mean_not_divided": "gradient of input 0: 231 of 231 elements are wrong",
    "gradient_of_nan": "nan where",
    "gradient_changes_its_input": "modified its input",
}


@pytest.mark.parametrize(("name", "reason"), WRONG_GRADIENTS.items(), ids=WRONG_GRADIENTS)
def test_a_wrong_gradient_is_rejected(supervisor: Supervisor, name: str, reason: str) -> None:
    verdict = first_rejection(supervisor, f"mse/numpy/{name}/{SMALL_MSE}")
    assert verdict.status == "failed" and reason in verdict.reason


def test_the_honest_gradient_passes_and_says_so(supervisor: Supervisor) -> None:
    for task in tasks(supervisor.registry, "mse/numpy/honest_gradient/float32*"):
        verdict = supervisor.check(task)
        assert (verdict.status, verdict.reason) == ("passed", "")
    (task,) = tasks(supervisor.registry, f"mse/numpy/honest_gradient/{SMALL_MSE}")
    assert supervisor.check(task).gradient_status == "passed"


def test_a_mark_on_what_passes_is_a_failure(supervisor: Supervisor) -> None:
    verdict = first_rejection(supervisor, f"mse/numpy/right_and_marked_as_wrong/{SMALL_MSE}")
    assert verdict.status == "failed" and verdict.known is None
    assert verdict.reason == "passed, but is marked as a known failure (said to be wrong); drop the mark from known="


def test_a_mark_hides_no_failure_and_covers_no_other_case(supervisor: Supervisor) -> None:
    marked = first_rejection(supervisor, f"mse/numpy/three/{SMALL_MSE}")
    assert marked.status == "failed" and "elements are wrong" in marked.reason and marked.known == "it is always 3"
    other = first_rejection(supervisor, "mse/numpy/three/float32[31,31]reduction=mean")
    assert other.status == "failed" and other.known is None


# ---- kernels that are wrong behind a host side that is not

WRONG_KERNELS = {
    "swallows_the_fault/float32[33]dim=0,values=integers": "data race in races (wrong_kernels.cu:4",
    "changes_its_input/float32[33]dim=0,values=integers": "modified its input 0 on the device",
    "takes_a_fault_for_an_error/*raises": "out of bounds in reads_where_it_is_told (wrong_kernels.cu:19",
    "writes_nothing/float32[33]dim=0,values=integers": "nan where",
    "keeps_its_answer/float32[33]dim=0,values=integers": "wrong",
}


@pytest.mark.skipif(building.compiler() is None, reason=building.HINT)
@pytest.mark.parametrize(("selector", "reason"), WRONG_KERNELS.items(), ids=WRONG_KERNELS)
def test_a_wrong_kernel_is_rejected_whatever_its_host_side_does(
    supervisor: Supervisor, selector: str, reason: str
) -> None:
    verdict = first_rejection(supervisor, f"sum/cuda_cpu/{selector}")
    assert verdict.status == "failed" and reason in verdict.reason


def rivals(plugin: str, base: str, head: str) -> Contest:
    """Two softmaxes of a plugin file, to be compared in one worker."""
    registry = load([plugin])
    case = Case("float32", ((256, 1024),), (("dim", 1),))
    declared = {one.implementation: one for one in registry.declarations if one.path == plugin}
    here = Side("here", registry)
    return contest(Task(declared[base], case), Task(declared[head], case), (here, here))


@pytest.mark.timed
def test_working_ahead_while_the_rival_has_its_turn_wins_nothing() -> None:
    """In a comparison inputs lie ready before their turn comes, in a worker that both share."""
    plugin = str(PLUGINS / "works_ahead_of_its_rival.py")
    pair = rivals(plugin, "rival", "works_ahead")
    (row,) = compare_pairs([pair], load([plugin]), SEED, Effort(4.0), lambda *_: None)
    assert row.verdict in ("FAILED", "UNCLEAR")
    assert "one of the two works when it is not its turn" in row.reason


MORTAL = """
import os
import numpy as np
from harness import implementation

def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

@implementation("softmax", backend="numpy")
def lives(x, *, dim):
    return softmax(x)

calls = []

@implementation("softmax", backend="numpy")
def dies(x, *, dim):
    calls.append(1)
    if len(calls) > 20:
        os._exit(3)
    return softmax(x)
"""


def test_who_dies_beside_a_rival_dies_alone(tmp_path: Path) -> None:
    """What lay ready for the rival is lost with their worker, and no fault of its own."""
    (tmp_path / "mortal.py").write_text(MORTAL)
    pair = rivals(str(tmp_path / "mortal.py"), "lives", "dies")
    (row,) = compare_pairs([pair], load([str(tmp_path / "mortal.py")]), SEED, Effort(2.0), lambda *_: None)
    assert (row.verdict, pair.base.failure) == ("FAILED", None)
    assert "in HEAD, while it was timed: crashed: the worker exited with code 3" in row.reason
