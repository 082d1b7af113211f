"""Which bars are final: pure functions that are handed the time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from rustybt.data.bars import INSTANT, Frequency
from rustybt.data.calendars import calendar_days, load_calendar

#: What tells the time: returns an aware UTC datetime.
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The machine's time, aware, in UTC."""
    return datetime.now(UTC)


def bar_ends(bars: pl.DataFrame, frequency: Frequency, calendar: str) -> pl.Series:
    """When each bar ends, as UTC instants.

    Parameters
    ----------
    bars : polars.DataFrame
        In the bar schema of `frequency`.
    calendar : str
        Decides when a session closes; a daily bar off the calendar ends with its UTC day.
    """
    if frequency.intraday:
        return bars["timestamp"].alias("end")
    days = bars["timestamp"].to_numpy().astype("datetime64[D]")
    ends = (days + 1).astype("datetime64[m]")
    if len(days):
        market = load_calendar(calendar, *calendar_days(days))
        row = np.searchsorted(market.sessions, days)
        known = np.isin(days, market.sessions)
        ends[known] = market.closes[row[known]]
    return pl.Series("end", ends.astype("datetime64[us]")).dt.replace_time_zone("UTC").cast(INSTANT)


def final_only(
    bars: pl.DataFrame, ends: pl.Series, settle_lag: timedelta, now: datetime
) -> pl.DataFrame:
    """The bars that have ended and settled: ``end + settle_lag <= now``."""
    return bars.filter(ends + settle_lag <= now)
