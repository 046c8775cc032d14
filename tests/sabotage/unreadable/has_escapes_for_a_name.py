"""A name that clears the terminal and sets its title. Exploit 66 (ANSI)."""

from harness import implementation


@implementation("sum", backend="numpy", name="\x1b[2J\x1b]0;title\x07")
def f(x, *, dim):
    return x
