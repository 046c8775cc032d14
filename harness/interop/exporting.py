"""A stored run as files of other tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.interop import asv_layout, bencher, github_action, google_benchmark, junit, pytest_benchmark
from harness.interop.stored import Export, StoredRun
from harness.whole import write_whole

WRITERS: Mapping[str, Callable[[StoredRun], Export]] = {
    "pytest-benchmark": pytest_benchmark.write,
    "asv": asv_layout.write,
    "google-benchmark": google_benchmark.write,
    "bencher": bencher.write,
    "github-action": github_action.write,
    "junit": junit.write,
}
FOLDERS = ("asv",)
"""The formats that are several files."""


def export(run: StoredRun, format: str) -> Export:
    """What is to be written. Raises NotWritable."""
    return WRITERS[format](run)


def save(found: Export, format: str, path: Path) -> None:
    """Write one file, or the files of a folder: all of them whole, or not at all, each."""
    if format not in FOLDERS:
        (text,) = found.files.values()
        write_whole(path, text)
        return
    texts = {path / name: asv_layout.merged(path / name, name, text) for name, text in found.files.items()}
    for place, text in texts.items():
        write_whole(place, text)


def left_out_words(found: Export) -> str:
    """`3 tasks are left out: 2 failed, 1 missing`; empty where none is."""
    if not found.left_out:
        return ""
    count = sum(found.left_out.values())
    words = ", ".join(f"{number} {status}" for status, number in sorted(found.left_out.items()))
    return f"{count} {'task is' if count == 1 else 'tasks are'} left out: {words}"
