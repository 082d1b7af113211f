"""The adapters beside the providers' own clients, of whose answers pandas makes the same frame."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from benchmarks.sources.asked import FIRST, LAST, NOW, symbols
from rustybt.data.bars import DAILY, VALUE_COLUMNS, conform
from rustybt.data.sources.adapters import Budget
from rustybt.data.sources.base import DataSource
from rustybt.data.sources.testing import Provider
from tests.data.sources.yahoo import Rerouted

KEY = Provider.secret
STOCKS = symbols(8)
COINS = symbols(8, "/USDT")
_NEW_YORK = "America/New_York"
#: More than is asked for here.
_OFTEN = 1_000_000


@dataclass(frozen=True)
class Comparison:
    """A provider's client and our adapter.

    Attributes
    ----------
    provider : str
        Whose format is served.
    package : str
        What has to be installed for the client, as pip knows it.
    module : str
        What it is imported as.
    symbols : list of str
    ours : callable of base URL
        The source.
    theirs : callable of base URL
        All daily bars of `symbols` by the client, in the bar schema.
    """

    provider: str
    package: str
    module: str
    symbols: list[str]
    ours: Callable[[str], DataSource]
    theirs: Callable[[str], pl.DataFrame]

    def fetched(self, base_url: str) -> pl.DataFrame:
        """All daily bars of `symbols` by the adapter."""
        start, end = pd.Timestamp(FIRST), pd.Timestamp(LAST)
        return asyncio.run(self.ours(base_url).fetch(self.symbols, start, end, "1d"))


def _in_the_schema(tables: dict[str, pd.DataFrame]) -> pl.DataFrame:
    """Tables of pandas, by symbol and indexed by time, as bars."""
    whole = pd.concat(tables, names=["symbol", "timestamp"]).reset_index()
    whole["timestamp"] = whole["timestamp"].dt.tz_localize(None).dt.normalize()
    frame = pl.from_pandas(whole[["symbol", "timestamp", *VALUE_COLUMNS]])
    return conform(frame, DAILY)


def _massive(base_url: str) -> DataSource:
    from rustybt.data.sources.polygon import PolygonDataSource

    return PolygonDataSource(KEY, base_url=base_url, clock=lambda: NOW)


def _their_massive(base_url: str) -> pl.DataFrame:
    from massive import RESTClient

    client = RESTClient(api_key=KEY, base=base_url)
    tables = {}
    for name in STOCKS:
        listed = client.list_aggs(name, 1, "day", FIRST, LAST, adjusted=False, limit=50_000)
        table = pd.DataFrame([vars(each) for each in listed])
        began = pd.to_datetime(table["timestamp"], unit="ms", utc=True).dt.tz_convert(_NEW_YORK)
        tables[name] = table.set_index(began)[list(VALUE_COLUMNS)]
    return _in_the_schema(tables)


def _alpaca(base_url: str) -> DataSource:
    from rustybt.data.sources.alpaca import AlpacaDataSource

    where = {"base_url": base_url, "trading_url": base_url}
    return AlpacaDataSource("PK123", KEY, **where, requests_per_minute=None, clock=lambda: NOW)


def _their_alpaca(base_url: str) -> pl.DataFrame:
    from alpaca.data.enums import Adjustment
    from alpaca.data.historical import StockHistoricalDataClient
    from alpaca.data.requests import StockBarsRequest
    from alpaca.data.timeframe import TimeFrame

    client = StockHistoricalDataClient("PK123", KEY, url_override=base_url)
    request = StockBarsRequest(
        symbol_or_symbols=STOCKS,
        timeframe=TimeFrame.Day,
        start=pd.Timestamp(FIRST).to_pydatetime(),
        end=pd.Timestamp(LAST + " 23:59").to_pydatetime(),
        adjustment=Adjustment.RAW,
    )
    table = client.get_stock_bars(request).df
    own = {name: table.xs(name).tz_convert(_NEW_YORK) for name in STOCKS}
    return _in_the_schema(own)


def _alphavantage(base_url: str) -> DataSource:
    from rustybt.data.sources.alphavantage import AlphaVantageDataSource

    return AlphaVantageDataSource(
        KEY, base_url=base_url, plan="premium", requests_per_minute=_OFTEN, clock=lambda: NOW
    )


def _their_alphavantage(base_url: str) -> pl.DataFrame:
    from alpha_vantage.alphavantage import AlphaVantage
    from alpha_vantage.timeseries import TimeSeries

    AlphaVantage._ALPHA_VANTAGE_API_URL = f"{base_url}/query?"
    client = TimeSeries(key=KEY, output_format="pandas")
    tables = {}
    for name in STOCKS:
        table, _ = client.get_daily_adjusted(name, outputsize="full")
        plain = table.rename(columns=lambda column: column.split(". ")[1])
        tables[name] = plain[list(VALUE_COLUMNS)].sort_index()[FIRST:LAST]
    return _in_the_schema(tables)


def _yfinance(base_url: str) -> DataSource:
    from rustybt.data.sources.yfinance import YFinanceDataSource

    return YFinanceDataSource(session=Rerouted(base_url), clock=lambda: NOW)


def _their_yfinance(base_url: str) -> pl.DataFrame:
    import yfinance
    from yfinance.data import YfData

    # It remembers what it has answered for past ranges: a second round would measure that.
    YfData.cache_get.cache_clear()
    session = Rerouted(base_url)
    past_the_last = str((pd.Timestamp(LAST) + pd.Timedelta(days=1)).date())
    tables = {}
    for name in STOCKS:
        ticker = yfinance.Ticker(name, session=session)
        history = ticker.history(start=FIRST, end=past_the_last, auto_adjust=False)
        tables[name] = history.rename(columns=str.lower).astype(float)
    return _in_the_schema(tables)


def _exchange(base_url: str) -> dict[str, Any]:
    futures = {f"{each}Public": f"{base_url}/{each}/v1" for each in ("fapi", "dapi")}
    urls = {"api": {"public": f"{base_url}/api/v3", **futures}}
    return {"enableRateLimit": False, "urls": urls}


def _ccxt(base_url: str) -> DataSource:
    from rustybt.data.sources.ccxt import CCXTDataSource

    how = {"exchange_options": _exchange(base_url), "budget": Budget("exchange")}
    return CCXTDataSource("binance", **how, clock=lambda: NOW)


def _their_ccxt(base_url: str) -> pl.DataFrame:
    return _in_the_schema(asyncio.run(_ccxt_tables(base_url)))


async def _ccxt_tables(base_url: str) -> dict[str, pd.DataFrame]:
    from ccxt.async_support import binance

    only_spot = {"fetchMarkets": {"types": ["spot"]}}
    async with binance(_exchange(base_url) | {"options": only_spot}) as exchange:
        return {name: await _ccxt_table(exchange, name) for name in COINS}


async def _ccxt_table(exchange: Any, name: str) -> pd.DataFrame:
    rows: list[list[float]] = []
    since, until = (exchange.parse8601(f"{day}T00:00:00Z") for day in (FIRST, LAST))
    while not rows or rows[-1][0] < until:
        rows += await exchange.fetch_ohlcv(name, "1d", since=since, limit=1000)
        since = rows[-1][0] + 1
    table = pd.DataFrame(rows, columns=["timestamp", *VALUE_COLUMNS])
    began = pd.to_datetime(table["timestamp"], unit="ms", utc=True)
    return table.set_index(began)[list(VALUE_COLUMNS)][FIRST:LAST]


COMPARISONS = [
    Comparison("massive", "massive", "massive", STOCKS, _massive, _their_massive),
    Comparison("alpaca", "alpaca-py", "alpaca", STOCKS, _alpaca, _their_alpaca),
    Comparison(
        "alphavantage", "alpha_vantage", "alpha_vantage", STOCKS, _alphavantage, _their_alphavantage
    ),
    Comparison("yfinance", "yfinance", "yfinance", STOCKS, _yfinance, _their_yfinance),
    Comparison("binance", "ccxt", "ccxt", COINS, _ccxt, _their_ccxt),
]


def prepare(directory: Path) -> None:
    """Keep what clients write below a directory."""
    import yfinance

    yfinance.set_tz_cache_location(str(directory / "yfinance"))
    yfinance.config.debug.hide_exceptions = False
