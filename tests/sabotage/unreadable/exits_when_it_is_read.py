"""Ends the process of whoever imports it, as if all were well. Exploit 63 (exit)."""

import os

os._exit(0)
