"""``python -m benchmarks.updates``: CPU and memory of an ingest, and of an update by one day.

The bars come out of memory, so that only our own cost is measured: a provider's answers to parse
would make the full ingest dearer, and the update hardly.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl

from rustybt.data.bundles.ingest import ingest
from rustybt.data.calendars import load_calendar
from rustybt.data.sources.base import DataSource, DataSourceMetadata


class Walks(DataSource):
    """A random walk for each symbol, in cents; all are made before anything is measured."""

    #: As of files, which are at hand too.
    batch_size = 256

    def __init__(self, symbols: list[str], first: date, last: date) -> None:
        self.sessions = load_calendar("XNYS", first, last).sessions
        self.asked: list[tuple[Any, Any]] = []
        self.bars = {symbol: self._walk(number, symbol) for number, symbol in enumerate(symbols)}

    async def fetch(self, symbols: list[str], start: Any, end: Any, *_: str) -> pl.DataFrame:
        self.asked.append((start, end))
        low, high = np.searchsorted(self.sessions, [np.datetime64(start), np.datetime64(end)])
        length = int(high) + 1 - int(low)
        return pl.concat([self.bars[symbol].slice(int(low), length) for symbol in symbols])

    def _walk(self, number: int, symbol: str) -> pl.DataFrame:
        random = np.random.default_rng(number)
        size = len(self.sessions)
        close = np.maximum(np.rint(5000 * np.exp(np.cumsum(random.normal(0, 0.001, size)))), 200)
        opened = close + random.integers(-40, 41, size)
        prices = {
            "open": opened,
            "high": np.maximum(opened, close) + random.integers(0, 40, size),
            "low": np.minimum(opened, close) - random.integers(0, 40, size),
            "close": close,
        }
        return pl.DataFrame(
            {
                "symbol": [symbol] * size,
                "timestamp": pl.Series(self.sessions),
                **{name: values / 100 for name, values in prices.items()},
                "volume": random.integers(1, 10_000, size) * 100.0,
            }
        )

    def get_metadata(self) -> DataSourceMetadata:
        return DataSourceMetadata("walks")


def cpu(work: Callable[[], Any]) -> float:
    before = os.times()
    work()
    after = os.times()
    return after.user + after.system - before.user - before.system


def _evening(session: Any) -> Callable[[], datetime]:
    moment = datetime.combine(session.item(), datetime.min.time(), UTC).replace(hour=23)
    return lambda: moment


def main() -> None:
    """Measure, and print four figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--years", type=int, default=10)
    given = parser.parse_args()
    first = date(2020 - given.years, 1, 2)
    symbols = [f"S{number:04}" for number in range(given.symbols)]
    source = Walks(symbols, first, date(2019, 12, 31))
    before, last = source.sessions[-2:]
    with tempfile.TemporaryDirectory() as root:
        where = {"environ": {"ZIPLINE_ROOT": root}}
        request = {"symbols": symbols, "start": first, "end": before.item()}
        begun = time.perf_counter()
        full = cpu(lambda: ingest(source, "b", **request, **where, clock=_evening(before)))
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        source.asked.clear()
        update = cpu(lambda: ingest(source, "b", update=True, **where, clock=_evening(last)))
    days = {day for span in source.asked for day in span}
    print(f"{given.symbols} symbols, {given.years} years: {full:.2f} CPU s, {seconds:.1f} s")
    print(f"largest memory: {peak / 1e6:,.0f} MB")
    print(f"the update asked for: {', '.join(sorted(map(str, days)))}")
    print(f"update: {update:.2f} CPU s, {update / full:.1%} of the full ingest")


if __name__ == "__main__":
    main()
