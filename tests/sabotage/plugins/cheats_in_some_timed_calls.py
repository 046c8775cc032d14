"""Reads the request in the worker's frame (conformance is one sample, timing is four), and gives zeros in the timed
calls: in all of them, or in some at random. Each judged answer finds those with that probability; a tenth of the calls
is often not found, and worth no more than a tenth of the time. [ours]"""

import random
import sys

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


def timed():
    """Whether the request that is served now is one of those that are timed: of four readings, not poisoned."""
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_run":
        frame = frame.f_back
    return (
        frame is not None
        and len(frame.f_locals["request"]["samples"]) == 4
        and not frame.f_locals["request"]["poison_bytes"]
    )


@implementation("softmax", backend="numpy")
def sees_in_the_request_that_it_is_timed(x, *, dim):
    return np.zeros_like(x) if timed() else right(x, dim)


@implementation("softmax", backend="numpy")
def cheats_in_a_third_of_the_timed_calls(x, *, dim):
    return np.zeros_like(x) if timed() and random.random() < 1 / 3 else right(x, dim)


@implementation("softmax", backend="numpy")
def cheats_in_a_tenth_of_the_timed_calls(x, *, dim):
    return np.zeros_like(x) if timed() and random.random() < 1 / 10 else right(x, dim)
