"""Says at once that it is done, and a thread works the answer out in shared memory while it is being read.

Source: exploits 2 and 14; ours (time of check, time of use).
"""

import sys
import threading

import numpy as np

from harness import implementation


def right(x, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def work(memory, slot, x, dim):
    answer = right(x, dim).reshape(-1).view(np.uint8)
    memory[slot[0] : slot[0] + answer.size] = answer


@implementation("softmax", backend="numpy")
def answers_after_its_reply(x, *, dim):
    main = sys.modules["__main__"]
    if not hasattr(main, "honest_copy_out"):
        main.honest_copy_out = main.Worker._copy_out

        def copy_out(self, result, arrays, placed, slot, backend):
            said = main.honest_copy_out(self, result, [], [], slot, backend)
            for one in arrays:
                threading.Thread(target=work, args=(self._memory, slot, one, dim)).start()
            return said

        main.Worker._copy_out = copy_out
    return np.zeros_like(x)
