"""Records that `harness report --format parquet` wrote, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd


def read_rows(path: Path) -> list[dict[str, Any]]:
    """One dictionary per row, None for what is <NA>. Raises ValueError for what is no Parquet file, or where no library
    reads it."""
    try:
        import pyarrow  # noqa: F401 - pandas needs it, and says so less clearly
    except ImportError:
        raise ValueError(f"{path} needs pyarrow; type: pip install 'kernel-harness[analysis]'") from None
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except Exception as error:  # pyarrow has exceptions of its own for each way to be broken
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{path} is no Parquet file that can be read: {first}") from None
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]
