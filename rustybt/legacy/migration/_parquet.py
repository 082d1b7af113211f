"""Old Parquet files of bars, as they are: whatever partition they lie in, whatever they are typed.

The name of a partition is that of the first row in its file, so nothing is taken from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.data.bundles._files import sha256
from rustybt.legacy.migration._facts import Problem

#: A float64 gives back any decimal of 15 significant digits.
_EXACT = 10**15
#: Names of the column of time, by kind, the usual one first.
_TIMES = {"daily": ("date", "timestamp"), "minute": ("timestamp", "date")}


@dataclass(frozen=True)
class Part:
    """One file of bars.

    Attributes
    ----------
    path : pathlib.Path
    checksum : str
        SHA-256 of the file.
    written : int
        When it was last changed, nanoseconds.
    bars : polars.DataFrame
        ``sid``, ``timestamp`` (Date, or naive Datetime in UTC), and the five values as they are
        stored, in the order of the file.
    """

    path: Path
    checksum: str
    written: int
    bars: pl.DataFrame


def read_parts(
    paths: Iterable[Path], kind: str, problems: list[Problem], bundle: str
) -> list[Part]:
    """Read the files of one kind, in the order in which they were written.

    Parameters
    ----------
    paths : iterable of pathlib.Path
    kind : {"daily", "minute"}
    problems : list of Problem
        Files that cannot be read are added.
    bundle : str
    """
    parts = []
    for path in paths:
        try:
            frame = pl.read_parquet(path, hive_partitioning=False)
            bars = _typed(frame, kind)
            parts.append(Part(path, sha256(path), path.stat().st_mtime_ns, bars))
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = str(error).partition("\n")[0]
            problems.append(Problem(path, f"cannot be read as bars: {reason}", bundle))
    return sorted(parts, key=lambda part: (part.written, part.path))


def _typed(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    names = [name for name in _TIMES[kind] if name in frame.columns]
    missing = [name for name in ("sid", *VALUE_COLUMNS) if name not in frame.columns]
    if missing or not names:
        lacking = ", ".join(missing + ([] if names else [_TIMES[kind][0]]))
        raise pl.exceptions.ColumnNotFoundError(f"no column {lacking}")
    wrong = [n for n in VALUE_COLUMNS if not frame.schema[n].is_numeric()]
    if wrong or not frame.schema["sid"].is_integer():
        named = ", ".join(wrong or ["sid"])
        raise pl.exceptions.SchemaError(f"{named} is not a column of numbers")
    moment = pl.col(names[0])
    if getattr(frame.schema[names[0]], "time_zone", None):
        moment = moment.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    moment = moment.cast(pl.Date if kind == "daily" else pl.Datetime("us"))
    return frame.select(pl.col("sid").cast(pl.Int64), moment.alias("timestamp"), *VALUE_COLUMNS)


def to_floats(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The nearest floats of a column, and whether each gives its decimal back.

    Floats themselves are taken as they are.
    """
    if not column.dtype.is_decimal():
        return column.cast(pl.Float64), pl.Series(np.ones(len(column), dtype=bool))
    scale = int(column.dtype.scale)  # type: ignore[attr-defined]
    units = column.to_physical()
    small = (units.abs() < _EXACT).fill_null(True)
    exact = units.set(~small, 0).cast(pl.Int64)
    floats = exact.cast(pl.Float64) / 10.0**scale
    same = small.clone()
    for row in np.flatnonzero(~small.to_numpy()):
        value = column[int(row)]
        floats[int(row)] = float(value)
        same[int(row)] = Decimal(repr(float(value))) == value
    return floats.alias(column.name), same.alias(column.name)


def as_floats(bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Bars with float values, and whether each row gives every one of its decimals back."""
    same = pl.Series(np.ones(len(bars), dtype=bool))
    columns = []
    for name in VALUE_COLUMNS:
        floats, held = to_floats(bars[name])
        columns.append(floats.alias(name))
        same = same & held
    return bars.with_columns(columns), same


def impossible(bars: pl.DataFrame) -> pl.Series:
    """Whether each row of float bars cannot be true; see `rustybt.data.bars.validate`."""
    prices = [pl.col(name) for name in PRICE_COLUMNS]
    sound = pl.all_horizontal(price.is_finite() & (price > 0) for price in prices)
    inside = (pl.col("low") <= pl.min_horizontal(*prices)) & (
        pl.col("high") >= pl.max_horizontal(*prices)
    )
    volume = pl.col("volume").is_finite() & (pl.col("volume") >= 0)
    known = pl.col("timestamp").is_not_null() & pl.col("sid").is_not_null()
    true = (sound & inside & volume & known).fill_null(False)
    return bars.select(~true).to_series()
