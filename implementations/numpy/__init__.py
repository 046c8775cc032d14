"""NumPy on the CPU: the library's own reductions, and the accumulation orders of the CUDA kernels."""

import numpy as np

from harness import Backend

backend = Backend(
    name="numpy",
    library="numpy",
    from_host=lambda array: array,
    to_host=lambda array: array,
    array_type="numpy.ndarray",
    versions=lambda: {"numpy": np.__version__},
)
