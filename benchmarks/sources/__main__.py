"""``python -m benchmarks.sources``: ingest at a server's pace, adapters beside clients, imports."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

CONSOLE = Console()
_IMPORT = """
import time, polars
start = time.perf_counter()
import rustybt.data.sources
print(time.perf_counter() - start)
"""


def _child(*arguments: str, **environment: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def ingest(symbols: int, pace: float) -> None:
    """Ten years of daily bars of many symbols, from a server that answers `pace` times a second."""
    from benchmarks.sources.server import serving
    from rustybt.data.sources.testing import Provider

    with tempfile.TemporaryDirectory() as root, serving("massive", pace) as server:
        module = "benchmarks.sources.ingest"
        where = {"ZIPLINE_ROOT": root, "XDG_CACHE_HOME": root}
        told = _child("-m", module, server.base_url, Provider.secret, str(symbols), **where)
        served = server.served()
    taken = json.loads(told)
    CONSOLE.print(
        f"ingest of {symbols} symbols, {taken['rows']:,} daily bars, {served.requests} requests, "
        f"{served.sent / 1e6:.0f} MB of JSON, at {pace:g} answers a second:\n"
        f"  {taken['wall']:.1f} s, of which the server was busy for {served.busy:.1f} s "
        f"({served.busy / taken['wall']:.0%})\n"
        f"  {taken['cpu']:.1f} CPU s, {taken['cpu'] / taken['rows'] * 1e6:.1f} a million bars\n"
        f"  {taken['peak_mb']:.0f} MB at most, {taken['imported_mb']:.0f} MB of them imports"
    )


def compare(rounds: int) -> None:
    """The adapters beside the clients: equal values, CPU milliseconds for 1 000 bars."""
    from benchmarks.sources import clients
    from benchmarks.sources.server import serving

    table = Table("provider", "client", "client", "rustybt", "client / rustybt", "spread")
    with tempfile.TemporaryDirectory() as root:
        os.environ["XDG_CACHE_HOME"] = root
        clients.prepare(Path(root))
        for each in clients.COMPARISONS:
            if find_spec(each.module) is None:
                CONSOLE.print(f"{each.provider}: left out; pip install {each.package} to compare")
                continue
            with serving(each.provider) as server:
                works = (each.theirs, each.fetched)
                sides = [partial(work, server.base_url) for work in works]
                seconds, bars = _interleaved(sides, rounds)
            theirs, ours = (1e6 * statistics.median(side) / bars for side in seconds)
            spread = max((max(side) - min(side)) / statistics.median(side) for side in seconds)
            table.add_row(
                each.provider, each.package, f"{theirs:.2f}", f"{ours:.2f}",
                f"{theirs / ours:.1f}x", f"{spread:.0%}",
            )  # fmt: skip
    CONSOLE.print(table)


def _interleaved(
    sides: list[Callable[[], pl.DataFrame]], rounds: int
) -> tuple[list[list[float]], int]:
    """CPU seconds of each side and round, and how many bars; the first round is not counted."""
    seconds: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        frames = []
        for side, work in enumerate(sides):
            start = time.process_time()
            frames.append(work())
            if turn:
                seconds[side].append(time.process_time() - start)
        _require_equal(*frames)
    return seconds, len(frames[0])


def _require_equal(theirs: pl.DataFrame, ours: pl.DataFrame) -> None:
    """Yahoo writes 32-bit floats, of which the adapter makes the cents that they stand for."""
    keys = ["symbol", "timestamp"]
    assert ours.select(keys).equals(theirs.select(keys))
    for name in ("open", "high", "low", "close", "volume"):
        assert (ours[name] / theirs[name] - 1).abs().max() < 1e-6, name


def imports(rounds: int) -> None:
    """What importing the sources costs beyond polars."""
    seconds = [float(_child("-c", _IMPORT)) for _ in range(rounds)]
    CONSOLE.print(f"import rustybt.data.sources: {statistics.median(seconds):.3f} s beyond polars")


def main(arguments: Any = None) -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sources", description=__doc__)
    parser.add_argument("what", nargs="*", help="ingest, compare, imports; all if none is named")
    parser.add_argument("--symbols", type=int, default=500, help="of the ingest")
    parser.add_argument("--pace", type=float, default=25, help="answers a second, of the ingest")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--clients", type=Path, help="a folder with more clients: pip install --target FOLDER ..."
    )
    given = parser.parse_args(arguments)
    if given.clients:
        sys.path.append(str(given.clients.resolve()))
    work = {
        "ingest": lambda: ingest(given.symbols, given.pace),
        "compare": lambda: compare(given.rounds),
        "imports": lambda: imports(given.rounds),
    }
    for name in given.what or work:
        work[name]()


if __name__ == "__main__":
    main()
