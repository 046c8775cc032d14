"""A name that would be a path in whatever is written by name. Exploit 62 (path traversal)."""

from harness import implementation


@implementation("sum", backend="numpy", name="../../../../tmp/planted")
def f(x, *, dim):
    return x
