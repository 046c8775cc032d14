"""Last words that clear the screen, set the title and turn the line around; then it is gone, and they are the reason.

Source: exploit 66.
"""

import os

from harness import implementation


@implementation("sum", backend="numpy")
def dies_with_escapes(x, *, dim):
    os.write(1, "\x1b[2J\x1b]0;title\x07 <script>alert(1)</script> \u202e\u2066 =cmd()".encode() + b"\x00\xff\n")
    os._exit(9)
