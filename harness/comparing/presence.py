"""What a task is on two sides, apart from its time: new, missing, failed, or there with a time on both."""

from __future__ import annotations

from harness.record import TIMED, WRONG, Record

NO_ROW = ""
"""The verdict of what needs no row of its own; the words beside it are counted."""


def standing(
    base: Record | None, head: Record | None, base_is_timed: bool, head_is_timed: bool
) -> tuple[str, str] | None:
    """A verdict and its reason; None where there are times to compare.

    `base_is_timed` and `head_is_timed` say whether those sides hold any time at all: a run that was only checked has
    lost no time of a single task.
    """
    if head is None:
        passed = base is not None and base.status in TIMED
        verb = "was imported" if base is not None and base.status == "imported" else "passed"
        return (
            ("MISSING", f"it {verb} in BASE, and is not in HEAD")
            if passed
            else (NO_ROW, "not in HEAD, nor right in BASE")
        )
    if "imported" in (head.status, base.status if base is not None else head.status):
        return _imported(base, head)
    if head.status in WRONG:
        return _wrong(base, head)
    if head.status != "passed":
        if base is not None and base.status == "passed":
            return "MISSING", f"it passed in BASE; in HEAD it is {_status(head)}"
        return NO_ROW, f"{head.status} in HEAD, and not right in BASE"
    if base is None or base.status != "passed":
        return _passed_only_now(base, head)
    if base.median_ns is None and head.median_ns is None:
        return NO_ROW, "right on both sides, without a time"
    if not head_is_timed:
        return "MISSING", "its time: HEAD was checked and not timed; type `harness bench`"
    if not base_is_timed:
        return "NEW", "its time: BASE was checked and not timed"
    return None


def _imported(base: Record | None, head: Record) -> tuple[str, str] | None:
    """Where at least one side is what another tool measured. Such times are held against each other only."""
    if head.status in WRONG:
        return _wrong(base, head)
    if base is None:
        return (NO_ROW, "imported, without a time") if head.median_ns is None else ("NEW", "it is not in BASE")
    sides = {base.status, head.status}
    if sides == {"imported"}:
        if base.median_ns is None or head.median_ns is None:
            return NO_ROW, "imported, without a time on both sides"
        return None
    if "passed" in sides:
        side = "BASE" if base.status == "imported" else "HEAD"
        return "UNCLEAR", f"imported in {side}: its result was never checked, and its time was taken by another tool"
    if base.status == "imported":
        return "MISSING", f"it was imported in BASE; in HEAD it is {_status(head)}"
    return "NEW", f"no time to compare with: in BASE it is {_status(base)}"


def _wrong(base: Record | None, head: Record) -> tuple[str, str]:
    if head.known:
        if base is not None and base.status == "passed":
            return "UNCLEAR", f"it passed in BASE; in HEAD it is a known failure ({head.known}): {_status(head)}"
        return NO_ROW, "known failures in HEAD"
    if base is None:
        return "FAILED", f"new in HEAD, and wrong: {_status(head)}"
    if base.status == "passed":
        return "FAILED", f"it passed in BASE; in HEAD it is {_status(head)}"
    if base.status in WRONG:
        return (
            "UNCLEAR",
            f"wrong in BASE too ({base.status}), so that there is nothing to compare; in HEAD {_status(head)}",
        )
    return "FAILED", f"in BASE it is {_status(base)}; in HEAD {_status(head)}"


def _passed_only_now(base: Record | None, head: Record) -> tuple[str, str]:
    if head.median_ns is None:
        return NO_ROW, "right in HEAD, and new or not right in BASE, without a time"
    if base is None:
        return "NEW", "it is not in BASE"
    return "NEW", f"no time to compare with: in BASE it is {_status(base)}"


def _status(record: Record) -> str:
    return f"{record.status}: {record.reason}"
