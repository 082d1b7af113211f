"""Bars of a portal, kept in memory: a loop over days is a handful of fetches.

Each time that a request goes on where the last one ended, the next fetch reaches twice as far
ahead, up to what is final. What may still be revised is never kept here: the source, or the cache
in front of it, is asked each time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rustybt.data.adjustments import Events
from rustybt.data.bars import Frequency
from rustybt.data.sources._fetched import Fetched, merge_fetched
from rustybt.data.sources._finality import Clock
from rustybt.data.sources._intervals import Interval
from rustybt.data.sources._time_axis import as_request, day_number, known_at
from rustybt.data.sources.base import DataSource
from rustybt.data.sources.cached_source import CachedDataSource

#: How far the first fetch reaches ahead, and the most: in days, for sessions and for instants.
_AHEAD = {False: (64, 4096), True: (1, 32)}
_MINUTES_A_DAY = 1440


@dataclass
class _Window:
    """What is in memory of one frequency."""

    interval: Interval
    fetched: Fetched
    symbols: set[str]
    ahead: int = 0


@dataclass
class Prefetched:
    """The bars and events of a source, with a window of each frequency in memory.

    Parameters
    ----------
    source : DataSource
    calendar : str
    clock : Clock
    """

    source: DataSource
    calendar: str
    clock: Clock
    _windows: dict[Frequency, _Window] = field(default_factory=dict)
    _events: tuple[set[str], Interval, Events] | None = None

    async def bars(self, symbols: list[str], asked: Interval, frequency: Frequency) -> Fetched:
        """At least the bars of some symbols in an interval; there may be others around."""
        final = self._final(frequency)
        window = self._windows.get(frequency)
        if asked.last > final:
            return await self._fetch(symbols, asked, frequency)
        is_inside = window is not None and _within(asked, window.interval)
        if window is None or not is_inside:
            window = await self._moved(window, symbols, asked, frequency, final)
            self._windows[frequency] = window
        lacking = sorted(set(symbols) - window.symbols)
        if lacking:
            more = await self._fetch(lacking, window.interval, frequency)
            window.fetched = merge_fetched([window.fetched, more], frequency)
            window.symbols |= _answered(lacking, more)
        elif is_inside and isinstance(self.source, CachedDataSource):
            self.source.count_hit()
        return window.fetched

    async def events(self, symbols: list[str], days: Interval) -> Events:
        """At least the corporate actions of some symbols with an ex-date in an interval of days."""
        if self._events is not None:
            known, reach, events = self._events
            if set(symbols) <= known and _within(days, reach):
                return events
        yesterday = day_number(self.clock().date()) - 1
        reach = Interval(days.first, max(days.last, yesterday))
        first, last = as_request(reach)
        events = await self.source.fetch_events(symbols, first, last)
        # Those of today may still be announced.
        self._events = (set(symbols), Interval(reach.first, yesterday), events)
        return events

    async def _moved(
        self,
        window: _Window | None,
        symbols: list[str],
        asked: Interval,
        frequency: Frequency,
        final: int,
    ) -> _Window:
        """A window that begins where the request does and reaches further ahead than it."""
        first, most = _AHEAD[frequency.intraday]
        goes_on = window is not None and window.interval.first <= asked.first
        ahead = min(window.ahead * 2, most) if window is not None and goes_on else first
        day = _MINUTES_A_DAY if frequency.intraday else 1
        reach = Interval(asked.first, max(asked.last, min(asked.last + ahead * day, final)))
        wanted = set(symbols) | (window.symbols if window is not None and goes_on else set())
        fetched = await self._fetch(sorted(wanted), reach, frequency)
        return _Window(reach, fetched, _answered(wanted, fetched), ahead)

    async def _fetch(self, symbols: list[str], asked: Interval, frequency: Frequency) -> Fetched:
        start, end = as_request(asked, frequency)
        return await self.source.fetch_available(symbols, start, end, str(frequency))

    def _final(self, frequency: Frequency) -> int:
        metadata = self.source.get_metadata()
        return known_at(self.clock(), frequency, self.calendar, metadata.settle_lag).final


def _within(one: Interval, other: Interval) -> bool:
    return other.first <= one.first and one.last <= other.last


def _answered(symbols: Iterable[str], fetched: Fetched) -> set[str]:
    """Symbols that need not be asked for again: they were had, or there are no such symbols."""
    return {
        symbol
        for symbol in symbols
        if isinstance(fetched.failures.get(symbol), LookupError | type(None))
    }
