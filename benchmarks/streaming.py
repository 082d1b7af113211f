"""``python -m benchmarks.streaming``: CPU a bar of a websocket that pushes minutes of many stocks.

A server on this machine sends a minute of every stock in Massive's format; the source's own feed
and engine turn it into forming and final bars. Server and client share the process, so that the
figure holds both. The clock goes by the messages.
"""

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Iterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from rustybt.data.bars import MINUTE
from rustybt.data.sources._polygon_feed import MassiveChannel, massive_feed
from rustybt.data.sources._stream import BarStream, Pace
from rustybt.data.sources.polygon import PolygonDataSource
from tests.clocks import StillClock

OPEN = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
#: Messages of one frame.
TOGETHER = 50


def frames(symbols: list[str], minute: int) -> Iterator[str]:
    """A minute of all symbols, as the provider sends it."""
    ended = int((OPEN + timedelta(minutes=minute)).timestamp() * 1000)
    values = {"o": 10.0, "h": 11.0, "l": 9.0, "c": 10.5, "v": 100, "s": ended - 60_000, "e": ended}
    for first in range(0, len(symbols), TOGETHER):
        yield json.dumps(
            [{"ev": "AM", "sym": name, **values} for name in symbols[first : first + TOGETHER]]
        )


class Day:
    """A provider that lets anybody in and sends its minutes as fast as they are read."""

    def __init__(self, symbols: list[str], minutes: int) -> None:
        self.symbols, self.minutes = symbols, minutes
        self.clock = StillClock(OPEN)
        self.cpu = 0.0

    async def handle(self, client: ServerConnection) -> None:
        """Greet as the provider does, then send the day."""
        await client.send('[{"ev":"status","status":"connected"}]')
        await client.recv()
        await client.send('[{"ev":"status","status":"auth_success"}]')
        for topic in json.loads(await client.recv())["params"].split(","):
            said = {"ev": "status", "status": "success", "message": f"subscribed to: {topic}"}
            await client.send(json.dumps([said]))
        days = [list(frames(self.symbols, minute)) for minute in range(1, self.minutes + 1)]
        self.cpu = time.process_time()
        with suppress(ConnectionClosed):  # the client has seen enough
            for minute, sent in enumerate(days, start=1):
                for frame in sent:
                    await client.send(frame)
                await (await client.ping())
                await self.clock.move(OPEN + timedelta(minutes=minute, seconds=20))


async def measure(day: Day) -> tuple[float, int]:
    """CPU seconds, and how many final bars came."""
    source = PolygonDataSource("no key is needed here", clock=day.clock)
    async with serve(day.handle, "127.0.0.1", 0) as server:
        host = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        channel = MassiveChannel(host, "stocks", "key")
        feed = massive_feed(channel, day.symbols, MINUTE, sessions_only=True)
        stream = BarStream(source, feed, day.symbols, "1m", pace=Pace(day.clock, day.clock.sleep))
        finals = 0
        async with aclosing(stream):
            # The last minute is final only when its lag has passed.
            while finals < len(day.symbols) * (day.minutes - 1):
                finals += sum(bar.final for bar in await stream.batch())
            return time.process_time() - day.cpu, finals


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=1_000)
    parser.add_argument("--minutes", type=int, default=60)
    asked = parser.parse_args()
    day = Day([f"S{number}" for number in range(asked.symbols)], asked.minutes)
    seconds, finals = asyncio.run(measure(day))
    bars = asked.symbols * asked.minutes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{bars:,} bars pushed, {finals:,} final: {seconds:.2f} CPU s, ", end="")
    print(f"{seconds / bars * 1e6:.0f} us a bar with the server's part, peak {peak:.0f} MB")


if __name__ == "__main__":
    main()
