"""Labels of intraday bars: from a provider's starts to ends that a market has."""

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import INSTANT, Frequency
from rustybt.data.calendars import calendar_days, load_calendar

Instants = npt.NDArray[np.datetime64]


def session_ends(starts: pl.Series, frequency: Frequency, calendar: str) -> pl.Series:
    """When the bars that begin at `starts` end, in regular trading.

    A bar that the close or the lunch break cuts short ends with it: the last hourly bar of a New
    York session begins at 15:30 and ends at 16:00, on a half day at 13:00.

    Parameters
    ----------
    starts : polars.Series
        Instants, UTC.
    calendar : str

    Returns
    -------
    polars.Series
        Instants, UTC, named ``timestamp``; null where nothing of a bar lies in regular trading.
        A bar on a day without any trading, as the calendar has it, ends after its duration.
    """
    begin: Instants = starts.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    end: Instants = np.add(begin, np.timedelta64(frequency.duration))
    if len(begin):
        first, last = calendar_days(np.concatenate([begin, end]))
        market = load_calendar(calendar, first, last)
        minutes = market.minutes_between(first, last)
        known = np.isin(begin.astype("datetime64[D]"), minutes.astype("datetime64[D]"))
        end[known] = _last_minutes(begin[known], end[known], minutes)
    return pl.Series("timestamp", end).dt.replace_time_zone("UTC").cast(INSTANT)


def are_ends(times: pl.Series, calendar: str) -> bool:
    """Whether times that are meant to be starts of regular bars can only be ends.

    A session's first bar begins at the open, and none begins at the close.
    """
    instants: Instants = times.dt.replace_time_zone(None).to_numpy().astype("datetime64[m]")
    if not len(instants):
        return False
    market = load_calendar(calendar, *calendar_days(instants))
    opens = market.first_minutes - np.timedelta64(1, "m")
    closed = np.isin(instants, market.closes).any()
    return bool(closed and not np.isin(instants, opens).any())


def _last_minutes(begin: Instants, end: Instants, minutes: Instants) -> Instants:
    """The last trading minute of each bar; NaT if it has none."""
    row = np.searchsorted(minutes, end, side="right") - 1
    found = minutes[np.maximum(row, 0)].astype("datetime64[us]")
    return np.where((row >= 0) & (found > begin), found, np.datetime64("NaT"))
