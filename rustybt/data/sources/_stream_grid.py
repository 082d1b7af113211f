"""Which bar an instant falls into, and when a bar begins and ends: the time axis of a stream."""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from rustybt.data.bars import DAILY, Frequency
from rustybt.data.calendars import load_calendar
from rustybt.data.errors import FrequencyError

#: The `timestamp` of a bar: its end for intraday bars, its session for daily ones. All labels of
#: one stream are of one of the two types; `Any` because they compare only with their own.
Label = Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Grid(ABC):
    """The labels of a stream, in order, and the time that each bar lasts."""

    @abstractmethod
    def start(self, label: Label) -> datetime:
        """The instant at which a bar begins."""

    @abstractmethod
    def end(self, label: Label) -> datetime:
        """The instant at which a bar ends."""

    @abstractmethod
    def after(self, label: Label) -> Label:
        """The next label."""

    @abstractmethod
    def before(self, label: Label) -> Label:
        """The label before."""

    @abstractmethod
    def last_ended(self, instant: datetime) -> Label:
        """The newest label whose bar has ended at an instant."""

    @abstractmethod
    def has(self, label: Label) -> bool:
        """Whether there is a bar of that label, as far as the market's hours go."""

    def reaching(self, instant: datetime) -> Label:
        """The earliest label whose bar ends at an instant or later."""
        return self.after(self.last_ended(instant - timedelta(microseconds=1)))

    def holding(self, instant: datetime) -> Label | None:
        """The label of the bar that an instant lies in; None when the market is closed."""
        label = self.after(self.last_ended(instant))
        return label if self.start(label) <= instant else None

    def holding_piece(self, ended: datetime) -> Label | None:
        """The label of the bar that a finer one, which ended at an instant, is a part of."""
        label = self.reaching(ended)
        return label if self.start(label) < ended else None


@dataclass(frozen=True)
class IntradayGrid(Grid):
    """Bars of one length that begin at its multiples since 1970, UTC.

    Attributes
    ----------
    length : timedelta
    hours : SessionGrid or None
        The sessions that updates count in; None for all hours.
    """

    length: timedelta
    hours: "SessionGrid | None" = None

    def start(self, label: Label) -> datetime:
        """See `Grid`."""
        begun: datetime = label - self.length
        return begun

    def end(self, label: Label) -> datetime:
        """See `Grid`."""
        ended: datetime = label
        return ended

    def after(self, label: Label) -> Label:
        """The next label with a moment of trading."""
        following = label + self.length
        if self.hours is None or self.hours.holding_piece(following) is not None:
            return following
        opened = self.hours.start(self.hours.reaching(following))
        return self.last_ended(opened) + self.length

    def before(self, label: Label) -> Label:
        """See `Grid`."""
        return label - self.length

    def last_ended(self, instant: datetime) -> Label:
        """See `Grid`."""
        return instant - (instant - _EPOCH) % self.length

    def has(self, label: Label) -> bool:
        """See `Grid`."""
        if self.hours is None:
            return True
        session = self.hours.holding_piece(label)
        return session is not None and self.hours.start(session) <= label - self.length

    def holding(self, instant: datetime) -> Label | None:
        """See `Grid`."""
        is_open = self.hours is None or self.hours.holding(instant) is not None
        return super().holding(instant) if is_open else None

    def holding_piece(self, ended: datetime) -> Label | None:
        """See `Grid`."""
        was_open = self.hours is None or self.hours.holding_piece(ended) is not None
        return super().holding_piece(ended) if was_open else None


@dataclass(frozen=True)
class SessionGrid(Grid):
    """The sessions of a calendar, from their open to their close."""

    calendar: str

    def start(self, label: Label) -> datetime:
        """See `Grid`."""
        days, opens, _ = _sessions(self.calendar, label.year)
        return opens[bisect_left(days, label)]

    def end(self, label: Label) -> datetime:
        """See `Grid`."""
        days, _, closes = _sessions(self.calendar, label.year)
        return closes[bisect_left(days, label)]

    def after(self, label: Label) -> Label:
        """See `Grid`."""
        days, _, _ = _sessions(self.calendar, label.year)
        return days[bisect_right(days, label)]

    def before(self, label: Label) -> Label:
        """See `Grid`."""
        days, _, _ = _sessions(self.calendar, label.year)
        return days[bisect_left(days, label) - 1]

    def last_ended(self, instant: datetime) -> Label:
        """See `Grid`."""
        days, _, closes = _sessions(self.calendar, instant.year)
        return days[bisect_right(closes, instant) - 1]

    def has(self, label: Label) -> bool:
        """See `Grid`."""
        days, _, _ = _sessions(self.calendar, label.year)
        return bool(days[bisect_left(days, label)] == label)


def grid_of(frequency: Frequency, calendar: str, *, sessions_only: bool = False) -> Grid:
    """The time axis of a frequency.

    Parameters
    ----------
    sessions_only : bool
        Whether intraday bars are those of the calendar's sessions, or of all hours.

    Raises
    ------
    FrequencyError
        If such bars do not stream: they are longer than a session, or where they begin is a
        matter of opinion.
    """
    if frequency == DAILY:
        return SessionGrid(calendar)
    # Opens, closes and timezones lie on hours and their halves, so that shorter bars begin alike
    # wherever they are counted from.
    whole = timedelta(hours=1) if sessions_only else timedelta(days=1)
    if not frequency.intraday or whole % frequency.duration:
        raise FrequencyError(
            f"bars of {frequency} do not stream; stream 1d, 1h, or minutes that divide an hour"
        )
    return IntradayGrid(frequency.duration, SessionGrid(calendar) if sessions_only else None)


@cache
def _sessions(calendar: str, year: int) -> tuple[list[date], list[datetime], list[datetime]]:
    """Sessions, opens and closes of a year and of a month on either side of it."""
    market = load_calendar(calendar, date(year - 1, 12, 1), date(year + 1, 1, 31))
    days: list[date] = market.sessions.astype("datetime64[D]").tolist()
    # A minute is labelled at its end, so the market opens one minute before the first.
    opens = [_aware(each) - timedelta(minutes=1) for each in market.first_minutes.tolist()]
    return days, opens, [_aware(each) for each in market.closes.tolist()]


def _aware(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)
