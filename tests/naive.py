"""A harness as most are: reference, candidate, clock and statistics in one interpreter. It shows what attacks gain.

The same inputs each time, expected values in the memory that the candidate sees, freed memory as it was.

`python tests/naive.py FILE IMPLEMENTATION CASE TRIALS` imports a plugin, checks it so often with the usual tolerance on
inputs of a fixed seed, takes the median of some calls, and prints one line of JSON, the last of its output:
{"accepted": bool, "median_ns": float, "why": str}. CASE is `operator/dtype[shape]parameters`. With `--read FILE` it
only says whether it takes a plugin file.
"""

import gc
import importlib
import json
import pkgutil
import resource
import sys
import time

import harness.cases
import numpy as np

from harness.declare import Operator
from harness.implement import Implementation
from harness.judge.truth import draw_inputs
from harness.modules import import_module

SEED = 42
REPEATS = 20
ALIGNED = 64
TOLERANCE = 1e-2
"""Absolute and relative, as KernelBench had it."""


def chosen(operator, case):
    """An operator that is built in, and one of its cases."""
    for info in pkgutil.iter_modules(harness.cases.__path__, "harness.cases."):
        for thing in vars(importlib.import_module(info.name)).values():
            if isinstance(thing, Operator) and thing.name == operator:
                return thing, next(one for one in (*thing.conformance, *thing.benchmarks) if one.id == case)
    raise LookupError(operator)


def draw(operator, case):
    """Inputs of the usual seed; normal numbers as everybody draws them."""
    rng = np.random.default_rng(SEED)
    if case.values == "normal" and len(case.shapes) == 1:
        return (rng.standard_normal(case.shapes[0], dtype=np.float32).astype(case.dtype),)
    return draw_inputs(operator, case, rng)


def side_by_side(arrays):
    """Copies of arrays in one stretch of memory: inputs, and what is expected of them."""
    memory = np.zeros(sum(-(-array.nbytes // ALIGNED) * ALIGNED for array in arrays), np.uint8)
    placed, start = [], 0
    for array in arrays:
        here = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        here[...] = array
        placed.append(here)
        start += -(-array.nbytes // ALIGNED) * ALIGNED
    return placed


def call(one, function, inputs, case):
    """An answer as an array."""
    if one.backend != "torch":
        return function(*inputs, **dict(case.parameters))
    import torch

    return function(*(torch.from_numpy(np.array(array)) for array in inputs), **dict(case.parameters)).numpy()


def correct(one, function, operator, case, trials):
    """Whether the candidate agrees with the reference, which has just run on the same inputs and left its memory."""
    for trial in range(trials):
        inputs = draw(operator, case)
        expected = np.asarray(operator.oracle(*inputs, **dict(case.parameters))).astype(case.dtype)
        *inputs, kept = side_by_side([*inputs, expected])
        everything = [*inputs, kept]
        del expected
        answer = call(one, function, inputs, case)
        if not np.allclose(answer, everything[-1], rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            return f"trial {trial} is wrong"
    return ""


def median_ns(one, function, operator, case):
    inputs = draw(operator, case)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call(one, function, inputs, case)
        times.append(time.perf_counter() - start)
    return 1e9 * float(np.median(times[REPEATS // 4 :]))


def spare_this_machine():
    """A naive harness knows no limits; those who run this test do."""
    for kind, most in ((resource.RLIMIT_AS, 4 << 30), (resource.RLIMIT_FSIZE, 64 << 20), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))


def read(file):
    """Whether a plugin file is taken as it is, and what is said of one that is not."""
    try:
        import_module("candidate", file)
    except Exception as error:
        return {"accepted": False, "median_ns": 0.0, "why": f"{type(error).__name__}: {error}"}
    return {"accepted": True, "median_ns": 0.0, "why": ""}


def main(arguments):
    if arguments[0] == "--read":
        print(json.dumps(read(arguments[1])), flush=True)
        return
    spare_this_machine()
    file, name, where, trials = arguments
    operator_name, _, case_id = where.partition("/")
    operator, case = chosen(operator_name, case_id)
    try:
        built_in = file.removeprefix("module:")
        found: list[Implementation] = (
            import_module("candidate", file) if built_in == file else import_module(built_in, "")
        ).implementations
        (one,) = (each for each in found if (each.operator, each.name) == (operator_name, name))
        function = one.prepare(case) if one.prepare else one.function
        why = correct(one, function, operator, case, int(trials))
        time_ns = median_ns(one, function, operator, case)
    except Exception as error:
        why, time_ns = f"{type(error).__name__}: {error}", 0.0
    gc.collect()
    print(json.dumps({"accepted": not why, "median_ns": time_ns, "why": why}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
