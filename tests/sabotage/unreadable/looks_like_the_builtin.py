"""A name that is read as `builtin` and is another: one letter is Cyrillic. Exploits 66 and 67."""

from harness import implementation


@implementation("sum", backend="numpy", name="bu\u0456ltin")
def f(x, *, dim):
    return x
