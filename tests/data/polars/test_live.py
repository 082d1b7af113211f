"""The portal of a live source: what is forming now, pushed and not asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from rustybt.data.bars import Bar
from rustybt.data.errors import (
    AuthenticationError,
    LiveDataWarning,
    LookAheadError,
    MissingBarsWarning,
    OutageError,
)
from rustybt.data.polars import PolarsDataPortal
from tests.clocks import StillClock, settle
from tests.frames import minutes, walk
from tests.wires import StreamedSource

NOW = datetime(2024, 3, 7, 15, 0, 30, tzinfo=UTC)
BARS = walk(("A", "B"), minutes("2024-03-07", "2024-03-07")).filter(pl.col("timestamp") <= NOW)


def forming(symbol: str, close: float, minute: int = 1) -> Bar:
    ends = NOW.replace(second=0) + timedelta(minutes=minute)
    return Bar(symbol, ends, 10.0, 99.0, 9.0, close, 123.0, False)


class Desk:
    """A portal over a source that streams, and somebody who asks it."""

    def __init__(self, **options) -> None:
        self.clock = StillClock(NOW)
        self.source = StreamedSource(BARS, self.clock, calendar="XNYS")
        self.portal = PolarsDataPortal(self.source, use_cache=False, clock=self.clock, **options)

    async def ask(self, symbols, field="close", dt=None, frequency="1m"):
        values = await self.portal.get_spot_value(symbols, field, dt or self.clock.now, frequency)
        return values.to_list()


def at_a_desk(act: Callable[[Desk], Awaitable[None]], **options) -> None:
    async def run() -> None:
        desk = Desk(**options)
        try:
            await act(desk)
        finally:
            await desk.portal.aclose()
            assert desk.source.wire.open == 0

    asyncio.run(run())


def test_a_live_value_is_that_of_the_forming_bar_and_costs_no_request():
    async def act(desk: Desk) -> None:
        await desk.source.push(forming("A", 20.0), forming("B", 30.0))
        assert await desk.ask(["B", "A"]) == [30.0, 20.0]
        for close in (21.0, 22.0):
            await desk.source.push(forming("A", close))
            assert await desk.ask("A") == [close]
            assert await desk.ask("A", "price") == [close]
            assert await desk.ask("A", "volume") == [123.0]
        assert desk.source.fetches == 0
        assert desk.source.wire.connections == 1

    at_a_desk(act)


def test_a_time_that_is_past_is_answered_as_ever():
    async def act(desk: Desk) -> None:
        before = NOW - timedelta(minutes=5)
        assert (await desk.ask("A", dt=before))[0] is not None
        assert desk.source.wire.connections == 0
        with pytest.raises(LookAheadError):
            await desk.ask("A", dt=NOW + timedelta(seconds=1))

    at_a_desk(act)


def test_a_symbol_that_shows_nothing_is_fetched(monkeypatch):
    monkeypatch.setattr("rustybt.data.sources.live_view.PATIENCE", 0.0)

    async def act(desk: Desk) -> None:
        assert (await desk.ask("A"))[0] is not None
        assert desk.source.fetches == 1
        await desk.source.push(forming("A", 20.0))
        assert await desk.ask("A") == [20.0]
        assert desk.source.fetches == 1

    at_a_desk(act)


def test_an_old_bar_is_still_the_price_and_no_longer_the_value():
    async def act(desk: Desk) -> None:
        await desk.source.push(forming("A", 21.0))
        assert await desk.ask("A") == [21.0]
        await desk.clock.move(NOW + timedelta(minutes=1))
        await desk.source.push(forming("A", 20.0, minute=2))
        await desk.clock.move(NOW + timedelta(minutes=2))
        assert await desk.ask("A") == [20.0]
        await desk.clock.move(NOW + timedelta(hours=7))
        assert await desk.ask("A", "price") == [20.0]
        with pytest.warns(MissingBarsWarning):
            assert await desk.ask("A") == [None]

    at_a_desk(act)


def test_what_a_lost_connection_showed_is_not_taken_for_live():
    async def act(desk: Desk) -> None:
        await desk.source.push(forming("A", 20.0))
        assert await desk.ask("A") == [20.0]
        await desk.source.push(OutageError("cut"))
        assert await desk.ask("A") != [20.0]
        assert desk.source.fetches == 1

    at_a_desk(act)


def test_a_source_that_cannot_stream_after_all_says_so_once_and_is_fetched():
    async def act(desk: Desk) -> None:
        desk.source.wire.refusals = [AuthenticationError("the plan has no streams")]
        with pytest.warns(LiveDataWarning, match="the plan has no streams"):
            assert (await desk.ask("A"))[0] is not None
        assert (await desk.ask("A"))[0] is not None
        assert desk.source.wire.connections == 1

    at_a_desk(act)


def test_more_symbols_are_added_to_the_one_connection():
    async def act(desk: Desk) -> None:
        await desk.source.push(forming("A", 20.0))
        assert await desk.ask("A") == [20.0]
        asked = asyncio.create_task(desk.ask(["A", "B"]))
        await settle()
        await desk.source.push(forming("B", 30.0))
        assert await asked == [20.0, 30.0]
        assert desk.source.wire.open == 1

    at_a_desk(act)


@pytest.mark.parametrize("options", [{"simulation_clock": lambda: NOW}])
def test_a_simulation_is_never_live(options):
    async def act(desk: Desk) -> None:
        assert (await desk.ask("A"))[0] is not None
        assert desk.source.wire.connections == 0

    at_a_desk(act, **options)


def test_a_portal_works_in_one_event_loop_after_another():
    desk = Desk()
    for close in (20.0, 21.0):

        async def ask(close: float = close) -> list[float]:
            desk.source.wire.pushed = asyncio.Queue()
            await desk.source.push(forming("A", close))
            values = await desk.ask("A")
            await desk.portal.aclose()
            return values

        assert asyncio.run(ask()) == [close]
