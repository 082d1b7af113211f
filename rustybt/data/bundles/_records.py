"""The record of a version in its two forms: Parquet, as everything is, and JSON beside it.

A run looks at the record and at no other table. In JSON it takes a tenth of a millisecond; for the
Parquet file Polars has to be imported, a tenth of the CPU of a short run.
"""

import json
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rustybt.data.errors import CorruptVersionError

#: A row of a record: column -> value.
Row = dict[str, Any]

_TIME = "ingestion_time"
_LISTS = ("symbols", "notes", "universe")
_TEXTS = ("parent_version",)
_INTEGERS = ("price_decimals", "volume_decimals", "minutes_per_day")
_DATES = ("start_date", "end_date", "start_session", "end_session")


def read_table(path: Path) -> Row:
    """The row in a Parquet file.

    Raises
    ------
    CorruptVersionError
        If the file cannot be read.
    """
    import polars as pl

    try:
        return _row_of_table(path.read_bytes())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CorruptVersionError(f"{path} cannot be read: {error}") from error


@lru_cache(maxsize=8)
def _row_of_table(content: bytes) -> Row:
    """A process that opens a bundle again and again decodes it once."""
    import polars as pl

    return pl.read_parquet(content).row(0, named=True)


def read_text(path: Path) -> Row:
    """The row in a JSON file, with the values that the Parquet file has."""
    return _row_of_text(path.read_text("utf-8"))


@lru_cache(maxsize=8)
def _row_of_text(text: str) -> Row:
    row: Row = json.loads(text)
    for name in _DATES:
        if row.get(name) is not None:
            row[name] = date.fromisoformat(row[name])
    row[_TIME] = datetime.fromisoformat(row[_TIME]).astimezone(ZoneInfo("UTC"))
    return row


def write(row: Row, table: Path, text: Path | None) -> None:
    """Write a row as a Parquet file, and as JSON where a path is given for it."""
    import polars as pl

    from rustybt.data.bundles._files import write_table

    types: dict[str, pl.DataType | type[pl.DataType]] = {
        **dict.fromkeys(_LISTS, pl.List(pl.String)),
        **dict.fromkeys(_TEXTS, pl.String),
        **dict.fromkeys(_INTEGERS, pl.Int64),
        **dict.fromkeys(_DATES, pl.Date),
    }
    write_table(pl.DataFrame([row], schema_overrides=types), table)
    if text is not None:
        text.write_text(json.dumps(row, default=_as_text, indent=1), "utf-8")


def _as_text(moment: date) -> str:
    return moment.isoformat()
