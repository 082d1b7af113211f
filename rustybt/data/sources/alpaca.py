"""Bars and corporate actions of Alpaca's market data."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import ceil
from typing import ClassVar, Literal

import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import DAILY, Bar, Frequency, empty_bars, require_valid
from rustybt.data.errors import (
    AuthenticationError,
    BarValidationError,
    OptionError,
    SourceError,
    UnknownSymbolError,
)
from rustybt.data.listings import Listings
from rustybt.data.sources import _hours
from rustybt.data.sources._alpaca_answers import PAGE, refusal
from rustybt.data.sources._alpaca_assets import absence, list_assets, read_listings
from rustybt.data.sources._alpaca_bars import (
    CRYPTO,
    MARKETS,
    STOCKS,
    Market,
    Plan,
    by_symbol,
    dated,
    market_of,
    plan_for,
    read_parts,
)
from rustybt.data.sources._alpaca_events import read_events
from rustybt.data.sources._alpaca_feed import CRYPTO as CRYPTO_FEED
from rustybt.data.sources._alpaca_feed import AlpacaChannel, alpaca_feed
from rustybt.data.sources._budget import Budget, Rate
from rustybt.data.sources._fetched import Fetched, merge_fetched
from rustybt.data.sources._finality import Clock, ended, utc_now
from rustybt.data.sources._http import Http, Session
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

Feed = Literal["sip", "iex", "delayed_sip", "otc", "boats", "overnight"]
_FEEDS = ("sip", "iex", "delayed_sip", "otc", "boats", "overnight")
#: The trading APIs, for keys of paper accounts (they begin with PK) and of live ones.
_PAPER, _LIVE = "https://paper-api.alpaca.markets", "https://api.alpaca.markets"
_DELAY = timedelta(minutes=15)
#: Trades of a day are corrected until the next one.
_SETTLE_LAG = timedelta(days=1)
#: Bars of a day that the provider has of a stock, as a multiple of those of its session.
_EXTENDED = 960 / 390
#: How many symbols are asked for at once at most, so that a URL stays short.
_TOGETHER = 100
#: How many pages an ingest waits for together, and may lose when it is killed.
_PAGES = 5


@dataclass(frozen=True)
class _Connection:
    """A session, and bars that were read already for a whole group."""

    session: Session
    tables: Mapping[str, pl.DataFrame] | None = None


class AlpacaDataSource(ProviderSource):
    """Alpaca: US stocks (AAPL) and crypto (BTC/USD).

    Bars are raw; corporate actions come as events.

    Parameters
    ----------
    api_key, secret_key : str, optional
        By default the environment variables ``APCA_API_KEY_ID`` and ``APCA_API_SECRET_KEY``.
    feed : {"sip", "iex", "delayed_sip", "otc", "boats", "overnight"}
        Where trades of stocks are taken from: ``sip`` is all exchanges, and wants a subscription
        for the last 15 minutes; ``iex`` is one exchange with a few hundredths of the volume.
    market : {"stocks", "crypto"}
        Decides the calendar of bundles, and what `list_symbols` lists. Symbols of both can be
        fetched.
    extended_hours : bool
        Keep intraday bars of before the open and after the close, which the provider has from
        04:00 to 20:00 in New York. Without them, bars that an open or close would divide are made
        of shorter ones, and the last one of a session ends with it. Daily bars are the provider's
        own in both cases.
    asof : str, optional
        The date on which a stock had its symbol, YYYY-MM-DD; by default today: META then has the
        bars of FB too. ``"-"`` follows no change of names.
    base_url : str
        ``https://data.sandbox.alpaca.markets`` is the sandbox of broker accounts.
    trading_url : str, optional
        Of the trading API, which knows the assets; by default that for paper accounts or for live
        ones, as the key tells.
    stream_url : str
        ``wss://stream.data.sandbox.alpaca.markets`` is the stream of the sandbox.
    requests_per_minute : float or None
        What the plan allows; 200 is the free one's.
    timeout : float
        Seconds to wait for each part of an answer.
    retries : Retries, optional
        How often a failed request is repeated; see `rustybt.data.sources._retries.Retries`.
    clock : callable
    """

    environment_variables: ClassVar[tuple[str, ...]] = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
    example_symbol: ClassVar[str | None] = "AAPL"

    def __init__(
        self,
        api_key: str | None = None,
        secret_key: str | None = None,
        *,
        feed: Feed = "sip",
        market: Literal["stocks", "crypto"] = "stocks",
        extended_hours: bool = False,
        asof: str | None = None,
        base_url: str = "https://data.alpaca.markets",
        trading_url: str | None = None,
        stream_url: str = "wss://stream.data.alpaca.markets",
        requests_per_minute: float | None = 200,
        timeout: float = 30.0,
        retries: Retries | None = None,
        clock: Clock = utc_now,
    ) -> None:
        _require("feed", feed, _FEEDS)
        _require("market", market, tuple(MARKETS))
        key, secret = (
            given or os.environ.get(name, "")
            for given, name in zip((api_key, secret_key), self.environment_variables, strict=True)
        )
        self._has_keys = bool(key and secret)
        streamed = feed if market == "stocks" else CRYPTO_FEED
        self._channel = AlpacaChannel(stream_url, streamed, key, secret)
        self._feed = feed
        self._market = MARKETS[market]
        self._extended_hours = extended_hours
        self._asof = asof
        self._pace = requests_per_minute
        self._clock = clock
        rates = [Rate(requests_per_minute, 60.0)] if requests_per_minute else []

        def api(name: str, url: str) -> Http:
            return Http(
                "Alpaca",
                url,
                budget=Budget(name, rates, credential=key),
                headers={"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret},
                judge=refusal,
                timeout=timeout,
                retries=retries,
            )

        self._http = api("alpaca", base_url)
        trading = [_PAPER, _LIVE] if key.startswith("PK") else [_LIVE, _PAPER]
        urls = [trading_url] if trading_url else trading
        self._trading = [api("alpaca-trading", url) for url in urls]

    def get_metadata(self) -> DataSourceMetadata:
        """See `DataSource.get_metadata`."""
        return DataSourceMetadata(
            source_type="alpaca",
            frequencies=(*_hours.INTRADAY, "1d", "1w"),
            adjustment="raw",
            bar_label="start",
            settle_lag=_SETTLE_LAG,
            calendar=self._market.calendar,
            currency="USD",
            feed=self._feed if self._market is STOCKS else "us",
            version="v2" if self._market is STOCKS else "v1beta3",
            requests_per_minute=self._pace,
            config={
                "market": self._market.name,
                "extended_hours": self._extended_hours,
                "asof": self._asof,
            },
        )

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_needed`."""
        own = ceil(symbols * self._rows(bars, frequency) / PAGE)
        return own + self.calls_shared(symbols, bars, frequency)

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:
        """Corporate actions; see `DataSource.calls_shared`."""
        if self._market is not STOCKS:
            return 0
        return ceil(symbols / _together(self._rows(bars, frequency)))

    def _rows(self, bars: int, frequency: str) -> float:
        """How many rows of the provider so many bars of a symbol are made of."""
        wanted = Frequency.parse(frequency)
        rows = float(bars)
        if wanted.intraday and self._market is STOCKS and not self._extended_hours:
            parts = _hours.parts_of(wanted)
            rows *= _hours.minutes_of(wanted) / _hours.minutes_of(parts) * _EXTENDED
        elif not wanted.intraday and self._market is CRYPTO:
            rows *= 24
        return rows

    async def list_symbols(self) -> list[str]:
        """The symbols of the market, also of what is no longer traded, sorted."""
        self._require_keys()
        return await list_assets(self._trading, self._market.asset_class)

    async def fetch_listings(self, symbols: list[str]) -> Listings:
        """See `DataSource.fetch_listings`: what is traded and what is not, without the days."""
        self._require_keys()
        return await read_listings(self._trading, self._market.asset_class, symbols)

    def listing_calls(self, symbols: int) -> int:
        """See `DataSource.listing_calls`."""
        return min(symbols, 1)

    def supports_live(self) -> bool:
        """Yes: minutes as they end, with their corrections, and days as they grow."""
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
        self._require_keys()
        markets = {symbol: market_of(symbol).name for symbol in symbols}
        require_market("Alpaca", self._market.name, markets)
        is_regular = self._market is STOCKS and not self._extended_hours
        wanted = self._supported(frequency)
        feed = alpaca_feed(self._channel, symbols, wanted, sessions_only=is_regular)
        return BarStream(self, feed, symbols, frequency, since=since, pace=Pace(self._clock))

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[_Connection]:
        self._require_keys()
        async with self._http.session() as session:
            yield _Connection(session)

    def _require_keys(self) -> None:
        if not self._has_keys:
            raise AuthenticationError(
                "Alpaca wants a key and a secret: pass api_key= and secret_key=, or set the "
                "environment variables " + " and ".join(self.environment_variables)
            )

    def _groups(self, symbols: list[str], ranges: Mapping[Frequency, Range]) -> list[Group]:
        """Symbols of a market that fit on a few pages together."""
        groups = []
        for market in MARKETS.values():
            plans = [self._plan(asked, each, market) for each, asked in ranges.items()]
            size = _together(max(plan.rows for plan in plans))
            groups += in_groups((each for each in symbols if market_of(each) is market), size)
        return groups

    def _plan(self, asked: Range, frequency: Frequency, market: Market) -> Plan:
        return plan_for(asked, frequency, market, self._extended_hours, self._now())

    def _now(self) -> datetime:
        """The time up to which the feed knows what happened."""
        late = self._feed == "delayed_sip"
        return self._clock() - (_DELAY if late else timedelta(0))

    async def _answers(
        self, connection: _Connection, group: Group, asked: Range, frequency: Frequency
    ) -> Fetched:
        if len(group) == 1:
            return await super()._answers(connection, group, asked, frequency)
        plan = self._plan(asked, frequency, market_of(group[0]))
        # Whose fault an error is, the answer for all does not tell: each is looked at then.
        with suppress(SourceError):
            parts = await self._parts(connection, plan, group)
            if plan.market is STOCKS and frequency == DAILY:
                with suppress(SourceError, BarValidationError):
                    return await self._days(connection, parts, group, asked)
            connection = replace(connection, tables=by_symbol(parts))
        each = [await self._answer(connection, symbol, asked, frequency) for symbol in group]
        return merge_fetched(each, frequency)

    async def _days(
        self, connection: _Connection, parts: pl.DataFrame, group: Group, asked: Range
    ) -> Fetched:
        """The daily bars of a group of stocks, made all at once."""
        days = _hours.sessions(parts, STOCKS.timezone, "a stock at Alpaca")
        over = ended(days, DAILY, STOCKS.calendar, self._now())
        bars = require_valid(conformed(over, "Alpaca", DAILY, asked))
        none = replace(connection, tables={})
        absent = sorted(set(group).difference(bars["symbol"]))
        others = [await self._answer(none, symbol, asked, DAILY) for symbol in absent]
        return merge_fetched([Fetched(bars), *others], DAILY)

    async def _parts(
        self, connection: _Connection, plan: Plan, symbols: Sequence[str]
    ) -> pl.DataFrame:
        options = {"adjustment": "raw", "feed": self._feed} if plan.market is STOCKS else {}
        if plan.market is STOCKS and self._asof:
            options["asof"] = self._asof
        spelled = [symbol for symbol in symbols if "," not in symbol]
        return await read_parts(connection.session, plan, spelled, options)

    async def _bars_of(
        self, connection: _Connection, symbol: str, asked: Range, frequency: Frequency
    ) -> Answered:
        if "," in symbol or not symbol:
            raise UnknownSymbolError([symbol], "Alpaca")
        plan = self._plan(asked, frequency, market_of(symbol))
        tables = connection.tables
        if tables is None:
            tables = by_symbol(await self._parts(connection, plan, [symbol]))
        if symbol not in tables:
            return Answered(empty_bars(frequency), await absence(self._trading, symbol))
        bars = dated(tables[symbol], plan, symbol)
        bars = bars.with_columns(symbol=pl.lit(symbol))
        return Answered(ended(bars, frequency, plan.market.calendar, self._now()))

    async def _events_of_group(
        self, connection: _Connection, group: Group, asked: SessionRange
    ) -> Events:
        stocks = [symbol for symbol in group if market_of(symbol) is STOCKS]
        return await read_events(connection.session, stocks, asked) if stocks else Events()


def _together(rows: float) -> int:
    """How many symbols are asked for at once that have so many bars each."""
    return max(1, min(_TOGETHER, int(_PAGES * PAGE // max(rows, 1))))


def _require(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise OptionError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
