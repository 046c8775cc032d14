"""Sends a list of declarations itself, in place of the worker, and ends. Exploits 61 and 67."""

import os
import stat

body = b'{"modules": [{"implementations": [{"operator": "sum", "backend": "numpy", "implementation": "builtin"}]}]}'
for name in os.listdir("/proc/self/fd"):
    try:
        if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
            os.write(int(name), len(body).to_bytes(4, "little") + body)
    except OSError:
        continue
os._exit(0)
