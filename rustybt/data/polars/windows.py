"""Windows over bars: which labels a window has, and its values. Pure functions.

A window is counted in the bars that its market's calendar has: twenty daily bars are twenty
sessions, whatever holidays lie between, and ten minutes at 09:35 reach back to yesterday's close.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import DAILY, MINUTE, VALUE_COLUMNS, Frequency
from rustybt.data.calendars import Calendar, load_calendar
from rustybt.data.errors import OptionError

#: Fields that a window can be asked for: those of a bar, and the last known close.
FIELDS = (*VALUE_COLUMNS, "price")
Labels = npt.NDArray[np.datetime64]


def require_field(field: str) -> None:
    """Raise `OptionError` unless bars have that field."""
    if field not in FIELDS:
        raise OptionError(f"field is {field!r}; it must be one of {', '.join(FIELDS)}")


def last_labels(calendar: str, limit: np.datetime64, count: int) -> Labels:
    """The labels of the last bars that the calendar has up to a limit.

    Parameters
    ----------
    calendar : str
    limit : numpy.datetime64
        The last label that may be among them, and what they are: sessions if its unit is ``D``,
        minutes (UTC) if it is ``m``.
    count : int

    Returns
    -------
    ndarray
        Shape (count,), ascending, in the unit of the limit.

    Raises
    ------
    CalendarError
        If the calendar does not reach back so far.
    """
    day: date = limit.astype("datetime64[D]").item()
    is_minute = np.datetime_data(limit)[0] == "m"
    # A market that trades on every other day at the least, and 150 minutes of a day.
    days = 10 + 2 * (count // 150 if is_minute else count)
    while True:
        market = _whole_years(calendar, day - timedelta(days=days), day + timedelta(days=2))
        labels = (_minutes if is_minute else _sessions)(market, limit, count)
        if len(labels) == count:
            return labels
        days *= 2


def _whole_years(calendar: str, first: date, last: date) -> Calendar:
    """Over whole years, so that the windows of a loop share one calendar."""
    return load_calendar(calendar, date(first.year, 1, 1), date(last.year, 12, 31))


def _sessions(market: Calendar, limit: np.datetime64, count: int) -> Labels:
    stop = int(np.searchsorted(market.sessions, limit, side="right"))
    return market.sessions[max(0, stop - count) : stop]


def _minutes(market: Calendar, limit: np.datetime64, count: int) -> Labels:
    starts, stops = market.trading_spans
    parts: list[Labels] = []
    found = 0
    for row in range(int(np.searchsorted(starts, limit, side="left")) - 1, -1, -1):
        part = np.arange(starts[row] + 1, min(stops[row], limit) + 1)
        parts.append(part)
        found += len(part)
        if found >= count:
            break
    minutes = np.concatenate(parts[::-1]) if parts else np.array([], dtype="datetime64[m]")
    return minutes[-count:]


def labels_of(bars: pl.DataFrame, limit: np.datetime64, count: int) -> Labels:
    """The last labels up to a limit that any of the bars has; fewer, if there are fewer."""
    unit = np.datetime_data(limit)[0]
    labels = np.unique(bars["timestamp"].to_numpy().astype(f"datetime64[{unit}]"))
    return labels[labels <= limit][-count:]


def has_grid(frequency: Frequency) -> bool:
    """Whether a calendar says where bars end: of sessions and minutes it does."""
    return frequency in (DAILY, MINUTE)


def units(frequency: Frequency) -> int:
    """The sessions or the trading minutes that a bar takes at the most."""
    return frequency.count * {"m": 1, "h": 60, "d": 1, "w": 7}[frequency.unit]


def wide(bars: pl.DataFrame, labels: Labels, symbols: Sequence[str], field: str) -> pl.DataFrame:
    """One field of some symbols, a row a label and a column a symbol in the order given.

    Parameters
    ----------
    bars : polars.DataFrame
        In the bar schema; it may reach further back than the labels.
    labels : ndarray
        As `last_labels` returns them.
    symbols : sequence of str
        Distinct.
    field : str
        One of `FIELDS`; ``price`` is the last close known at a label.

    Returns
    -------
    polars.DataFrame
        ``timestamp`` and the symbols, Float64; null where there is no bar.
    """
    times = _times(labels, bars["timestamp"].dtype)
    column = "close" if field == "price" else field
    own = bars.filter(pl.col("symbol").is_in(list(symbols)))
    table = own.pivot("symbol", index="timestamp", values=column).sort("timestamp")
    absent = [name for name in symbols if name not in table.columns]
    table = table.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
    if field == "price":
        frame = pl.DataFrame(times)
        filled = table.with_columns(pl.col(list(symbols)).forward_fill())
        found = frame.join_asof(filled, on="timestamp", strategy="backward")
    else:
        found = pl.DataFrame(times).join(table, on="timestamp", how="left", maintain_order="left")
    return found.select("timestamp", *symbols)


def _times(labels: Labels, dtype: pl.DataType) -> pl.Series:
    if dtype == pl.Date:
        return pl.Series("timestamp", labels.astype("datetime64[D]"))
    instants = pl.Series("timestamp", labels.astype("datetime64[us]"))
    return instants.dt.replace_time_zone("UTC")


def last_row(window: pl.DataFrame, symbols: Sequence[str], field: str) -> pl.Series:
    """The last values of a window, a series named after the field, in the order of `symbols`."""
    row = window.select(symbols).tail(1).row(0) if len(window) else (None,) * len(symbols)
    return pl.Series(field, row, dtype=pl.Float64)
