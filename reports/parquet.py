"""Frames as Parquet, and records that were written so, read back."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.documents import LARGEST_BYTES, harmless
from harness.record import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 1_000_000


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame. Raises ValueError where the library for it is missing."""
    try:
        import pyarrow  # noqa: F401 - pandas needs it, and says so less clearly
    except ImportError:
        raise ValueError("--format parquet needs pyarrow; type: pip install 'kernel-harness[analysis]'") from None
    frame.to_parquet(path, index=False)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """One dictionary per row, None for what is <NA>. Raises ValueError for what is no Parquet file, or where no library
    reads it."""
    try:
        import pyarrow  # noqa: F401 - pandas needs it, and says so less clearly
    except ImportError:
        raise ValueError(f"{path} needs pyarrow; type: pip install 'kernel-harness[analysis]'") from None
    try:
        return _columns_as_rows(path)
    except Exception as error:  # pyarrow has exceptions of its own for each way to be broken
        first = harmless((str(error).splitlines() or [""])[0], 300)
        raise ValueError(f"{path} is no Parquet file that can be read: {first}") from None


def _columns_as_rows(path: Path) -> list[dict[str, Any]]:
    """The columns of a record, and no other. What a few bytes of a file unfold to is looked at first: texts are read as
    the file packs them, each once."""
    import pyarrow
    import pyarrow.parquet

    kinds = (pyarrow.string(), pyarrow.large_string())
    schema = pyarrow.parquet.read_schema(path)
    names = [name for name in dict.fromkeys(schema.names) if name in COLUMNS]
    texts = [name for name in names if schema.field(name).type in kinds or _is_packed(schema.field(name).type)]
    with pyarrow.parquet.ParquetFile(path, read_dictionary=texts) as file:
        about = file.metadata
        if path.stat().st_size > LARGEST_BYTES or about.num_rows > MOST_ROWS:
            raise ValueError(f"{about.num_rows} rows; at most {MOST_ROWS}, and {LARGEST_BYTES / 1e6:.0f} MB, are read")
        unpacked = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        if unpacked > LARGEST_BYTES * 4:
            raise ValueError(
                f"it unfolds to {unpacked / 1e6:.0f} MB; at most {LARGEST_BYTES * 4 / 1e6:.0f} MB are read"
            )
        table = file.read(columns=names, use_threads=False)
    columns = {name: _values(table.column(name)) for name in names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _is_packed(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_dictionary(kind))


def _values(column: Any) -> list[Any]:
    """The values of a column; equal texts are one object, however often they are there."""
    found: list[Any] = []
    for chunk in column.chunks:
        if _is_packed(chunk.type):
            known = chunk.dictionary.to_pylist()
            found += [None if index is None else known[index] for index in chunk.indices.to_pylist()]
        else:
            found += [_plain(value) for value in chunk.to_pylist()]
    return found


def _plain(value: Any) -> Any:
    """A moment as the store writes it."""
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime.datetime) else value
