"""One source for every library that follows the Python array API standard: NumPy, PyTorch, JAX and CuPy.

Each function here is the implementation `array_api` of its operator under each of these backends. It takes the
functions of the library from its first array (`array_api_compat.array_namespace`), and uses nothing that the standard
does not have. Half types are computed in float32, which the standard leaves to the caller.
"""

from harness import Accumulation, Tree, implementation

BACKENDS = ("numpy", "torch", "jax", "cupy")
ANY_ORDER = Accumulation(Tree("any"))
"""The standard says nothing about the order in which a sum is added up."""


def everywhere(operator, *, accumulation=ANY_ORDER, known=None, **options):
    """Mark a function as the implementation `array_api` of an operator, under every backend; `known` failures are those
    of one library, so they are given by backend."""

    def mark(function):
        for backend in BACKENDS:
            of_backend = (known or {}).get(backend)
            implementation(
                operator, backend=backend, name="array_api", accumulation=accumulation, known=of_backend, **options
            )(function)
        return function

    return mark


def namespace(x):
    """The functions of the library that x belongs to."""
    from array_api_compat import array_namespace

    return array_namespace(x)


def working(x):
    """x in the type that is computed in: half types in float32."""
    xp = namespace(x)
    return x if x.dtype in (xp.float32, xp.float64) else xp.astype(x, xp.float32)


def stored(y, x):
    """y in the type of x, as a new array; NumPy's scalars, which are no arrays, become some."""
    xp = namespace(x)
    return xp.astype(xp.asarray(y), x.dtype)
