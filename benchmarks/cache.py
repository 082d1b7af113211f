"""``python -m benchmarks.cache``: what the cache costs, against the targets that it was given.

Each figure is taken in this process over a source that has its bars in memory; the document's
latencies of providers stand in for a fetch. ``--session`` compares what a person would use instead.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.data import calendar
from rustybt.data.bars import Frequency, bar_schema
from rustybt.data.polars import PolarsDataPortal
from rustybt.data.sources import _store_index as sql
from rustybt.data.sources._bar_request import series_of
from rustybt.data.sources._intervals import Interval
from rustybt.data.sources.base import (
    DataSource,
    DataSourceMetadata,
    requested_instants,
    requested_sessions,
)
from rustybt.data.sources.cached_source import CachedDataSource

NOW = datetime(2020, 6, 1, tzinfo=UTC)
SYMBOLS = [f"S{number:03d}" for number in range(500)]
YEARS = (date(2010, 1, 4), date(2019, 12, 31))
YEAR = (date(2019, 1, 2), date(2019, 12, 31))
MONTH = (date(2019, 10, 1), date(2019, 10, 31))
#: Seconds that the document says a fetch takes (P95): of Yahoo, Binance, Polygon.
FETCHES = {"yfinance 1d": 0.850, "ccxt 1h": 0.320, "polygon 1m": 0.180}


@dataclass(frozen=True)
class Figure:
    """One figure and what it must be below, or above."""

    name: str
    value: str
    document: str
    target: str
    holds: bool


class Memory(DataSource):
    """Bars in memory, and how often they were asked for."""

    def __init__(self, bars: dict[str, pl.DataFrame]) -> None:
        self._bars = bars
        self.fetches = 0

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        self.fetches += 1
        wanted = Frequency.parse(frequency)
        asked: Any = (
            requested_instants(start, end, wanted)
            if wanted.intraday
            else requested_sessions(start, end)
        )
        inside = pl.col("timestamp").is_between(asked.first, asked.last)
        chosen = pl.col("symbol").is_in(symbols)
        return self._bars[frequency].lazy().filter(chosen & inside).collect()

    def get_metadata(self) -> DataSourceMetadata:
        return DataSourceMetadata("memory", tuple(self._bars), calendar="XNYS")


def _bars(frequency: str, symbols: list[str], labels: Any, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    size = len(symbols) * len(labels)
    close = 50 + random.integers(-2000, 2000, size) / 100
    prices = {"open": close, "high": close + 0.5, "low": close - 0.5, "close": close}
    frame = pl.DataFrame(
        {
            "symbol": np.repeat(symbols, len(labels)),
            "timestamp": np.tile(labels, len(symbols)),
            **prices,
            "volume": random.integers(1, 10**6, size).astype(float),
        }
    )
    schema = bar_schema(Frequency.parse(frequency))
    if frequency == "1m":
        frame = frame.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))
    return frame.cast(dict(schema))


def make_source() -> Memory:
    """500 symbols of ten years of days, and one of a month of minutes."""
    market = calendar()
    sessions = market.sessions_in_range(*map(str, YEARS)).values.astype("datetime64[D]")
    minutes = market.sessions_minutes(*map(str, MONTH)).tz_localize(None).values
    return Memory(
        {
            "1d": _bars("1d", SYMBOLS, sessions, 1),
            "1m": _bars("1m", SYMBOLS[:1], minutes.astype("datetime64[us]"), 2),
        }
    )


async def _timed(work: Callable[[], Awaitable[Any]], rounds: int) -> tuple[float, float]:
    """P50 and P95 of the seconds that something takes."""
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - begin)
    return float(np.percentile(seconds, 50)), float(np.percentile(seconds, 95))


def _ms(name: str, pair: tuple[float, float], document: str, most: float) -> Figure:
    value = f"{pair[0] * 1e3:.2f} / {pair[1] * 1e3:.2f} ms"
    return Figure(name, value, document, f"< {most:g} ms", pair[1] * 1e3 < most)


def _cached(source: Memory, folder: Path, **options: Any) -> CachedDataSource:
    return CachedDataSource(source, folder, clock=lambda: NOW, **options)


async def reads(source: Memory, folder: Path, rounds: int) -> list[Figure]:
    """Lookups and hit reads."""
    cached = _cached(source, folder)
    one = SYMBOLS[:1]
    await cached.fetch(SYMBOLS, *YEARS, "1d")
    await cached.fetch(one, *MONTH, "1m")
    year = await _timed(lambda: cached.fetch(one, *YEAR, "1d"), rounds)
    month = await _timed(lambda: cached.fetch(one, *MONTH, "1m"), rounds)
    cpu = []
    for _ in range(5):
        begin = time.process_time()
        bars = await cached.fetch(SYMBOLS, *YEARS, "1d")
        cpu.append(time.process_time() - begin)
    assert len(bars) == len(source._bars["1d"])
    assert source.fetches == 2
    seconds = float(np.median(cpu))
    whole = f"{seconds:.3f} s CPU ({len(bars):,} bars)"
    return [
        _ms("lookup, 501 entries", await _lookup(cached, rounds), "< 10 ms", 2),
        _ms("hit read, 1 year of days", year, "< 100 ms", 10),
        _ms("hit read, 1 month of minutes", month, "< 100 ms", 30),
        Figure("hit read, 500 symbols x 10 years", whole, "-", "< 0.5 s CPU", seconds < 0.5),
    ]


async def _lookup(cached: CachedDataSource, rounds: int) -> tuple[float, float]:
    series = series_of(cached.get_metadata(), "1d")
    store = cached._store

    async def work() -> None:
        store.lookup(series, SYMBOLS[:1], Interval(17900, 18200))

    return await _timed(work, rounds)


async def crowded(source: Memory, folder: Path, rounds: int) -> list[Figure]:
    """A lookup among a hundred thousand entries."""
    cached = _cached(source, folder)
    await cached.fetch(SYMBOLS[:1], *YEAR, "1d")
    series = series_of(cached.get_metadata(), "1d")
    names = [f"X{number:05d}" for number in range(50_000)]
    spans = [sql.Span(name, low, low + 9, 0, True) for name in names for low in (0, 20)]
    with cached._store.index.writing() as connection:
        sql.put_symbols(connection, series, names)
        sql.put_spans(connection, series, spans)
    pair = await _lookup(cached, rounds)
    whole = await _timed(lambda: cached.fetch(SYMBOLS[:1], *YEAR, "1d"), rounds)
    return [
        _ms("lookup, 100 000 entries", pair, "< 10 ms", 5),
        _ms("hit read, 1 year, 100 000 entries", whole, "< 100 ms", 10),
    ]


async def misses(source: Memory, folder: Path, rounds: int) -> list[Figure]:
    """What a miss costs beyond the fetch, as a share of the document's fetches."""
    figures = []
    for name, frequency, span in (("days, 1 year", "1d", YEAR), ("minutes, 1 month", "1m", MONTH)):
        extra = []
        for number in range(rounds):
            cached = _cached(source, folder / f"{frequency}-{number % 8}")
            await cached.fetch(SYMBOLS[:1], span[0], span[0], frequency)  # the index is there
            symbols, rest = SYMBOLS[:1], (span[0] + timedelta(days=1), span[1])
            begin = time.perf_counter()
            await source.fetch(symbols, *rest, frequency)
            middle = time.perf_counter()
            await cached.fetch(symbols, *rest, frequency)
            extra.append(time.perf_counter() - middle - (middle - begin))
            cached._store.close()
            _forget(cached)
        fetch = FETCHES["yfinance 1d"] if frequency == "1d" else FETCHES["polygon 1m"]
        half, most = (float(np.percentile(extra, at)) for at in (50, 95))
        value = (
            f"{half * 1e3:.1f} / {most * 1e3:.1f} ms, {half / fetch:.1%} of {fetch * 1e3:.0f} ms"
        )
        figures.append(Figure(f"miss overhead, {name}", value, "5 %", "< 5 %", half / fetch < 0.05))
    return figures


def _forget(cached: CachedDataSource) -> None:
    from rustybt.data.sources.cache_directory import CacheDirectory

    CacheDirectory(cached.cache_dir).clear()


async def backtests(source: Memory, folder: Path) -> list[Figure]:
    """The hit rate of a backtest that is run again, and its fetches."""
    sessions = calendar().sessions_in_range(*map(str, YEAR))
    rates, fetches = [], []
    for _ in range(2):
        before = source.fetches
        cached = _cached(source, folder)
        portal = PolarsDataPortal(cached, clock=lambda: NOW)
        for session in sessions:
            await portal.get_history_window(SYMBOLS[:10], session, 20, "1d", "close")
        rates.append(portal.cache_hit_rate)
        fetches.append(source.fetches - before)
        cached.close()
    value = f"{rates[1]:.0%} ({fetches[0]} fetches, then {fetches[1]})"
    return [Figure("hit rate of a repeated backtest", value, "> 80 %", "100 %", rates[1] == 1)]


def _peak(work: Callable[[], Any]) -> float:
    """Megabytes that the process grew at the most while something ran (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = _status("VmRSS")
    work()
    return max(0.0, (_status("VmHWM") - before) / 1024)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (each for each in lines if each.startswith(name))
    return int(line.split()[1])


def memory(source: Memory, folder: Path) -> list[Figure]:
    """Peaks against half of the document's table; the second of two alike calls is taken."""
    one, two = SYMBOLS[:1], SYMBOLS[1:2]
    cached = _cached(source, folder)
    portal = PolarsDataPortal(cached, clock=lambda: NOW)
    run = asyncio.run
    for symbols in (SYMBOLS[2:3], SYMBOLS[3:4]):  # libraries, threads and arenas are there
        run(cached.fetch(symbols, *YEAR, "1d"))
        run(cached.fetch(symbols, *YEAR, "1d"))
        run(portal.get_history_window(symbols, YEAR[1], 20, "1d", "close"))
    run(cached.fetch(one, *MONTH, "1m"))
    run(cached.fetch(one, *MONTH, "1m"))
    written = _peak(lambda: run(cached.fetch(two, *YEAR, "1d")))
    cases = [
        ("fetch 1 year of days", lambda: run(cached.fetch(two, *YEAR, "1d")), 2.1),
        ("fetch 1 month of minutes", lambda: run(cached.fetch(one, *MONTH, "1m")), 18),
        ("window of 20 bars", lambda: _window(portal, two), 0.8),
    ]
    peaks = [("cache write, 1 year of days", written, 4.5)]
    peaks += [(name, _peak(work), limit) for name, work, limit in cases]
    return [
        Figure(
            f"memory, {name}",
            f"{peak:.2f} MB",
            f"{limit} MB",
            f"< {limit / 2:g} MB",
            peak < limit / 2,
        )
        for name, peak, limit in peaks
    ]


def _window(portal: PolarsDataPortal, symbols: list[str]) -> Any:
    return asyncio.run(portal.get_history_window(symbols, YEAR[1], 20, "1d", "close"))


def main() -> None:
    """Measure everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--session", action="store_true", help="compare ten steps of research")
    parser.add_argument("--python", help="an interpreter with requests-cache and hishel")
    arguments = parser.parse_args()
    console = Console()
    if arguments.session:
        from benchmarks.session import compare

        rows = compare(arguments.python)
        columns = ("what a person uses", "charts asked for", "other requests", "seconds", "CPU s")
    else:
        rows = [asdict(figure) for figure in _figures(arguments.rounds)]
        columns = ("figure", "P50 / P95, or value", "document", "target", "holds")
    table = Table(*columns)
    for row in rows:
        table.add_row(*map(str, row.values()))
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


def _figures(rounds: int) -> list[Figure]:
    source = make_source()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        figures = memory(source, root / "memory")
        source.fetches = 0
        figures += asyncio.run(reads(source, root / "reads", rounds))
        figures += asyncio.run(crowded(source, root / "crowded", rounds))
        figures += asyncio.run(misses(source, root / "misses", max(10, rounds // 5)))
        figures += asyncio.run(backtests(source, root / "backtests"))
    return figures


if __name__ == "__main__":
    main()
