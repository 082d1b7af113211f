"""Bars of cryptocurrency exchanges, through ccxt."""

import math
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from rustybt.data.bars import Bar, Frequency
from rustybt.data.errors import DelistedSymbolError, OptionError, UnknownSymbolError
from rustybt.data.sources import _ccxt_client as client
from rustybt.data.sources._budget import Budget
from rustybt.data.sources._ccxt_bars import openings, to_bars, to_milliseconds
from rustybt.data.sources._ccxt_errors import translated
from rustybt.data.sources._ccxt_feed import KEEP_ALIVE, Channel, ccxt_feed
from rustybt.data.sources._ccxt_pages import Ask, Pages, Row
from rustybt.data.sources._circuit import Circuit
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.data.sources._provider import Answered, ProviderSource, Range
from rustybt.data.sources._retries import Retries
from rustybt.data.sources._stream import BarStream, Feed, Pace
from rustybt.data.sources.base import DataSourceMetadata

#: ccxt's timeframes that are understood: a month has no fixed length, Kraken's "2w" has 15 days.
_TIMEFRAME = re.compile(r"[0-9]+[mhd]|1w")
#: Bars to ask for where ccxt does not know how many an exchange gives.
_CAUTIOUS_LIMIT = 100
#: Late trades of an exchange's own books are in its bars by then.
_SETTLE_LAG = timedelta(minutes=1)
#: Options that have no influence on the bars, or are secret.
_UNTOLD = re.compile(
    r"key|secret|password|token|login|uid|twofa|wallet|credential|prox|headers|agent|timeout"
    r"|verbose|rate_?limit|cafile",
    re.I,
)


class CCXTDataSource(ProviderSource):
    """Bars of a cryptocurrency exchange: spot and derivatives, raw, around the clock.

    Days are UTC days, sessions of the calendar ``24/7``. There are no corporate actions. A time
    in which nothing was traded, or the exchange was down, has no rows; some exchanges (Kraken)
    fill it with bars of volume 0, which are passed on as they are.

    Parameters
    ----------
    exchange_id : str
        ccxt's name of the exchange: ``binance``, ``kraken``, ``okx``, ... Any that offers bars.
    api_key, secret, password : str, optional
        Few exchanges want them for bars. By default they are looked up in the environment, as
        ``CCXT_BINANCE_API_KEY``, ``CCXT_BINANCE_SECRET`` and ``CCXT_BINANCE_PASSWORD``.
    exchange_options : mapping, optional
        Handed to ccxt's constructor: ``{"sandbox": True}``,
        ``{"options": {"fetchMarkets": {"types": ["linear"]}}}``, ``{"urls": ...}``, ...
    budget : Budget, optional
        By default the exchange's rate, shared by all processes of the user.
    retries : Retries, optional
    clock : callable

    Raises
    ------
    OptionError
        If ccxt has no such exchange, or no bars of it.
    """

    example_symbol: ClassVar[str | None] = "BTC/USDT"

    def __init__(
        self,
        exchange_id: str = "binance",
        *,
        api_key: str | None = None,
        secret: str | None = None,
        password: str | None = None,
        exchange_options: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        retries: Retries | None = None,
        clock: Clock = utc_now,
    ) -> None:
        given = {"apiKey": api_key, "secret": secret, "password": password}
        names = {"apiKey": "API_KEY", "secret": "SECRET", "password": "PASSWORD"}
        prefix = f"CCXT_{exchange_id.upper()}_"
        found = {key: given[key] or os.environ.get(prefix + name) for key, name in names.items()}
        self.exchange_id = exchange_id
        self._credentials = {key: value for key, value in found.items() if value}
        self._options = dict(exchange_options or {})
        self._class = client.exchange_class(exchange_id)
        self._clock = clock
        sample = self._class(self._options)
        if sample.has.get("fetchOHLCV") is not True:
            raise OptionError(f"ccxt has no bars of {exchange_id}: choose another exchange_id")
        self._sample = sample
        self._timeframes = {
            Frequency.parse(name): name
            for name in sample.timeframes or {}
            if _TIMEFRAME.fullmatch(name)
        }
        rate = client.rate_of(sample)
        self._guard = client.Guard(
            budget or Budget(f"ccxt-{exchange_id}", [rate]),
            Circuit(exchange_id, clock=clock),
            retries or Retries(),
            clock,
            client.secrets_of(sample, {**self._options, **self._credentials}),
        )
        self._markets = client.Markets(client.kinds_of(sample), clock)

    def __repr__(self) -> str:
        return f"CCXTDataSource({self.exchange_id!r})"

    def get_metadata(self) -> DataSourceMetadata:
        """See `DataSource.get_metadata`."""
        import ccxt.async_support as library

        return DataSourceMetadata(
            source_type="ccxt",
            frequencies=tuple(map(str, self._timeframes)),
            bar_label="start",
            settle_lag=_SETTLE_LAG,
            calendar="24/7",
            feed=self.exchange_id,
            version=library.__version__,
            requests_per_minute=60_000 / self._sample.rateLimit,
            config={"exchange_id": self.exchange_id, **_told(self._options)},
        )

    def _whole(self, frequency: Frequency) -> tuple[date, datetime]:  # noqa: ARG002
        """All: no exchange is older than Bitcoin's first block."""
        return date(2009, 1, 3), self._clock()

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:  # noqa: ARG002
        """See `DataSource.calls_needed`."""
        limit = self._sample.feature_value_by_type("spot", None, "fetchOHLCV", "limit")
        return 1 + symbols * math.ceil(bars / (limit or _CAUTIOUS_LIMIT))

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:  # noqa: ARG002
        """The list of markets; see `DataSource.calls_shared`."""
        return 1

    async def list_symbols(self) -> list[str]:
        """All markets of the exchange by their unified names, those no longer traded too."""
        async with self._connect() as connection:
            await self._markets.load(connection, everything=True)
            return sorted(connection.exchange.markets)

    def supports_live(self) -> bool:
        """Whether ccxt.pro has a stream of the exchange's bars."""
        found = client.streaming_class(self.exchange_id)
        return found is not None and found(self._options).has.get("watchOHLCV") is True

    def stream(
        self,
        symbols: list[str],
        frequency: str,
        *,
        since: Mapping[str, datetime | date] | None = None,
    ) -> AsyncIterator[Bar]:
        """See `DataSource.stream`."""
        if not self.supports_live():
            return super().stream(symbols, frequency, since=since)
        feed = self._feed(symbols, self._supported(frequency))
        return BarStream(self, feed, symbols, frequency, since=since, pace=Pace(self._clock))

    def _feed(self, symbols: list[str], frequency: Frequency) -> Feed:
        watch = partial(self._next_rows, self._timeframes[frequency])
        return ccxt_feed(Channel(partial(self._listening, symbols), watch), symbols, frequency)

    @asynccontextmanager
    async def _listening(self, symbols: list[str]) -> AsyncIterator[Any]:
        """An exchange of ccxt.pro that knows these symbols."""
        base = client.streaming_class(self.exchange_id)
        async with self._connect(base, streaming=KEEP_ALIVE) as connection:
            with translated(self.exchange_id, "", self._guard.redacted):
                await self._markets.load(connection, everything=":" in "".join(symbols))
            for symbol in symbols:
                self._market(connection.exchange, symbol)
            yield connection.exchange

    async def _next_rows(self, timeframe: str, exchange: Any, symbol: str) -> list[Row]:
        with translated(self.exchange_id, symbol, self._guard.redacted):
            rows: list[Row] = await exchange.watch_ohlcv(symbol, timeframe)
            return rows

    @asynccontextmanager
    async def _connect(self, base: Any = None, **defaults: Any) -> AsyncIterator[client.Connection]:
        options = {**defaults, **self._options, **self._credentials}
        exchange = client.open_exchange(base or self._class, options, self._guard)
        try:
            yield client.Connection(exchange)
        finally:
            await exchange.close()

    async def _bars_of(
        self, connection: client.Connection, symbol: str, asked: Range, frequency: Frequency
    ) -> Answered:
        exchange = connection.exchange
        with translated(self.exchange_id, symbol, self._guard.redacted):
            await self._markets.load(connection, everything=":" in symbol)
            market = self._market(exchange, symbol)
            opened = openings(asked, frequency, self._clock())
            pages = self._pages(exchange, symbol, frequency, opened.step)
            table = await pages.read(opened.first, opened.last)
        if not len(table) and market["active"] is False:
            raise DelistedSymbolError(
                f"{symbol} is not traded any more on {self.exchange_id}, which has no bars of it "
                f"from {asked.first} to {asked.last}: ask for an earlier range"
            )
        return Answered(to_bars(table, symbol, frequency))

    def _market(self, exchange: Any, symbol: str) -> Mapping[str, Any]:
        if symbol in exchange.markets:
            found: Mapping[str, Any] = exchange.markets[symbol]
            return found
        by_id = exchange.markets_by_id.get(symbol, [])
        raise UnknownSymbolError([symbol], self.exchange_id, [each["symbol"] for each in by_id])

    def _pages(self, exchange: Any, symbol: str, frequency: Frequency, step: int) -> Pages:
        limit = exchange.feature_value(symbol, "fetchOHLCV", "limit")

        def ask(timeframe: str) -> Ask:
            return lambda since, count: exchange.fetch_ohlcv(symbol, timeframe, since, count)

        return Pages(
            ask=ask(self._timeframes[frequency]),
            ask_daily=ask("1d") if "1d" in exchange.timeframes else None,
            step=step,
            limit=limit or _CAUTIOUS_LIMIT,
            documented=limit is not None,
            now=to_milliseconds(self._clock()),
            where=f"{self.exchange_id} {symbol}",
        )


def _told(options: Any) -> Any:
    """Options that bars depend on, as plain JSON."""
    if isinstance(options, Mapping):
        return {
            str(key): _told(value) for key, value in options.items() if not _UNTOLD.search(str(key))
        }
    if isinstance(options, list | tuple):
        return [_told(each) for each in options]
    return options if options is None or isinstance(options, str | int | float) else repr(options)
