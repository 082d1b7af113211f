"""Bars and corporate actions of Massive, which was called Polygon.io."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from math import ceil
from typing import ClassVar, Literal

import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import DAILY, Bar, Frequency, empty_bars, listed, validate
from rustybt.data.calendars import calendar_days, load_calendar
from rustybt.data.errors import (
    AuthenticationError,
    OptionError,
    OutageError,
    RateLimitError,
    SourceError,
)
from rustybt.data.listings import Listings, merge_listings
from rustybt.data.sources import _hours
from rustybt.data.sources._budget import Budget, Rate
from rustybt.data.sources._fetched import Fetched, merge_fetched
from rustybt.data.sources._finality import Clock, ended, utc_now
from rustybt.data.sources._http import Http, Session
from rustybt.data.sources._polygon_answers import (
    CRYPTO,
    FOREX,
    MARKETS,
    PAGE,
    STOCKS,
    Market,
    market_of,
    refusal,
)
from rustybt.data.sources._polygon_bars import read_aggregates
from rustybt.data.sources._polygon_days import is_cheaper, read_days
from rustybt.data.sources._polygon_events import CURRENCY, TOGETHER, read_events
from rustybt.data.sources._polygon_feed import MassiveChannel, massive_feed
from rustybt.data.sources._polygon_listings import CALLS, read_listing
from rustybt.data.sources._polygon_lists import absence, tickers
from rustybt.data.sources._provider import (
    Answered,
    Group,
    ProviderSource,
    Range,
    conformed,
    in_groups,
)
from rustybt.data.sources._retries import Retries
from rustybt.data.sources._stream import BarStream, Pace, require_market
from rustybt.data.sources.base import DataSourceMetadata, SessionRange

#: How late the plans are that the provider answers with "DELAYED".
_DELAY = timedelta(minutes=15)
#: A day's trades are corrected until its files are published, the next morning.
_SETTLE_LAG = timedelta(days=1)
#: Minutes of trading that the provider has of a stock's day, and those of its session.
_EXTENDED, _SESSION = 960, 390


class PolygonDataSource(ProviderSource):
    """Massive, formerly Polygon.io: US stocks, crypto (X:BTCUSD) and forex (C:EURUSD).

    Bars are raw; splits and dividends come as events. A few sessions of many stocks are asked for
    by session, each with all stocks in one answer. `MassiveDataSource` is the same class.

    Parameters
    ----------
    api_key : str, optional
        By default the environment variable ``MASSIVE_API_KEY``, else ``POLYGON_API_KEY``.
    base_url : str
        ``https://api.polygon.io`` is the same service under its old name.
    market : {"stocks", "crypto", "forex"}
        Decides the calendar of bundles, and what `list_symbols` lists. Tickers of any market can
        be fetched: their prefix tells which it is.
    extended_hours : bool
        Keep intraday bars of before the open and after the close, which the provider has from
        04:00 to 20:00 in New York. Without them, bars that an open or close would divide are made
        of shorter ones, and the last one of a session ends with it. Daily bars are the provider's
        own in both cases.
    stream_url : str
        ``wss://delayed.massive.com`` for plans whose stream is 15 minutes late.
    requests_per_minute : float, optional
        What the plan allows, if it counts requests: 5 on the free one.
    timeout : float
        Seconds to wait for each part of an answer.
    retries : Retries, optional
        How often a failed request is repeated; see `rustybt.data.sources._retries.Retries`.
    clock : callable
    """

    environment_variables: ClassVar[tuple[str, ...]] = ("MASSIVE_API_KEY", "POLYGON_API_KEY")
    example_symbol: ClassVar[str | None] = "AAPL"

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str = "https://api.massive.com",
        market: Literal["stocks", "crypto", "forex"] = "stocks",
        extended_hours: bool = False,
        stream_url: str = "wss://socket.massive.com",
        requests_per_minute: float | None = None,
        timeout: float = 30.0,
        retries: Retries | None = None,
        clock: Clock = utc_now,
    ) -> None:
        if market not in MARKETS:
            raise OptionError(f"market is {market!r}; it must be one of {', '.join(MARKETS)}")
        named = (os.environ.get(name) for name in self.environment_variables)
        key = api_key or next(filter(None, named), "")
        self._has_key = bool(key)
        self._channel = MassiveChannel(stream_url, market, key)
        self._market = MARKETS[market]
        self._extended_hours = extended_hours
        self._pace = requests_per_minute
        self._clock = clock
        rates = [Rate(requests_per_minute, 60.0)] if requests_per_minute else []
        self._http = Http(
            "Massive",
            base_url,
            budget=Budget("massive", rates, credential=key),
            headers={"Authorization": f"Bearer {key}"},
            judge=refusal,
            timeout=timeout,
            retries=retries,
        )

    def get_metadata(self) -> DataSourceMetadata:
        """See `DataSource.get_metadata`."""
        return DataSourceMetadata(
            source_type="polygon",
            frequencies=(*_hours.INTRADAY, "1d"),
            adjustment="raw",
            bar_label="start",
            settle_lag=_SETTLE_LAG,
            calendar=self._market.calendar,
            currency=CURRENCY if self._market is STOCKS else None,
            version="v2",
            requests_per_minute=self._pace,
            config={"market": self._market.name, "extended_hours": self._extended_hours},
        )

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_needed`."""
        wanted = Frequency.parse(frequency)
        if self._goes_by_day(symbols, bars, wanted):
            return bars + self.calls_shared(symbols, bars, frequency)
        counted = float(bars)
        if wanted.intraday:
            counted *= _hours.minutes_of(wanted)
            counted *= _EXTENDED / _SESSION if self._market is STOCKS else 1
        own = symbols * max(1, ceil(counted / PAGE))
        return own + self.calls_shared(symbols, bars, frequency)

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:
        """Splits and dividends, each; see `DataSource.calls_shared`."""
        if self._market is not STOCKS:
            return 0
        wanted = Frequency.parse(frequency)
        if self._goes_by_day(symbols, bars, wanted):
            return 2
        together = 1 if wanted.intraday else self._together(symbols)
        return 2 * ceil(symbols / together)

    async def list_symbols(self) -> list[str]:
        """All tickers of the market, also of what is no longer traded, sorted."""
        async with self._connect() as session:
            found = [
                await tickers(session, is_active=is_active, market=self._market.reference)
                for is_active in (True, False)
            ]
        return sorted(set(pl.concat(found)["ticker"]))

    async def fetch_listings(self, symbols: list[str]) -> Listings:
        """See `DataSource.fetch_listings`; of stocks."""
        stocks = [symbol for symbol in listed(symbols) if market_of(symbol) is STOCKS]
        async with self._connect() as session:
            parts = await self._each(
                in_groups(stocks, 1), lambda group: read_listing(session, group[0], "polygon")
            )
        return merge_listings(parts)

    def listing_calls(self, symbols: int) -> int:
        """See `DataSource.listing_calls`."""
        return CALLS * symbols if self._market is STOCKS else 0

    def _groups(self, symbols: list[str], ranges: Mapping[Frequency, Range]) -> list[Group]:
        """Of daily bars, a few symbols whose events are asked for at once, or all of a few days."""
        if any(frequency.intraday for frequency in ranges):
            return super()._groups(symbols, ranges)
        stocks = [symbol for symbol in symbols if symbol[1:2] != ":"]
        days = self._days(next(iter(ranges.values())))
        if not self._goes_by_day(len(stocks), len(days), DAILY):
            return in_groups(symbols, self._together(len(symbols)))
        others = sorted(set(symbols).difference(stocks))
        return [*in_groups(stocks, len(stocks)), *in_groups(others, TOGETHER)]

    def _goes_by_day(self, symbols: int, days: int, frequency: Frequency) -> bool:
        """Whether days of the whole market are asked for, not each symbol."""
        return self._market is STOCKS and frequency == DAILY and is_cheaper(symbols, days)

    def _days(self, asked: Range) -> list[date]:
        """The sessions of a range up to today."""
        first, last = asked.first, min(asked.last, self._clock().date())
        if isinstance(first, datetime) or first > last:
            return []
        days: list[date] = load_calendar(STOCKS.calendar, first, last).sessions.tolist()
        return days

    async def _answers(
        self, connection: Session, group: Group, asked: Range, frequency: Frequency
    ) -> Fetched:
        is_stocks = not frequency.intraday and market_of(group[0]) is STOCKS
        if not is_stocks or not self._goes_by_day(len(group), len(self._days(asked)), DAILY):
            return await super()._answers(connection, group, asked, frequency)
        try:
            return await self._all_together(connection, group, asked)
        except (OutageError, RateLimitError) as error:
            return Fetched(empty_bars(DAILY), dict.fromkeys(group, error))
        except SourceError:  # a plan without such answers, say, may have those by symbol
            return await super()._answers(connection, group, asked, frequency)

    async def _all_together(self, connection: Session, group: Group, asked: Range) -> Fetched:
        """Daily bars of many stocks, by session; who has none, or false ones, is asked for."""
        rows, late = await read_days(connection, group, self._days(asked))
        now = self._clock() - (_DELAY if late else timedelta(0))
        bars = conformed(ended(rows, DAILY, STOCKS.calendar, now), "Massive", DAILY, asked)
        left = {*validate(bars)["symbol"], *set(group).difference(rows["symbol"])}
        good = bars.filter(~pl.col("symbol").is_in(list(left))) if left else bars
        forming = set(rows["symbol"]).difference(bars["symbol"])
        known = Fetched(good, absences=dict.fromkeys(sorted(forming), Answered.absence))
        others = [await self._answer(connection, each, asked, DAILY) for each in sorted(left)]
        return merge_fetched([known, *others], DAILY)

    def _together(self, symbols: int) -> int:
        """How many of so many symbols' events are asked for at once."""
        return min(TOGETHER, ceil(symbols / self.concurrency) or 1)

    async def _events_of_group(
        self, connection: Session, group: Group, asked: SessionRange
    ) -> Events:
        stocks = [symbol for symbol in group if market_of(symbol) is STOCKS]
        return await read_events(connection, stocks, asked) if stocks else Events()

    def supports_live(self) -> bool:
        """Yes, the symbols of its market."""
        return True

    def stream(
        self,
        symbols: list[str],
        frequency: str,
        *,
        since: Mapping[str, datetime | date] | None = None,
    ) -> AsyncIterator[Bar]:
        """See `DataSource.stream`; symbols of one market, that of the source.

        Raises
        ------
        RefusedRequestError
            If a symbol is of another one.
        """
        self._require_key()
        markets = {symbol: market_of(symbol).name for symbol in symbols}
        require_market("Massive", self._market.name, markets)
        is_regular = not self._extended_hours and self._market is not CRYPTO
        wanted = self._supported(frequency)
        feed = massive_feed(self._channel, symbols, wanted, sessions_only=is_regular)
        return BarStream(self, feed, symbols, frequency, since=since, pace=Pace(self._clock))

    def _connect(self) -> AbstractAsyncContextManager[Session]:
        self._require_key()
        return self._http.session()

    def _require_key(self) -> None:
        if not self._has_key:
            raise AuthenticationError(
                "Massive wants an API key: pass api_key=, or set the environment variable "
                + " or ".join(self.environment_variables)
            )

    async def _bars_of(
        self, connection: Session, symbol: str, asked: Range, frequency: Frequency
    ) -> Answered:
        market = market_of(symbol)
        of, first = frequency, asked.first
        if frequency.intraday and isinstance(first, datetime):
            first -= frequency.duration
            if not self._extended_hours and market is not CRYPTO:
                of = _hours.parts_of(frequency)
        rows, late = await read_aggregates(connection, symbol, of, first, asked.last)
        if rows.is_empty():
            day = first.date() if isinstance(first, datetime) else first
            reason = await absence(connection, symbol, day)
            return Answered(empty_bars(frequency), reason)
        bars = self._dated(rows, of, frequency, symbol).with_columns(symbol=pl.lit(symbol))
        now = self._clock() - (_DELAY if late else timedelta(0))
        return Answered(ended(bars, frequency, market.calendar, now))

    def _dated(
        self, rows: pl.DataFrame, of: Frequency, frequency: Frequency, symbol: str
    ) -> pl.DataFrame:
        market = market_of(symbol)
        if not frequency.intraday:
            bars = _hours.sessions(rows, market.timezone, f"{symbol} at Massive")
            return _on_sessions(bars, market) if self._excludes_weekends(market) else bars
        if self._extended_hours or market is CRYPTO:
            return _hours.ending(rows, of)
        return _hours.regular(rows, of, frequency, market.calendar, market.timezone)

    def _excludes_weekends(self, market: Market) -> bool:
        """Forex opens on Sunday evening, which is a bar of its own."""
        return market is FOREX and not self._extended_hours


#: The provider's name of today.
MassiveDataSource = PolygonDataSource


def _on_sessions(bars: pl.DataFrame, market: Market) -> pl.DataFrame:
    days = bars["timestamp"].to_numpy().astype("datetime64[D]")
    known = load_calendar(market.calendar, *calendar_days(days)).sessions
    return bars.filter(pl.col("timestamp").is_in(pl.Series(known)))
