"""Declares the backend `numpy` anew, with a reader of its own for answers. Exploit 67 (shadowing a backend)."""

from harness import Backend

backend = Backend("numpy", "numpy", lambda array: array, lambda array: array * 0, "builtins.object")
