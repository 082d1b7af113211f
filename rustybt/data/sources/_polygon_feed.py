"""Massive's (Polygon's) websocket: aggregates of each second and each minute.

https://massive.com/docs/websocket/stocks/aggregates-per-minute: ``AM`` comes when its minute has
ended and again when it is corrected; ``A`` shows, second by second, what the next one will be.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from rustybt.data.bars import DAILY, MINUTE, Bar, Frequency
from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
)
from rustybt.data.sources._stream import Feed, Piece, Rules, Update
from rustybt.data.sources._websocket import Socket, bar_of, open_socket

#: How long after its end a minute may be corrected.
_LAG = timedelta(seconds=15)

#: Statuses that are failures: what they mean here, and what to do.
_ERRORS: dict[str, tuple[type[RustyBTError], str]] = {
    "auth_failed": (AuthenticationError, "Check the API key and what its plan covers"),
    "not_authorized": (AuthenticationError, "Check what the API key's plan covers"),
    "auth_timeout": (OutageError, "Try later"),
    "max_connections": (RateLimitError, "End the other connection of this account"),
    "force_disconnect": (OutageError, "Another connection took its place"),
    "disconnected": (OutageError, "Try later"),
    "error": (RefusedRequestError, ""),
}


@dataclass(frozen=True)
class MassiveChannel:
    """One of Massive's websockets.

    Attributes
    ----------
    url : str
        ``wss://socket.massive.com/stocks``, or the one of ``delayed.massive.com``.
    key : str
        The API key.
    """

    url: str
    key: str = field(repr=False)

    @property
    def delay(self) -> timedelta:
        """How far it lags behind the market."""
        return timedelta(minutes=15 if "//delayed." in self.url else 0)


def massive_feed(
    channel: MassiveChannel, symbols: Sequence[str], frequency: Frequency, extended_hours: bool
) -> Feed:
    """The feed of bars of a frequency, longer ones made of minutes.

    A daily bar of the provider's has more in it than the minutes of the session (auctions, trades
    reported late), so that minutes only show it forming.
    """
    lag = channel.delay + _LAG
    rules = Rules(lag, lag, official=frequency != DAILY, sessions_only=not extended_hours)
    return Feed(partial(_connect, channel, tuple(symbols), frequency), rules)


@asynccontextmanager
async def _connect(
    channel: MassiveChannel, symbols: tuple[str, ...], frequency: Frequency
) -> AsyncIterator[AsyncIterator[Update]]:
    # Seconds are summed up to a minute only: it replaces what they said.
    kinds = ("A", "AM") if frequency == MINUTE else ("AM",)
    topics = [f"{kind}.{symbol}" for symbol in symbols for kind in kinds]
    async with open_socket("massive", channel.url) as socket:
        async with socket.handshake():
            await _expect(socket, "connected")
            await socket.send({"action": "auth", "params": channel.key})
            await _expect(socket, "auth_success")
            await socket.send({"action": "subscribe", "params": ",".join(topics)})
            early = await _confirmed(socket, set(topics))
        async with aclosing(_updates(socket, early, kinds)) as updates:
            yield updates


async def _expect(socket: Socket, status: str) -> None:
    messages = await _messages(socket)
    if status not in [message.get("status") for message in messages]:
        raise MalformedAnswerError(f"{socket.where} did not confirm with {status!r}")


async def _confirmed(socket: Socket, topics: set[str]) -> list[dict[str, Any]]:
    """Wait until every topic is confirmed; what of the first ones has come already."""
    early = []
    while topics:
        for message in await _messages(socket):
            if message.get("ev") != "status":
                early.append(message)
                continue
            _, _, named = str(message.get("message")).partition("subscribed to: ")
            topics -= {each.strip() for each in named.split(",")}
    return early


async def _messages(socket: Socket) -> list[dict[str, Any]]:
    """The next messages, none of which is an error."""
    received = await socket.receive_list()
    for message in received:
        status = message.get("status")
        if message.get("ev") == "status" and status in _ERRORS:
            kind, hint = _ERRORS[status]
            said = f"{socket.where} says {status}: {message.get('message')}"
            raise kind(f"{said}. {hint}".rstrip(". ") + ".")
    return received


async def _updates(
    socket: Socket, early: list[dict[str, Any]], kinds: tuple[str, ...]
) -> AsyncGenerator[Update, None]:
    # By symbol, the end of its last minute: its seconds have been said.
    said: dict[str, datetime] = {}
    messages = early
    while True:
        for message in messages:
            kind = message.get("ev")
            if kind not in kinds:
                continue
            bar = _bar(message, socket)
            assert isinstance(bar.timestamp, datetime)  # noqa: S101  `_bar` made it
            if kind == "AM":
                said[bar.symbol] = max(bar.timestamp, said.get(bar.symbol, bar.timestamp))
                yield bar if "A" in kinds else Piece(bar)
            elif bar.symbol not in said or bar.timestamp > said[bar.symbol]:
                yield Piece(bar)
        messages = await _messages(socket)


def _bar(message: dict[str, Any], socket: Socket) -> Bar:
    try:
        ended = datetime.fromtimestamp(message["e"] / 1000, UTC)
        return bar_of(message["sym"], ended, message)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedAnswerError(f"{socket.where} sent an aggregate without {error}") from None
