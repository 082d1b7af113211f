"""A process that asks a shared cache for random ranges: ``python -m ... DIRECTORY PORT SEED N``."""

import asyncio
import json
import random
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl
from polars.testing import assert_frame_equal

from rustybt.data.bars import DAILY, bar_schema
from rustybt.data.sources.base import DataSource, DataSourceMetadata, requested_sessions
from rustybt.data.sources.cached_source import CachedDataSource
from tests.frames import sessions, walk

SYMBOLS = tuple(f"S{number}" for number in range(12))
DAYS = sessions("2024-01-02", "2024-06-28")
BARS = walk(SYMBOLS, DAYS)


def inside(symbols: list[str], first: Any, last: Any) -> pl.DataFrame:
    chosen = pl.col("symbol").is_in(symbols) & pl.col("timestamp").is_between(first, last)
    return BARS.filter(chosen)


class LoopbackSource(DataSource):
    """Asks a server on this machine for bars."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        asked = requested_sessions(start, end)
        query = {"symbols": ",".join(symbols), "first": asked.first, "last": asked.last}
        rows = await asyncio.to_thread(self._get, f"/?{urlencode(query)}")
        plain = pl.DataFrame(rows, schema={**bar_schema(DAILY), "timestamp": pl.String})
        return plain.with_columns(pl.col("timestamp").str.to_date())

    def _get(self, path: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def get_metadata(self) -> DataSourceMetadata:
        return DataSourceMetadata("loopback", calendar="XNYS")


async def work(source: DataSource, seed: int, count: int) -> None:
    chance = random.Random(seed)  # noqa: S311  no secret is made
    for _ in range(count):
        symbols = chance.sample(SYMBOLS, chance.randint(1, 4))
        first, last = sorted(chance.sample(DAYS, 2))
        bars = await source.fetch(symbols, first, last, "1d")
        assert_frame_equal(bars, inside(sorted(symbols), first, last))


if __name__ == "__main__":
    directory, port, seed, count = sys.argv[1:]
    cached = CachedDataSource(LoopbackSource(int(port)), Path(directory))
    asyncio.run(work(cached, int(seed), int(count)))
