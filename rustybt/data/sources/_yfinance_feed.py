"""Yahoo's websocket: prices as they are shown on its pages, which are samples of the trades.

Messages are JSON around the base64 of a protobuf of yfinance's. Its own `AsyncWebSocket` is not
used to read them: once its connection is closed it neither raises nor connects again.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from rustybt.data.bars import Frequency
from rustybt.data.errors import FrequencyError, MalformedAnswerError
from rustybt.data.sources._stream import Feed, Rules, Tick, Update
from rustybt.data.sources._websocket import Socket, open_socket

URL = "wss://streamer.finance.yahoo.com/?version=2"

#: Yahoo answers with a minute's bar within seconds of its end. What it streams are samples, so
#: that bars made of them lack highs, lows and volume: they are only shown forming.
RULES = Rules(lag=timedelta(seconds=30), published=timedelta(seconds=30), official=False)
#: Seconds after which Yahoo forgets a subscription that is not repeated.
_REPEATED = 15.0
#: Longer bars do not begin at the same instants on every market.
_LONGEST = timedelta(minutes=30)
#: `market_hours` of trading; the others are before and after it.
_REGULAR = 1


@dataclass(frozen=True)
class YahooChannel:
    """Where and what prices are streamed.

    Attributes
    ----------
    url : str
    extended_hours : bool
        Whether prices before the open and after the close count.
    has_calendar : bool
        Whether the source knows the sessions of its symbols.
    """

    url: str = URL
    extended_hours: bool = False
    has_calendar: bool = False


def yahoo_feed(channel: YahooChannel, symbols: Sequence[str], frequency: Frequency) -> Feed:
    """The feed of prices of some symbols, for bars of a frequency.

    Raises
    ------
    FrequencyError
        If Yahoo's bars of that length begin at the open of each market.
    """
    if frequency.intraday and _LONGEST % frequency.duration:
        raise FrequencyError(
            f"yfinance does not stream bars of {frequency}; it streams minutes that divide half "
            "an hour, and 1d"
        )
    is_regular = channel.has_calendar and not channel.extended_hours
    rules = replace(RULES, sessions_only=is_regular)
    return Feed(partial(_connect, channel, tuple(symbols)), rules)


@asynccontextmanager
async def _connect(
    channel: YahooChannel, symbols: tuple[str, ...]
) -> AsyncIterator[AsyncIterator[Update]]:
    async with open_socket("yfinance", channel.url) as socket:
        await socket.send({"subscribe": list(symbols)})
        repeating = asyncio.create_task(_repeat(socket, symbols))
        try:
            async with aclosing(_updates(socket, channel)) as updates:
                yield updates
        finally:
            repeating.cancel()
            # A lost connection is raised by whoever reads it.
            await asyncio.gather(repeating, return_exceptions=True)


async def _repeat(socket: Socket, symbols: tuple[str, ...]) -> None:
    while True:
        await asyncio.sleep(_REPEATED)
        await socket.send({"subscribe": list(symbols)})


@dataclass
class _Volumes:
    """What was traded between two prices, of the day's volume that comes with each."""

    known: dict[str, int] = field(default_factory=dict)

    def since(self, symbol: str, day_volume: int) -> float:
        before = self.known.get(symbol, day_volume)
        self.known[symbol] = day_volume
        return float(day_volume - before if day_volume >= before else day_volume)


async def _updates(socket: Socket, channel: YahooChannel) -> AsyncGenerator[Update, None]:
    volumes = _Volumes()
    while True:
        price = _pricing(await socket.receive(), socket)
        counts = channel.extended_hours or price.market_hours == _REGULAR
        if counts and price.price > 0:
            yield Tick(
                price.id,
                datetime.fromtimestamp(price.time / 1000, UTC),
                # The shortest decimal of the 32 bits that were sent.
                float(str(np.float32(price.price))),
                volumes.since(price.id, price.day_volume),
            )


def _pricing(received: Any, socket: Socket) -> Any:
    from google.protobuf.message import DecodeError
    from yfinance.pricing_pb2 import PricingData

    try:
        price = PricingData()
        price.ParseFromString(base64.b64decode(received["message"], validate=True))
    except (KeyError, TypeError, binascii.Error, DecodeError) as error:
        raise MalformedAnswerError(
            f"{socket.where} sent a message that is no price: {error}"
        ) from None
    return price
