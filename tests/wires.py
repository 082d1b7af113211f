"""Streams that a test pushes bars through."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from rustybt.data.sources._stream import BarStream, Feed, Pace, Rules, Update
from tests.clocks import StillClock, settle
from tests.fakes import FrameSource

RULES = Rules(lag=timedelta(seconds=5), published=timedelta(seconds=5))


class Wire:
    """A feed that a test pushes updates through; an error pushed breaks the connection."""

    def __init__(self) -> None:
        self.pushed: asyncio.Queue[Update | Exception] = asyncio.Queue()
        self.refusals: list[Exception] = []
        self.connections = 0
        self.open = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[Update]]:
        self.connections += 1
        if self.refusals:
            raise self.refusals.pop(0)
        self.open += 1
        try:
            yield self._updates()
        finally:
            self.open -= 1

    async def _updates(self) -> AsyncIterator[Update]:
        while True:
            update = await self.pushed.get()
            if isinstance(update, Exception):
                raise update
            yield update


class StreamedSource(FrameSource):
    """A source whose stream is a wire, in the time of a clock; it counts what it is asked for."""

    def __init__(self, bars: Any, clock: StillClock, **facts: Any) -> None:
        super().__init__(bars, **facts)
        self.wire = Wire()
        self.clock = clock
        self.fetches = 0

    async def fetch(self, symbols, start, end, frequency):
        self.fetches += 1
        bars = await super().fetch(symbols, start, end, frequency)
        return bars.filter(bars["timestamp"] <= self.clock.now) if len(bars) else bars

    def supports_live(self) -> bool:
        return True

    def stream(self, symbols, frequency, *, since=None):
        pace = Pace(self.clock, self.clock.sleep, jitter=lambda: 1.0)
        feed = Feed(self.wire.connect, RULES)
        return BarStream(self, feed, symbols, frequency, since=since, pace=pace)

    async def push(self, *updates: Update | Exception) -> None:
        for update in updates:
            self.wire.pushed.put_nowait(update)
        await settle()
