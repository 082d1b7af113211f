"""The engine around the decisions: connections, fetches, the consumer, the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from rustybt.data.bars import Bar, Frequency, bar_schema
from rustybt.data.errors import (
    AuthenticationError,
    OutageError,
    RateLimitError,
    UnknownSymbolError,
)
from rustybt.data.sources import _stream_outbox
from rustybt.data.sources._stream import BarStream, Feed, Pace, Rules, Update
from rustybt.data.sources.base import DataSource
from tests.clocks import StillClock, settle
from tests.fakes import FrameSource
from tests.wires import Wire

OPEN = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULES = Rules(lag=5 * SECOND, published=5 * SECOND)


def at(minute: float) -> datetime:
    return OPEN + timedelta(minutes=minute)


def bar(minute: int, *, final: bool = False) -> Bar:
    return Bar("A", at(minute), 10.0, 11.0, 9.0, 10.5, 100.0, final)


def frame(*bars: Bar) -> pl.DataFrame:
    rows = [
        (each.symbol, each.timestamp, each.open, each.high, each.low, each.close, each.volume)
        for each in bars
    ]
    return pl.DataFrame(rows, schema=bar_schema(Frequency.parse("1m")), orient="row")


def having(*bars: Bar) -> FrameSource:
    return FrameSource(frame(*bars), symbols=("A",))


class Scene:
    """A stream with its wire, its clock and its source, and what the consumer was given."""

    def __init__(self, source: DataSource | None = None, rules: Rules = RULES, **facts) -> None:
        self.clock = StillClock(OPEN)
        self.wire = Wire()
        self.source = source or having()
        pace = Pace(self.clock, self.clock.sleep, jitter=lambda: 1.0)
        feed = Feed(self.wire.connect, rules)
        self.stream = BarStream(self.source, feed, ["A"], "1m", pace=pace, **facts)
        self.given: list[Bar] = []

    async def consume(self) -> None:
        async with aclosing(self.stream):
            async for each in self.stream:
                self.given.append(each)

    @asynccontextmanager
    async def consumed(self) -> AsyncIterator["Scene"]:
        consumer = asyncio.create_task(self.consume())
        await settle()
        yield self
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)

    async def push(self, *updates: Update | Exception) -> None:
        for update in updates:
            self.wire.pushed.put_nowait(update)
        await settle()

    @property
    def finals(self) -> list[Bar]:
        return [each for each in self.given if each.final]


def test_a_bar_is_given_as_it_forms_and_once_when_it_is_final():
    async def scene() -> None:
        async with Scene().consumed() as s:
            await s.clock.move(at(0.5))
            await s.push(bar(1))
            assert s.given == [bar(1)]
            await s.clock.move(at(2))
            assert s.given == [bar(1), bar(1, final=True)]

    asyncio.run(scene())


def test_what_a_cut_connection_missed_is_fetched():
    async def scene() -> None:
        source = having(*(bar(minute) for minute in range(1, 9)))
        async with Scene(source).consumed() as s:
            s.wire.refusals = [OutageError("refused") for _ in range(7)]
            await s.push(bar(1, final=True), OutageError("cut"))
            assert s.stream.status.trouble == "cut"
            await s.clock.move(at(3))
            assert not s.stream.status.connected
            await s.clock.move(at(3.5))
            assert s.stream.status.connected
            await s.push(bar(5, final=True))
            await s.clock.move(at(6))
            assert s.finals == [bar(minute, final=True) for minute in range(1, 6)]
            assert s.stream.status.connections == 2

    asyncio.run(scene())


def test_a_stream_goes_on_behind_the_last_bar_that_the_caller_has():
    async def scene() -> None:
        source = having(*(bar(minute) for minute in range(-4, 1)))
        async with Scene(source, since={"A": at(-3)}).consumed() as s:
            await s.clock.move(at(0.5))
            assert s.finals == [bar(minute, final=True) for minute in (-2, -1, 0)]

    asyncio.run(scene())


def test_midnight_is_a_bar_like_any_other():
    async def scene() -> None:
        midnight = datetime(2024, 3, 6, tzinfo=UTC)
        source = having(
            *(replace(bar(0), timestamp=midnight + n * 60 * SECOND) for n in range(-2, 3))
        )
        s = Scene(source, since={"A": midnight - 60 * SECOND})
        s.clock.now = midnight + 10 * SECOND
        async with s.consumed():
            assert [each.timestamp for each in s.finals] == [midnight]

    asyncio.run(scene())


@pytest.mark.parametrize("error", [AuthenticationError("no"), UnknownSymbolError(["A"], "x")])
def test_what_another_try_cannot_mend_ends_the_stream(error):
    async def scene() -> None:
        s = Scene()
        s.wire.refusals = [error]
        with pytest.raises(type(error)):
            await s.consume()
        assert s.wire.connections == 1

    asyncio.run(scene())


def test_a_provider_that_was_never_reached_is_an_error_in_the_end():
    async def scene() -> None:
        s = Scene()
        s.wire.refusals = [OutageError(f"refused {n}") for n in range(9)]
        consumer = asyncio.create_task(s.consume())
        await s.clock.move(at(10))
        with pytest.raises(OutageError, match="refused 4"):
            await consumer

    asyncio.run(scene())


def test_a_provider_that_was_reached_once_is_tried_for_ever():
    async def scene() -> None:
        async with Scene().consumed() as s:
            s.wire.refusals = [OutageError("refused") for _ in range(30)]
            await s.push(OutageError("cut"))
            await s.clock.move(at(60))
            assert s.stream.status.connected

    asyncio.run(scene())


def test_a_provider_that_asks_to_wait_is_left_alone_that_long():
    async def scene() -> None:
        async with Scene().consumed() as s:
            await s.push(RateLimitError("slowly", retry_after=90))
            await s.clock.move(at(1.4))
            assert s.wire.connections == 1
            await s.clock.move(at(1.6))
            assert s.wire.connections == 2

    asyncio.run(scene())


class Outage(FrameSource):
    """A source that cannot be reached for a while; it counts how often that was tried."""

    trouble: Exception | None = None
    tries = 0

    async def fetch(self, symbols, start, end, frequency):
        self.tries += 1
        if self.trouble is not None:
            raise self.trouble
        return await super().fetch(symbols, start, end, frequency)


@pytest.mark.parametrize(
    ("error", "tries"), [(OutageError("down"), 6), (RateLimitError("down", retry_after=60), 2)]
)
def test_a_fetch_that_fails_is_repeated_and_what_is_behind_it_waits(error, tries):
    async def scene() -> None:
        source = Outage(frame(bar(0)), symbols=("A",))
        source.trouble = error
        s = Scene(source, since={"A": at(-1)})
        async with s.consumed():
            await s.push(bar(1, final=True))
            await s.clock.move(at(1.5))
            assert (s.finals, s.stream.status.trouble, source.tries) == ([], "down", tries)
            source.trouble = None
            await s.clock.move(at(3))
            assert s.finals == [bar(0, final=True), bar(1, final=True)]
            assert s.stream.status.trouble == ""

    asyncio.run(scene())


def test_an_unknown_symbol_ends_the_stream_when_it_is_fetched():
    async def scene() -> None:
        s = Scene(FrameSource(frame(replace(bar(0), symbol="B"))), since={"A": at(-1)})
        s.clock.now = at(1)
        with pytest.raises(UnknownSymbolError):
            await s.consume()

    asyncio.run(scene())


def test_a_slow_consumer_gets_the_newest_state_of_a_forming_bar():
    async def scene() -> None:
        s = Scene()
        states = [replace(bar(1), volume=float(n)) for n in range(200)]
        async with aclosing(s.stream):
            first = asyncio.create_task(anext(s.stream))
            await settle()
            await s.push(states[0])
            assert await first == states[0]
            await s.push(*states[1:])
            assert await anext(s.stream) == states[-1]
            assert not s.stream._outbox

    asyncio.run(scene())


def test_a_consumer_that_sleeps_loses_no_final_bar_and_no_memory(monkeypatch):
    monkeypatch.setattr(_stream_outbox, "WAITING", 8)

    async def scene() -> None:
        s = Scene(having(*(bar(minute) for minute in range(1, 101))))
        async with aclosing(s.stream):
            first = asyncio.create_task(anext(s.stream))
            for minute in range(1, 101):
                await s.clock.move(at(minute))
                if s.wire.open:
                    await s.push(bar(minute, final=True))
                assert len(s.stream._outbox._final) <= 8 + 1
            got = [await first]
            await s.clock.move(at(101))
            while len(got) < 100:
                got.append(await anext(s.stream))
        assert got == [bar(minute, final=True) for minute in range(1, 101)]

    asyncio.run(scene())


def test_a_program_that_slept_takes_no_unread_update_for_the_last_word():
    async def scene() -> None:
        source = having(bar(1), bar(2))
        async with Scene(source).consumed() as s:
            await s.push(replace(bar(1), close=9.5))
            s.clock.now = at(2.5)  # without waking anybody in time
            await s.push(replace(bar(1), close=9.6), replace(bar(1), close=9.7))
            assert s.finals == [bar(1, final=True), bar(2, final=True)]

    asyncio.run(scene())


def test_closing_hangs_up_and_ends_the_iteration():
    async def scene() -> None:
        s = Scene()
        waiting = asyncio.create_task(anext(s.stream, None))
        await settle()
        assert s.wire.open == 1
        await s.stream.aclose()
        assert s.wire.open == 0
        assert await waiting is None
        assert await anext(s.stream, None) is None

    asyncio.run(scene())


def test_a_consumer_that_is_cancelled_loses_nothing():
    async def scene() -> None:
        s = Scene()
        async with aclosing(s.stream):
            impatient = asyncio.create_task(anext(s.stream))
            await settle()
            impatient.cancel()
            await asyncio.gather(impatient, return_exceptions=True)
            await s.push(bar(1, final=True))
            assert await anext(s.stream) == bar(1, final=True)

    asyncio.run(scene())
