"""Sources that stream: their options lead to their feeds, and what does not stream says so."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rustybt.data.bars import Bar
from rustybt.data.errors import (
    AuthenticationError,
    FrequencyError,
    RefusedRequestError,
)
from rustybt.data.sources.alpaca import AlpacaDataSource
from rustybt.data.sources.base import DataSource
from rustybt.data.sources.polygon import PolygonDataSource
from rustybt.data.sources.yfinance import YFinanceDataSource
from tests.data.sources.socket_servers import (
    KEY,
    SECRET,
    AlpacaServer,
    MassiveServer,
    SocketServer,
    YahooServer,
    until,
)

NOW = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
SHOWN = Bar("AAPL", NOW + timedelta(minutes=1), 10.0, 10.0, 10.0, 10.0, 0.0, False)


def polygon(url: str, **options) -> DataSource:
    return PolygonDataSource(
        KEY, stream_url=url.removesuffix("/stocks"), clock=lambda: NOW, **options
    )


def alpaca(url: str, **options) -> DataSource:
    host = url.removesuffix("/v2/iex")
    return AlpacaDataSource(KEY, SECRET, feed="iex", stream_url=host, clock=lambda: NOW, **options)


def yahoo(url: str) -> DataSource:
    return YFinanceDataSource(stream_url=url, clock=lambda: NOW)


async def first_bar(server: SocketServer, make: Callable[[str], DataSource], message: str) -> Bar:
    async with server.serving() as url:
        source = make(url)
        assert source.supports_live()
        async with aclosing(source.stream(["AAPL"], "1m")) as bars:
            waiting = asyncio.create_task(anext(bars))
            await server.push(message)
            return await waiting


@pytest.mark.parametrize(
    ("server", "make", "message"),
    [
        (AlpacaServer, alpaca, AlpacaServer.bar(SHOWN, "2024-03-05T14:30:00Z")),
        (MassiveServer, polygon, MassiveServer.aggregate(SHOWN)),
        (YahooServer, yahoo, YahooServer.price("AAPL", int(NOW.timestamp() * 1000), 10.0, 5)),
    ],
)
def test_a_source_streams_from_where_its_options_say(server, make, message):
    assert asyncio.run(first_bar(server(), make, message)) == SHOWN


@pytest.mark.parametrize("source_class", [AlpacaDataSource, PolygonDataSource])
def test_without_a_key_there_is_no_stream(source_class, monkeypatch):
    for name in source_class.environment_variables:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AuthenticationError, match=source_class.environment_variables[0]):
        source_class().stream(["AAPL"], "1m")


@pytest.mark.parametrize(("make", "coin"), [(alpaca, "BTC/USD"), (polygon, "X:BTCUSD")])
def test_markets_are_streamed_apart(make, coin):
    with pytest.raises(RefusedRequestError, match=f"{coin} need a source with market='crypto'"):
        make("ws://x").stream(["AAPL", coin], "1m")


@pytest.mark.parametrize(
    ("market", "symbol", "name", "topics"),
    [
        ("crypto", "X:BTCUSD", "BTC-USD", ["XA.BTC-USD", "XAS.BTC-USD"]),
        ("forex", "C:EURUSD", "EUR/USD", ["CA.EUR/USD", "CAS.EUR/USD"]),
    ],
)
def test_massive_calls_pairs_otherwise_in_its_streams(market, symbol, name, topics):
    async def first() -> Bar:
        server = MassiveServer()
        server.path = f"/{market}"
        async with server.serving() as url:
            host = url.removesuffix(server.path)
            source = PolygonDataSource(KEY, market=market, stream_url=host, clock=lambda: NOW)
            async with aclosing(source.stream([symbol], "1m")) as bars:
                waiting = asyncio.create_task(anext(bars))
                shown = json.loads(MassiveServer.aggregate(SHOWN))[0]
                await server.push(json.dumps([{**shown, "ev": topics[0][:2], "pair": name}]))
                bar = await waiting
                await until(lambda: len(server.said) == 3)
        assert [message["params"] for message in server.said[1:]] == topics
        return bar

    assert asyncio.run(first()) == replace(SHOWN, symbol=symbol)


@pytest.mark.parametrize("frequency", ["7m", "4h", "1w"])
def test_bars_that_do_not_stream_are_refused_at_once(frequency):
    with pytest.raises(FrequencyError):
        polygon("ws://x").stream(["AAPL"], frequency)
