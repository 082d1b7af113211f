"""Massive's (Polygon's) websockets: aggregates of each second and each minute.

https://massive.com/docs/websocket/stocks/aggregates-per-minute: a minute comes when it has ended
and again when it is corrected; seconds show what the next one will be.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
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
class _Topics:
    """How a market's aggregates are called: of seconds, of minutes, and pairs in them."""

    second: str
    minute: str
    separator: str = ""

    def name_of(self, symbol: str) -> str:
        """``AAPL``; ``BTC-USD`` of ``X:BTCUSD``."""
        if not self.separator:
            return symbol
        pair = symbol.partition(":")[2]
        return f"{pair[:-3]}{self.separator}{pair[-3:]}"


_TOPICS = {
    "stocks": _Topics("A", "AM"),
    "crypto": _Topics("XAS", "XA", "-"),
    "forex": _Topics("CAS", "CA", "/"),
}


@dataclass(frozen=True)
class MassiveChannel:
    """One of Massive's websockets.

    Attributes
    ----------
    host : str
        ``wss://socket.massive.com``, or ``wss://delayed.massive.com``.
    market : {"stocks", "crypto", "forex"}
    key : str
        The API key.
    """

    host: str
    market: str
    key: str = field(repr=False)

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"{self.host}/{self.market}"

    @property
    def delay(self) -> timedelta:
        """How far it lags behind the market."""
        return timedelta(minutes=15 if "//delayed." in self.host else 0)


def massive_feed(
    channel: MassiveChannel, symbols: Sequence[str], frequency: Frequency, *, sessions_only: bool
) -> Feed:
    """The feed of bars of a frequency, longer ones made of minutes.

    A daily bar of the provider's has more in it than the minutes of the session (auctions, trades
    reported late), so that minutes only show it forming.
    """
    lag = channel.delay + _LAG
    rules = Rules(lag, lag, official=frequency != DAILY, sessions_only=sessions_only)
    return Feed(partial(_connect, channel, tuple(symbols), frequency), rules)


@asynccontextmanager
async def _connect(
    channel: MassiveChannel, symbols: tuple[str, ...], frequency: Frequency
) -> AsyncIterator[AsyncIterator[Update]]:
    topics = _TOPICS[channel.market]
    names = {topics.name_of(symbol): symbol for symbol in symbols}
    async with open_socket("massive", channel.url) as socket:
        reader = _Reader(socket, topics, names, has_seconds=frequency == MINUTE)
        async with socket.handshake():
            await reader.expect("connected")
            await socket.send({"action": "auth", "params": channel.key})
            await reader.expect("auth_success")
            await reader.subscribe()
        async with aclosing(reader.updates()) as updates:
            yield updates


@dataclass
class _Reader:
    """What comes through a connection.

    Attributes
    ----------
    socket : Socket
    topics : _Topics
    names : mapping of str to str
        The provider's name -> the symbol.
    has_seconds : bool
        Whether seconds are wanted too. They are summed up to a minute only, which replaces what
        they said.
    """

    socket: Socket
    topics: _Topics
    names: Mapping[str, str]
    has_seconds: bool
    #: What came of the first symbols before the last ones were confirmed.
    early: list[dict[str, Any]] = field(default_factory=list)
    #: By symbol, the end of its last minute: its seconds have been said.
    said: dict[str, datetime] = field(default_factory=dict)

    async def expect(self, status: str) -> None:
        """Wait for a confirmation, which is the next message."""
        messages = await self._messages()
        if status not in [message.get("status") for message in messages]:
            raise MalformedAnswerError(f"{self.socket.where} did not confirm with {status!r}")

    async def subscribe(self) -> None:
        """Subscribe, and wait until every symbol's minutes are confirmed."""
        await self._ask_for(self.topics.minute)
        missing = {f"{self.topics.minute}.{name}" for name in self.names}
        while missing:
            for message in await self._messages():
                if message.get("ev") != "status":
                    self.early.append(message)
                    continue
                _, _, named = str(message.get("message")).partition("subscribed to: ")
                missing -= {each.strip() for each in named.split(",")}
        if self.has_seconds:
            await self._ask_for(self.topics.second)

    async def _ask_for(self, kind: str) -> None:
        topics = ",".join(f"{kind}.{name}" for name in self.names)
        await self.socket.send({"action": "subscribe", "params": topics})

    async def updates(self) -> AsyncGenerator[Update, None]:
        """What is said of bars."""
        messages = self.early
        while True:
            for message in messages:
                update = self._update(message)
                if update is not None:
                    yield update
            messages = await self._messages()

    async def _messages(self) -> list[dict[str, Any]]:
        """The next messages, none of which is an error."""
        received = await self.socket.receive_list()
        for message in received:
            status, said = message.get("status"), str(message.get("message"))
            # A plan without seconds has its minutes all the same.
            about_seconds = f" {self.topics.second}." in said
            if message.get("ev") == "status" and status in _ERRORS and not about_seconds:
                kind, hint = _ERRORS[status]
                text = f"{self.socket.where} says {status}: {said}"
                raise kind(f"{text}. {hint}".rstrip(". ") + ".")
        return received

    def _update(self, message: dict[str, Any]) -> Update | None:
        kind = message.get("ev")
        is_minute = kind == self.topics.minute
        if not is_minute and not (self.has_seconds and kind == self.topics.second):
            return None
        bar = self._bar(message)
        ended = bar.timestamp
        assert isinstance(ended, datetime)  # noqa: S101  `_bar` made it
        if is_minute:
            self.said[bar.symbol] = max(ended, self.said.get(bar.symbol, ended))
            return bar if self.has_seconds else Piece(bar)
        is_news = bar.symbol not in self.said or ended > self.said[bar.symbol]
        return Piece(bar) if is_news else None

    def _bar(self, message: dict[str, Any]) -> Bar:
        try:
            name = message["pair" if self.topics.separator else "sym"]
            ended = datetime.fromtimestamp(message["e"] / 1000, UTC)
            return bar_of(self.names.get(name, name), ended, message)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            where = self.socket.where
            raise MalformedAnswerError(f"{where} sent an aggregate without {error}") from None
