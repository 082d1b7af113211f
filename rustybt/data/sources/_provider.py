"""What every source that asks a provider symbol by symbol does alike."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import polars as pl

from rustybt.data.adjustments import Events, merge_events
from rustybt.data.bars import DAILY, Frequency, conform, empty_bars, listed, require_valid, spelled
from rustybt.data.errors import (
    BarSchemaError,
    BarValidationError,
    DateRangeError,
    FrequencyError,
    MalformedAnswerError,
    RustyBTError,
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

#: What to do about bars of a provider that cannot be true.
_NOT_OURS = "The provider has them so: ask for a range without those days, or another source"
#: Symbols that are asked for together.
Group = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Answered:
    """What a provider answered for one symbol.

    Attributes
    ----------
    bars : polars.DataFrame
        Bars of the range that have ended (`_finality.ended`), with the columns of the bar
        schema.
    absence : str
        Why there are none, where there are none.
    """

    bars: pl.DataFrame
    absence: str = "no bars in the range asked for"


class ProviderSource(DataSource):
    """A source that asks a provider for one symbol at a time, a few at once.

    An adapter writes `_connect`, `_bars_of` and, where it has them, `_events_of`; `_whole`, if a
    request without dates makes sense; and `_groups` with `_answers` or `_events_of_group`, if the
    provider answers for several symbols at once.
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

    def _groups(
        self,
        symbols: list[str],
        ranges: Mapping[Frequency, Range],  # noqa: ARG002
    ) -> list[Group]:
        """Which symbols are best asked for together, where that saves requests."""
        return in_groups(symbols, 1)

    async def _answers(
        self, connection: Any, group: Group, asked: Range, frequency: Frequency
    ) -> Fetched:
        """The bars of a group."""
        if len(group) == 1:
            return await self._answer(connection, group[0], asked, frequency)
        parts = [await self._answer(connection, symbol, asked, frequency) for symbol in group]
        return merge_fetched(parts, frequency)

    async def _events_of_group(self, connection: Any, group: Group, asked: SessionRange) -> Events:
        """The corporate actions of a group."""
        return merge_events(
            [_told_once(await self._events_of(connection, symbol, asked)) for symbol in group]
        )

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
            groups = self._groups(listed(symbols), {wanted: asked})
            parts = await self._each(
                groups, lambda group: self._answers(connection, group, asked, wanted)
            )
        return merge_fetched(parts, wanted)

    async def fetch_events(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp"
    ) -> Events:
        """See `DataSource.fetch_events`."""
        if self.get_metadata().adjustment != "raw":
            return Events()
        asked = requested_sessions(*self.dates(start, end, DAILY))
        async with self._connect() as connection:
            groups = self._groups(listed(symbols), {DAILY: asked})
            parts = await self._each(
                groups, lambda group: self._events_of_group(connection, group, asked)
            )
        return merge_events(parts)

    async def deliver(
        self,
        symbols: list[str],
        start: "pd.Timestamp",
        end: "pd.Timestamp",
        frequencies: Sequence[str],
    ) -> AsyncIterator[Delivery]:
        """See `DataSource.deliver`; at most `concurrency` groups are under way or waiting."""
        wanted = {name: self._supported(name) for name in frequencies}
        ranges = {name: self._requested(start, end, each) for name, each in wanted.items()}
        days = requested_sessions(*self.dates(start, end, next(iter(wanted.values()))))
        groups = self._groups(listed(symbols), {wanted[name]: ranges[name] for name in wanted})

        async def everything(group: Group) -> Delivery:
            bars = {
                name: await self._answers(connection, group, ranges[name], each)
                for name, each in wanted.items()
            }
            return await self._with_events(connection, Delivery(group, bars, Events()), days)

        async with self._connect() as connection:
            async for delivery in _as_they_come(groups, everything, self.concurrency):
                yield delivery

    async def _with_events(
        self, connection: Any, delivery: Delivery, asked: SessionRange
    ) -> Delivery:
        """The same with the events of those whose bars could be had, if these are raw."""
        if self.get_metadata().adjustment != "raw":
            return delivery
        good = tuple(symbol for symbol in delivery.symbols if symbol not in delivery.failures)
        events, failures = await self._events_told(connection, good, asked)
        return replace(delivery, events=events, event_failures=failures)

    async def _events_told(
        self, connection: Any, group: Group, asked: SessionRange
    ) -> tuple[Events, dict[str, RustyBTError]]:
        """The events that can be had, and why the others cannot."""
        if not group:
            return Events(), {}
        try:
            return await self._events_of_group(connection, group, asked), {}
        except (SourceError, BarValidationError) as error:
            if len(group) == 1:
                return Events(), {group[0]: error}
        parts = [await self._events_told(connection, (symbol,), asked) for symbol in group]
        failures = {symbol: error for _, failed in parts for symbol, error in failed.items()}
        return merge_events(events for events, _ in parts), failures

    async def _each(self, groups: list[Group], ask: Callable[[Group], Awaitable[T]]) -> list[T]:
        """Ask for each group, at most `concurrency` at once, in order."""
        gate = asyncio.Semaphore(self.concurrency)

        async def one(group: Group) -> T:
            async with gate:
                return await ask(group)

        try:
            async with asyncio.TaskGroup() as running:
                tasks = [running.create_task(one(group)) for group in groups]
        except BaseExceptionGroup as failed:
            # The first one; the group is how it was run, and nothing a caller would catch.
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _answer(
        self, connection: Any, symbol: str, asked: Range, frequency: Frequency
    ) -> Fetched:
        try:
            answered = await self._bars_of(connection, symbol, asked, frequency)
            bars = require_valid(conformed(answered.bars, symbol, frequency, asked), _NOT_OURS)
        except (SourceError, BarValidationError) as error:
            return Fetched(empty_bars(frequency), {symbol: error})
        return Fetched(bars, {}, {symbol: answered.absence} if bars.is_empty() else {})

    def _supported(self, frequency: str) -> Frequency:
        wanted = Frequency.parse(frequency)
        metadata = self.get_metadata()
        if wanted not in map(Frequency.parse, metadata.frequencies):
            raise FrequencyError(
                f"{metadata.source_type} has no bars of {frequency}; "
                f"it has {spelled(metadata.frequencies)}"
            )
        return wanted

    def _requested(self, start: Any, end: Any, frequency: Frequency) -> Range:
        first, last = self.dates(start, end, frequency)
        if frequency.intraday:
            return requested_instants(first, last, frequency)
        return requested_sessions(first, last)

    def dates(self, start: Any, end: Any, frequency: Frequency) -> tuple[Any, Any]:
        """The start and the end that a request means, which may name neither (`_whole`)."""
        if start is not None and end is not None:
            return start, end
        first, last = self._whole(frequency)
        return (first if start is None else start), (last if end is None else end)


def in_groups(symbols: Iterable[str], size: int) -> list[Group]:
    """Distinct symbols, sorted, at most `size` together."""
    distinct = sorted(set(symbols))
    return [tuple(distinct[first : first + size]) for first in range(0, len(distinct), size)]


async def _as_they_come(
    groups: list[Group], ask: Callable[[Group], Awaitable[Delivery]], concurrency: int
) -> AsyncIterator[Delivery]:
    """What is answered for each group, at most `concurrency` asked for or waiting."""
    left = iter(groups)
    running = {asyncio.ensure_future(ask(group)) for group in islice(left, concurrency)}
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            running |= {asyncio.ensure_future(ask(group)) for group in islice(left, len(done))}
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def conformed(bars: pl.DataFrame, symbol: str, frequency: Frequency, asked: Range) -> pl.DataFrame:
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
