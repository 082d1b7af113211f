"""The websockets of exchanges, through ccxt.pro: bars as they grow, whole each time.

ccxt keeps the newest rows of each symbol, changes them in place, and says that something changed;
several changes may be told as one, and none of them that a bar is closed. A row that is read when
that is told is the newest there is, and nothing can come between that and asking again, because
neither waits for anything.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from rustybt.data.bars import VALUE_COLUMNS, Bar, Frequency
from rustybt.data.errors import MalformedAnswerError, RustyBTError
from rustybt.data.sources._ccxt_bars import label_of
from rustybt.data.sources._ccxt_pages import Row
from rustybt.data.sources._stream import Feed, Rules, Update

#: How ccxt finds out that a connection is dead without a word: two pings, in milliseconds.
KEEP_ALIVE = {"keepAlive": 10_000, "maxPingPongMisses": 2}
#: By then a dead connection is known to be one, and the last change of a bar has come.
_LAG = timedelta(seconds=30)


@dataclass(frozen=True)
class Channel:
    """Where bars are pushed.

    Attributes
    ----------
    connect : callable
        Opens an exchange of ccxt.pro that knows the markets of the symbols.
    watch : callable
        Waits for the next rows of a symbol: exchange, symbol.
    """

    connect: Callable[[], AbstractAsyncContextManager[Any]]
    watch: Callable[[Any, str], Awaitable[Sequence[Row]]]


def ccxt_feed(channel: Channel, symbols: Sequence[str], frequency: Frequency) -> Feed:
    """The feed of bars of a frequency."""
    rules = Rules(lag=_LAG, published=_LAG)
    return Feed(partial(_connect, channel, tuple(symbols), frequency), rules)


@asynccontextmanager
async def _connect(
    channel: Channel, symbols: tuple[str, ...], frequency: Frequency
) -> AsyncIterator[AsyncIterator[Update]]:
    arrived: asyncio.Queue[Bar | RustyBTError] = asyncio.Queue()

    async def listen(symbol: str) -> None:
        try:
            while True:
                for row in await channel.watch(exchange, symbol):
                    arrived.put_nowait(_bar(row, symbol, frequency))
        except RustyBTError as error:
            arrived.put_nowait(error)

    async with channel.connect() as exchange:
        tasks = [asyncio.create_task(listen(symbol)) for symbol in symbols]
        try:
            async with aclosing(_updates(arrived)) as updates:
                if not await _connected(exchange, tasks):
                    await anext(updates)  # raises what went wrong
                yield updates
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _connected(exchange: Any, tasks: list["asyncio.Task[None]"]) -> bool:
    """Wait for the connection; whether it is there, or has failed.

    What is pushed before the subscription counts is not missed: each update has the whole bar.
    """
    up = asyncio.create_task(exchange.connected.wait())
    await asyncio.wait([up, *tasks], return_when=asyncio.FIRST_COMPLETED)
    up.cancel()
    return bool(exchange.connected.is_set())


async def _updates(arrived: "asyncio.Queue[Bar | RustyBTError]") -> AsyncGenerator[Update, None]:
    while True:
        update = await arrived.get()
        if isinstance(update, RustyBTError):
            raise update
        yield update


def _bar(row: Row, symbol: str, frequency: Frequency) -> Bar:
    begin, *values = row
    if begin is None or len(values) < len(VALUE_COLUMNS) or None in values:
        raise MalformedAnswerError(f"{symbol}: a bar of the stream lacks something: {list(row)}")
    opened, high, low, close, volume = (float(value) for value in values[:5] if value is not None)
    label = label_of(int(begin), frequency)
    return Bar(symbol, label, opened, high, low, close, volume, final=False)
