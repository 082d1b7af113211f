"""What every source that asks a provider symbol by symbol does alike."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from rustybt.data.adjustments import Events, merge_events
from rustybt.data.bars import DAILY, Frequency, conform, empty_bars, require_valid
from rustybt.data.errors import (
    BarSchemaError,
    BarValidationError,
    DateRangeError,
    FrequencyError,
    MalformedAnswerError,
    SourceError,
)
from rustybt.data.sources._fetched import Delivery, Fetched, merge_fetched
from rustybt.data.sources.base import (
    DataSource,
    InstantRange,
    SessionRange,
    requested_instants,
    requested_sessions,
)

if TYPE_CHECKING:
    import pandas as pd

Range = SessionRange | InstantRange


@dataclass(frozen=True)
class Answered:
    """What a provider answered for one symbol.

    Attributes
    ----------
    bars : polars.DataFrame
        Bars of the range that have ended (`_finality.ended_only`), with the columns of the bar
        schema.
    absence : str
        Why there are none, where there are none.
    """

    bars: pl.DataFrame
    absence: str = "no bars in the range asked for"


class ProviderSource(DataSource):
    """A source that asks a provider for one symbol at a time, a few at once.

    An adapter writes `_connect`, `_bars_of` and, where it has them, `_events_of`; and `_whole`,
    if a request without dates makes sense.
    """

    #: How many symbols are asked for at the same time.
    concurrency: ClassVar[int] = 8

    @abstractmethod
    def _connect(self) -> AbstractAsyncContextManager[Any]:
        """What the requests of one call share: a connection pool, a client."""

    @abstractmethod
    async def _bars_of(
        self, connection: Any, symbol: str, asked: Range, frequency: Frequency
    ) -> Answered:
        """The bars of one symbol that have ended; raises the `SourceError` that says why not."""

    async def _events_of(
        self,
        connection: Any,  # noqa: ARG002
        symbol: str,  # noqa: ARG002
        asked: SessionRange,  # noqa: ARG002
    ) -> Events:
        """The corporate actions of one symbol."""
        return Events()

    def _whole(self, frequency: Frequency) -> tuple[Any, Any]:
        """The start and the end that a request means which names none.

        Raises
        ------
        DateRangeError
            If it has to name them.
        """
        raise DateRangeError(
            f"say from when to when: {self.get_metadata().source_type} has no first day of its "
            f"own for bars of {frequency} (--start and --end on the command line)"
        )

    async def fetch(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp", frequency: str
    ) -> pl.DataFrame:
        """See `DataSource.fetch`."""
        return (await self.fetch_available(symbols, start, end, frequency)).complete()

    async def fetch_available(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp", frequency: str
    ) -> Fetched:
        """See `DataSource.fetch_available`."""
        wanted = self._supported(frequency)
        asked = self._requested(start, end, wanted)
        async with self._connect() as connection:
            parts = await self._each(
                symbols, lambda symbol: self._answer(connection, symbol, asked, wanted)
            )
        return merge_fetched(parts, wanted)

    async def fetch_events(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp"
    ) -> Events:
        """See `DataSource.fetch_events`."""
        if self.get_metadata().adjustment != "raw":
            return Events()
        asked = requested_sessions(*self._dates(start, end, DAILY))
        async with self._connect() as connection:
            parts = await self._each(
                symbols, lambda symbol: self._events_of(connection, symbol, asked)
            )
        return merge_events(map(_told_once, parts))

    async def deliver(
        self,
        symbols: list[str],
        start: "pd.Timestamp",
        end: "pd.Timestamp",
        frequencies: Sequence[str],
    ) -> AsyncIterator[Delivery]:
        """See `DataSource.deliver`; at most `concurrency` symbols are under way or waiting."""
        wanted = {name: self._supported(name) for name in frequencies}
        ranges = {name: self._requested(start, end, each) for name, each in wanted.items()}
        days = requested_sessions(*self._dates(start, end, next(iter(wanted.values()))))

        async def everything(symbol: str) -> Delivery:
            bars = {
                name: await self._answer(connection, symbol, ranges[name], each)
                for name, each in wanted.items()
            }
            return await self._with_events(connection, Delivery((symbol,), bars, Events()), days)

        async with self._connect() as connection:
            async for delivery in _as_they_come(symbols, everything, self.concurrency):
                yield delivery

    async def _with_events(
        self, connection: Any, delivery: Delivery, asked: SessionRange
    ) -> Delivery:
        """The same with the events of its only symbol, if its bars could be had and are raw."""
        if delivery.failures or self.get_metadata().adjustment != "raw":
            return delivery
        (symbol,) = delivery.symbols
        try:
            events = _told_once(await self._events_of(connection, symbol, asked))
            return replace(delivery, events=merge_events([events]))
        except (SourceError, BarValidationError) as error:
            return replace(delivery, event_failures={symbol: error})

    async def _each(self, symbols: list[str], ask: Any) -> list[Any]:
        """Ask for each distinct symbol, at most `concurrency` at once, in order."""
        gate = asyncio.Semaphore(self.concurrency)

        async def one(symbol: str) -> Any:
            async with gate:
                return await ask(symbol)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(symbol)) for symbol in sorted(set(symbols))]
        except BaseExceptionGroup as failed:
            # The first one; the group is how it was run, and nothing a caller would catch.
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _answer(
        self, connection: Any, symbol: str, asked: Range, frequency: Frequency
    ) -> Fetched:
        try:
            answered = await self._bars_of(connection, symbol, asked, frequency)
            bars = require_valid(_conform(answered.bars, symbol, frequency, asked))
        except (SourceError, BarValidationError) as error:
            return Fetched(empty_bars(frequency), {symbol: error})
        return Fetched(bars, {}, {symbol: answered.absence} if bars.is_empty() else {})

    def _supported(self, frequency: str) -> Frequency:
        wanted = Frequency.parse(frequency)
        metadata = self.get_metadata()
        if wanted not in map(Frequency.parse, metadata.frequencies):
            raise FrequencyError(
                f"{metadata.source_type} has no bars of {frequency}; "
                f"it has {', '.join(metadata.frequencies)}"
            )
        return wanted

    def _requested(self, start: Any, end: Any, frequency: Frequency) -> Range:
        first, last = self._dates(start, end, frequency)
        if frequency.intraday:
            return requested_instants(first, last, frequency)
        return requested_sessions(first, last)

    def _dates(self, start: Any, end: Any, frequency: Frequency) -> tuple[Any, Any]:
        if start is not None and end is not None:
            return start, end
        first, last = self._whole(frequency)
        return (first if start is None else start), (last if end is None else end)


async def _as_they_come(
    symbols: list[str], ask: Callable[[str], Awaitable[Delivery]], concurrency: int
) -> AsyncIterator[Delivery]:
    """What is answered for each distinct symbol, at most `concurrency` asked for or waiting."""
    left = iter(sorted(set(symbols)))
    running = {asyncio.ensure_future(ask(symbol)) for symbol in islice(left, concurrency)}
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            running |= {asyncio.ensure_future(ask(symbol)) for symbol in islice(left, len(done))}
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _conform(bars: pl.DataFrame, symbol: str, frequency: Frequency, asked: Range) -> pl.DataFrame:
    """The one place where a provider's bars become ours; those outside the range leave."""
    try:
        typed = conform(bars, frequency)
    except BarSchemaError as error:
        raise MalformedAnswerError(f"{symbol}: {error}") from error
    return typed.filter(pl.col("timestamp").is_between(asked.first, asked.last))


def _told_once(events: Events) -> Events:
    """A provider that repeats a split on two pages means one split."""
    once = {kind: getattr(events, kind).unique() for kind in ("splits", "mergers")}
    return replace(events, **once)
