"""Sums that leave the process in another state than they found it; all return right answers."""

import builtins
import ctypes
import ctypes.util
import gc
import json
import locale
import os
import sys
import time
import warnings

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


def libm():
    return ctypes.CDLL(ctypes.util.find_library("m"))


def flush_to_zero():
    """Set the two bits of the x86 control register that make subnormal numbers zero."""
    environment = (ctypes.c_uint8 * 32)()
    libm().fegetenv(ctypes.byref(environment))
    word = int.from_bytes(bytes(environment[28:32]), "little") | 0x8040
    environment[28:32] = list(word.to_bytes(4, "little"))
    libm().fesetenv(ctypes.byref(environment))


@implementation("sum", backend="numpy")
def keeps_the_state(x, *, dim):
    return right(x, dim)


@implementation("sum", backend="numpy")
def sets_flush_to_zero(x, *, dim):
    answer = right(x, dim)
    flush_to_zero()
    return answer


@implementation("sum", backend="numpy")
def rounds_downwards(x, *, dim):
    answer = right(x, dim)
    libm().fesetround(0x400)
    return answer


@implementation("sum", backend="numpy", prepare=lambda case: (flush_to_zero(), prepared)[1])
def sets_flush_to_zero_in_its_preparation(x, *, dim):
    return right(x, dim)


def prepared(x, *, dim):
    return right(x, dim)


@implementation("sum", backend="numpy")
def sets_the_error_state(x, *, dim):
    answer = right(x, dim)
    np.seterr(all="raise")
    return answer


@implementation("sum", backend="numpy")
def changes_the_directory(x, *, dim):
    os.chdir("/")
    return right(x, dim)


@implementation("sum", backend="numpy")
def changes_the_locale(x, *, dim):
    locale.setlocale(locale.LC_ALL, "C")
    os.environ["LC_ALL"] = "C"
    return right(x, dim)


@implementation("sum", backend="numpy")
def makes_warnings_errors(x, *, dim):
    warnings.simplefilter("error")
    return right(x, dim)


def broken(*_, **__):
    raise RuntimeError("patched by a plugin")


@implementation("sum", backend="numpy")
def patches_the_functions_of_numpy(x, *, dim):
    answer = right(x, dim)
    np.full = np.frombuffer = np.zeros = np.sum = np.asarray = broken
    return answer


@implementation("sum", backend="numpy")
def makes_numpy_wrong(x, *, dim):
    answer = right(x, dim)
    np.sum = lambda x, axis=None: np.zeros_like(np.add.reduce(x, axis=axis))
    return answer


@implementation("max", backend="numpy")
def denies_that_it_shares_memory(x, *, dim):
    np.may_share_memory = lambda *_: False
    row = np.moveaxis(np.atleast_1d(x), dim, -1)
    return row[..., 0] if row.shape[-1] == 1 and row.ndim > 1 else np.array(row.max(axis=-1))


@implementation("sum", backend="numpy")
def patches_json(x, *, dim):
    json.dumps = json.loads = broken
    return right(x, dim)


@implementation("sum", backend="numpy")
def patches_the_clock(x, *, dim):
    time.perf_counter_ns = time.process_time_ns = time.monotonic = lambda: 0
    return right(x, dim)


@implementation("sum", backend="numpy")
def patches_builtins(x, *, dim):
    answer = right(x, dim)
    builtins.zip = builtins.isinstance = broken
    return answer


@implementation("sum", backend="numpy")
def freezes_the_collector_and_the_recursion_limit(x, *, dim):
    gc.enable()
    sys.setrecursionlimit(60)
    return right(x, dim)
