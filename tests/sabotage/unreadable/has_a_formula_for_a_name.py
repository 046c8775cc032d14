"""A name that a spreadsheet runs. Exploit 66 (CSV)."""

from harness import implementation


@implementation("sum", backend="numpy", name="=HYPERLINK(1)")
def f(x, *, dim):
    return x
