"""DECLARE: how something is computed: backends, implementations, and what a worker tells of them. Nothing here runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from harness.declare import Accumulation, Case

if TYPE_CHECKING:
    import numpy as np

    from harness.timing.device.timer import DeviceTimer

Array = Any  # an array of whatever library a backend stands for
Function = TypeVar("Function", bound=Callable[..., Any])


class Unsupported(Exception):
    """Raised by a backend that cannot hold the inputs of a case; the message becomes the row's reason."""


def _nothing_missing() -> str | None:
    return None


def _no_versions() -> dict[str, str]:
    return {}


def _nothing_to_wait_for() -> None:
    return None


@dataclass(frozen=True, eq=False, slots=True)
class Backend:
    """Where implementations run: a library on a device. Its module must import without the library.

    `missing()` says why it cannot run here and what to type, or returns None. `from_host` turns a NumPy array into
    the library's, without a copy where it can; `to_host` the reverse, waiting for the device. `array_type` names the
    exact class of an honest answer (`module.Class`). `wait()` returns when the device is idle.

    `differentiate(function, arrays, parameters, cotangent, wanted, passes)` is the library's own reverse mode: the
    gradient of `function(*arrays, **parameters)` with respect to the array of number `wanted`; with two passes each
    takes half of the cotangent, and the library accumulates. Without it, implementations bring a `gradient=`.

    A backend that is not `timed` is for conformance alone. One that `reserves` takes more address space than there is
    memory, as CUDA does: its workers have no limit on it. `work()` returns what kernels did since it was last
    asked: launches, host round trips, and of the largest the registers of a thread and the bytes it spills (or None).

    `timer()` makes the clock of the device, or returns the one it made before; without it the host's clocks serve.
    """

    name: str
    library: str
    from_host: Callable[[np.ndarray], Array]
    to_host: Callable[[Array], np.ndarray]
    array_type: str
    missing: Callable[[], str | None] = _nothing_missing
    wait: Callable[[], None] = _nothing_to_wait_for
    versions: Callable[[], dict[str, str]] = _no_versions
    dtypes: tuple[str, ...] = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "bool")
    differentiate: Callable[..., Array] | None = None
    timed: bool = True
    reserves: bool = False
    work: Callable[[], tuple[int, int, int | None, int | None]] | None = None
    timer: Callable[[], DeviceTimer] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Implementation:
    """One strategy for one operator: a plain function from arrays of its backend to a new array."""

    operator: str
    backend: str
    name: str
    function: Callable[..., Array]
    supports: Callable[[Case], str | None] | None = None
    accumulation: Accumulation | None = None
    gradient: Callable[..., Any] | None = None
    prepare: Callable[[Case], Callable[..., Array]] | None = None
    known: Mapping[str, str] | None = None
    sources: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """CUDA sources: the path of each, and the instances of its templates."""


MARK = "__harness_implementations__"


def implementation(
    operator: str,
    *,
    backend: str,
    name: str = "",
    supports: Callable[[Case], str | None] | None = None,
    accumulation: Accumulation | None = None,
    gradient: Callable[..., Any] | None = None,
    prepare: Callable[[Case], Callable[..., Array]] | None = None,
    known: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Mark a function as an implementation of `operator`, and return the function unchanged.

    The name is the function's own unless given. `supports(case)` returns why a case is out of scope, or None; it sees
    dtype, shapes, parameters and layout. `prepare(case)` does untimed set-up (compilation included) and returns the
    function to call; its time is recorded apart. `gradient(cotangent, *arrays, **parameters)` returns one array for
    each floating input that the operator has a gradient for, in their order; where the backend differentiates by
    itself it is not needed.

    `known` marks failures that are known, as glob over case ids -> reason (mandatory): such a row stays failed and
    shows the reason, but does not fail the run. It is strict: a marked case that passes fails.
    """

    def mark(function: Function) -> Function:
        declared = Implementation(
            operator, backend, name or function.__name__, function, supports, accumulation, gradient, prepare, known
        )
        marks: list[Implementation] = function.__dict__.setdefault(MARK, [])
        marks.append(declared)
        return function

    return mark


def implementations_in(namespace: Iterable[Any]) -> list[Implementation]:
    """The implementations that were marked on the objects of a module, in the order of the module."""
    found: dict[int, Implementation] = {}
    for thing in namespace:
        for declared in getattr(thing, "__dict__", {}).get(MARK, ()):
            found.setdefault(id(declared), declared)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Declaration:
    """An Implementation as data: what a worker read in a module, without the module's code."""

    operator: str
    backend: str
    implementation: str
    accumulation: Accumulation | None = None
    module: str = ""
    path: str = ""
    line: int = 0
    has_gradient: bool = False
    has_prepare: bool = False
    summary: str = field(default="", compare=False)
    known: tuple[tuple[str, str], ...] = ()
    sources: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def id(self) -> str:
        return f"{self.operator}/{self.backend}/{self.implementation}"


def gradient_of(
    declared: Implementation, function: Callable[..., Any], backend: Backend, wanted: int, position: int, passes: int
) -> Callable[..., Any]:
    """A call of the gradient: the last array is the cotangent, and `position` says which of the gradients is wanted."""
    own = declared.gradient
    if own is not None:

        def by_hand(*arrays: Any, **parameters: Any) -> Any:
            found = own(arrays[-1], *arrays[:-1], **parameters)
            return found[position] if isinstance(found, tuple) else found

        return by_hand
    differentiate = backend.differentiate
    if differentiate is None:
        raise Unsupported(f"{backend.name} does not differentiate, and no gradient= is declared")

    def automatic(*arrays: Any, **parameters: Any) -> Any:
        return differentiate(function, arrays[:-1], parameters, arrays[-1], wanted, passes)

    return automatic
