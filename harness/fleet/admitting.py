"""Whether the cases of the operators of a run count, judged in a thread of its own while nodes join and work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from harness.judge.admission import Admission, admit
from harness.registry import Registry


class Admitting:
    """The admissions of operators, one after another in their order; `heard` is called, in any thread, as soon as one
    is known. Use as a context manager: leaving it begins no further one."""

    def __init__(self, registry: Registry, seed: int, operators: Iterable[str], heard: Callable[[], None]) -> None:
        self._pool = ThreadPoolExecutor(1, "admission")
        self._found = {name: self._pool.submit(admit, registry.operators[name], seed) for name in operators}
        for one in self._found.values():
            one.add_done_callback(lambda _: heard())

    def is_known(self, operator: str) -> bool:
        return self._found[operator].done()

    def of(self, operator: str) -> Admission | str:
        """The admission of an operator, waited for if need be; or why its judge failed."""
        error = self._found[operator].exception()
        if error is not None:  # its own code: a bug there must not end the run
            return f"the judge of {operator} failed: {type(error).__name__}: {error}"
        return self._found[operator].result()

    def __enter__(self) -> Admitting:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
