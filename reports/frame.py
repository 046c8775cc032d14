"""Records and samples as pandas frames: the contract's columns, nullable dtypes, units in the names."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable

import pandas as pd

from harness.record import COLUMNS, SAMPLE_COLUMNS, Record, Sample

_DTYPES = {str: "string", int: "Int64", float: "Float64", bool: "boolean"}


def _dtypes(row: type) -> dict[str, str]:
    found = {}
    for name, hint in typing.get_type_hints(row).items():
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        found[name] = next(_DTYPES[one] for one in options if one in _DTYPES)
    return found


def records_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, columns `harness.record.COLUMNS`; times are ns per call, what does not apply is <NA>."""
    dtypes = _dtypes(Record)
    rows = [[getattr(record, name) for name in COLUMNS] for record in records]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    return pd.DataFrame(
        {name: pd.array(list(column), dtype=dtypes[name]) for name, column in zip(COLUMNS, columns, strict=True)}
    )


def samples_frame(run_id: str, samples: Iterable[Sample]) -> pd.DataFrame:
    """One row per timed reading, columns `harness.record.SAMPLE_COLUMNS`, and both times per call in ns."""
    dtypes = {"run_id": "string", **_dtypes(Sample)}
    rows = [[run_id, *(getattr(sample, name) for name in SAMPLE_COLUMNS[1:])] for sample in samples]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SAMPLE_COLUMNS)
    frame = pd.DataFrame(
        {name: pd.array(list(column), dtype=dtypes[name]) for name, column in zip(SAMPLE_COLUMNS, columns, strict=True)}
    )
    frame["wall_ns_per_call"] = frame["wall_ns"] / frame["calls"]
    frame["cpu_ns_per_call"] = frame["cpu_ns"] / frame["calls"]
    return frame
