"""Trading calendars: which sessions and minutes a market has.

The only module of the core that imports exchange_calendars. A session is a date; an instant is
UTC; this is where one becomes the other. The machine's own timezone is never asked.

Minutes are labelled at their end, as zipline labels them: the first minute of a New York
session that opens at 09:30 is 09:31, the last one is the close, 16:00.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from rustybt.data._calendar_cache import cached_calendar
from rustybt.data.errors import CalendarError

#: Calendar of a bundle when nobody names one, as in zipline.
DEFAULT_CALENDAR = "XNYS"

Days = npt.NDArray[np.datetime64]
Minutes = npt.NDArray[np.datetime64]


@cache
def calendar_version() -> str:
    """Version of exchange_calendars, which is the version of every calendar in it."""
    return version("exchange_calendars")


@dataclass(frozen=True)
class Calendar:
    """The sessions of one market between two dates.

    Attributes
    ----------
    name : str
        Canonical name: ``XNYS`` also when ``NYSE`` was asked for.
    first, last : datetime.date
        The dates it was loaded for; nothing outside them is known.
    """

    name: str
    first: date
    last: date

    @cached_property
    def _exchange(self) -> Any:
        return _exchange_calendar(self.name, self.first, self.last)

    @cached_property
    def sessions(self) -> Days:
        """All sessions, shape (n,), datetime64[D], ascending."""
        index = self._exchange.sessions
        days: Days = index.values.astype("datetime64[D]")
        return days[(days >= np.datetime64(self.first)) & (days <= np.datetime64(self.last))]

    def sessions_between(self, first: date | np.datetime64, last: date | np.datetime64) -> Days:
        """The sessions from `first` to `last`, both included, shape (n,), datetime64[D]."""
        days = self.sessions
        return days[(days >= np.datetime64(first)) & (days <= np.datetime64(last))]

    @cached_property
    def closes(self) -> Minutes:
        """The last minute of each session, shape (n,), datetime64[m], UTC."""
        return self._schedule("closes")

    @cached_property
    def first_minutes(self) -> Minutes:
        """The first minute of each session (label at its end), shape (n,), datetime64[m], UTC."""
        return self._schedule("first_minutes")

    @cached_property
    def trading_spans(self) -> tuple[Minutes, Minutes]:
        """When trading goes on without a break: openings and ends, each datetime64[m], UTC.

        A session with a lunch break is two spans; sessions that follow each other without a pause
        are still two.
        """
        one_minute = np.timedelta64(1, "m")
        after = self._schedule("first_pm_minutes")
        has_break = ~np.isnat(after)
        starts = [self.first_minutes - one_minute, after[has_break] - one_minute]
        stops = [self.closes, self._schedule("last_am_minutes")[has_break]]
        return np.sort(np.concatenate(starts)), np.sort(np.concatenate(stops))

    def _schedule(self, column: str) -> Minutes:
        series = getattr(self._exchange, column)
        days = series.index.values.astype("datetime64[D]")
        instants: Minutes = series.values.astype("datetime64[m]")
        first, last = np.datetime64(self.first), np.datetime64(self.last)
        return instants[np.searchsorted(days, first) : np.searchsorted(days, last, side="right")]

    def minutes_between(self, first: date | np.datetime64, last: date | np.datetime64) -> Minutes:
        """Every trading minute of the sessions `first` to `last`, shape (n,), datetime64[m], UTC.

        Early closes and lunch breaks are honoured.
        """
        rows = np.flatnonzero(
            (self.sessions >= np.datetime64(first)) & (self.sessions <= np.datetime64(last))
        )
        if not len(rows):
            return np.array([], dtype="datetime64[m]")
        minutes: Minutes = self._exchange.minutes.values.astype("datetime64[m]")
        start = np.searchsorted(minutes, self.first_minutes[rows[0]])
        stop = np.searchsorted(minutes, self.closes[rows[-1]], side="right")
        return minutes[start:stop]

    def session_of(self, instants: npt.NDArray[np.datetime64]) -> Days:
        """The session that each instant belongs to: the first one that closes at or after it.

        Parameters
        ----------
        instants : ndarray of datetime64
            UTC, shape (n,).

        Returns
        -------
        ndarray of datetime64[D]
            Shape (n,); NaT after the last close that is known.
        """
        row = np.searchsorted(self.closes, instants, side="left")
        known = row < len(self.sessions)
        out = np.full(len(instants), np.datetime64("NaT"), dtype="datetime64[D]")
        out[known] = self.sessions[row[known]]
        return out

    def is_open_at(self, instants: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
        """Whether each instant (UTC) is a trading minute, labelled at its end. Shape (n,)."""
        minutes: Minutes = self._exchange.minutes.values.astype("datetime64[m]")
        whole = instants.astype("datetime64[m]")
        row = np.minimum(np.searchsorted(minutes, whole), len(minutes) - 1)
        is_open: npt.NDArray[np.bool_] = (minutes[row] == whole) & (whole == instants)
        return is_open


def load_calendar(name: str, first: date, last: date) -> Calendar:
    """Load a market's calendar for the dates `first` to `last`.

    Parameters
    ----------
    name : str
        Any name or alias that exchange_calendars knows: ``XNYS``, ``NYSE``, ``24/7``, ...

    Raises
    ------
    CalendarError
        If there is no such calendar, or it does not reach that far.
    """
    if first > last:
        raise CalendarError(f"calendar {name}: {first} lies after {last}")
    return Calendar(resolve_name(name), first, last)


def resolve_name(name: str) -> str:
    """Canonical name of a calendar.

    Raises
    ------
    CalendarError
        If exchange_calendars has no calendar of that name.
    """
    import exchange_calendars

    aliases: dict[str, str] = exchange_calendars.aliases_to_names()
    canonical = aliases.get(name, name)
    known = exchange_calendars.get_calendar_names(include_aliases=False)
    if canonical not in known:
        close = get_close_matches(name.upper(), [*known, *aliases], n=4, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "try XNYS, XLON or 24/7"
        raise CalendarError(f"there is no calendar {name!r}: {hint}")
    return canonical


def _exchange_calendar(name: str, first: date, last: date) -> Any:
    """A calendar that covers the dates; those of the same years share one, in memory and on disk.

    Computing one takes a tenth of a second, and each symbol has dates of its own.
    """
    years = _calendar_of_years(name, first.year, last.year)
    return _calendar_of_dates(name, first, last) if years is None else years


#: A margin keeps the neighbours of the first and last session inside; exchange_calendars refuses a
#: range without a session.
_MARGIN = timedelta(days=10)


@lru_cache(maxsize=64)
def _calendar_of_years(name: str, first: int, last: int) -> Any | None:
    from exchange_calendars import errors

    try:
        return _make_calendar(name, date(first, 1, 1) - _MARGIN, date(last, 12, 31) + _MARGIN)
    except (ValueError, OverflowError, errors.CalendarError):
        return None


@lru_cache(maxsize=16)
def _calendar_of_dates(name: str, first: date, last: date) -> Any:
    from exchange_calendars import errors

    # Some calendars begin or end with the holidays on record, and have no room for a margin.
    for start, end in product((first - _MARGIN, first), (last + _MARGIN, last)):
        try:
            return _make_calendar(name, start, end)
        except (ValueError, errors.CalendarError) as error:
            reason = error
    raise CalendarError(f"calendar {name} does not cover {first} to {last}: {reason}") from reason


def _make_calendar(name: str, start: date, end: date) -> Any:
    from exchange_calendars import calendar_utils, get_calendar

    # `get_calendar` remembers one calendar a name. Asking it for other dates would take away the
    # one that zipline holds, and zipline compares calendars by identity.
    factory = calendar_utils.global_calendar_dispatcher._calendar_factories.get(name)
    if factory is None:  # an instance that the user registered
        return get_calendar(name)
    return cached_calendar(factory, start, end)


def calendar_days(timestamps: npt.NDArray[np.datetime64]) -> tuple[date, date]:
    """First and last UTC date of some instants or sessions, as `load_calendar` wants them."""
    first, last = timestamps.min(), timestamps.max()
    return first.astype("datetime64[D]").item(), last.astype("datetime64[D]").item()


def to_instant(moment: Any) -> datetime:
    """An aware UTC datetime of whatever a caller passes for a time. Naive means UTC.

    Parameters
    ----------
    moment : datetime, date, pandas.Timestamp, numpy.datetime64 or ISO 8601 text
    """
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    elif isinstance(moment, np.datetime64):
        moment = moment.astype("datetime64[us]").item()
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    plain = moment.to_pydatetime(warn=False) if hasattr(moment, "to_pydatetime") else moment
    aware: datetime = plain.replace(tzinfo=UTC) if plain.tzinfo is None else plain
    return aware.astimezone(UTC)


def to_session(moment: Any) -> date:
    """The session that a caller means: the date as it is written, whatever its timezone."""
    if isinstance(moment, str):
        return date.fromisoformat(moment[:10])
    if isinstance(moment, np.datetime64):
        day: date = moment.astype("datetime64[D]").item()
        return day
    return date(moment.year, moment.month, moment.day)
