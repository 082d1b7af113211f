"""Streaming into a bundle: nothing that was final is lost, whatever ends when."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
import pytest

from rustybt.data.bars import Bar, Frequency, bar_schema
from rustybt.data.bundles import storage
from rustybt.data.bundles._locks import locked
from rustybt.data.bundles.bundle import open_bundle
from rustybt.data.bundles.ingest import ingest
from rustybt.data.bundles.journal import read_tail
from rustybt.data.errors import BundleError, BundleLockedError, OptionError, OutageError
from rustybt.data.sources._stream import Pace
from rustybt.data.sources.live_ingest import LiveOptions, live_ingest
from tests.clocks import StillClock, settle
from tests.data.sources.socket_servers import until
from tests.wires import StreamedSource

START = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def bar(minute: int, symbol: str = "A", *, final: bool = True) -> Bar:
    return Bar(symbol, at(minute), 10.0, 11.0, 9.0, 10.0 + minute / 1000, 100.0, final)


def frame(bars: Sequence[Bar]) -> pl.DataFrame:
    names = bar_schema(Frequency.parse("1m")).names()
    rows = [[getattr(each, name) for name in names] for each in bars]
    return pl.DataFrame(rows, schema=bar_schema(Frequency.parse("1m")), orient="row")


TRUTH = [bar(minute, symbol) for minute in range(1, 40) for symbol in ("A", "B")]


class Desk:
    """A market, and whoever streams it into a bundle, again and again."""

    def __init__(self, truth: Sequence[Bar] = TRUTH, **facts) -> None:
        self.clock = StillClock(START)
        self.source = StreamedSource(frame(truth), self.clock, calendar="24/7", **facts)
        self.given: list[Bar] = []

    @asynccontextmanager
    async def streaming(self, symbols=("A", "B"), every=HOUR, frequency="1m", **options):
        pace = Pace(self.clock, self.clock.sleep, jitter=lambda: 1.0)
        how = LiveOptions(pace=pace, every=every, **options)
        async with live_ingest(self.source, "live", symbols, frequency, how) as live:
            running = asyncio.create_task(live.run(self.given.extend))
            await settle()
            try:
                yield live
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def trade(self, first: int, last: int) -> None:
        """Let minutes pass that the feed shows."""
        for each in TRUTH:
            if at(first) <= each.timestamp <= at(last):
                await self.clock.move(each.timestamp)
                await self.source.push(each)


def run(act: Callable[[Desk], Awaitable[None]], **facts) -> None:
    asyncio.run(act(Desk(**facts)))


def in_bundle() -> list[Bar]:
    rows = open_bundle("live").bars("minute").sort("timestamp", "symbol")
    return [Bar(**row, final=True) for row in rows.iter_rows(named=True)]


def in_tail() -> list[Bar]:
    rows = read_tail("live").filter("final").sort("timestamp", "symbol")
    return [Bar(**row) for row in rows.iter_rows(named=True)]


def until_minute(last: int) -> list[Bar]:
    return [each for each in TRUTH if each.timestamp <= at(last)]


def test_bars_are_in_the_journal_when_they_are_final_and_in_a_version_when_confirmed():
    async def act(desk: Desk) -> None:
        async with desk.streaming() as live:
            await desk.trade(1, 3)
            assert in_tail() == until_minute(3)
            assert [each for each in desk.given if each.final] == until_minute(3)
            result = await live.confirm()
            assert in_bundle() == until_minute(3)
            assert in_tail() == []
            assert result.metadata.source_type == "frame"
            assert await live.confirm() is None

    run(act)


def test_what_is_forming_can_be_seen():
    async def act(desk: Desk) -> None:
        async with desk.streaming():
            await desk.source.push(bar(1, final=False))
            assert read_tail("live")["final"].to_list() == [False]

    run(act)


def test_versions_are_written_from_time_to_time():
    async def act(desk: Desk) -> None:
        async with desk.streaming(every=timedelta(minutes=10)):
            for first in (1, 11, 21):
                await desk.trade(first, first + 9)
                await until(lambda n=first: len(storage.versions("live")) == n // 10 + 1)
            await until(lambda: len(in_tail()) == 2)
            assert in_bundle() + in_tail() == until_minute(30)

    run(act)


def test_a_stream_that_was_killed_goes_on_without_a_gap():
    async def act(desk: Desk) -> None:
        async with desk.streaming():
            await desk.trade(1, 3)
        await desk.clock.move(at(6.5))
        async with desk.streaming() as live:
            await desk.trade(8, 9)
            await desk.clock.move(at(9.5))
            assert in_tail() == until_minute(9)
            await live.confirm()
            assert in_bundle() == until_minute(9)

    run(act)


def test_a_stream_goes_on_behind_what_was_confirmed():
    async def act(desk: Desk) -> None:
        for first, last in ((1, 3), (5, 7), (9, 12)):
            async with desk.streaming() as live:
                await desk.clock.move(at(first - 0.5))
                await desk.trade(first, last)
                await desk.clock.move(at(last + 0.5))
                await live.confirm()
                assert in_bundle() == until_minute(last)

    run(act)


def test_a_bundle_that_was_ingested_is_continued_from_its_end():
    async def act(desk: Desk) -> None:
        desk.clock.now = at(5)
        how = {"frequency": "1m", "clock": desk.clock, "symbols": ["A", "B"]}
        await asyncio.to_thread(ingest, desk.source, "live", start=at(1), end=at(5), **how)
        await desk.clock.move(at(20.5))
        async with desk.streaming() as live:
            await desk.trade(21, 22)
            await desk.clock.move(at(22.5))
            await live.confirm()
            assert in_bundle() == until_minute(22)

    run(act)


def test_a_journal_that_a_version_took_in_before_the_kill_does_no_harm():
    async def act(desk: Desk) -> None:
        async with desk.streaming() as live:
            await desk.trade(1, 3)
            path = storage.bundle_path("live") / "live" / "journal.jsonl"
            before = path.read_bytes()
            await live.confirm()
        path.write_bytes(before)
        async with desk.streaming() as live:
            await desk.trade(4, 4)
            await live.confirm()
            assert in_bundle() == until_minute(4)
            assert in_tail() == []

    run(act)


def test_a_second_stream_is_refused_and_told_by_whom():
    async def act(desk: Desk) -> None:
        async with desk.streaming():
            with pytest.raises(BundleLockedError, match=f"streamed into by process {os.getpid()}"):
                async with desk.streaming():
                    pass

    run(act)


def test_an_ingest_that_writes_the_bundle_just_now_is_waited_for():
    async def act(desk: Desk) -> None:
        async with desk.streaming(every=timedelta(minutes=10)) as live:
            with locked(storage.bundle_path("live"), "bundle 'live' is being written"):
                await desk.trade(1, 11)
                await until(lambda: live.trouble)
                assert "is being written by" in live.trouble
            await desk.trade(12, 21)
            await until(lambda: storage.versions("live") and not live.trouble)
            assert in_bundle() + in_tail() == until_minute(21)

    run(act)


def test_bars_outside_the_calendar_are_left_out_and_recorded():
    async def act(desk: Desk) -> None:
        desk.clock.now = at(148)  # two minutes before the open
        truth = [bar(minute) for minute in (149, 150, 151, 152)]
        desk.source = StreamedSource(frame(truth), desk.clock, calendar="XNYS")
        async with desk.streaming(["A"]) as live:
            for each in truth:
                await desk.clock.move(each.timestamp)
                await desk.source.push(each)
            result = await live.confirm()
            assert in_bundle() == truth[2:]
            assert "off the calendar: dropped" in result.coverage["reason"].to_list()
            assert in_tail() == []

    run(act)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": ["A", "C"]}, "not C: ingest them first"),
        ({"frequency": "5m"}, "not bars of 5m"),
    ],
)
def test_bars_that_the_bundle_cannot_take_are_refused_at_once(options, message):
    async def act(desk: Desk) -> None:
        async with desk.streaming() as live:
            await desk.trade(1, 1)
            await live.confirm()
        with pytest.raises(OptionError, match=message):
            async with desk.streaming(**options):
                pass

    run(act)


def test_adjusted_bars_are_refused():
    async def act(desk: Desk) -> None:
        with pytest.raises(OptionError, match="adjusted for split"):
            async with desk.streaming():
                pass

    run(act, adjustment="split")


def test_a_symbol_that_has_not_traded_yet_is_streamed_on():
    async def act(desk: Desk) -> None:
        async with desk.streaming() as live:
            await desk.clock.move(at(1))
            await desk.source.push(bar(1))
            await live.confirm()
        async with desk.streaming() as live:
            await desk.clock.move(at(2))
            await desk.source.push(bar(2), bar(2, "B"))
            await desk.clock.move(at(2.5))
            await live.confirm()
            assert bar(2, "B") in in_bundle()

    run(act)


def test_bars_that_a_stream_of_more_symbols_left_are_confirmed_too():
    async def act(desk: Desk) -> None:
        async with desk.streaming():
            await desk.trade(1, 3)
        async with desk.streaming(["A"]) as live:
            await live.confirm()
        assert in_bundle() == until_minute(3)

    run(act)


def test_a_bundle_that_was_ingested_anew_meanwhile_is_not_continued_with_a_hole():
    async def act(desk: Desk) -> None:
        async with desk.streaming() as live:
            await desk.trade(1, 5)
            await live.confirm()
            how = {"frequency": "1m", "clock": desk.clock, "symbols": ["A", "B"]}
            await asyncio.to_thread(ingest, desk.source, "live", start=at(1), end=at(3), **how)
            await desk.trade(6, 7)
            with pytest.raises(BundleError, match="ends before the bars that are streamed"):
                await live.confirm()
            assert in_tail() == TRUTH[10:14]
        async with desk.streaming() as live:
            await desk.clock.move(at(7.5))
            await live.confirm()
            assert in_bundle() == until_minute(7)

    run(act)


def test_a_version_is_written_after_each_close():
    async def act(desk: Desk) -> None:
        close = datetime(2024, 3, 5, 21, 0, tzinfo=UTC)
        desk.clock.now = close - timedelta(minutes=2)
        last = [replace(bar(0), timestamp=close - timedelta(minutes=n)) for n in (1, 0)]
        desk.source = StreamedSource(frame(last), desk.clock, calendar="XNYS")
        async with desk.streaming(["A"], every=timedelta(days=9)):
            for each in last:
                await desk.clock.move(each.timestamp)
                await desk.source.push(each)
            await desk.clock.move(close + timedelta(minutes=1))
            assert storage.versions("live") == []
            await desk.clock.move(close + timedelta(minutes=2))
            await until(lambda: storage.versions("live") and not in_tail())
            assert in_bundle() == last

    run(act)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_ends_when_every_bar_is_there_once(seed):
    """Streams of random lengths, with random cuts and ends: confirmed, or only left."""
    chance = Random(seed)  # noqa: S311  the same walk each time

    async def act(desk: Desk) -> None:
        minute = 0
        while minute < 36:
            async with desk.streaming() as live:
                for _ in range(chance.randint(1, 4)):
                    first, minute = minute + 1, minute + chance.randint(1, 4)
                    await desk.trade(first, min(minute, 39))
                    if chance.random() < 0.4:
                        await desk.source.push(OutageError("cut"))
                if chance.random() < 0.3:
                    await live.confirm()
            minute += chance.randint(0, 3)
            await desk.clock.move(at(minute + 0.5))
        await desk.clock.move(at(39.5))
        async with desk.streaming() as live:
            await desk.clock.move(at(41))
            await live.confirm()
        assert in_bundle() == TRUTH

    run(act)
