"""``python -m benchmarks.updates``: CPU and memory of an ingest, and of an update by one day.

Out of memory, so that only our own cost is measured; from a CSV file a symbol; and from a provider
over HTTP, which is asked for the day of the whole market. Whoever reads an updated version first
makes its panel: that is stated beside it.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from benchmarks.data import walk
from benchmarks.sources import asked as asked_for
from benchmarks.sources.server import serving
from rustybt.data.bundles import open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.calendars import load_calendar
from rustybt.data.sources.base import DataSource, DataSourceMetadata
from rustybt.data.sources.csv import CSVDataSource
from rustybt.data.sources.polygon import PolygonDataSource
from rustybt.data.sources.testing import Provider

T = TypeVar("T")


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
        values = walk(random, random.normal(0, 0.001, len(self.sessions)))
        bars = pl.DataFrame({"timestamp": pl.Series(self.sessions), **values})
        return bars.select(
            pl.lit(symbol).alias("symbol"),
            pl.all().exclude("volume"),
            pl.col("volume").cast(pl.Float64),
        )

    def get_metadata(self) -> DataSourceMetadata:
        return DataSourceMetadata("walks")


@dataclass(frozen=True)
class Taken:
    """CPU seconds of a full ingest, of updates of it by a day, and of the first reads after."""

    full: float
    updates: list[float]
    reads: list[float]

    def __str__(self) -> str:
        update, read = statistics.median(self.updates), statistics.median(self.reads)
        shares = (f"{1000 * each:.0f} ms ({each / self.full:.1%})" for each in (update, read))
        return "full {:.2f} CPU s, update {}, first read {}".format(self.full, *shares)


def measure(source: DataSource, symbols: list[str], sessions: Any, rounds: int) -> Taken:
    """Ingest all sessions but the last one, and add that, again and again."""
    *_, before, last = sessions.tolist()
    evening = datetime.combine(last, datetime.min.time(), UTC) + timedelta(days=2)
    with tempfile.TemporaryDirectory() as root:
        where: dict[str, Any] = {"environ": {"ZIPLINE_ROOT": root}, "clock": lambda: evening}
        request = {"symbols": symbols, "start": sessions[0].item(), "end": before}
        full, _ = cpu(lambda: ingest(source, "b", **request, **where))
        updates, reads = [], []
        for _ in range(rounds):
            update, result = cpu(lambda: ingest(source, "b", update=True, end=last, **where))
            bundle = open_bundle("b", environ=where["environ"])
            read, _ = cpu(partial(bundle.panel, "daily"))
            storage.remove(result.version)
            updates.append(update)
            reads.append(read)
    return Taken(full, updates, reads)


def cpu(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of this process, all threads, and what came of it."""
    before = time.process_time()
    done = work()
    return time.process_time() - before, done


def from_memory(given: argparse.Namespace, walks: Walks) -> None:
    """Bars that are made already: only our own cost."""
    taken = measure(walks, sorted(walks.bars), walks.sessions, given.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    asked = sorted({str(day) for span in walks.asked[-given.rounds :] for day in span})
    print(f"from memory: {taken}")
    print(f"  largest memory {peak / 1e6:,.0f} MB; the updates asked for {', '.join(asked)}")


def from_csv(given: argparse.Namespace, walks: Walks) -> None:
    """A file a symbol."""
    with tempfile.TemporaryDirectory() as folder:
        for symbol, bars in walks.bars.items():
            named = bars.drop("symbol").rename({"timestamp": "date"})
            named.write_csv(Path(folder) / f"{symbol}.csv")
        source = CSVDataSource(folder)
        print(f"from CSV: {measure(source, sorted(walks.bars), walks.sessions, given.rounds)}")


def from_provider(given: argparse.Namespace) -> None:
    """Massive's format, from a server in a process of its own."""
    names = asked_for.symbols(given.symbols)
    first, last = (date.fromisoformat(day) for day in (asked_for.FIRST, asked_for.LAST))
    sessions = load_calendar("XNYS", first, last).sessions
    with serving("massive", originals=given.symbols) as server:
        url, now = server.base_url, asked_for.NOW
        source = PolygonDataSource(Provider.secret, base_url=url, clock=lambda: now, timeout=300.0)
        taken = measure(source, names, sessions, given.rounds)
        requests = server.served().requests
    print(f"from Massive over HTTP: {taken}; {requests} requests in all")


def main() -> None:
    """Measure, and print what was taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--years", type=int, default=10, help="of memory and CSV")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("memory", "csv", "provider"))
    given = parser.parse_args()
    print(f"{given.symbols} symbols, {given.years} years and one day:")
    if given.only != "provider":
        names = [f"S{number:04}" for number in range(given.symbols)]
        walks = Walks(names, date(2020 - given.years, 1, 2), date(2019, 12, 31))
        if given.only != "csv":
            from_memory(given, walks)
        if given.only != "memory":
            from_csv(given, walks)
    if given.only in (None, "provider"):
        from_provider(given)


if __name__ == "__main__":
    main()
