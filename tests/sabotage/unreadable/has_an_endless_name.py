"""A name of a million letters, in each row, line and file that it is in. Exploits 64 and 66."""

from harness import implementation


@implementation("sum", backend="numpy", name="a" * 1_000_000)
def f(x, *, dim):
    return x
