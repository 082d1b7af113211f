"""What an ingest would ask of its source: calls, rows and time, without asking for any of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

import numpy as np

from rustybt.data.bars import Frequency
from rustybt.data.calendars import load_calendar, to_session
from rustybt.data.errors import OptionError


class Planned(Protocol):
    """What a plan needs of a `rustybt.data.sources.DataSource`."""

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_needed`."""

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_shared`."""

    def listing_calls(self, symbols: int) -> int:
        """See `DataSource.listing_calls`."""

    def get_metadata(self) -> Any:
        """See `DataSource.get_metadata`."""


@dataclass(frozen=True)
class Ask:
    """One request of a source.

    Attributes
    ----------
    symbols : tuple of str
    start, end : date, datetime, pandas.Timestamp, ISO text or None
        Both included; None for the first and the last that the source has.
    """

    symbols: tuple[str, ...]
    start: Any
    end: Any


@dataclass(frozen=True)
class Plan:
    """What an ingest would take.

    Attributes
    ----------
    symbols : int
    calls : int
        Requests to the provider; none for files.
    rows : int or None
        Bars, if every session and minute of the range has one; None where the range is open.
    seconds : float or None
        How long the provider's pace makes the calls last; None if it names none.
    requests_per_minute : float or None
        That pace.
    asks : tuple of Ask
    """

    symbols: int
    calls: int
    rows: int | None
    seconds: float | None
    requests_per_minute: float | None
    asks: tuple[Ask, ...]


def plan_of(
    source: Planned,
    asks: Sequence[Ask],
    frequencies: Sequence[Frequency],
    calendar: str,
    now: datetime,
    listings: int = 0,
) -> Plan:
    """Count what the asks take.

    Parameters
    ----------
    listings : int
        How many symbols' listings are asked for as well.

    Raises
    ------
    OptionError
        If the source asks a provider and the range has no start.
    """
    metadata = source.get_metadata()
    calls = source.listing_calls(listings)
    counts: list[int | None] = []
    for ask in asks:
        shared = []
        for frequency in frequencies:
            bars = bars_between(ask, frequency, calendar, now)
            counts.append(bars if bars is None else bars * len(ask.symbols))
            if bars is None and source.calls_needed(len(ask.symbols), 1, str(frequency)):
                raise OptionError(
                    f"how much {metadata.source_type} would be asked for depends on the first "
                    "date: say it (start, --start)"
                )
            request = len(ask.symbols), bars or 0, str(frequency)
            shared.append(source.calls_shared(*request))
            calls += source.calls_needed(*request) - shared[-1]
        calls += max(shared)
    pace = metadata.requests_per_minute
    return Plan(
        symbols=len({symbol for ask in asks for symbol in ask.symbols}),
        calls=calls,
        rows=_sum(counts),
        seconds=None if pace is None else 60.0 * calls / pace,
        requests_per_minute=pace,
        asks=tuple(asks),
    )


def bars_between(ask: Ask, frequency: Frequency, calendar: str, now: datetime) -> int | None:
    """Bars of one symbol in the range of an ask, up to now; None if it has no start."""
    if ask.start is None:
        return None
    today = now.astimezone(UTC).date()
    first = to_session(ask.start)
    last = min(to_session(ask.end), today) if ask.end is not None else today
    if first > last:
        return 0
    return _bars_of(frequency, calendar, first, last)


def _bars_of(frequency: Frequency, calendar: str, first: date, last: date) -> int:
    market = load_calendar(calendar, first, last)
    if not frequency.intraday:
        return len(market.sessions)
    minutes = (market.closes - market.first_minutes).astype(np.int64) + 1
    length = frequency.duration.total_seconds() / 60
    return int(np.ceil(minutes / length).sum())


def _sum(counts: Iterable[int | None]) -> int | None:
    listed = list(counts)
    known = [count for count in listed if count is not None]
    return sum(known) if len(known) == len(listed) else None
