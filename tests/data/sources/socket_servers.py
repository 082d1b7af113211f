"""Websocket servers on this machine that speak as the providers do."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from rustybt.data.bars import Bar

KEY, SECRET = "PKTESTKEY", "very-secret-secret"


class SocketServer:
    """A provider's websocket. A test says what is pushed, and when the connection is cut.

    Attributes
    ----------
    up : bool
        Whether it lets anybody in.
    said : list
        What clients said, read as JSON.
    """

    path = "/"

    def __init__(self) -> None:
        self.up = True
        self.said: list[Any] = []
        self._client: ServerConnection | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with serve(self._handle, "127.0.0.1", 0, process_request=self._admit) as server:
            port = server.sockets[0].getsockname()[1]
            yield f"ws://127.0.0.1:{port}{self.path}"

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        return None if self.up else connection.respond(503, "closed\n")

    async def _handle(self, client: ServerConnection) -> None:
        try:
            if await self.greet(client):
                self._client = client
                await self.stay(client)
            await client.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            self._client = None

    async def greet(self, client: ServerConnection) -> bool:
        """What is said before the first bar; whether the client got so far."""
        raise NotImplementedError

    async def stay(self, client: ServerConnection) -> None:
        """What is said in answer, after the first bars may have come."""

    async def hear(self, client: ServerConnection) -> Any:
        self.said.append(json.loads(await client.recv()))
        return self.said[-1]

    async def push(self, *messages: str) -> None:
        """Send messages to the client that is there or about to be; wait until it has them."""
        await until(lambda: self._client is not None)
        assert self._client is not None
        for message in messages:
            await self._client.send(message)
        await (await self._client.ping())

    async def cut(self) -> None:
        """Break the connection without a word, and let nobody in."""
        self.up = False
        if self._client is not None:
            self._client.transport.abort()
            await self._client.wait_closed()


class AlpacaServer(SocketServer):
    path = "/v2/iex"

    def __init__(
        self, answer: dict[str, Any] | None = None, known: Sequence[str] = ("A", "B", "AAPL")
    ) -> None:
        super().__init__()
        self.answer = answer or {"T": "success", "msg": "authenticated"}
        self.known = known

    async def greet(self, client: ServerConnection) -> bool:
        await client.send('[{"T":"success","msg":"connected"}]')
        await self.hear(client)
        await client.send(json.dumps([self.answer]))
        if self.answer["T"] == "error":
            return False
        asked = await self.hear(client)
        kinds = ("trades", "quotes", "bars", "updatedBars", "dailyBars")
        known = {kind: [s for s in asked.get(kind, []) if s in self.known] for kind in kinds}
        await client.send(json.dumps([{"T": "subscription", **known}]))
        return True

    @staticmethod
    def bar(bar: Bar, begun: str, kind: str = "b") -> str:
        values = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close, "v": bar.volume}
        return json.dumps([{"T": kind, "S": bar.symbol, **values, "t": begun, "n": 7, "vw": 10.1}])


class MassiveServer(SocketServer):
    path = "/stocks"

    def __init__(self, status: str = "auth_success", refused: Sequence[str] = ()) -> None:
        super().__init__()
        self.status = status
        self.refused = refused

    async def greet(self, client: ServerConnection) -> bool:
        await self._say(client, "connected", "Connected Successfully")
        await self.hear(client)
        await self._say(client, self.status, "authenticated")
        if self.status != "auth_success":
            return False
        await self._confirm(client)
        return True

    async def stay(self, client: ServerConnection) -> None:
        await self._confirm(client)

    async def _confirm(self, client: ServerConnection) -> None:
        for topic in (await self.hear(client))["params"].split(","):
            covered = topic.split(".")[0] not in self.refused
            status = "success" if covered else "error"
            said = "subscribed to: " if covered else "not authorized to subscribe to: "
            await self._say(client, status, said + topic)

    async def _say(self, client: ServerConnection, status: str, message: str) -> None:
        await client.send(json.dumps([{"ev": "status", "status": status, "message": message}]))

    @staticmethod
    def aggregate(bar: Bar, seconds: int = 60) -> str:
        ended = int(bar.timestamp.timestamp() * 1000)
        values = {"o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close, "v": bar.volume}
        kind = {"ev": "AM" if seconds == 60 else "A", "sym": bar.symbol, **values}
        rest = {"av": 9_470_157, "op": 9.9, "vw": 10.1, "a": 10.0, "z": 80}
        return json.dumps([{**kind, **rest, "s": ended - seconds * 1000, "e": ended}])


class YahooServer(SocketServer):
    path = "/?version=2"

    async def greet(self, client: ServerConnection) -> bool:
        await self.hear(client)
        return True

    @staticmethod
    def price(symbol: str, moment: int, price: float, day_volume: int, hours: int = 1) -> str:
        from yfinance.pricing_pb2 import PricingData

        shown = PricingData(
            id=symbol, price=price, time=moment, day_volume=day_volume, market_hours=hours
        )
        encoded = base64.b64encode(shown.SerializeToString()).decode()
        return json.dumps({"type": "pricing", "message": encoded})


async def until(true: Any) -> None:
    """Let everybody act until something is true."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  what happens in between has no event of its own
            await asyncio.sleep(0)
