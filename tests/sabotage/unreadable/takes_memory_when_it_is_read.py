"""Takes the memory of whoever imports it (64 GiB, of which nothing is touched). Exploit 64."""

import mmap

taken = [mmap.mmap(-1, 1 << 30) for _ in range(64)]
raise AssertionError("got through: has 64 GiB")
