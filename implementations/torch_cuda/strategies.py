"""How one function becomes a strategy of this backend: as it is, or compiled."""

import types

from harness import Accumulation, Tree, implementation

ANY_ORDER = Accumulation(Tree("any"))
"""CUDA's reductions choose their order by shape and device: blocks of several sizes, with or without a second step."""
ROUNDED_BETWEEN = Accumulation(Tree("any"), intermediate="case")
"""The same, where half types pass through memory between two kernels."""


def on_cuda(operator, name, function, *, accumulation=ANY_ORDER, **options):
    """A function of tensors on any device as an implementation for this backend.

    It is wrapped: the marks that the function itself may have, for the CPU, stay there.
    """

    def strategy(*tensors, **parameters):
        return function(*tensors, **parameters)

    strategy.__doc__ = function.__doc__
    return implementation(operator, backend="torch_cuda", name=name, accumulation=accumulation, **options)(strategy)


def compiled(operator, function, *, accumulation=ANY_ORDER, **options):
    """A function as torch.compile makes it for the shapes of one case, without graph breaks, ahead of any clock."""

    def prepare(case):
        return compiled_for(function, case, "cuda")

    return on_cuda(operator, "compiled", function, accumulation=accumulation, prepare=prepare, **options)


def compiled_for(function, case, device):
    """torch.compile of the function, and a first call, on zeros of the shapes of a case, that compiles it.

    torch.compile keeps what it made with the code object, and gives up silently after eight shapes: each case gets a
    code object of its own. A first call that fails leaves the error to the call that is judged.
    """
    import torch
    import torch._functorch.config as functions

    # without it a graph could be walked backwards only once, and gradients are judged in two passes too
    functions.donated_buffer = False
    code = function.__code__
    own = types.FunctionType(code.replace(), function.__globals__, function.__name__, function.__defaults__)
    own.__kwdefaults__ = function.__kwdefaults__
    fast = torch.compile(own, dynamic=False, fullgraph=True)
    try:
        fast(*zeros(case, device), **dict(case.parameters))
    except Exception:
        return fast
    if device == "cuda":
        torch.cuda.synchronize()
    return fast


def zeros(case, device):
    """Inputs of the shapes of a case, all zero: labels, where there are any, are then the first class."""
    import torch

    kind = getattr(torch, case.dtype)
    kinds = [kind] * len(case.shapes)
    parameters = dict(case.parameters)
    if "ignore_index" in parameters and case.shapes[1] != case.shapes[0]:
        kinds[1] = torch.int64
    if len(case.shapes) == 3 and not parameters:
        kinds[0] = torch.bool  # the condition of where
    return [torch.zeros(shape, dtype=one, device=device) for shape, one in zip(case.shapes, kinds, strict=True)]
