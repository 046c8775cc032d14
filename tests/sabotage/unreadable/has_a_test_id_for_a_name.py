"""A name with slashes, brackets and colons: another test's id, and another row's. Exploit 66 (pytest ids)."""

from harness import implementation


@implementation("sum", backend="numpy", name="builtin/float32[33]dim=0::test[x-y]")
def f(x, *, dim):
    return x
