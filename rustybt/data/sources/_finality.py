"""Which bars are final: pure functions that are handed the time.

A bar is *forming* until its end, *provisional* from then on while the provider may still revise it
(its settle lag), and *final* after that. No source returns a forming bar; a cache treats
provisional ones by its freshness policy and keeps final ones for good.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from rustybt.data.bars import DAILY, INSTANT, Frequency
from rustybt.data.calendars import calendar_days, load_calendar

#: What tells the time: returns an aware UTC datetime.
Clock = Callable[[], datetime]

#: A session that began this long ago has ended, wherever it is.
_SURELY = timedelta(days=7)


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


def ended_only(bars: pl.DataFrame, ends: pl.Series, now: datetime) -> pl.DataFrame:
    """The bars that are no longer forming: ``end <= now``. The last of them may be provisional."""
    return bars.filter(ends <= now)


def ended_sessions(bars: pl.DataFrame, calendar: str, now: datetime) -> pl.DataFrame:
    """The daily bars that are no longer forming; only the latest are looked up in the calendar."""
    keep = (bars["timestamp"] < (now - _SURELY).date()).to_numpy(writable=True)
    if not keep.all():
        recent = bars.filter(~pl.Series(keep))
        keep[~keep] = bar_ends(recent, DAILY, calendar) <= now
    return bars.filter(pl.Series(keep))


def ended(bars: pl.DataFrame, frequency: Frequency, calendar: str, now: datetime) -> pl.DataFrame:
    """The bars of any frequency that are no longer forming: what a source returns."""
    if frequency.intraday:
        return ended_only(bars, bars["timestamp"], now)
    return ended_sessions(bars, calendar, now)


def is_final(ends: pl.Series, settle_lag: timedelta, now: datetime) -> pl.Series:
    """Whether each bar has ended and settled, ``end + settle_lag <= now``: it will not change."""
    return ends + settle_lag <= now
