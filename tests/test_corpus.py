"""The corpus of attacks: each is met for the reason of its row, and gains what it is after where its defence is gone.

Rows stand in tests/sabotage/*.py; `harness doctor --trust` runs them too. What takes a defence away is in disarmed.py,
and naive.py is a harness that has none.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from conftest import sample
from disarmed import TAKEN_AWAY, take_away
from harness.sabotage import ATTACKS, PLUGINS, SECTIONS, UNREADABLE
from harness.sabotage.attack import Attack, Defence, faults
from harness.sabotage.exploits import EXPLOITS, SAMPLES, SAMPLES_LEFT_OUT

from harness.registry import Registry
from harness.trials import trust

TESTS = Path(__file__).parent
SEED = 20260101
FEWEST = 60
NAIVE_S = 12.0
WITHOUT = (Defence.OTHER_PROCESS, Defence.LIMITS, Defence.POISON)
"""What only a harness that was built without it can do without: naive.py."""
BY_SEED = ("works_ahead_in_its_preparation", "regenerates_the_inputs", "replays_its_answers_in_order")
"""What goes by the seed that everybody uses succeeds there too."""
ONCE = ("is_right_on_the_first_call_only", "is_right_on_the_first_call_of_each_shape", "is_sometimes_wrong")
"""What is wrong later succeeds where one call is checked, as many do."""
UNSHOWN: dict[str, str] = {
    "fails_in_its_preparation": "it has no time that could be believed: there is nothing to take away",
    "does_not_say_when_it_is_done": "without that message there is no time: the protocol is the clock",
    "writes_nothing": "the CUDA device itself fills fresh memory with NaN",
    "keeps_its_answer": "its answers lie in device memory, which the disarmed worker does not copy",
    "is_right_on_the_last_call_only": "no harness that is known here looks at the last call alone",
    "swallows_the_fault": "the device raises the fault, in the worker",
    "launches_more_threads_than_there_are": "the device refuses the launch, in the worker",
    "returns_one_row_to_be_broadcast": "where it is broadcast, its numbers are still wrong",
    "gradient_summed_up": "where it is broadcast, its numbers are still wrong",
    "returns_booleans": "as numbers they are still wrong",
    "returns_the_other_byte_order": "the bytes are read as they lie; read as it means them, they are right",
    "gives_one_gradient_of_two": "there is no second gradient to be accepted",
    "switches_gradients_off": "there is no gradient to be accepted",
    "differentiates_as_if_by_ones": "it takes cotangents of ones; old inputs alone are not enough",
    "works_in_its_input": "PyTorch itself refuses it where gradients are asked for",
    "changes_its_input": "the copy on the device is compared in the worker, which the disarmed one does too",
    "takes_a_fault_for_an_error": "the device raises the fault, in the worker",
    "adds_without_atomics": "the device raises the fault, in the worker",
    "gives_no_gradient": "there is no gradient to be accepted",
    "returns_a_tensor_without_memory": "it has no numbers that a comparison could accept",
    "leaves_a_thread_that_stops_the_process": "the naive harness has ended before its thread strikes",
    "raises_always": "it has no numbers that a comparison could accept",
    "returns_a_tensor_with_a_method_of_its_own": "what its memory holds, where its method is not asked, is luck",
    "searches_its_process_for_the_expected_values": "whether it finds them in the naive harness's memory is luck",
    "raises_when_it_is_read": "it has no numbers that a comparison could accept",
    "cotangent_ignored": "it takes cotangents of ones; old inputs alone are not enough",
    "refuses_where_it_is_wrong": "the naive harness knows no refusals",
    "patches_pickle": "nothing here unpickles, and neither does the naive harness",
    "puts_a_library_before_the_others": "in one shared worker the next task passes too: it waits for a new one",
    "prepares_the_environment_of_others": "in one shared worker the next task passes too: it waits for a new one",
    "changes_what_outlives_a_call": "in one shared worker the next task passes too: it does not depend on what changes",
    "forks_again_and_again": "in one shared worker the next task passes too: limits hold its forks",
    "takes_all_memory": "without limits this machine would go down; the tests limit the naive harness too",
    "opens_every_descriptor": "the limit on descriptors is the system's own, in the naive harness too",
    "seals_the_shared_memory": "the seal is set when the memory is made: a test cannot take it away later",
}
"""Attacks of which it is not shown here that they succeed without their defence, and why not."""
NO_GAIN = {
    "asks_the_oracle": "the oracle takes three times as long as its honest twin",
    "calls_the_builtin": "it takes as long as what it calls",
    "cheats_in_a_third_of_the_timed_calls": "a median of readings does not move by a call in three, unjudged either",
    "cheats_in_a_tenth_of_the_timed_calls": "a median of readings does not move by a call in ten, unjudged either",
    "cheats_while_nobody_looks": "its time was that of its honest twin where this was tried",
    "does_not_say_when_it_is_done": "without that message there is no time: the protocol is the clock",
    "moves_to_another_core": "the other core was as fast as its own where this was tried",
    "spends_the_allocator": "its rivals did not become slower where this was tried",
    "spins_while_others_run": "it is stopped while others run, in one shared worker too",
}
"""Timed attacks that were tried without their defence, and gained nothing there. All others steal time."""
HIDDEN, WRONG = "work is hidden from the worker's clock", "an answer of a timed call is wrong"
AT_ONCE = {
    "claims_a_device_clock": ("untrusted", "a device's time from a backend that has no clock of its own"),
    "does_not_say_when_it_is_done": ("untrusted", "did not say when its calls were over|is no list of"),
    "slows_the_clock": ("untrusted", HIDDEN),
    "slows_the_clock_a_little": ("untrusted", HIDDEN),
    "works_when_it_is_read": ("untrusted", HIDDEN),
    "hides_work_in_the_time_of_poisoning": ("untrusted", HIDDEN),
    "works_in_place_of_poisoning": ("untrusted", HIDDEN),
    "works_on_another_thread": ("failed", WRONG),
    "remembers_addresses": ("failed", WRONG),
    "gives_up_after_a_while": ("failed", WRONG),
    "saves_its_allocations_when_timed": ("failed", "written again by a later call"),
    "raises_when_timed": ("error", "RuntimeError: enough"),
    # of a sum of millions: were its bound wider than what 16 changed elements move, nothing would be checked
    "gives_up_adding_after_a_while": ("failed", WRONG),
    "remembers_sums_by_address": ("failed", WRONG),
}
"""Attacks whose time is not shown even once, and why; others may need a second trial."""
LONG = ("time", "slow")
TIMED_SAMPLE = 8
"""So many of the timed attacks are tried without their defence in one run of the tests, others each time."""


def by_name(*hows: str, shown: bool = False) -> list[object]:
    return [
        pytest.param(attack, id=attack.name)
        for attack in ATTACKS
        if attack.how in hows and not (shown and attack.name in UNSHOWN)
    ]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return trust.registry_for(ATTACKS)


# ---- the tables


def test_rows_are_well_formed() -> None:
    wrong = {attack.name: found for attack in ATTACKS if (found := faults(attack, PLUGINS))}
    assert not wrong


def test_names_are_unique_and_there_are_enough() -> None:
    names = [attack.name for attack in ATTACKS]
    assert sorted(names) == sorted(set(names))
    assert len(names) >= FEWEST


def test_every_attack_is_a_function_of_a_plugin() -> None:
    text = "\n".join(file.read_text() for file in PLUGINS.glob("*.py"))
    for attack in ATTACKS:
        if attack.how != "read":
            assert re.search(rf'def {attack.name}\(|name="{attack.name}"', text), attack.name
    taken = {file.stem for file in UNREADABLE.glob("*.py")}
    assert taken == {attack.name for attack in ATTACKS if attack.how == "read"}


def test_the_rows_of_a_section_are_of_its_numbers() -> None:
    first = {"A": range(1, 21), "B": range(21, 37), "C": range(37, 61), "D": range(61, 71)}
    for section, attacks in SECTIONS.items():
        for attack in attacks:
            assert set(attack.exploits) & set(first[section[0]]), attack.name


def test_every_known_exploit_has_an_attack_or_a_reason() -> None:
    assert sorted(EXPLOITS) == list(range(1, 71))
    tried = {number for attack in ATTACKS for number in attack.exploits}
    assert not {number for number, one in EXPLOITS.items() if not one.why_not} - tried
    for one in EXPLOITS.values():
        if one.tested:
            file, _, function = one.tested.partition("::")
            assert f"\ndef {function}(" in (TESTS / file).read_text(), one.tested


def test_every_sample_of_others_has_its_counterpart() -> None:
    names = {attack.name for attack in ATTACKS}
    assert {sample: found for sample, found in SAMPLES.items() if not found or not set(found) <= names} == {}
    assert not set(SAMPLES) & set(SAMPLES_LEFT_OUT) and all(SAMPLES_LEFT_OUT.values())


def test_what_is_not_shown_is_said() -> None:
    assert set(UNSHOWN) <= {attack.name for attack in ATTACKS}
    assert all(len(why) > 20 for why in UNSHOWN.values())
    assert len(UNSHOWN) <= len(ATTACKS) // 8
    timed = {attack.name for attack in ATTACKS if attack.how in LONG}
    assert set(NO_GAIN) <= timed and len(NO_GAIN) <= len(timed) // 5


def test_what_is_met_at_once_is_timed() -> None:
    assert set(AT_ONCE) <= {attack.name for attack in ATTACKS if attack.how == "time"}


def test_every_defence_can_be_taken_away() -> None:
    assert set(TAKEN_AWAY) | set(WITHOUT) == set(Defence)
    assert {*BY_SEED, *ONCE} <= {attack.name for attack in ATTACKS}


# ---- the attacks


@pytest.mark.parametrize("attack", by_name("check", "read"))
def test_an_attack_is_met_for_its_reason(registry: Registry, attack: Attack) -> None:
    assert_met(trust.run(attack, registry, SEED))


@pytest.mark.timed
@pytest.mark.parametrize("attack", by_name(*LONG))
def test_an_attack_on_time_is_met_for_its_reason(
    registry: Registry, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[trust.Outcome] = []
    time_it = trust._time
    monkeypatch.setattr(trust, "_time", lambda *asked: trials.append(time_it(*asked)) or trials[-1])
    assert_met(trust.run(attack, registry, SEED))
    if attack.name in AT_ONCE:
        status, words = AT_ONCE[attack.name]
        first = trials[0]
        assert first.verdict == trust.REJECTED, f"its time was shown: {first.ratio} of its honest twin's"
        assert first.status == status and re.search(words, first.reason), first


@pytest.mark.parametrize(
    ("ratios", "verdict", "trials"),
    [
        ([1.0], trust.NEUTRALISED, 1),
        ([1.3, 1.0, 1.05], trust.NEUTRALISED, 3),
        ([1.3, 1.3, 1.0, 1.3, 1.3, 1.3, 1.3], trust.GOT_THROUGH, 7),
        ([3.0, 3.0], trust.GOT_THROUGH, 2),
        ([3.0, 1.0, 1.05], trust.NEUTRALISED, 3),
        ([3.0, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3], trust.GOT_THROUGH, 7),
    ],
)
def test_a_gain_has_to_last(
    ratios: list[float], verdict: str, trials: int, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = next(one for one in ATTACKS if one.how == "slow")
    left = list(ratios)
    monkeypatch.setattr(trust, "_time", lambda attack, *_: trust.judged(attack, "passed", "", left.pop(0)))
    outcome = trust.run(attack, registry, SEED)
    assert (outcome.verdict, len(ratios) - len(left)) == (verdict, trials), outcome


def test_who_slows_others_down_is_not_excused_by_a_refusal_of_its_own_time() -> None:
    attack = next(one for one in ATTACKS if one.name == "spins_while_others_run")
    assert trust.judged(attack, "untrusted", HIDDEN, 1.0).verdict == trust.REJECTED
    assert trust.judged(attack, "untrusted", HIDDEN, 1.3).verdict == trust.GOT_THROUGH


def assert_met(outcome: trust.Outcome) -> None:
    attack = outcome.attack
    said = f"{outcome.verdict}: {outcome.status}: {outcome.reason[:500]} (ratio {outcome.ratio})"
    assert outcome.verdict in (trust.REJECTED, trust.NEUTRALISED), f"{said}; its row: {attack.status} {attack.reason}"


@pytest.mark.parametrize("attack", by_name("check", "read", shown=True))
def test_without_its_defence_it_succeeds(registry: Registry, attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_succeeds(attack, registry, monkeypatch)


@pytest.mark.timed
@pytest.mark.parametrize("attack", sample([one for one in by_name(*LONG) if one.id not in NO_GAIN], TIMED_SAMPLE))  # type: ignore[attr-defined]
def test_without_its_defence_it_steals_time(
    registry: Registry, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_succeeds(attack, registry, monkeypatch)


def assert_succeeds(attack: Attack, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is rejected passes; what is neutralised gains something, or harms an honest one."""
    if attack.how == "read":
        assert_fools_who_reads_it(attack)
        return
    if attack.defence in WITHOUT or attack.name in (*BY_SEED, *ONCE):
        assert_fools_a_naive_harness(attack, registry)
        return
    disarmed = take_away((attack.defence, *attack.behind), registry, monkeypatch)
    outcome = trust.run(attack, disarmed, SEED)
    said = f"{outcome.verdict}: {outcome.status}: {outcome.reason[:500]} (ratio {outcome.ratio})"
    harmed = outcome.verdict in (trust.GOT_THROUGH, trust.ACCUSED) or "the judge of" in outcome.reason
    if attack.defence is Defence.PROTOCOL and attack.how == "check":
        # it is believed, brings the supervisor down, or keeps it waiting
        assert harmed or outcome.status != "untrusted", said
        return
    if attack.defence is Defence.READERS:
        assert harmed or UNFIT.search(outcome.reason) or len(outcome.reason) > LONGEST, said
        return
    if "passed" in attack.status or attack.defence in (Defence.SECOND_CLOCK, Defence.CEILING):
        assert harmed, said
    else:
        assert outcome.status == "passed" or harmed, said


# ---- a harness without structure

UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What must reach no terminal."""
LONGEST = 4000


def assert_fools_who_reads_it(attack: Attack) -> None:
    """Who imports it takes it, goes down, or shows what it says."""
    told = naive("--read", str(UNREADABLE / f"{attack.name}.py"))
    if told is not None:
        assert told["accepted"] or "got through" in told["why"] or UNFIT.search(told["why"]), told["why"][:300]


def assert_fools_a_naive_harness(attack: Attack, registry: Registry) -> None:
    """It takes a wrong answer for right, believes a time that is far too short, or goes down."""
    task = trust._tasks(attack, registry)[0]
    trials = "1" if attack.name in ONCE else "5"
    told = naive(task.declaration.path, attack.name, f"{task.declaration.operator}/{task.case.id}", trials)
    if told is None:
        return  # it went down, and every other candidate's verdict with it
    if trust.SAYS_SO in told["why"]:
        return
    assert told["accepted"], told["why"]
    if "passed" in attack.status or attack.how in LONG:
        twin = trust._twin(attack, registry, task)
        assert twin is not None
        file = twin.declaration.path or f"module:{twin.declaration.module}"
        honest = naive(file, twin.declaration.implementation, f"{task.declaration.operator}/{task.case.id}", "5")
        assert honest is not None and honest["accepted"], honest
        assert told["median_ns"] < 0.5 * honest["median_ns"], (told, honest)


def naive(*arguments: str) -> dict | None:
    """The last line that a naive harness prints; None where it goes down or never comes back."""
    command = [sys.executable, str(TESTS / "naive.py"), *arguments]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "printed").open("w+b") as printed:
        process = subprocess.Popen(
            command,
            stdout=printed,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=folder,
        )
        end = time.monotonic() + NAIVE_S
        while _is_running(process.pid) and time.monotonic() < end:
            time.sleep(0.02)
        # not reaped yet: the number of the group is still its own
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        printed.seek(0)
        lines = [line for line in printed.read().decode("utf-8", "replace").splitlines() if line.startswith("{")]
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError:
        return None


def _is_running(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def test_a_naive_harness_is_right_about_honest_and_wrong_ones() -> None:
    """It is no straw man: it takes what is right, and rejects what is far off."""
    case = "softmax/float32[3x33]dim=1"
    honest = naive(str(PLUGINS / "wrong_structure.py"), "structure_honest", case, "5")
    wrong = naive(str(PLUGINS / "wrong_structure.py"), "returns_a_copy_of_its_input", case, "5")
    assert honest is not None and honest["accepted"] and honest["median_ns"] > 0
    assert wrong is not None and not wrong["accepted"]


# ---- the command


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.cli", "doctor", "--trust", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_doctor_runs_an_attack_and_says_what_stopped_it() -> None:
    done = doctor("returns_a_copy_of_its_input")
    assert done.returncode == 0, done.stderr
    assert "returns_a_copy_of_its_input" in done.stdout and " of 99 " in " ".join(done.stdout.split())
    assert "all: 1 attack: 1 rejected, 0 neutralised, 0 got through" in done.stdout
    (row,) = json.loads(doctor("returns_a_copy_of_its_input", "--json").stdout)
    assert (row["verdict"], row["status"], row["defence"]) == ("rejected", "failed", "bound")


def test_an_attack_that_does_not_exist_is_said() -> None:
    done = doctor("softmax/*")
    assert done.returncode == 5 and "no attack is called 'softmax/*'" in done.stderr


REJECTED = Attack("a", (1,), "s", "t", "check", "o/b/a/c", Defence.BOUND, ("failed",), "wrong")
NEUTRAL = Attack("a", (1,), "s", "t", "time", "o/b/a/c", Defence.BOUND, ("passed",), "", "b")
SLOW = Attack("a", (1,), "s", "t", "slow", "o/b/a/c", Defence.BOUND, ("passed",), "", "b")


@pytest.mark.parametrize(
    ("attack", "status", "reason", "ratio", "accused", "verdict"),
    [
        (REJECTED, "failed", "is wrong", None, "", trust.REJECTED),
        (REJECTED, "failed", "by accident", None, "", trust.UNEXPECTED),
        (REJECTED, "crashed", "is wrong", None, "", trust.UNEXPECTED),
        (REJECTED, "passed", "", None, "", trust.GOT_THROUGH),
        (REJECTED, "missing", "no torch", None, "", trust.NOT_RUN),
        (REJECTED, "error", "AssertionError: got through: a file", None, "", trust.GOT_THROUGH),
        (REJECTED, "failed", "is wrong", None, "another fails", trust.ACCUSED),
        (NEUTRAL, "passed", "", 0.95, "", trust.NEUTRALISED),
        (NEUTRAL, "passed", "", 0.89, "", trust.GOT_THROUGH),
        (NEUTRAL, "passed", "", float("nan"), "", trust.GOT_THROUGH),
        (NEUTRAL, "untrusted", "", None, "", trust.UNEXPECTED),
        (SLOW, "passed", "", 0.5, "", trust.NEUTRALISED),
        (SLOW, "passed", "", 1.2, "", trust.GOT_THROUGH),
    ],
)
def test_what_became_of_an_attack(
    attack: Attack, status: str, reason: str, ratio: float | None, accused: str, verdict: str
) -> None:
    outcome = trust.judged(attack, status, reason, ratio, accused)
    assert outcome.verdict == verdict
    assert trust.exit_code([outcome]) == {trust.REJECTED: 0, trust.NEUTRALISED: 0, trust.NOT_RUN: 5}.get(verdict, 3)


def test_a_row_that_is_wrong_is_named() -> None:
    found = faults(Attack("no name", (0,), "", "", "guess", "o", Defence.BOUND, (), "["), PLUGINS)
    assert len(found) >= 7 and any("no Python identifier" in one for one in found)
