"""The loopback server that a source under test is pointed at."""

import asyncio
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from urllib.parse import parse_qsl, unquote, urlsplit

from rustybt.data.sources._kit.faults import Fault, Injection, striking
from rustybt.data.sources._kit.provider import Provider, Reply, Request

#: A source that asks more often than this is in a loop.
MOST_CALLS = 5_000


@dataclass(frozen=True)
class Call:
    """A request that was answered, and when it came (seconds of the monotonic clock)."""

    request: Request
    status: int
    at: float


class LoopbackServer:
    """Serves a provider on 127.0.0.1, in a thread of its own, while it is entered.

    Parameters
    ----------
    provider : Provider
    faults : sequence of Injection
        What goes wrong; may be replaced between requests.

    Attributes
    ----------
    base_url : str
        ``http://127.0.0.1:PORT``.
    calls : list of Call
        What was asked, in order.
    errors : list of str
        What is wrong with the provider or with the source; a test that used the server should
        find none.
    """

    def __init__(self, provider: Provider, faults: Sequence[Injection] = ()) -> None:
        self.provider = provider
        self.faults = faults
        self.base_url = ""
        self.calls: list[Call] = []
        self.errors: list[str] = []
        self._ordinals: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="loopback provider", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.WriteTransport] = set()

    def __enter__(self) -> "LoopbackServer":
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def forget(self) -> None:
        """Count anew."""
        self.calls.clear()
        self._ordinals.clear()

    def busiest(self, seconds: float) -> int:
        """The most calls that came in any window of that length."""
        times = [call.at for call in self.calls]
        counts = (row + 1 - bisect_left(times, at - seconds) for row, at in enumerate(times))
        return max(counts, default=0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        # Connections that were accepted just now have tasks that have not begun.
        while asyncio.all_tasks() - {asyncio.current_task()}:
            for task in self._connections:
                task.cancel()
            await asyncio.sleep(0)
        for transport in self._transports:
            transport.abort()
        # An aborted transport lets go of its socket when the loop comes round.
        await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._transports.add(writer.transport)
        try:
            while request := await _read(reader):
                if not await self._serve(request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer; whether the connection goes on."""
        at = time.monotonic()
        known = self._classified(request)
        reply = self._answer(known)
        self.calls.append(Call(known, reply.status, at))
        head = _head(reply)
        half = len(reply.body) // 2
        match known.fault:
            case Fault.SLOW_BODY:
                for piece in _pieces(head + reply.body):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
            case Fault.CUT_BODY:
                writer.write(head + reply.body[:half])
                await writer.drain()
                return False
            case Fault.STALLED_BODY:
                writer.write(head + reply.body[:half])
                await writer.drain()
                await reader.read(1)  # until the client hangs up
                return False
            case _:
                writer.write(head + reply.body)
                await writer.drain()
        return True

    def _classified(self, request: Request) -> Request:
        symbol = self.provider.symbol_of(request)
        if symbol is None:
            return request
        self._ordinals[symbol] += 1
        ordinal = self._ordinals[symbol]
        fault = striking(self.faults, symbol, ordinal)
        return replace(request, symbol=symbol, ordinal=ordinal, fault=fault)

    def _answer(self, request: Request) -> Reply:
        if len(self.calls) >= MOST_CALLS:
            self.errors.append(f"more than {MOST_CALLS} calls; the last one was {request}")
            return Reply(b"too many calls", 508)
        try:
            return self.provider.answer(request)
        except Exception as error:  # noqa: BLE001  whatever it is, the test must hear of it
            self.errors.append(f"{type(self.provider).__name__} failed at {request}: {error!r}")
            return Reply(b"the test's provider failed", 500)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request, or None where the client hung up."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return Request(method, unquote(url.path), query, headers, body)


def _head(reply: Reply) -> bytes:
    stated = {"Content-Length": str(len(reply.body)), **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in stated.items())
    return f"HTTP/1.1 {reply.status} Said\r\n{lines}\r\n".encode("latin-1")


def _pieces(message: bytes, count: int = 60) -> list[bytes]:
    size = len(message) // count + 1
    return [message[at : at + size] for at in range(0, len(message), size)]
