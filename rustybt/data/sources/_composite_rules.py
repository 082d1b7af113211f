"""Who may be asked for what: the rules of a composite source, and the ranges they cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Any

from rustybt.data.bars import Frequency
from rustybt.data.calendars import to_session
from rustybt.data.errors import OptionError
from rustybt.data.sources.base import (
    DataSource,
    InstantRange,
    SessionRange,
    requested_instants,
    requested_sessions,
)

Label = date | datetime

_MICROSECOND, _DAY = timedelta(microseconds=1), timedelta(days=1)
_EARLIEST = {True: datetime.min.replace(tzinfo=UTC), False: date.min}
_LATEST = {True: datetime.max.replace(tzinfo=UTC), False: date.max}


@dataclass(frozen=True)
class Supplier:
    """A provider in a composite source, and what it may be asked for.

    Attributes
    ----------
    source : DataSource
    name : str
        How reports call it; by default the type of the source, with its feed if it has one.
    symbols : sequence of str
        Names, or patterns of the shell: ``AAPL``, ``*/USDT``.
    start, end : date or None
        First and last day that it is asked for, both included; None for no bound. Of intraday
        bars, a day is the bars that begin on it, in UTC.
    """

    source: DataSource
    name: str = ""
    symbols: Sequence[str] = ("*",)
    start: date | None = None
    end: date | None = None

    def __post_init__(self) -> None:
        if isinstance(self.symbols, str):
            raise OptionError(f"symbols is {self.symbols!r}; it must be a list of names")
        object.__setattr__(self, "symbols", tuple(self.symbols))
        for bound in ("start", "end"):
            if getattr(self, bound) is not None:
                object.__setattr__(self, bound, to_session(getattr(self, bound)))
        if self.start and self.end and self.start > self.end:
            raise OptionError(f"{self.name or 'a supplier'} starts {self.start}, after {self.end}")
        metadata = self.source.get_metadata()
        parts = [metadata.source_type, *([metadata.feed] if metadata.feed else [])]
        object.__setattr__(self, "name", self.name or ":".join(parts))

    def has_symbol(self, symbol: str) -> bool:
        """Whether it may be asked for a symbol."""
        return any(fnmatchcase(symbol, pattern) for pattern in self.symbols)

    def has_frequency(self, frequency: Frequency) -> bool:
        """Whether its source has such bars."""
        return frequency in map(Frequency.parse, self.source.get_metadata().frequencies)

    def hides(self, other: "Supplier") -> bool:
        """Whether the other one, standing behind it, is asked only if this one falls through."""
        return (
            "*" in self.symbols
            and (self.start is None or (other.start is not None and self.start <= other.start))
            and (self.end is None or (other.end is not None and self.end >= other.end))
        )

    def span(self, intraday: bool) -> "Span":
        """The labels of the bars that it may be asked for."""
        first, last = _EARLIEST[intraday], _LATEST[intraday]
        if self.start is not None:
            first = _midnight(self.start) + _MICROSECOND if intraday else self.start
        if self.end is not None:
            last = _midnight(self.end + _DAY) if intraday else self.end
        return Span(first, last)


@dataclass(frozen=True)
class Span:
    """Labels of bars from `first` to `last`, both included: sessions, or instants."""

    first: Any
    last: Any

    @property
    def intraday(self) -> bool:
        """Whether these are instants."""
        return isinstance(self.first, datetime)

    def covers(self, other: "Span") -> bool:
        """Whether the other one lies in it."""
        return bool(self.first <= other.first and other.last <= self.last)

    def as_request(self) -> tuple[Label | None, Label | None]:
        """Start and end that mean it to `DataSource.fetch`.

        A midnight means a date there, so an instant at midnight is spelled beside it.
        """
        first, last = self.first, self.last
        if self.intraday:
            first -= _MICROSECOND * (first.time() == time() and first > _EARLIEST[True])
            last += _MICROSECOND * (last.time() == time())
        return (
            None if first == _EARLIEST[self.intraday] else first,
            None if last == _LATEST[self.intraday] else last,
        )

    def days(self) -> tuple[date | None, date | None]:
        """First and last day, None where it is open; of instants, those on which bars begin."""
        first, last = self.as_request()
        if isinstance(last, datetime):
            last = (self.last - _MICROSECOND).date()
        return (first.date() if isinstance(first, datetime) else first), last


def requested_span(start: Any, end: Any, frequency: Frequency) -> Span:
    """What a request means, open where it names no date.

    Raises
    ------
    DateRangeError
        If `start` lies after `end`.
    """
    earliest, latest = _EARLIEST[frequency.intraday], _LATEST[frequency.intraday]
    known = end if start is None else start
    if known is None:
        return Span(earliest, latest)
    given = (known if start is None else start, known if end is None else end)
    asked: SessionRange | InstantRange
    if frequency.intraday:
        asked = requested_instants(*given, frequency)
    else:
        asked = requested_sessions(*given)
    return Span(earliest if start is None else asked.first, latest if end is None else asked.last)


def assign(asked: Span, suppliers: Sequence[Supplier]) -> list[tuple[Span, tuple[Supplier, ...]]]:
    """The parts of a span, in order and without a gap, each with who may supply it."""
    tick = _MICROSECOND if asked.intraday else _DAY
    spans = {supplier.name: supplier.span(asked.intraday) for supplier in suppliers}
    begins = {asked.first}
    for span in spans.values():
        begins.add(span.first)
        if span.last != _LATEST[asked.intraday]:
            begins.add(span.last + tick)
    inside = sorted(begin for begin in begins if asked.first <= begin <= asked.last)
    parts: list[tuple[Span, tuple[Supplier, ...]]] = []
    for begin, after in zip(inside, [*inside[1:], None], strict=True):
        part = Span(begin, asked.last if after is None else after - tick)
        able = tuple(each for each in suppliers if spans[each.name].covers(part))
        if parts and parts[-1][1] == able:
            part = Span(parts.pop()[0].first, part.last)
        parts.append((part, able))
    return parts


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
