"""expand and where in PyTorch on a GPU.

builtin    Tensor.expand, cloned; torch.where
composed   expand by mapped indices and torch.index_select; where by torch.gather from x and y side by side
compiled   torch.compile of the builtin
"""

from harness.implementations.torch import movement as cpu

from .strategies import compiled, on_cuda

expand_builtin = on_cuda("expand", "builtin", cpu.builtin)
expand_composed = on_cuda("expand", "composed", cpu.composed)
expand_compiled = compiled("expand", cpu.builtin)

where_builtin = on_cuda("where", "builtin", cpu.where)
where_composed = on_cuda("where", "composed", cpu.where_by_gather)
where_compiled = compiled("where", cpu.where)
