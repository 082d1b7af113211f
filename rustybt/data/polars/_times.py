"""What a time means to a portal: the last bar that was known by then. Pure functions."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from rustybt.data.bars import DAILY, Frequency
from rustybt.data.calendars import Calendar, to_instant, to_session
from rustybt.data.errors import LookAheadError
from rustybt.data.polars import windows
from rustybt.data.sources._time_axis import known_at


def last_known(calendar: str, dt: Any, frequency: Frequency, now: datetime) -> np.datetime64:
    """The last label that may be shown to somebody who asks at `dt`, and it is `now`.

    Parameters
    ----------
    calendar : str
    dt : date, datetime, pandas.Timestamp or ISO text
        For bars of sessions a date (or a midnight) means the last session up to it, and an instant
        the last session that has closed by then; for intraday bars it is an instant.
    frequency : Frequency
    now : datetime

    Returns
    -------
    numpy.datetime64
        In days for sessions, in minutes (UTC) for intraday bars.

    Raises
    ------
    LookAheadError
        If `dt` lies after `now`, or its session has not closed by then.
    """
    is_session = not frequency.intraday and is_date(dt)
    if not is_session and to_instant(dt) > now:
        raise LookAheadError(f"{dt} lies in the future: it is {now:%Y-%m-%d %H:%M} UTC")
    if frequency.intraday:
        return np.datetime64(to_instant(dt).replace(tzinfo=None), "m")
    closed = _closed(calendar, now if is_session else to_instant(dt))
    day = np.datetime64(to_session(dt)) if is_session else closed
    session: np.datetime64 = windows.last_labels(calendar, day, 1)[0]
    if session > closed:
        raise LookAheadError(
            f"the session {session} has not closed: it is {now:%Y-%m-%d %H:%M} UTC. "
            "Ask with a time instead of a date for the last session that has"
        )
    if frequency == DAILY:
        return session
    # A bar of several sessions is labelled with its first one.
    longest = 7 * frequency.count - 1
    whole: np.datetime64 = windows.last_labels(calendar, session - longest, 1)[0]
    return whole


def is_date(dt: Any) -> bool:
    if isinstance(dt, str):
        dt = datetime.fromisoformat(dt)
    elif isinstance(dt, np.datetime64):
        dt = dt.astype("datetime64[us]").item()
    if not isinstance(dt, datetime):
        return True
    return (dt.hour, dt.minute, dt.second, dt.microsecond) == (0, 0, 0, 0)


def _closed(calendar: str, now: datetime) -> np.datetime64:
    return np.datetime64(known_at(now, DAILY, calendar, timedelta(0)).ended, "D")


def number(label: np.datetime64) -> int:
    """A label on the time axis: its unit is the axis's."""
    return int(label.astype(np.int64))


def sessions_of(timestamps: pl.Series, market: Calendar) -> pl.Series:
    """The session of each instant."""
    return pl.Series("session", market.session_of(timestamps.to_numpy()))


def session_at(minute: int, market: Calendar) -> date:
    """The session that an instant belongs to, a minute of the time axis."""
    sessions = market.session_of(np.array([minute], dtype="datetime64[m]"))
    session: date = sessions[0].item()
    return session
