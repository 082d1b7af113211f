"""A provider's websocket that speaks JSON: connected, read, and its failures told apart."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from rustybt.data.bars import Bar
from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RustyBTError,
)
from rustybt.data.sources._finality import utc_now
from rustybt.data.sources._retry_after import retry_after
from rustybt.data.sources._trust import trusted

#: Seconds that a provider has to let a client in, and again to confirm what it subscribes to.
_PATIENCE = 20.0
#: Bytes of a message. A provider sends everything that happened in a second at once.
_LARGEST = 2**24


class Socket:
    """An open connection.

    Parameters
    ----------
    connection : websockets.asyncio.client.ClientConnection
    where : str
        Provider and address, for messages.
    """

    def __init__(self, connection: ClientConnection, where: str) -> None:
        self._connection = connection
        self.where = where

    async def send(self, message: Any) -> None:
        """Send a message as JSON.

        Raises
        ------
        OutageError
            If the connection is lost.
        """
        try:
            await self._connection.send(json.dumps(message))
        except ConnectionClosed as error:
            raise self._lost(error) from None

    async def receive(self) -> Any:
        """The next message, read as JSON.

        Raises
        ------
        OutageError
            If the connection is lost.
        MalformedAnswerError
            If the message is not JSON.
        """
        try:
            message = await self._connection.recv()
        except ConnectionClosed as error:
            raise self._lost(error) from None
        try:
            return json.loads(message)
        except ValueError as error:
            raise MalformedAnswerError(
                f"{self.where} sent a message of {len(message)} characters that is not JSON: "
                f"{error}"
            ) from None

    async def receive_list(self) -> list[dict[str, Any]]:
        """The next message, which is a list of objects.

        Raises
        ------
        OutageError
            If the connection is lost.
        MalformedAnswerError
            If the message is something else.
        """
        received = await self.receive()
        if isinstance(received, list) and all(isinstance(each, dict) for each in received):
            return received
        raise MalformedAnswerError(f"{self.where} sent something else than a list of messages")

    @asynccontextmanager
    async def handshake(self) -> AsyncIterator[None]:
        """A time in which the provider has to answer.

        Raises
        ------
        OutageError
            If it has passed.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                yield
        except TimeoutError:
            raise OutageError(f"{self.where} did not answer in {_PATIENCE:.0f} s") from None

    def _lost(self, error: ConnectionClosed) -> OutageError:
        return OutageError(f"the connection to {self.where} was lost: {error}")


def bar_of(symbol: str, label: datetime | date, message: Mapping[str, Any]) -> Bar:
    """A bar of the values that providers call o, h, l, c and v.

    Raises
    ------
    KeyError, TypeError, ValueError
        If one is missing or no number.
    """
    opened, high, low, close, volume = (float(message[name]) for name in "ohlcv")
    return Bar(symbol, label, opened, high, low, close, volume, final=False)


@asynccontextmanager
async def open_socket(provider: str, url: str) -> AsyncIterator[Socket]:
    """Connect to a websocket.

    Parameters
    ----------
    provider : str
        Its name, for messages.
    url : str
        ``wss://``, without credentials.

    Raises
    ------
    AuthenticationError, RateLimitError, OutageError
        What kept the connection from being made.
    """
    where = f"{provider} ({url.partition('//')[2]})"
    try:
        connection = await connect(
            url,
            ssl=trusted() if url.startswith("wss:") else None,
            open_timeout=_PATIENCE,
            max_size=_LARGEST,
            user_agent_header="rustybt",
            logger=_silent(),
        )
    except InvalidStatus as error:
        raise _refused(error, where) from None
    except (OSError, TimeoutError, WebSocketException) as error:
        reason = f"{type(error).__name__} {error}".strip()
        raise OutageError(f"{where} cannot be reached: {reason}. Try later") from None
    try:
        yield Socket(connection, where)
    finally:
        await connection.close()


def _refused(error: InvalidStatus, where: str) -> RustyBTError:
    status = error.response.status_code
    said = f"{where} answered {status} to a websocket"
    if status in (401, 403):
        return AuthenticationError(f"{said}. Check the API key and what its plan covers")
    if status == 429:
        pause = retry_after(error.response.headers, utc_now())
        return RateLimitError(f"{said}. Connect less often", pause)
    return OutageError(f"{said}. Try later")


def _silent() -> logging.Logger:
    """A logger that never shows what is sent: the first message holds the API key."""
    logger = logging.Logger("rustybt.websocket", logging.WARNING)
    logger.addHandler(logging.NullHandler())
    return logger
