"""Records and samples as pandas frames: the contract's columns, typed, units in the names, nothing nested."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.record import COLUMNS, SAMPLE_COLUMNS, STATUSES, Record, Sample

if TYPE_CHECKING:
    import pandas as pd

MOMENT = "moment"
CATEGORY = "category"
Kind = str | tuple[str, ...]
"""What a column holds: a dtype of pandas, CATEGORY, the categories themselves, or MOMENT (a time of UTC)."""

IDENTITY: Mapping[str, Kind] = dict.fromkeys(("operator", "backend", "implementation", "case"), CATEGORY)
_DTYPES = {str: "string", int: "Int64", float: "Float64", bool: "boolean"}
_RECORD: Mapping[str, Kind] = {
    **IDENTITY,
    **dict.fromkeys(("run_id", "commit", "machine_id", "dtype"), CATEGORY),
    "started_at": MOMENT,
    "device": ("cpu", "gpu"),
    "status": STATUSES,
    "gradient_status": STATUSES,
}
_SAMPLE: Mapping[str, Kind] = {**IDENTITY, "run_id": CATEGORY}


def kinds_of(row: type, special: Mapping[str, Kind]) -> dict[str, Kind]:
    """The kind of each field of a dataclass by its annotation, unless `special` says otherwise."""
    found: dict[str, Kind] = {}
    for name, hint in typing.get_type_hints(row).items():
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        found[name] = special.get(name) or next((_DTYPES[one] for one in options if one in _DTYPES), "string")
    return found


def typed(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """A frame with a column for each of `kinds`, the same dtypes however many rows there are; None becomes <NA>."""
    # half a second, which most commands need not wait: they make no frame
    import pandas as pd

    return pd.DataFrame({name: _column([row[name] for row in rows], kind) for name, kind in kinds.items()})


def _column(values: list[Any], kind: Kind) -> Any:
    import pandas as pd

    if kind == MOMENT:
        # a moment that is none, from a file of somebody else's, is no reason to refuse the rest
        moments = pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601", errors="coerce")
        return moments.astype("datetime64[us, UTC]")
    values = [_storable(value) for value in values]
    if kind == CATEGORY or isinstance(kind, tuple):
        known = list(kind) if isinstance(kind, tuple) else []
        # what a newer version wrote is kept too
        known += sorted({value for value in values if value is not None} - set(known))
        return pd.Categorical(values, categories=pd.array(known, dtype="string"), ordered=False)
    return pd.array(values, dtype=kind)  # type: ignore[call-overload]


def _storable(value: Any) -> Any:
    """Half a character, which no file and no Arrow array takes, as a question mark; the rest as it is."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def records_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, columns `harness.record.COLUMNS`; times are ns per call, what does not apply is <NA>. Ids,
    dtypes and statuses are categories, `started_at` is a time of UTC, `parameters` a text of JSON."""
    return typed([{name: getattr(one, name) for name in COLUMNS} for one in records], kinds_of(Record, _RECORD))


def samples_frame(run_id: str, samples: Iterable[Sample]) -> pd.DataFrame:
    """One row per timed reading, columns `harness.record.SAMPLE_COLUMNS`, and both times per call in ns."""
    names = SAMPLE_COLUMNS[1:]
    rows = [{"run_id": run_id, **{name: getattr(one, name) for name in names}} for one in samples]
    frame = typed(rows, {"run_id": CATEGORY, **kinds_of(Sample, _SAMPLE)})
    frame["wall_ns_per_call"] = frame["wall_ns"] / frame["calls"]
    frame["cpu_ns_per_call"] = frame["cpu_ns"] / frame["calls"]
    return frame
