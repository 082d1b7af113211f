"""The axis on which a cache keeps coverage: sessions as days, instants as minutes, since 1970.

Bars of sessions are asked for by date, intraday ones by the instants of their ends; on this axis
both are whole numbers, so that "exactly the missing part" is arithmetic. Which of them have ended
and settled is decided here, by functions that are handed the time.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import DAILY, Frequency
from rustybt.data.calendars import Calendar, load_calendar
from rustybt.data.errors import CalendarError
from rustybt.data.sources._intervals import Interval
from rustybt.data.sources.base import requested_instants, requested_sessions

if TYPE_CHECKING:
    import pandas as pd

_EPOCH_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_MINUTE_US = 60_000_000
#: A date begins and ends somewhere on Earth this long before and after it does in UTC.
_AHEAD, _BEHIND = timedelta(hours=14), timedelta(hours=12)


def day_number(day: date) -> int:
    """A date on the axis of sessions."""
    return (day - _EPOCH_DAY).days


def label_number(label: date | datetime) -> int:
    """A session or an instant on its axis."""
    return _minutes(label) if isinstance(label, datetime) else day_number(label)


def moment_at(number: int, intraday: bool) -> date | datetime:
    """The session or the instant at a number."""
    if intraday:
        return _EPOCH + number * _MINUTE
    return _EPOCH_DAY + timedelta(days=number)


def asked_interval(start: Any, end: Any, frequency: Frequency) -> Interval | None:
    """The labels that a request means; None if no whole minute lies in it.

    Raises
    ------
    DateRangeError
        If `start` lies after `end`.
    """
    if not frequency.intraday:
        sessions = requested_sessions(start, end)
        return Interval(day_number(sessions.first), day_number(sessions.last))
    instants = requested_instants(start, end, frequency)
    first, last = -((_EPOCH - instants.first) // _MINUTE), (instants.last - _EPOCH) // _MINUTE
    return Interval(first, last) if first <= last else None


def as_request(
    interval: Interval, frequency: Frequency = DAILY
) -> "tuple[pd.Timestamp, pd.Timestamp]":
    """Start and end that mean an interval to `DataSource.fetch`: the inverse of the above.

    Sessions have no timezone, instants are in UTC. A midnight means a date there, so an instant at
    midnight is spelled a microsecond beside it.
    """
    import pandas as pd

    first, last = (pd.Timestamp(moment_at(number, frequency.intraday)) for number in interval)
    if not frequency.intraday:
        return first, last
    beside = timedelta(microseconds=1)
    starts_at_midnight, ends_at_midnight = interval.first % 1440 == 0, interval.last % 1440 == 0
    return first - beside * starts_at_midnight, last + beside * ends_at_midnight


def numbers(timestamps: pl.Series) -> npt.NDArray[np.int64]:
    """Timestamps of bars on the axis, shape (n,)."""
    physical = timestamps.to_physical().to_numpy().astype(np.int64)
    return physical if timestamps.dtype == pl.Date else physical // _MINUTE_US


def within(timestamps: pl.Series, interval: Interval) -> pl.Series:
    """Whether each timestamp lies in an interval."""
    labels = numbers(timestamps)
    return pl.Series((labels >= interval.first) & (labels <= interval.last))


def on_axis(timestamps: pl.Series) -> bool:
    """Whether every bar has a place on the axis: an end on a whole minute."""
    if timestamps.dtype == pl.Date:
        return True
    return not bool((timestamps.to_physical().to_numpy() % _MINUTE_US).any())


@dataclass(frozen=True)
class Known:
    """What is known of labels at some time.

    Attributes
    ----------
    ended : int
        The last label whose bar can have ended: none after it has.
    final : int
        The last label up to which every bar is final.
    """

    ended: int
    final: int


def known_at(
    now: datetime, frequency: Frequency, calendar: str | None, settle_lag: timedelta
) -> Known:
    """What has ended and what is final at a time.

    Without a calendar a session is taken to last as long as its date does anywhere on Earth, and
    all that while it counts as ended and not final.
    """
    if frequency.intraday:
        return Known(_minutes(now), _minutes(now - settle_lag))
    # A bar of several sessions is labelled with its first one, and settles after its last.
    longer = 0 if frequency == DAILY else 7 * frequency.count
    if calendar is None:
        ended = day_number((now + _AHEAD).date())
        final = day_number((now - settle_lag - _BEHIND).date()) - 1
        return Known(ended, final - longer)
    final = _last_closed(calendar, now - settle_lag)
    return Known(_last_closed(calendar, now), final - longer)


def _minutes(moment: datetime) -> int:
    return (moment - _EPOCH) // _MINUTE


def _last_closed(calendar: str, now: datetime) -> int:
    """The day before the first session that closes after `now`."""
    moment = np.datetime64(now.replace(tzinfo=None), "us")
    month = moment.astype("datetime64[M]")
    market = _months(calendar, month - 1, month + 2)
    row = int(np.searchsorted(market.closes, moment, side="right"))
    if row == len(market.sessions):
        return day_number(market.last)
    return int(market.sessions[row].astype(np.int64)) - 1


def _months(calendar: str, first: np.datetime64, after: np.datetime64) -> Calendar:
    """A calendar over whole months, so that neighbouring times share one."""
    start: date = first.astype("datetime64[D]").item()
    end: date = (after.astype("datetime64[D]") - 1).item()
    return load_calendar(calendar, start, end)


def has_session(interval: Interval, calendar: str | None) -> bool:
    """Whether an interval of days may have a session: True where the calendar does not reach."""
    # A longer one has: no market closes for so long without a reason to ask the source.
    if calendar is None or interval.last - interval.first > 14:
        return True
    days = np.array(interval, dtype="datetime64[D]")
    months = days.astype("datetime64[M]")
    try:
        market = _months(calendar, months[0], months[1] + 1)
        return len(market.sessions_between(days[0], days[1])) > 0
    except CalendarError:
        return True
