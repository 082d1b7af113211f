"""Bars of a bundle as a researcher wants them: long or wide, raw or adjusted, Polars or pandas.

The values are those that an algorithm sees: the same floats, adjusted and rounded in the same
way, with nothing known from after the date of the view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from rustybt.data.adjustments import adjust, price_ratios
from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles.panel import as_read
from rustybt.data.calendars import load_calendar, to_instant, to_session
from rustybt.data.errors import DateRangeError, FrequencyError, UnknownSymbolError

if TYPE_CHECKING:
    import pandas as pd

    from rustybt.data.bundles.bundle import Bundle

Layout = Literal["long", "wide"]


@dataclass(frozen=True)
class Selection:
    """Which bars of a bundle.

    Attributes
    ----------
    symbols : sequence of str or None
        All, if None.
    start, end : date, datetime, pandas.Timestamp, ISO text or None
        Sessions for daily bars, instants (naive means UTC) for intraday ones; both included.
    kind : {"daily", "minute"}
    as_of : date, ISO text or None
        Adjust for the splits, mergers and dividends with an ex-date up to this one; None for raw.
    """

    symbols: Sequence[str] | None = None
    start: Any = None
    end: Any = None
    kind: Literal["daily", "minute"] = "daily"
    as_of: Any = None


def scan(bundle: "Bundle", kind: str = "daily") -> pl.LazyFrame:
    """Every bar as stored, lazily: nothing is read until it is collected.

    Returns
    -------
    polars.LazyFrame
        In the bar schema. Filters on symbol and timestamp reach down to the Parquet files.
    """
    _require_kind(bundle, kind)
    floats = pl.col(VALUE_COLUMNS).cast(pl.Float64)
    parts = [pl.scan_parquet(path).with_columns(floats) for path in bundle.files(kind)]
    symbols = bundle.assets.lazy().select("sid", "symbol")
    joined = pl.concat(parts).join(symbols, on="sid")
    return joined.select("symbol", "timestamp", *VALUE_COLUMNS)


def long(bundle: "Bundle", selection: Selection) -> pl.DataFrame:
    """The selected bars in the bar schema, as an algorithm reads them."""
    bars = _read(bundle, selection)
    if selection.as_of is not None:
        bars = _adjusted(bundle, bars, to_session(selection.as_of), selection.kind)
    return bars


def wide(bundle: "Bundle", selection: Selection, field: str) -> pl.DataFrame:
    """One field of the selected bars: ``timestamp`` and a column a symbol.

    Every session of the range has a row for daily bars; where there is no bar, prices are NaN and
    volume is 0, as for an algorithm.
    """
    bars = long(bundle, selection)
    symbols = list(selection.symbols) if selection.symbols is not None else None
    names = symbols or bundle.assets["symbol"].to_list()
    table = bars.pivot("symbol", index="timestamp", values=field).sort("timestamp")
    absent = [name for name in names if name not in table.columns]
    table = table.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
    if selection.kind == "daily":
        table = _every_session(bundle, selection, table)
    missing = 0.0 if field == "volume" else float("nan")
    return table.select("timestamp", pl.col(names).fill_null(missing))


def to_pandas(frame: pl.DataFrame, layout: Layout) -> "pd.DataFrame":
    """A long or wide frame in pandas: timestamps in the index, sessions naive and instants UTC."""
    data = frame.with_columns(_nanoseconds(frame["timestamp"])).to_pandas()
    index = ["symbol", "timestamp"] if layout == "long" else "timestamp"
    return data.set_index(index)


def _nanoseconds(timestamps: pl.Series) -> pl.Series:
    if timestamps.dtype == pl.Date:
        return timestamps.cast(pl.Datetime("ns"))
    return timestamps.dt.cast_time_unit("ns")


def _require_kind(bundle: "Bundle", kind: str) -> None:
    if not bundle.has(kind):
        record = bundle.metadata
        raise FrequencyError(
            f"bundle {record.bundle_name!r} has no {kind} bars, it has {record.frequency}"
        )


def _read(bundle: "Bundle", selection: Selection) -> pl.DataFrame:
    _require_kind(bundle, selection.kind)
    assets = bundle.assets.select("sid", "symbol")
    if selection.symbols is not None:
        unknown = sorted(set(selection.symbols) - set(assets["symbol"]))
        if unknown:
            where = f"bundle {bundle.metadata.bundle_name!r}"
            raise UnknownSymbolError(unknown, where, assets["symbol"].to_list())
        assets = assets.filter(pl.col("symbol").is_in(list(selection.symbols)))
    keep = _between(selection)
    parts = [read_bars(path).filter(keep) for path in bundle.files(selection.kind)]
    bars = pl.concat(parts).join(assets, on="sid").sort("symbol", "timestamp")
    precision = bundle.metadata.precision
    ratios = bundle.metadata.ohlc_ratios if selection.kind == "minute" else {}
    own = pl.col("sid").replace_strict(ratios, default=1000.0, return_dtype=pl.Float64)
    ratio = bars.select(own).to_series().to_numpy() if ratios else 1000.0
    values = [
        pl.Series(name, as_read(bars[name].to_numpy(), name, precision, ratio))
        for name in VALUE_COLUMNS
    ]
    return bars.with_columns(values).select("symbol", "timestamp", *VALUE_COLUMNS)


def _between(selection: Selection) -> pl.Expr:
    convert = to_session if selection.kind == "daily" else to_instant
    start = convert(selection.start) if selection.start is not None else None
    end = convert(selection.end) if selection.end is not None else None
    if start is not None and end is not None and start > end:
        raise DateRangeError(f"start {start} lies after end {end}")
    keep = pl.lit(True)
    if start is not None:
        keep &= pl.col("timestamp") >= start
    if end is not None:
        keep &= pl.col("timestamp") <= end
    return keep


def _adjusted(bundle: "Bundle", bars: pl.DataFrame, as_of: date, kind: str) -> pl.DataFrame:
    daily = _read(bundle, Selection(symbols=bars["symbol"].unique().to_list()))
    ratios = price_ratios(daily, bundle.events)
    session = pl.col("timestamp")
    if kind == "minute":
        first, last = bundle.metadata.start_date.date(), bundle.metadata.end_date.date()
        calendar = load_calendar(bundle.metadata.calendar, first, last)
        days = calendar.session_of(bars["timestamp"].to_numpy())
        session = pl.Series("session", days)  # type: ignore[assignment]
    adjusted = adjust(bars.with_columns(session.alias("session")), ratios, as_of, "session")
    places = bundle.metadata.adjusted_decimals
    if places is None:
        return adjusted.drop("session")
    rounded = [
        pl.Series(name, np.around(adjusted[name].to_numpy(), places)) for name in PRICE_COLUMNS
    ]
    return adjusted.with_columns(rounded).drop("session")


def _every_session(bundle: "Bundle", selection: Selection, table: pl.DataFrame) -> pl.DataFrame:
    record = bundle.metadata
    first, last = record.start_date.date(), record.end_date.date()
    low = max(first, to_session(selection.start)) if selection.start is not None else first
    high = min(last, to_session(selection.end)) if selection.end is not None else last
    sessions = load_calendar(record.calendar, first, last).sessions_between(low, high)
    every = pl.DataFrame({"timestamp": pl.Series(sessions)})
    return every.join(table, on="timestamp", how="left").sort("timestamp")
