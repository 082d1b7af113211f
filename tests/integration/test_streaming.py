"""A bundle that is streamed into, as a user does it: cut off, killed, gone on with, run upon."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.bundles.bundle import open_bundle
from rustybt.data.bundles.journal import read_tail
from rustybt.data.sources.testing import LoopbackServer, World
from tests.data.sources.massive_provider import MassiveProvider
from tests.data.sources.socket_servers import MassiveServer
from tests.frames import minutes, sessions, walk

ALGORITHM = """
from zipline.api import order, record, symbol

def initialize(context):
    context.asset = symbol("A")
    context.seen = 0

def handle_data(context, data):
    context.seen += 1
    order(context.asset, 1)
    record(seen=context.seen, price=data.current(context.asset, "close"))
"""


def last_sessions() -> list[date]:
    """The two last sessions that have ended."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return sessions(str(yesterday - timedelta(days=14)), str(yesterday))[-2:]


class Market:
    """Massive on this machine, and the command line that is pointed at it."""

    def __init__(self, rest: LoopbackServer, socket: MassiveServer, url: str) -> None:
        self.socket = socket
        self.options = {
            "api_key": rest.provider.secret,
            "base_url": rest.base_url,
            "stream_url": url.removesuffix("/stocks"),
        }

    async def start(self, *args: object) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rustybt", *map(str, args), stdout=-1, stderr=-1
        )

    async def run(self, *args: object) -> str:
        process = await self.start(*args)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    def source(self, command: str, *args: object) -> list[object]:
        named = [f"--option={name}={value}" for name, value in self.options.items()]
        symbols = ["--symbols", "A,B", "--frequency", "1m", "--bundle", "live"]
        return [command, "polygon", *symbols, *named, *args]

    async def stream(self, *args: object) -> asyncio.subprocess.Process:
        return await self.start(*self.source("stream", *args))


@pytest.fixture
def days() -> list[date]:
    return last_sessions()


@pytest.fixture
def truth(days) -> pl.DataFrame:
    return walk(("A", "B"), minutes(str(days[0]), str(days[1])))


@asynccontextmanager
async def market(truth: pl.DataFrame) -> AsyncIterator[Market]:
    world = World({"1m": truth}, now=datetime.now(UTC))
    socket = MassiveServer()
    with LoopbackServer(MassiveProvider(world)) as rest:
        async with socket.serving() as url:
            yield Market(rest, socket, url)


async def lines(process: asyncio.subprocess.Process, number: int) -> list[str]:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        read = [(await process.stdout.readline()).decode() for _ in range(number)]
    assert all(read), (await process.stderr.read()).decode()
    return read


def in_version() -> pl.DataFrame:
    return open_bundle("live").bars("minute")


async def day(truth: pl.DataFrame, days: list[date], algorithm: Path) -> None:
    async with market(truth) as m:
        first, second = (truth.filter(pl.col("timestamp").dt.date() == day) for day in days)
        span = ["--start", days[0], "--end", days[0]]
        await m.run(*m.source("ingest", *span))
        assert_frame_equal(in_version(), first)

        stream = await m.stream()
        await lines(stream, len(second))
        await m.socket.cut()
        m.socket.up = True
        await m.socket.push("[]")
        stream.send_signal(signal.SIGINT)
        out, err = await stream.communicate()
        assert (stream.returncode, err) == (0, b"")
        assert f"Bundle live: {len(second)} bars streamed" in out.decode()
        assert "1 reconnection" in out.decode()
        assert_frame_equal(in_version(), truth)
        assert read_tail("live").filter("final").is_empty()

        span = ["--start", days[0], "--end", days[1], "--data-frequency", "minute"]
        results = algorithm.with_suffix(".pickle")
        await m.run("run", "-f", algorithm, "-b", "live", *span, "-o", results)
        ran = pd.read_pickle(results)
        assert ran["seen"].to_list() == [len(first) // 2, len(truth) // 2]
        ends = [frame.filter(pl.col("symbol") == "A")["close"][-1] for frame in (first, second)]
        assert ran["price"].to_list() == ends


async def kill(truth: pl.DataFrame, days: list[date]) -> None:
    async with market(truth) as m:
        await m.run(*m.source("ingest", "--start", days[0], "--end", days[0]))
        stream = await m.stream("--json")
        printed = [json.loads(line) for line in await lines(stream, 300)]
        stream.kill()
        await stream.communicate()
        tail = read_tail("live").filter("final")
        kept = {(row["symbol"], row["timestamp"].isoformat()) for row in tail.to_dicts()}
        assert {(bar["symbol"], bar["timestamp"]) for bar in printed} <= kept
        await m.run(*m.source("stream", "--for", "1s"))
        assert_frame_equal(in_version(), truth)
        assert read_tail("live").filter("final").is_empty()


pytestmark = pytest.mark.slow


def test_a_bundle_grows_through_a_cut_and_is_run_upon(truth, days, tmp_path):
    algorithm = tmp_path / "algorithm.py"
    algorithm.write_text(ALGORITHM)
    asyncio.run(day(truth, days, algorithm))


def test_a_kill_loses_no_final_bar_and_the_next_stream_goes_on(truth, days):
    asyncio.run(kill(truth, days))
