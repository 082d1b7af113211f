"""Alpha Vantage: US and international stocks, currencies and crypto."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import Frequency
from rustybt.data.calendars import resolve_name
from rustybt.data.errors import (
    AuthenticationError,
    DateRangeError,
    DelistedSymbolError,
    OptionError,
    RefusedRequestError,
    UnknownSymbolError,
)
from rustybt.data.listings import Listings, merge_listings
from rustybt.data.sources._alphavantage_answers import (
    Series,
    read_list,
    read_listing,
    read_series,
    refusal,
)
from rustybt.data.sources._alphavantage_bars import (
    DIVIDEND_ROW,
    SPLIT_ROW,
    daily_bars,
    inside,
    intraday_bars,
    listed_events,
    months,
    proved_events,
)
from rustybt.data.sources._alphavantage_markets import CRYPTO, MARKETS, STOCKS
from rustybt.data.sources._budget import Budget, Rate
from rustybt.data.sources._finality import Clock, ended_only, ended_sessions, utc_now
from rustybt.data.sources._http import Answer, Http, Session
from rustybt.data.sources._provider import Answered, ProviderSource, Range
from rustybt.data.sources._recent import Recent
from rustybt.data.sources._retries import Retries
from rustybt.data.sources.base import DataSourceMetadata, InstantRange, SessionRange

_INTERVALS = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "60min"}
#: The first month of intraday bars of stocks.
_FIRST_MONTH = datetime(2000, 1, 1, tzinfo=UTC)
_NEW_YORK = ZoneInfo("America/New_York")
#: Days that the hundred sessions of a compact answer surely reach back.
_COMPACT = timedelta(days=130)
#: A symbol without a session for so long is no longer traded.
_A_WHILE = timedelta(days=14)
#: Minutes of the sessions of a month.
_A_MONTH = 21 * 390

_RATES = {
    "free": (Rate(1, 1.0), Rate(5, 60.0), Rate(25, 86_400.0)),
    "premium": (Rate(75, 60.0),),
}


@dataclass
class _Connection:
    session: Session
    series: Recent[Series] = field(default_factory=lambda: Recent(2 * ProviderSource.concurrency))


class AlphaVantageDataSource(ProviderSource):
    """Alpha Vantage: stocks (IBM, TSCO.LON), currencies (EUR/USD) and crypto (BTC/USD).

    Bars are raw. With a premium plan the events are those that explain the provider's adjusted
    close; a free one has no adjusted close to prove them by.

    Parameters
    ----------
    api_key : str, optional
        By default the environment variable ``ALPHAVANTAGE_API_KEY``.
    base_url : str
    market : {"stocks", "forex", "crypto"}
    plan : {"free", "premium"}
        ``free`` allows 1 request a second, 5 a minute and 25 a day, and has the last hundred
        sessions of a stock, and no intraday bars.
    requests_per_minute : float, optional
        In place of what the plan is known to allow; 75 for a premium one.
    calendar : str, optional
        The calendar of the market; by default New York's for stocks.
    extended_hours : bool
        Whether intraday bars of stocks include trading before the open and after the close.
    timeout : float
        Seconds to wait for each part of an answer.
    retries : Retries, optional
        How often a failed request is repeated.
    clock : callable
        Tells the time: a bar is returned once it has ended.
    """

    environment_variables: ClassVar[tuple[str, ...]] = ("ALPHAVANTAGE_API_KEY",)
    example_symbol: ClassVar[str | None] = "IBM"

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str = "https://www.alphavantage.co",
        market: Literal["stocks", "forex", "crypto"] = "stocks",
        plan: Literal["free", "premium"] = "free",
        requests_per_minute: float | None = None,
        calendar: str | None = None,
        extended_hours: bool = False,
        timeout: float = 30.0,
        retries: Retries | None = None,
        clock: Clock = utc_now,
    ) -> None:
        for name, value, known in (("market", market, MARKETS), ("plan", plan, _RATES)):
            if value not in known:
                raise OptionError(f"{name} is {value!r}; it must be one of {', '.join(known)}")
        key = api_key or os.environ.get(self.environment_variables[0], "")
        self._has_key = bool(key)
        self._market = MARKETS[market]
        self._is_short = plan == "free" and self._market is STOCKS
        self._proves = plan == "premium" and self._market is STOCKS
        self._rates = _RATES[plan]
        if requests_per_minute is not None:
            self._rates = (Rate(requests_per_minute, 60.0),)
        self._calendar = None if calendar is None else resolve_name(calendar)
        self._extended = extended_hours
        self._clock = clock
        self._http = Http(
            "Alpha Vantage",
            base_url,
            budget=Budget("alphavantage", self._rates, credential=key),
            params={"apikey": key},
            timeout=timeout,
            retries=retries,
        )

    def get_metadata(self) -> DataSourceMetadata:
        """See `DataSource.get_metadata`."""
        return DataSourceMetadata(
            "alphavantage",
            frequencies=("1d", *_INTERVALS),
            adjustment="raw",
            bar_label="start",
            settle_lag=timedelta(days=1),
            calendar=self._calendar or self._market.calendar,
            feed="extended hours" if self._extended else "",
            requests_per_minute=next(each.count for each in self._rates if each.seconds == 60.0),
            config={"market": self._market.name},
        )

    def calendar_of(self, symbols: Sequence[str]) -> str | None:
        """What the endings of the symbols say, if they say the same."""
        found = {self._calendar or self._market.calendar_of(symbol) for symbol in symbols}
        return found.pop() if len(found) == 1 else None

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """A request a symbol; for intraday bars of stocks one a month, for their events two more.

        The adjusted daily series that proves the events has daily bars already.
        """
        wanted = Frequency.parse(frequency)
        if self._market is not STOCKS:
            return symbols
        if not wanted.intraday:
            return symbols * (2 if self._proves else 3)
        minutes = bars * (wanted.duration // timedelta(minutes=1))
        return symbols * (max(1, ceil(minutes / _A_MONTH)) + 2)

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:  # noqa: ARG002
        """Dividends, and splits or the series that proves them; see `DataSource.calls_shared`."""
        return 2 * symbols if self._market is STOCKS else 0

    async def list_symbols(self) -> list[str]:
        """All US stocks and funds, also those that are no longer traded, sorted."""
        if self._market is not STOCKS:
            return await super().list_symbols()
        return sorted(set((await self._listing())["symbol"]))

    async def fetch_listings(self, symbols: list[str]) -> Listings:
        """See `DataSource.fetch_listings`: of stocks, their first and their last day."""
        if self._market is not STOCKS:
            return Listings()
        rows = (await self._listing()).filter(pl.col("symbol").is_in(symbols))
        # Of companies that had a symbol in turn, the one that has it now, or had it last.
        newest = rows.sort(pl.col("status") != "active", -pl.col("delisted").to_physical())
        return merge_listings([Listings(newest)])

    def listing_calls(self, symbols: int) -> int:
        """See `DataSource.listing_calls`: two lists, of all symbols."""
        return 2 if symbols and self._market is STOCKS else 0

    async def _listing(self) -> pl.DataFrame:
        """What is traded, and then what is no longer."""
        async with self._connect() as connection:
            return pl.concat(
                [
                    read_listing(
                        await self._get(
                            connection,
                            "the listing",
                            {"function": "LISTING_STATUS", "state": state},
                        )
                    )
                    for state in ("active", "delisted")
                ]
            )

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[_Connection]:
        if not self._has_key:
            raise AuthenticationError(
                "Alpha Vantage wants an API key: pass api_key=, or set the environment variable "
                + self.environment_variables[0]
            )
        async with self._http.session() as session:
            yield _Connection(session)

    def _whole(self, frequency: Frequency) -> tuple[Any, Any]:
        """All days that the plan has; the months of intraday bars cost a request each."""
        if frequency.intraday:
            return super()._whole(frequency)
        now = self._clock()
        return (now - _COMPACT if self._is_short else date(1970, 1, 1)), now

    def _requested(self, start: Any, end: Any, frequency: Frequency) -> Range:
        asked = super()._requested(start, end, frequency)
        if isinstance(asked, InstantRange) and asked.first < _FIRST_MONTH:
            raise DateRangeError(
                f"Alpha Vantage has {frequency} bars from 2000-01 on; {asked.first:%Y-%m-%d} lies "
                "before. Ask from then on, or for daily bars"
            )
        return asked

    async def _bars_of(
        self, connection: _Connection, symbol: str, asked: Range, frequency: Frequency
    ) -> Answered:
        if isinstance(asked, InstantRange):
            return await self._intraday(connection, symbol, asked, frequency)
        series = await self._daily(connection, symbol, asked.first)
        bars = daily_bars(symbol, series)
        last = bars["timestamp"].last()
        if isinstance(last, date) and last < asked.first and last + _A_WHILE < self._clock().date():
            raise DelistedSymbolError(
                f"Alpha Vantage has no bars of {symbol} after {last}: it is no longer traded"
            )
        return Answered(ended_sessions(bars, self._hours_of(symbol), self._clock()))

    async def _intraday(
        self, connection: _Connection, symbol: str, asked: InstantRange, frequency: Frequency
    ) -> Answered:
        if self._market is STOCKS:
            parts = await self._months(connection, symbol, asked, frequency)
        else:
            parts = [await self._latest(connection, symbol, asked, frequency)]
        is_cut = self._market is STOCKS and not self._extended
        calendar = self._hours_of(symbol) if is_cut else None
        bars = pl.concat(intraday_bars(symbol, part, frequency, calendar) for part in parts)
        return Answered(ended_only(bars, bars["timestamp"], self._clock()))

    def _hours_of(self, symbol: str) -> str:
        return self._calendar or self._market.calendar_of(symbol) or self._market.calendar

    async def _months(
        self, connection: _Connection, symbol: str, asked: InstantRange, frequency: Frequency
    ) -> list[Series]:
        """The months of a range; those before a symbol was traded are refused like it was none."""
        first = (asked.first - frequency.duration).astimezone(_NEW_YORK).date()
        last = min(asked.last, self._clock()).astimezone(_NEW_YORK).date()
        found, unknown = [], None
        for month in months(first, max(first, last)):
            options = {"month": month, "outputsize": "full", "adjusted": "false"}
            options["extended_hours"] = "true" if self._extended else "false"
            try:
                found.append(await self._bars(connection, symbol, frequency, **options))
            except UnknownSymbolError as error:
                unknown = error
        if unknown and not found:
            raise unknown
        return found

    async def _latest(
        self, connection: _Connection, symbol: str, asked: InstantRange, frequency: Frequency
    ) -> Series:
        """All intraday bars of a pair that there are, which is the latest ones only."""
        series = await self._bars(connection, symbol, frequency, outputsize="full")
        bars = intraday_bars(symbol, series, frequency, None)
        begins = bars["timestamp"].first()
        if isinstance(begins, datetime) and begins > asked.first:
            raise RefusedRequestError(
                f"Alpha Vantage has {frequency} bars of {symbol} from {begins:%Y-%m-%d %H:%M} UTC "
                f"on; {asked.first:%Y-%m-%d %H:%M} lies before. Ask from then on, or for daily bars"
            )
        return series

    async def _bars(
        self, connection: _Connection, symbol: str, frequency: Frequency, **options: str
    ) -> Series:
        query = {
            "function": self._market.intraday,
            **self._market.named(symbol),
            "interval": _INTERVALS[str(frequency)],
            **options,
        }
        return read_series(await self._get(connection, symbol, query))

    async def _daily(self, connection: _Connection, symbol: str, first: date) -> Series:
        compact = self._clock().date() - first <= _COMPACT
        known = connection.series.get((symbol, compact))
        if known is not None:
            return known
        query = {
            "function": self._market.daily + ("_ADJUSTED" if self._proves else ""),
            **self._market.named(symbol),
        }
        if self._market is not CRYPTO:
            query["outputsize"] = "compact" if compact else "full"
        series = read_series(await self._get(connection, symbol, query))
        if series.rows.is_empty():
            raise UnknownSymbolError([symbol], "Alpha Vantage (it answers with nothing)")
        return connection.series.keep((symbol, compact), series)

    async def _events_of(self, connection: _Connection, symbol: str, asked: SessionRange) -> Events:
        if self._market is not STOCKS:
            return Events()
        answer = await self._get(connection, symbol, {"function": "DIVIDENDS", "symbol": symbol})
        dividends = read_list(answer, DIVIDEND_ROW)
        if self._proves:
            series = await self._daily(connection, symbol, asked.first)
            events = proved_events(symbol, series, dividends, asked.last)
        else:
            answer = await self._get(connection, symbol, {"function": "SPLITS", "symbol": symbol})
            events = listed_events(symbol, read_list(answer, SPLIT_ROW), dividends)
        return inside(events, asked.first, asked.last)

    async def _get(self, connection: _Connection, about: str, query: Mapping[str, str]) -> Answer:
        return await connection.session.get(
            "/query", query, judge=lambda answer: refusal(answer, about, self._clock)
        )
