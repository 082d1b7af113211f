"""Yahoo Finance, through the yfinance library: no key, no contract, no promise."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from importlib.metadata import version
from math import ceil
from typing import Any, ClassVar, Literal

import polars as pl
import stamina

from rustybt.data.adjustments import Events
from rustybt.data.bars import Bar, Frequency
from rustybt.data.calendars import resolve_name
from rustybt.data.errors import (
    DateRangeError,
    DelistedSymbolError,
    MalformedAnswerError,
    OptionError,
    OutageError,
)
from rustybt.data.sources._circuit import Circuit
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.data.sources._provider import Answered, ProviderSource, Range
from rustybt.data.sources._recent import Recent
from rustybt.data.sources._retries import Retries
from rustybt.data.sources._stream import BarStream, Pace
from rustybt.data.sources._yahoo_bars import daily_bars, intraday_bars, require_adjusted
from rustybt.data.sources._yahoo_chart import Chart
from rustybt.data.sources._yahoo_client import HOST, YahooClient
from rustybt.data.sources._yahoo_markets import calendar_of, calendar_of_symbol, note_of_currency
from rustybt.data.sources._yahoo_prices import (
    NO_SPLITS,
    raw_events,
    require_applied,
    split_events,
)
from rustybt.data.sources._yfinance_feed import URL as STREAM
from rustybt.data.sources._yfinance_feed import YahooChannel, yahoo_feed
from rustybt.data.sources.base import DataSourceMetadata, InstantRange, SessionRange

#: How far back Yahoo's intraday bars reach, and how much of them one request may ask for.
_REACH = {
    "1m": timedelta(days=30),
    **dict.fromkeys(("2m", "5m", "15m", "30m", "90m"), timedelta(days=60)),
    "1h": timedelta(days=730),
}
_A_REQUEST = {"1m": timedelta(days=7)}
#: The day before which Yahoo has nothing.
_BEGINNING = date(1900, 1, 1)
#: Enough days for a session to lie among them: a bar before the range, a sign of life.
_A_WHILE = timedelta(days=14)
_MINUTES_A_WEEK = 5 * 390
_RETRIES = Retries()


@dataclass
class _Connection:
    client: YahooClient
    daily: Recent[Chart] = field(default_factory=lambda: Recent(2 * ProviderSource.concurrency))


@dataclass(frozen=True)
class YFinanceDataSource(ProviderSource):
    """Stocks, funds, indices, currencies and crypto of many markets, from Yahoo Finance.

    Bars are raw: Yahoo adjusts all prices for splits, which is undone with its own splits, and
    proved by deriving its adjusted close again from the result. Prices are in the unit that Yahoo
    quotes: London's are in pence (``GBp``).

    Parameters
    ----------
    adjustment : {"raw", "split"}
        ``split`` takes the bars as Yahoo adjusts them, without proof and without events.
    calendar : str, optional
        The calendar of the market; by default that of the exchange that Yahoo names.
    extended_hours : bool
        Whether intraday bars include trading before the open and after the close.
    session : curl_cffi.requests.Session or requests.Session, optional
        As yfinance takes it.
    stream_url : str
        Where prices are streamed from, as yfinance's ``AsyncWebSocket`` takes it.
    timeout : float
        Seconds to wait for an answer.
    retries : Retries
        How often outages and garbled answers are asked again.
    clock : callable
        Tells the time: a bar is returned once it has ended.
    """

    example_symbol: ClassVar[str | None] = "AAPL"

    adjustment: Literal["raw", "split"] = "raw"
    calendar: str | None = None
    extended_hours: bool = False
    session: Any = field(default=None, repr=False, compare=False)
    stream_url: str = STREAM
    timeout: float = 30.0
    retries: Retries = field(default=_RETRIES, repr=False)
    clock: Clock = field(default=utc_now, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.adjustment not in ("raw", "split"):
            raise OptionError(f"adjustment is {self.adjustment!r}; it must be raw or split")
        if self.calendar is not None:
            resolve_name(self.calendar)

    def get_metadata(self) -> DataSourceMetadata:
        """See `DataSource.get_metadata`."""
        return DataSourceMetadata(
            "yfinance",
            frequencies=("1d", *_REACH),
            adjustment=self.adjustment,
            bar_label="start",
            settle_lag=timedelta(days=3),
            calendar=self.calendar,
            feed="extended hours" if self.extended_hours else "",
            version=f"yfinance {version('yfinance')}",
        )

    def calendar_of(self, symbols: Sequence[str]) -> str | None:
        """What the endings of the symbols say, if they say the same."""
        if self.calendar is not None:
            return self.calendar
        found = {calendar_of_symbol(symbol) for symbol in symbols}
        return found.pop() if len(found) == 1 else None

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """One request a symbol; for intraday bars one more, and for minutes one a week."""
        wanted = Frequency.parse(frequency)
        if not wanted.intraday:
            return symbols
        weeks = ceil(bars / _MINUTES_A_WEEK) if str(wanted) in _A_REQUEST else 1
        return symbols * (weeks + 1)

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:  # noqa: ARG002
        """The daily chart, which has the events as well and says the market."""
        return symbols

    def supports_live(self) -> bool:
        """Yes: its stream shows how bars form; final ones are fetched when they have ended."""
        return True

    def stream(
        self,
        symbols: list[str],
        frequency: str,
        *,
        since: Mapping[str, datetime | date] | None = None,
    ) -> AsyncIterator[Bar]:
        """See `DataSource.stream`."""
        channel = YahooChannel(
            self.stream_url, self.extended_hours, has_calendar=self.calendar_of(symbols) is not None
        )
        feed = yahoo_feed(channel, symbols, self._supported(frequency))
        return BarStream(self, feed, symbols, frequency, since=since, pace=Pace(self.clock))

    @cached_property
    def _yahoo(self) -> YahooClient:
        return YahooClient(self.session, self.timeout)

    @cached_property
    def _circuit(self) -> Circuit:
        return Circuit(HOST, clock=self.clock)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[_Connection]:
        yield _Connection(self._yahoo)

    def _whole(self, frequency: Frequency) -> tuple[Any, Any]:
        """All that Yahoo has."""
        now = self.clock()
        if not frequency.intraday:
            return _BEGINNING, now
        # Some minutes later, since Yahoo's clock goes on while it is asked.
        reach = _REACH[str(frequency)] - frequency.duration - timedelta(minutes=5)
        return now - reach, now

    def _requested(self, start: Any, end: Any, frequency: Frequency) -> Range:
        asked = super()._requested(start, end, frequency)
        if isinstance(asked, InstantRange):
            reach = _REACH[str(frequency)]
            earliest = self.clock() - reach
            if asked.first - frequency.duration < earliest:
                raise DateRangeError(
                    f"Yahoo has {frequency} bars of the last {reach.days} days, from "
                    f"{earliest:%Y-%m-%d %H:%M} UTC; {asked.first:%Y-%m-%d %H:%M} lies before. "
                    "Ask from then on, or for longer bars"
                )
        return asked

    async def _bars_of(
        self, connection: _Connection, symbol: str, asked: Range, frequency: Frequency
    ) -> Answered:
        if isinstance(asked, SessionRange):
            return await self._sessions(connection, symbol, asked)
        return await self._intraday(connection, symbol, asked, frequency)

    async def _sessions(
        self, connection: _Connection, symbol: str, asked: SessionRange
    ) -> Answered:
        chart = await self._daily(connection, symbol, asked.first)
        splits = NO_SPLITS
        if self.adjustment == "raw":
            splits = raw_events(symbol, chart, asked.last).splits
        calendar = self._market(chart) or "24/7"
        bars = daily_bars(symbol, chart, splits, calendar, self.clock())
        inside = bars.filter(pl.col("timestamp").is_between(asked.first, asked.last))
        return Answered(inside, self._absence(symbol, chart, asked.first, len(inside)))

    async def _intraday(
        self, connection: _Connection, symbol: str, asked: InstantRange, frequency: Frequency
    ) -> Answered:
        splits = NO_SPLITS
        daily = await self._daily(connection, symbol, asked.first.date())
        windows = _windows(asked, frequency, self.clock())
        answers = [
            await self._ask(connection, symbol, str(frequency), *window) for window in windows
        ]
        charts = [chart for chart in answers if chart is not None]
        if self.adjustment == "raw":
            splits = split_events(symbol, daily)
            require_applied(symbol, daily, splits)
            if len(splits):
                require_adjusted(symbol, charts, daily)
        market = self._market(daily)
        calendar = None if self.extended_hours or market == "24/7" else market
        bars = intraday_bars(symbol, charts, frequency, splits, calendar, self.clock())
        inside = bars.filter(pl.col("timestamp").is_between(asked.first, asked.last))
        return Answered(inside, self._absence(symbol, daily, asked.first.date(), len(inside)))

    async def _events_of(self, connection: _Connection, symbol: str, asked: SessionRange) -> Events:
        chart = await self._daily(connection, symbol, asked.first)
        events = raw_events(symbol, chart, asked.last)
        inside = pl.col("ex_date").is_between(asked.first, asked.last)
        return Events(
            splits=events.splits.filter(inside),
            dividends=events.dividends.filter(inside),
            notes=note_of_currency(symbol, chart.meta),
        )

    def _market(self, chart: Chart) -> str | None:
        return self.calendar or calendar_of(chart.meta)

    def _absence(self, symbol: str, chart: Chart, first: date, bars: int) -> str:
        """Why there are no bars, if there are none."""
        last = chart.last_trade
        gone = last is not None and last.date() < first and last + _A_WHILE < self.clock()
        if gone and not bars:
            raise _delisted(symbol, f"after {last:%Y-%m-%d}")
        began = chart.meta.get("firstTradeDate")
        if began is None:
            return Answered.absence
        return f"no bars in the range asked for; its first trade was on {_day(began)}"

    async def _daily(self, connection: _Connection, symbol: str, first: date) -> Chart:
        """Sessions from a while before `first` until now, so that all later splits are known."""
        known = connection.daily.get((symbol, first))
        if known is not None:
            return known
        now = self.clock()
        midnight = datetime.combine(max(first, _BEGINNING), time(), UTC)
        since = max(min(midnight, now) - _A_WHILE, datetime.combine(_BEGINNING, time(), UTC))
        # Today's events are dated at the open, and prices may be adjusted for them before.
        chart = await self._ask(connection, symbol, "1d", since, now + timedelta(days=1))
        if chart is None:
            raise _delisted(symbol, f"from {since:%Y-%m-%d} on")
        return connection.daily.keep((symbol, first), chart)

    async def _ask(
        self, connection: _Connection, symbol: str, interval: str, start: datetime, end: datetime
    ) -> Chart | None:
        """One chart, in a thread, asked for again if that may help."""
        with self._circuit.watched():
            async for attempt in stamina.retry_context(
                on=(OutageError, MalformedAnswerError), timeout=None, **vars(self.retries)
            ):
                with attempt:
                    chart = await asyncio.to_thread(
                        connection.client.chart, symbol, interval, start, end, self.extended_hours
                    )
        return chart


def _windows(
    asked: InstantRange, frequency: Frequency, now: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """The ranges of starts to ask for, one after the other."""
    start, stop = asked.first - frequency.duration, min(asked.last, now)
    step = _A_REQUEST.get(str(frequency), stop - start)
    while start < stop:
        yield start, min(start + step, stop)
        start += step


def _delisted(symbol: str, when: str) -> DelistedSymbolError:
    return DelistedSymbolError(
        f"Yahoo knows {symbol} and has no trade of it {when}: it is no longer traded, or suspended"
    )


def _day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()
