"""A loopback HTTP server for tests of the HTTP layer: it answers what a function tells it to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

#: (status, headers, body); the body is cut off after "Content-Length" bytes, or earlier.
Reply = tuple[int, dict[str, str], bytes]


def ok(body: bytes = b"{}", **headers: str) -> Reply:
    return 200, headers, body


class Answers:
    """What was asked, and the base URL to ask at."""

    def __init__(self, reply: Callable[[int, str], Reply]) -> None:
        self._reply = reply
        self.targets: list[str] = []
        self.heads: list[str] = []
        self.base_url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.heads.append(head)
                self.targets.append(head.split(" ")[1])
                status, headers, body = self._reply(len(self.targets), self.targets[-1])
                stated = {"Content-Length": str(len(body)), **headers}
                lines = "".join(f"{name}: {value}\r\n" for name, value in stated.items())
                writer.write(f"HTTP/1.1 {status} Any\r\n{lines}\r\n".encode() + body)
                await writer.drain()
                if stated["Content-Length"] != str(len(body)):
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def answering(reply: Callable[[int, str], Reply]) -> AsyncIterator[Answers]:
    """A server on a free port; `reply` is handed the request's number, from 1, and its target."""
    answers = Answers(reply)
    server = await asyncio.start_server(answers.serve, "127.0.0.1", 0)
    answers.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield answers
    finally:
        server.close()


def in_turn(*replies: Reply) -> Callable[[int, str], Reply]:
    """Each reply once, the last one for ever."""
    rest: Iterator[Reply] = iter(replies)
    return lambda number, target: next(rest, replies[-1])
