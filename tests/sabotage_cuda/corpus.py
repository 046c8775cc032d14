"""Planted bugs in CUDA kernels, each beside a correct twin, and correct kernels that look as if they had one.

Each entry is a file of this folder, which holds the kernel `twin` and, unless it is named `correct_*`, the kernel
`planted` of the same signature, in which the lines that take part in the bug end in `// BUG`. An entry says how both
are launched, and what the twin writes: worked out in NumPy, and compared bit for bit unless `relative` says otherwise.
"""

from sabotage_cuda.correct import CORRECT
from sabotage_cuda.memory import BOUNDS, INTEGERS, LAUNCHES, UNWRITTEN
from sabotage_cuda.races import GLOBAL_RACES, SHARED_RACES
from sabotage_cuda.waits import BARRIERS, WARPS

BUGS = (*SHARED_RACES, *GLOBAL_RACES, *BARRIERS, *WARPS, *BOUNDS, *UNWRITTEN, *INTEGERS, *LAUNCHES)

__all__ = ["BUGS", "CORRECT"]
