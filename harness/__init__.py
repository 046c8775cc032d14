"""kernel-harness: is this kernel right, is it fast, and did that change today?

This module re-exports what authors and scripts need and defines nothing. Importing it costs NumPy and no more:
pandas, torch and the database are imported by the functions that use them.
"""

from harness.api import Run, bench, check, compare, history
from harness.declare import Accumulation, Case, Cost, DeclarationError, Mutant, Operator, Probe, Property, Tree, grid
from harness.implement import Backend, Implementation, Unsupported, implementation

__all__ = [
    "Accumulation",
    "Backend",
    "Case",
    "Cost",
    "DeclarationError",
    "Implementation",
    "Mutant",
    "Operator",
    "Probe",
    "Property",
    "Run",
    "Tree",
    "Unsupported",
    "bench",
    "check",
    "compare",
    "grid",
    "history",
    "implementation",
]
__version__ = "0.1.0"
