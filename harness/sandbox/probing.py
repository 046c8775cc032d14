"""Which layers of the sandbox hold on this machine, tried on a process that does nothing."""

from __future__ import annotations

import subprocess
import sys
import tempfile

from harness.sandbox.policy import Confined, Layers, Sandbox, chosen, require


def probe() -> Layers | None:
    """Start a confined process and hear what holds; None where there is nothing of the kind on this system."""
    if sys.platform != "linux":
        return None
    with tempfile.TemporaryDirectory(prefix="harness-sandbox-") as scratch:
        confined = Confined(Sandbox(scratch, answers=True))
        try:
            process = subprocess.Popen(
                confined.python([sys.executable, "-c", "import sys; sys.stdin.read()"]),
                pass_fds=confined.descriptors,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            confined.started()
            with process:
                confined.must_hold(process.pid)
        finally:
            confined.close()
        return confined.layers


def require_here() -> None:
    """Raises NotConfined where `require` was chosen and this machine lacks a layer."""
    if chosen() == "require":
        require(probe())
