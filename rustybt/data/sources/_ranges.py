"""What the start and the end of a request mean."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from rustybt.data.bars import Frequency
from rustybt.data.calendars import to_instant, to_session
from rustybt.data.errors import DateRangeError


@dataclass(frozen=True)
class SessionRange:
    """Sessions from `first` to `last`, both included."""

    first: date
    last: date


@dataclass(frozen=True)
class InstantRange:
    """Bar labels (UTC, at the bar's end) from `first` to `last`, both included."""

    first: datetime
    last: datetime


def requested_sessions(start: Any, end: Any) -> SessionRange:
    """The sessions that a request for daily bars means: the dates as they are written.

    Raises
    ------
    DateRangeError
        If `start` lies after `end`.
    """
    first, last = to_session(start), to_session(end)
    if first > last:
        raise DateRangeError(f"start {first} lies after end {last}")
    return SessionRange(first, last)


def requested_instants(start: Any, end: Any, frequency: Frequency) -> InstantRange:
    """The bar labels that a request for intraday bars means.

    Instants mean themselves. A date (midnight) as `start` means the bars that begin on or after
    it; as `end` it means the whole of that UTC day, up to the bar that ends at 24:00.

    Raises
    ------
    DateRangeError
        If `start` lies after `end`.
    """
    first, last = to_instant(start), to_instant(end)
    if _is_midnight(last):
        last += timedelta(days=1)
    if _is_midnight(first):
        first += frequency.duration
    if first > last:
        raise DateRangeError(f"start {start} lies after end {end}")
    return InstantRange(first, last)


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
