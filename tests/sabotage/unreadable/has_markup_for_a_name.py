"""A name that runs in whoever opens the report. Exploit 66 (HTML)."""

from harness import implementation


@implementation("sum", backend="numpy", name="<img src=x onerror=alert(1)>")
def f(x, *, dim):
    return x
