"""A worker that has laid down what it does against attacks; started in the place of harness.worker by disarmed.py.

The names of what it leaves out are its first argument, with commas between: `structure` (any answer is made an array),
`copies` (an answer is copied out right after its call), `poison` (freed memory stays as it is).
"""

import sys

import numpy as np

from harness import worker
from harness.confinement import Raised


def as_array(one):
    """What a peer's `allclose` would make of an answer."""
    whole = one.reshape(one.shape) if isinstance(one, np.ndarray) else np.asarray(one)
    return np.array(whole).view(np.ndarray)


def without_structure():
    honest, kind = worker.Worker._copy_out, worker._kind

    def any_kind(thing):
        return "torch.Tensor" if any(base.__module__ == "torch" for base in type(thing).__mro__) else kind(thing)

    def copy_out(self, result, *rest):
        parts = result if isinstance(result, tuple) else (result,)
        if not isinstance(result, Raised) and all(any_kind(one) != "torch.Tensor" for one in parts):
            result = tuple(as_array(one) for one in parts)
        return honest(self, result, *rest)

    worker.Worker._copy_out = copy_out
    worker._kind = any_kind


def with_copies():
    honest = worker._host_clocked

    def clocked(chosen, wait):
        def copying(function):
            def call(*arrays, **parameters):
                answer = function(*arrays, **parameters)
                return answer.copy() if type(answer) is np.ndarray else answer

            return call

        return honest([(copying(function), *rest) for function, *rest in chosen], wait)

    worker._host_clocked = clocked


def without_poison():
    worker._poison = lambda *_: None


LAID_DOWN = {"structure": without_structure, "copies": with_copies, "poison": without_poison}

if __name__ == "__main__":
    for name in sys.argv.pop(1).split(","):
        LAID_DOWN[name]()
    sys.modules["__main__"] = worker  # where attacks look for it
    worker.main(sys.argv[1:])
