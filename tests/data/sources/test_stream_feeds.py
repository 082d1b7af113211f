"""The providers' websockets, in their own formats: what they say, and cuts at every message."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from rustybt.data.bars import DAILY, MINUTE, Bar, Frequency, bar_schema
from rustybt.data.errors import (
    AuthenticationError,
    FrequencyError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    UnknownSymbolError,
)
from rustybt.data.sources._alpaca_feed import AlpacaChannel, alpaca_feed
from rustybt.data.sources._polygon_feed import MassiveChannel, massive_feed
from rustybt.data.sources._stream import BarStream, Feed, Pace
from rustybt.data.sources._yfinance_feed import YahooChannel, yahoo_feed
from tests.clocks import StillClock, settle
from tests.data.sources.socket_servers import (
    KEY,
    SECRET,
    AlpacaServer,
    MassiveServer,
    SocketServer,
    YahooServer,
    until,
)
from tests.fakes import FrameSource

OPEN = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SYMBOLS = ["A", "B"]
Timeline = list[tuple[datetime, str]]


def at(minute: float) -> datetime:
    return OPEN + timedelta(minutes=minute)


def bar(symbol: str, minute: int, close: float, *, final: bool = False) -> Bar:
    return Bar(symbol, at(minute), 10.0, 12.0, 9.0, close, 100.0 * minute, final)


#: B does not trade in the third minute.
TRUTH = [
    bar(symbol, minute, 10.0 + minute / 10)
    for minute in range(1, 6)
    for symbol in SYMBOLS
    if (symbol, minute) != ("B", 3)
]


def frame(bars: Sequence[Bar], frequency: Frequency = MINUTE) -> pl.DataFrame:
    names = bar_schema(frequency).names()
    rows = [[getattr(each, name) for name in names] for each in bars]
    return pl.DataFrame(rows, schema=bar_schema(frequency), orient="row")


class Ended(FrameSource):
    """A source that has the bars that have ended."""

    def __init__(self, bars: Sequence[Bar], clock: StillClock) -> None:
        super().__init__(frame(bars), symbols=tuple(SYMBOLS))
        self._clock = clock

    async def fetch(self, symbols, start, end, frequency):
        bars = await super().fetch(symbols, start, end, frequency)
        return bars.filter(pl.col("timestamp") <= self._clock.now)


def alpaca_messages() -> Timeline:
    """Each bar two seconds late, every other one wrong at first and corrected."""
    messages = []
    for number, each in enumerate(TRUTH):
        begun = f"{each.timestamp - 60 * SECOND:%Y-%m-%dT%H:%M:%SZ}"
        first = replace(each, close=11.5, volume=1.0) if number % 2 else each
        messages.append((each.timestamp + 2 * SECOND, AlpacaServer.bar(first, begun)))
        if number % 2:
            messages.append((each.timestamp + 30 * SECOND, AlpacaServer.bar(each, begun, "u")))
    return sorted(messages)


def massive_messages() -> Timeline:
    """Each bar shown by its seconds, then whole, and every other one corrected."""
    messages = []
    for number, each in enumerate(TRUTH):
        second = replace(each, timestamp=each.timestamp - 20 * SECOND, volume=1.0)
        messages.append((second.timestamp, MassiveServer.aggregate(second, 1)))
        first = replace(each, close=11.5) if number % 2 else each
        messages.append((each.timestamp + 2 * SECOND, MassiveServer.aggregate(first)))
        if number % 2:
            messages.append((each.timestamp + 9 * SECOND, MassiveServer.aggregate(each)))
    return sorted(messages)


def yahoo_messages() -> Timeline:
    """Two prices of each bar, neither its high nor its low."""
    messages = []
    for each in TRUTH:
        for seconds in (40, 10):
            moment = each.timestamp - seconds * SECOND
            shown = YahooServer.price(each.symbol, int(moment.timestamp() * 1000), 10.1, 10_000)
            messages.append((moment + SECOND, shown))
    return sorted(messages)


def alpaca(url: str, frequency: Frequency = MINUTE) -> Feed:
    channel = AlpacaChannel(url.removesuffix("/v2/iex"), "iex", KEY, SECRET)
    return alpaca_feed(channel, SYMBOLS, frequency, sessions_only=True)


def massive(url: str, frequency: Frequency = MINUTE) -> Feed:
    channel = MassiveChannel(url.removesuffix("/stocks"), "stocks", KEY)
    return massive_feed(channel, SYMBOLS, frequency, sessions_only=True)


def yahoo(url: str, frequency: Frequency = MINUTE) -> Feed:
    return yahoo_feed(YahooChannel(url), SYMBOLS, frequency)


@dataclass
class Provider:
    server: Callable[[], SocketServer]
    feed: Callable[..., Feed]
    messages: Callable[[], Timeline]


PROVIDERS = {
    "alpaca": Provider(AlpacaServer, alpaca, alpaca_messages),
    "massive": Provider(MassiveServer, massive, massive_messages),
    "yfinance": Provider(YahooServer, yahoo, yahoo_messages),
}


class Market:
    """A provider's server, and a stream of it, in a time that the messages move on."""

    def __init__(self, provider: Provider, bars: Sequence[Bar] = TRUTH) -> None:
        self.provider = provider
        self.server = provider.server()
        self.clock = StillClock(OPEN)
        self.source = Ended(bars, self.clock)
        self.given: list[Bar] = []

    async def watch(self, timeline: Timeline, cuts: dict[int, int], frequency: str = "1m") -> None:
        """Play messages; before message n of `cuts` the connection is cut, for some messages."""
        pace = Pace(self.clock, self.clock.sleep, jitter=lambda: 1.0)
        async with self.server.serving() as url:
            feed = self.provider.feed(url, Frequency.parse(frequency))
            self.stream = BarStream(self.source, feed, SYMBOLS, frequency, pace=pace)
            consumer = asyncio.create_task(self._consume())
            await until(lambda: self.stream.status.connected)
            back = -1
            for number, (moment, message) in enumerate(timeline):
                await self.clock.move(moment)
                if number in cuts:
                    back = number + cuts[number]
                    await self.server.cut()
                    await until(lambda: not self.stream.status.connected)
                if number >= back:
                    await self._reconnected()
                    await self.server.push(message)
                await settle()
            await self._reconnected()
            for minute in range(7, 10):
                await self.clock.move(at(minute))
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)

    async def _consume(self) -> None:
        async with aclosing(self.stream):
            async for each in self.stream:
                self.given.append(each)

    async def _reconnected(self) -> None:
        self.server.up = True
        async with asyncio.timeout(10):
            while not self.stream.status.connected:
                await self.clock.move(self.clock.now + SECOND)

    def finals(self, symbol: str) -> list[Bar]:
        return [
            replace(each, final=False)
            for each in self.given
            if each.final and each.symbol == symbol
        ]


def truth_of(symbol: str) -> list[Bar]:
    return [each for each in TRUTH if each.symbol == symbol]


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_the_provider_pushes_becomes_final_bars(name):
    market = Market(PROVIDERS[name])
    asyncio.run(market.watch(PROVIDERS[name].messages(), {}))
    assert {symbol: market.finals(symbol) for symbol in SYMBOLS} == {
        symbol: truth_of(symbol) for symbol in SYMBOLS
    }
    assert any(not each.final for each in market.given)
    assert (market.stream.status.connections, market.stream.status.late) == (1, 0)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("lost", [0, 1, 6], ids="{} messages lost".format)
def test_a_cut_at_any_message_leaves_no_gap_and_no_duplicate(name, lost):
    timeline = PROVIDERS[name].messages()
    for number in range(len(timeline)):
        market = Market(PROVIDERS[name])
        asyncio.run(market.watch(timeline, {number: lost}))
        for symbol in SYMBOLS:
            assert market.finals(symbol) == truth_of(symbol), f"cut before message {number}"
        assert market.stream.status.connections == 2


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_cut_at_every_message_leaves_no_gap_and_no_duplicate(name):
    timeline = PROVIDERS[name].messages()
    market = Market(PROVIDERS[name])
    asyncio.run(market.watch(timeline, dict.fromkeys(range(len(timeline)), 0)))
    for symbol in SYMBOLS:
        assert market.finals(symbol) == truth_of(symbol)


@pytest.mark.parametrize("name", ["alpaca", "massive"])
def test_an_uncut_feed_needs_no_fetch(name):
    market = Market(PROVIDERS[name])
    asyncio.run(market.watch(PROVIDERS[name].messages(), {}))
    assert market.stream.status.fetched == 0


@pytest.mark.parametrize("name", ["alpaca", "massive"])
def test_minutes_make_longer_bars(name):
    market = Market(PROVIDERS[name])
    asyncio.run(market.watch(PROVIDERS[name].messages(), {}, "5m"))
    whole = [each for each in market.given if each.final and each.symbol == "A"]
    assert whole == [Bar("A", at(5), 10.0, 12.0, 9.0, 10.5, 1500.0, True)]


@pytest.mark.parametrize(
    ("feed", "path"),
    [("sip", "v2/sip"), ("crypto", "v1beta3/crypto/us"), ("overnight", "v1beta1/overnight")],
)
def test_each_feed_of_alpaca_has_an_address(feed, path):
    assert AlpacaChannel("wss://x", feed, KEY, SECRET).url == f"wss://x/{path}"


def test_days_of_crypto_are_made_of_minutes_and_fetched():
    channel = AlpacaChannel("wss://x", "crypto", KEY, SECRET)
    assert not alpaca_feed(channel, SYMBOLS, DAILY, sessions_only=False).rules.official


def test_bars_that_yahoo_begins_at_the_open_do_not_stream():
    with pytest.raises(FrequencyError, match="1h; it streams minutes"):
        yahoo("ws://x", Frequency.parse("1h"))


def test_a_delayed_feed_is_waited_for():
    late = AlpacaChannel("wss://x", "delayed_sip", KEY, SECRET)
    slow = MassiveChannel("wss://delayed.massive.com", "stocks", KEY)
    feeds = [
        alpaca_feed(late, SYMBOLS, MINUTE, sessions_only=True),
        massive_feed(slow, SYMBOLS, MINUTE, sessions_only=True),
    ]
    assert all(feed.rules.lag > timedelta(minutes=15) for feed in feeds)
    assert massive("wss://socket.massive.com/stocks").rules.lag < timedelta(minutes=1)


def test_a_plan_without_seconds_has_its_minutes():
    async def first() -> Bar:
        server = MassiveServer(refused=["A"])
        async with server.serving() as url, massive(url).connect() as updates:
            await until(lambda: len(server.said) == 3)
            await server.push(MassiveServer.aggregate(TRUTH[0]))
            return await anext(updates)

    assert asyncio.run(first()) == TRUTH[0]


def test_a_plan_without_minutes_has_no_stream():
    with pytest.raises(RefusedRequestError, match=r"subscribe to: AM\.A"):
        asyncio.run(connect(MassiveServer(refused=["AM"]), massive))


def test_yahoos_own_client_understands_the_server_of_these_tests():
    from yfinance import AsyncWebSocket

    async def first() -> dict[str, object]:
        server = YahooServer()
        async with server.serving() as url, AsyncWebSocket(url, verbose=False) as client:
            await client.subscribe(["AAPL"])
            read = asyncio.Queue()
            listening = asyncio.create_task(client.listen(read.put_nowait))
            await server.push(YahooServer.price("AAPL", 1_700_000_000_000, 10.5, 77))
            shown = await read.get()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        assert server.said == [{"subscribe": ["AAPL"]}]
        return shown

    shown = asyncio.run(first())
    assert (shown["id"], shown["price"], shown["day_volume"]) == ("AAPL", 10.5, "77")


def test_yahoo_shows_how_a_bar_forms():
    market = Market(PROVIDERS["yfinance"])
    moment = int(at(0.5).timestamp() * 1000)
    prices = [(10.1, 1000), (10.4, 1300), (10.2, 1350)]
    shown = [(at(0.5), YahooServer.price("A", moment, price, day)) for price, day in prices]
    before = [(at(0.4), YahooServer.price("A", moment, 99.0, 900, hours=0))]
    asyncio.run(market.watch(before + shown, {}))
    assert [each for each in market.given if not each.final][-1] == Bar(
        "A", at(1), 10.1, 10.4, 10.1, 10.2, 350.0, False
    )


def test_alpaca_sends_daily_bars_as_they_grow():
    async def first() -> Bar:
        server = AlpacaServer()
        async with server.serving() as url, alpaca(url, DAILY).connect() as updates:
            grown = Bar("A", OPEN, 10.0, 12.0, 9.0, 11.0, 5.0, False)
            await server.push(AlpacaServer.bar(grown, "2024-03-05T05:00:00Z", "d"))
            assert server.said[1] == {"action": "subscribe", "dailyBars": SYMBOLS}
            return await anext(updates)

    assert asyncio.run(first()) == Bar("A", date(2024, 3, 5), 10.0, 12.0, 9.0, 11.0, 5.0, False)


async def connect(server: SocketServer, feed: Callable[[str], Feed], *messages: str) -> None:
    async with server.serving() as url, feed(url).connect() as updates:
        await server.push(*messages)
        await anext(updates)


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (402, "auth failed", AuthenticationError),
        (406, "connection limit exceeded", RateLimitError),
        (409, "insufficient subscription", AuthenticationError),
        (500, "internal error", OutageError),
        (400, "invalid syntax", RefusedRequestError),
    ],
)
def test_what_alpaca_refuses_is_an_error_of_its_own(code, text, error):
    refusal = {"T": "error", "code": code, "msg": text}
    with pytest.raises(error, match=f"says {code}: {text}"):
        asyncio.run(connect(AlpacaServer(refusal), alpaca))


def test_a_symbol_that_alpaca_does_not_confirm_is_unknown():
    with pytest.raises(UnknownSymbolError, match="no symbol B"):
        asyncio.run(connect(AlpacaServer(known=["A"]), alpaca))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("auth_failed", AuthenticationError),
        ("max_connections", RateLimitError),
        ("auth_timeout", OutageError),
        ("error", RefusedRequestError),
    ],
)
def test_what_massive_refuses_is_an_error_of_its_own(status, error):
    with pytest.raises(error, match=f"says {status}: authenticated"):
        asyncio.run(connect(MassiveServer(status), massive))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alpaca", "not json"),
        ("alpaca", '{"T":"b"}'),
        ("alpaca", '[{"T":"b","S":"A"}]'),
        ("massive", '[{"ev":"AM","sym":"A"}]'),
        ("massive", '[{"ev":"AM","sym":"A","o":1,"h":1,"l":1,"c":1,"v":1,"e":"soon"}]'),
        ("yfinance", '{"type":"pricing"}'),
        ("yfinance", '{"message":"/////w=="}'),
    ],
)
def test_what_cannot_be_read_is_a_malformed_answer(name, message):
    provider = PROVIDERS[name]
    with pytest.raises(MalformedAnswerError, match=name):
        asyncio.run(connect(provider.server(), provider.feed, message))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_server_that_lets_nobody_in_is_an_outage(name):
    server = PROVIDERS[name].server()
    server.up = False
    with pytest.raises(OutageError, match="503"):
        asyncio.run(connect(server, PROVIDERS[name].feed))


@pytest.mark.parametrize("name", ["alpaca", "massive"])
def test_credentials_are_sent_and_shown_nowhere(name, caplog):
    caplog.set_level(logging.DEBUG)
    market = Market(PROVIDERS[name])
    asyncio.run(market.watch(PROVIDERS[name].messages(), {3: 2}))
    assert KEY in str(market.server.said[0])
    ours = [each for each in caplog.records if each.name != "websockets.server"]
    shown = [each.getMessage() for each in ours]
    shown += [repr(market.stream.status), repr(market.provider.feed("ws://x"))]
    assert not [text for text in shown if KEY in text or SECRET in text]
