"""One stream for all providers: a feed's updates in, bars out, each final one exactly once.

An adapter brings a `Feed`: how to connect, and what the updates are worth. Everything else is
here and in `_stream_core`, which decides: bars are built and settled, connections that break are
made again, and what was missed meanwhile is fetched through `DataSource.fetch_available`.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NoReturn

from rustybt.data.bars import Bar, Frequency
from rustybt.data.calendars import DEFAULT_CALENDAR, to_instant, to_session
from rustybt.data.errors import (
    BarValidationError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
)
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.data.sources._stream_core import Piece, Request, Rules, StreamCore, Tick, Update
from rustybt.data.sources._stream_grid import Label, grid_of
from rustybt.data.sources._stream_outbox import Outbox
from rustybt.data.sources.base import DataSource

__all__ = [
    "BarStream",
    "Feed",
    "Pace",
    "Piece",
    "Rules",
    "StreamStatus",
    "Tick",
    "Update",
    "batches",
    "hang_up",
    "status_of",
]


@dataclass(frozen=True)
class Feed:
    """A provider's push of updates.

    Attributes
    ----------
    connect : callable
        Makes an async context manager. Entering it connects, authenticates, subscribes, and
        returns once the provider has confirmed that; it gives an async iterator of updates,
        which raises when the connection is lost: `OutageError`, `RateLimitError` and
        `MalformedAnswerError` lead to another connection, everything else ends the stream.
    rules : Rules
    """

    connect: Callable[[], AbstractAsyncContextManager[AsyncIterator[Update]]]
    rules: Rules


@dataclass(frozen=True)
class Pace:
    """How a stream deals with time.

    Attributes
    ----------
    clock : Clock
    sleep : callable
        Waits for some seconds of that clock.
    jitter : callable
        Returns a number from 0 to 1.
    attempts : int
        Connections that may fail before the first one succeeds. Later ones are tried for ever.
    """

    clock: Clock = utc_now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    attempts: int = 5

    def backoff(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row: 0.5 to 60, half of it by chance."""
        longest = min(60.0, 2.0 ** (failures - 1))
        return longest / 2 + longest / 2 * self.jitter()


@dataclass(frozen=True)
class StreamStatus:
    """How a stream is doing.

    Attributes
    ----------
    connected : bool
    connections : int
        How often the provider was reached; one more than there were reconnections.
    fetched : int
        Final bars that had to be fetched, because the feed did not show them whole.
    late : int
        Updates that contradicted a bar after it was given as final.
    trouble : str
        Why the last connection or fetch failed, until the next one succeeds.
    """

    connected: bool = False
    connections: int = 0
    fetched: int = 0
    late: int = 0
    trouble: str = ""


#: Another try may mend these.
_PASSING = (OutageError, RateLimitError, MalformedAnswerError, BarValidationError)
#: The clock may strike this late. If it strikes later, this program slept and updates lie unread.
_PUNCTUAL = timedelta(seconds=2)


class BarStream(AsyncIterator[Bar]):
    """Bars of one feed; see `DataSource.stream`.

    Parameters
    ----------
    source : DataSource
        Fetches what the feed did not show whole.
    feed : Feed
    symbols : sequence of str
    frequency : str
    since : mapping of str to label, optional
        By symbol, the last bar that the caller has. By default the stream begins with the bars
        that are forming now.
    pace : Pace

    Notes
    -----
    A consumer that is slow gets the newest state of each forming bar, and every final one. If too
    many of these have piled up the stream hangs up, and fetches what it missed later.
    """

    def __init__(
        self,
        source: DataSource,
        feed: Feed,
        symbols: Sequence[str],
        frequency: str,
        *,
        since: Mapping[str, datetime | date] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._source = source
        self._feed = feed
        self._pace = pace or Pace()
        self._frequency = Frequency.parse(frequency)
        calendar = source.calendar_of(symbols) or DEFAULT_CALENDAR
        grid = grid_of(self._frequency, calendar, sessions_only=feed.rules.sessions_only)
        now = grid.last_ended(self._pace.clock())
        label = to_instant if self._frequency.intraday else to_session
        known: dict[str, Label] = {symbol: label(last) for symbol, last in (since or {}).items()}
        done = {symbol: known.get(symbol, now) for symbol in symbols}
        self._core = StreamCore(grid, feed.rules, done)
        self._outbox = Outbox()
        self._poked = asyncio.Event()
        self._deadline: datetime | None = None
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._connected = False
        self._connections = 0
        self._trouble = ""

    @property
    def status(self) -> StreamStatus:
        """How the stream is doing now."""
        counts = (self._connections, self._core.fetched, self._core.late)
        return StreamStatus(self._connected, *counts, self._trouble)

    async def __anext__(self) -> Bar:
        """Wait for the next bar."""
        await self._ready()
        return self._outbox.pop()

    async def batch(self) -> list[Bar]:
        """Wait for the next bar, and take all that are there."""
        await self._ready()
        bars = []
        while self._outbox:
            bars.append(self._outbox.pop())
        return bars

    async def _ready(self) -> None:
        if self._closed:
            raise StopAsyncIteration
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="rustybt-stream")
        while not self._outbox:
            if self._task.done():
                self._end(self._task)
            await self._outbox.filled(self._task)

    async def aclose(self) -> None:
        """Hang up. What was not taken is dropped."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _end(self, task: "asyncio.Task[None]") -> NoReturn:
        error = None if task.cancelled() else task.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error or StopAsyncIteration

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._keep_time(group))

    def _publish(self) -> None:
        self._outbox.put(self._core.drain())

    async def _listen(self) -> None:
        failures, wait = 0, 0.0
        while True:
            await self._outbox.room()
            try:
                async with self._feed.connect() as updates:
                    self._connections += 1
                    self._note_connection(True)
                    async for update in updates:
                        failures, self._trouble = 0, ""
                        self._take(update)
                        if self._outbox.full:
                            break
                    else:
                        raise OutageError("the provider closed the connection")
            except _PASSING as error:
                failures += 1
                wait = _asked_to_wait(error)
                self._trouble = str(error)
                if not self._connections and failures >= self._pace.attempts:
                    raise
            finally:
                self._note_connection(False)
            if failures:
                await self._pace.sleep(max(self._pace.backoff(failures), wait))

    def _note_connection(self, connected: bool) -> None:
        self._connected = connected
        now = self._now()
        if connected:
            self._core.connected(now)
        else:
            self._core.disconnected(now)
        self._publish()
        self._poked.set()

    def _take(self, update: Update) -> None:
        deadline = self._core.take(update, self._now())
        self._publish()
        if deadline is not None and (self._deadline is None or deadline < self._deadline):
            self._poked.set()

    async def _keep_time(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._poked.clear()
            now = self._now()
            self._core.advance(now)
            self._publish()
            if not self._outbox.full:
                for request in self._core.requests(now):
                    group.create_task(self._fetch(request))
            self._deadline = self._core.deadline()
            await self._deadline_or_news()

    def _now(self) -> datetime:
        """The time; if it is much later than was to be waited for, updates lie unread."""
        now = self._pace.clock()
        if self._deadline is not None and now - self._deadline > _PUNCTUAL:
            self._core.stalled(now)
            self._deadline = None
            self._poked.set()
        return now

    async def _deadline_or_news(self) -> None:
        waits: set[asyncio.Task[object]] = {asyncio.create_task(self._poked.wait())}
        if self._outbox.full:
            waits.add(asyncio.create_task(self._outbox.room()))
        elif self._deadline is not None:
            left = (self._deadline - self._pace.clock()).total_seconds()
            waits.add(asyncio.create_task(self._sleep(max(left, 0.0))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def _sleep(self, seconds: float) -> None:
        await self._pace.sleep(seconds)

    async def _fetch(self, request: Request) -> None:
        first, last = _range(request)
        failed: Mapping[str, RustyBTError] = {}
        bars: list[Bar] = []
        try:
            got = await self._source.fetch_available(
                list(request.symbols), first, last, str(self._frequency)
            )
            failed = got.failures
            bars = [Bar(**row, final=True) for row in got.bars.iter_rows(named=True)]
        except _PASSING as error:
            failed = dict.fromkeys(request.symbols, error)
        self._settle(request, bars, failed)

    def _settle(
        self, request: Request, bars: list[Bar], failed: Mapping[str, RustyBTError]
    ) -> None:
        # A source has asked again by itself before it gave up.
        wait = self._pace.backoff(5)
        if self._connected:
            self._trouble = ""
        for error in failed.values():
            if not isinstance(error, _PASSING):
                raise error
            self._trouble = str(error)
            wait = max(wait, _asked_to_wait(error))
        now = self._pace.clock()
        good = tuple(symbol for symbol in request.symbols if symbol not in failed)
        self._core.answered(Request(good, request.first, request.last), bars, now)
        self._core.failed(list(failed), now, timedelta(seconds=wait))
        self._publish()
        self._poked.set()


def require_market(provider: str, market: str, markets: Mapping[str, str]) -> None:
    """Raise unless all symbols are of the one market that a connection streams.

    Parameters
    ----------
    provider : str
        For the message.
    market : str
        Of the connection.
    markets : mapping of str to str
        The market of each symbol.

    Raises
    ------
    RefusedRequestError
        Naming the symbols of other markets, and the option that streams the first of them.
    """
    others = [symbol for symbol, own in markets.items() if own != market]
    if others:
        raise RefusedRequestError(
            f"{provider} streams its markets apart: {', '.join(others)} need a source with "
            f"market={markets[others[0]]!r}"
        )


async def batches(stream: AsyncIterator[Bar]) -> AsyncIterator[list[Bar]]:
    """The bars of a stream of any source, as many at a time as there are."""
    while isinstance(stream, BarStream):
        try:
            yield await stream.batch()
        except StopAsyncIteration:
            return
    async for bar in stream:
        yield [bar]


def status_of(stream: AsyncIterator[Bar]) -> StreamStatus | None:
    """How a stream is doing; None for one that was not made here."""
    return stream.status if isinstance(stream, BarStream) else None


async def hang_up(stream: AsyncIterator[Bar]) -> None:
    """Close a stream of any source."""
    if isinstance(stream, BarStream | AsyncGenerator):
        await stream.aclose()


def _asked_to_wait(error: RustyBTError) -> float:
    """Seconds that a provider asked to wait before the next try."""
    return (error.retry_after or 0.0) if isinstance(error, RateLimitError) else 0.0


def _range(request: Request) -> tuple[Label, Label]:
    """The labels as `fetch` wants them, for which midnight alone would mean a whole day."""
    first, last = request.first, request.last
    if isinstance(first, datetime):
        step = timedelta(microseconds=1)
        first -= step if first.time() == time() else timedelta(0)
        last += step if last.time() == time() else timedelta(0)
    return first, last
