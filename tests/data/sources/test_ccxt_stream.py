"""Exchanges' websockets through ccxt.pro: whole bars, cut at every message."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import pytest

from rustybt.data.bars import MINUTE
from rustybt.data.errors import (
    FrequencyError,
    MalformedAnswerError,
    RefusedRequestError,
    SourceError,
    UnknownSymbolError,
)
from rustybt.data.sources.adapters import Budget
from rustybt.data.sources.ccxt import CCXTDataSource
from tests.data.sources.socket_servers import SocketServer
from tests.data.sources.test_stream_feeds import (
    SECOND,
    SYMBOLS,
    TRUTH,
    Market,
    Provider,
    Timeline,
    truth_of,
)


class BinanceServer(SocketServer):
    """See https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams."""

    path = "/stream"

    async def greet(self, client):
        wanted = set()
        while len(wanted) < len(SYMBOLS):
            asked = await self.hear(client)
            wanted |= set(asked["params"])
            await client.send(json.dumps({"result": None, "id": asked["id"]}))
        return wanted == {f"{symbol.lower()}@kline_1m" for symbol in SYMBOLS}

    @staticmethod
    def bar(bar, *, closed=False):
        begin = int(bar.timestamp.timestamp() * 1000) - 60_000
        values = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close, "v": bar.volume}
        kline = {"t": begin, "T": begin + 59_999, "s": bar.symbol, "i": "1m", "x": closed}
        told = {name: f"{value:.8f}" for name, value in values.items()}
        return json.dumps({"e": "kline", "E": begin, "s": bar.symbol, "k": {**kline, **told}})


class KrakenServer(SocketServer):
    """See https://docs.kraken.com/api/docs/websocket-v2/ohlc."""

    path = "/v2"

    async def greet(self, client):
        wanted = set()
        while len(wanted) < len(SYMBOLS):
            asked = await self.hear(client)
            wanted |= set(asked["params"]["symbol"])
            result = {"channel": "ohlc", "interval": 1, "symbol": asked["params"]["symbol"][0]}
            done = {"method": "subscribe", "success": True, "req_id": asked["req_id"]}
            await client.send(json.dumps({**done, "result": result}))
        return wanted == set(SYMBOLS)

    @staticmethod
    def bar(bar, *, closed=False):
        begin = f"{bar.timestamp - 60 * SECOND:%Y-%m-%dT%H:%M:%S.000000000Z}"
        names = ("symbol", "open", "high", "low", "close", "volume")
        row = {name: getattr(bar, name) for name in names}
        row |= {"interval": 1, "interval_begin": begin, "trades": 3, "vwap": bar.close}
        return json.dumps({"channel": "ohlc", "type": "update", "data": [row]})


def messages_of(server) -> Timeline:
    """Each bar as it forms, and for the last time a second after its end."""
    told = []
    for bar in TRUTH:
        forming = replace(bar, close=9.5, volume=1.0)
        told.append((bar.timestamp - 20 * SECOND, server.bar(forming)))
        told.append((bar.timestamp + SECOND, server.bar(bar, closed=True)))
    return sorted(told)


def market(symbol):
    return {
        "id": symbol, "lowercaseId": symbol.lower(), "symbol": symbol, "base": symbol,
        "quote": "USD", "type": "spot", "spot": True, "active": True, "info": {"wsname": symbol},
    }  # fmt: skip


def source_at(exchange_id, url):
    name = {"binance": "spot", "kraken": "publicV2"}[exchange_id]
    options = {
        "enableRateLimit": False,
        "markets": {symbol: market(symbol) for symbol in SYMBOLS},
        "urls": {"api": {"ws": {name: url}}},
    }
    return CCXTDataSource(exchange_id, exchange_options=options, budget=Budget("exchange"))


def provider(exchange_id, server):
    return Provider(
        server,
        lambda url, frequency=MINUTE: source_at(exchange_id, url)._feed(SYMBOLS, frequency),
        lambda: messages_of(server),
    )


EXCHANGES = {
    "binance": provider("binance", BinanceServer),
    "kraken": provider("kraken", KrakenServer),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_what_the_exchange_pushes_becomes_final_bars(name):
    market = Market(EXCHANGES[name])
    asyncio.run(market.watch(EXCHANGES[name].messages(), {}))
    assert {symbol: market.finals(symbol) for symbol in SYMBOLS} == {
        symbol: truth_of(symbol) for symbol in SYMBOLS
    }
    forming = [each for each in market.given if not each.final]
    assert 9.5 in {each.close for each in forming}
    assert (market.stream.status.fetched, market.stream.status.late) == (0, 0)


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("lost", [0, 1, 6], ids="{} messages lost".format)
def test_a_cut_at_any_message_leaves_no_gap_and_no_duplicate(name, lost):
    timeline = EXCHANGES[name].messages()
    for number in range(len(timeline)):
        market = Market(EXCHANGES[name])
        asyncio.run(market.watch(timeline, {number: lost}))
        for symbol in SYMBOLS:
            assert market.finals(symbol) == truth_of(symbol), f"cut before message {number}"
        assert market.stream.status.connections == 2


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_cut_at_every_message_leaves_no_gap_and_no_duplicate(name):
    timeline = EXCHANGES[name].messages()
    market = Market(EXCHANGES[name])
    asyncio.run(market.watch(timeline, dict.fromkeys(range(len(timeline)), 0)))
    for symbol in SYMBOLS:
        assert market.finals(symbol) == truth_of(symbol)


async def until_seen(server, feed, bars):
    """All updates until the last of these bars is seen, which are pushed at once."""
    seen = []
    async with server.serving() as url, feed(url).connect() as arriving, asyncio.timeout(10):
        await server.push(*map(server.bar, bars))
        while bars[-1] not in seen:
            seen.append(await anext(arriving))
    return seen


@pytest.mark.parametrize("name", EXCHANGES)
def test_of_changes_that_come_at_once_the_last_of_each_bar_is_seen(name):
    server, feed = EXCHANGES[name].server, EXCHANGES[name].feed
    grown = [replace(TRUTH[0], volume=float(volume)) for volume in range(1, 500)]
    asyncio.run(until_seen(server(), feed, grown))
    assert grown[-1] in asyncio.run(until_seen(server(), feed, [*grown, TRUTH[2]]))


async def next_update(server, feed, *messages):
    async with server.serving() as url, feed(url).connect() as arriving:
        if messages:
            await server.push(*messages)
        return await anext(arriving)


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_bar_that_lacks_something_is_malformed(name):
    server = EXCHANGES[name].server()
    half = server.bar(TRUTH[0]).replace('"c": ', '"cc": ').replace('"close": ', '"cc": ')
    with pytest.raises(MalformedAnswerError, match="lacks something"):
        asyncio.run(next_update(server, EXCHANGES[name].feed, half))


class Refusing(BinanceServer):
    async def greet(self, client):
        asked = await self.hear(client)
        error = {"code": 2, "msg": "Invalid request: unknown stream"}
        await client.send(json.dumps({"error": error, "id": asked["id"]}))
        return False


def test_a_subscription_that_is_refused_is_an_error():
    with pytest.raises(RefusedRequestError, match="unknown stream"):
        asyncio.run(next_update(Refusing(), EXCHANGES["binance"].feed))


def test_a_symbol_that_the_exchange_lacks_ends_the_stream():
    async def first():
        async with aclosing(source_at("binance", "ws://127.0.0.1:9").stream(["C"], "1m")) as bars:
            await anext(bars)

    with pytest.raises(UnknownSymbolError, match="binance has no symbol C"):
        asyncio.run(first())


def test_an_exchange_without_a_stream_says_so():
    source = CCXTDataSource("luno")
    assert source.supports_live() is False
    with pytest.raises(SourceError, match="does not stream"):
        source.stream(["BTC/ZAR"], "1m")


def test_bars_that_do_not_stream_are_refused_at_once():
    source = source_at("binance", "ws://127.0.0.1:9")
    assert source.supports_live() is True
    for frequency in ("7m", "1w", "3d"):
        with pytest.raises(FrequencyError):
            source.stream(["A"], frequency)
