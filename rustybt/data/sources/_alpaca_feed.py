"""Alpaca's websocket: minute bars with their corrections, and daily bars as they grow.

https://docs.alpaca.markets/docs/streaming-market-data: bars are sent when their minute ends,
labelled at its start; half a minute later those are sent again that late trades have changed.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from rustybt.data.bars import DAILY, MINUTE, Bar, Frequency
from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    UnknownSymbolError,
)
from rustybt.data.sources._stream import Feed, Piece, Rules, Update
from rustybt.data.sources._websocket import Socket, bar_of, open_socket

#: A bar may be corrected half a minute after its end; some seconds for the way.
_LAG = timedelta(seconds=40)
CRYPTO = "crypto"
#: Paths of feeds that are not of version 2.
_PATHS = {
    CRYPTO: "v1beta3/crypto/us",
    "boats": "v1beta1/boats",
    "overnight": "v1beta1/overnight",
}
#: Where a day of its daily bars begins at midnight.
_DAY = ZoneInfo("America/New_York")

#: Codes of error messages that are not a wrong request: what they mean here, and what to do.
_ERRORS: dict[int, tuple[type[RustyBTError], str]] = {
    401: (AuthenticationError, "Check the key and the secret"),
    402: (AuthenticationError, "Check the key and the secret"),
    404: (OutageError, "Try later"),
    406: (RateLimitError, "End the other connection of this account"),
    407: (OutageError, "The connection is too slow"),
    409: (AuthenticationError, "Choose a feed that the account's plan covers"),
    500: (OutageError, "Try later"),
}


@dataclass(frozen=True)
class AlpacaChannel:
    """One of Alpaca's websockets.

    Attributes
    ----------
    host : str
        ``wss://stream.data.alpaca.markets``, or the one of its sandbox.
    feed : str
        Where trades are taken from, or ``crypto``.
    key, secret : str
        Credentials.
    """

    host: str
    feed: str
    key: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def url(self) -> str:
        """Where to connect."""
        path = _PATHS.get(self.feed, f"v2/{self.feed}")
        return f"{self.host}/{path}"

    @property
    def delay(self) -> timedelta:
        """How far it lags behind the market."""
        return timedelta(minutes=15 if self.feed == "delayed_sip" else 0)


def alpaca_feed(
    channel: AlpacaChannel, symbols: Sequence[str], frequency: Frequency, *, sessions_only: bool
) -> Feed:
    """The feed of bars of a frequency; longer intraday ones are made of minutes.

    Daily bars of crypto, whose days the provider counts otherwise, are made of minutes too; these
    only show them forming.
    """
    lag = _LAG + channel.delay
    is_made_up = channel.feed == CRYPTO and frequency == DAILY
    rules = Rules(lag, lag, official=not is_made_up, sessions_only=sessions_only)
    return Feed(partial(_connect, channel, tuple(symbols), frequency), rules)


@asynccontextmanager
async def _connect(
    channel: AlpacaChannel, symbols: tuple[str, ...], frequency: Frequency
) -> AsyncIterator[AsyncIterator[Update]]:
    is_daily = frequency == DAILY and channel.feed != CRYPTO
    names = ["dailyBars"] if is_daily else ["bars", "updatedBars"]
    async with open_socket("alpaca", channel.url) as socket:
        async with socket.handshake():
            await _expect(socket, "success", "connected")
            await socket.send({"action": "auth", "key": channel.key, "secret": channel.secret})
            await _expect(socket, "success", "authenticated")
            wanted = {name: list(symbols) for name in names}
            await socket.send({"action": "subscribe", **wanted})
            confirmed = await _expect(socket, "subscription")
        missing = sorted(set(symbols) - set(confirmed.get(names[0], ())))
        if missing:
            raise UnknownSymbolError(missing, socket.where)
        async with aclosing(_updates(socket, frequency)) as updates:
            yield updates


async def _expect(socket: Socket, kind: str, text: str | None = None) -> dict[str, Any]:
    """The next message of a kind; others do not come before it."""
    for message in await _messages(socket):
        if message.get("T") == kind and text in (None, message.get("msg")):
            return message
    raise MalformedAnswerError(f"{socket.where} did not confirm with {text or kind!r}")


async def _messages(socket: Socket) -> list[dict[str, Any]]:
    """The next messages, none of which is an error."""
    received = await socket.receive_list()
    for message in received:
        if message.get("T") == "error":
            raise _error(message, socket)
    return received


def _error(message: dict[str, Any], socket: Socket) -> RustyBTError:
    code, text = message.get("code"), message.get("msg")
    kind, hint = _ERRORS.get(code if isinstance(code, int) else 0, (RefusedRequestError, ""))
    return kind(f"{socket.where} says {code}: {text}. {hint}".rstrip(". ") + ".")


async def _updates(socket: Socket, frequency: Frequency) -> AsyncGenerator[Update, None]:
    while True:
        for message in await _messages(socket):
            if message.get("T") in ("b", "u"):
                bar = _bar(message, socket)
                yield bar if frequency == MINUTE else Piece(bar)
            elif message.get("T") == "d":
                yield _bar(message, socket)


def _bar(message: dict[str, Any], socket: Socket) -> Bar:
    try:
        begun = datetime.fromisoformat(message["t"])
        daily = message["T"] == "d"
        label = begun.astimezone(_DAY).date() if daily else begun + timedelta(minutes=1)
        return bar_of(message["S"], label, message)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedAnswerError(f"{socket.where} sent a bar without {error}") from None
