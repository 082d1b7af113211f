"""``python -m benchmarks.providers``: our CPU time for Yahoo's bars, and yfinance's.

A process of its own serves thirteen years of AAPL, IBM and MSFT in Yahoo's format. Both sides ask
it through yfinance's network client; ours returns raw bars, proved, and yfinance's frame is turned
into the same columns by pandas, split-adjusted as it comes.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime

import pandas as pd
import polars as pl
import yfinance

from rustybt.data.sources import YFinanceDataSource
from rustybt.data.sources.testing import LoopbackServer
from tests.data.sources.yahoo import Rerouted, YahooProvider, real_world

SYMBOLS = ["AAPL", "IBM", "MSFT"]
NOW = datetime(2013, 3, 9, tzinfo=UTC)


def serve() -> None:
    """Serve until the standard input is closed."""
    with LoopbackServer(YahooProvider(real_world())) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()


def ours(base_url: str) -> Callable[[int], pl.DataFrame]:
    source = YFinanceDataSource(session=Rerouted(base_url), clock=lambda: NOW)
    return lambda extra: asyncio.run(
        source.fetch(SYMBOLS, date(2000, 3, 1), date(2013, 3, 1 + extra % 5), "1d")
    )


def theirs(base_url: str) -> Callable[[int], pl.DataFrame]:
    session = Rerouted(base_url)

    def one(symbol: str, extra: int) -> pd.DataFrame:
        # Another end each time: yfinance keeps the answers about past ranges.
        end = pd.Timestamp("2013-03-02") + pd.Timedelta(seconds=extra)
        ticker = yfinance.Ticker(symbol, session=session)
        frame = ticker.history(start="2000-03-01", end=end, auto_adjust=False)
        columns = ["Open", "High", "Low", "Close", "Volume"]
        named = frame[columns].rename(columns=str.lower).astype(float)
        return named.assign(symbol=symbol, timestamp=frame.index.date).reset_index(drop=True)

    return lambda extra: pl.from_pandas(pd.concat([one(symbol, extra) for symbol in SYMBOLS]))


def seconds_per_million(fetch: Callable[[int], pl.DataFrame], rounds: int) -> float:
    fetch(0)
    spent = []
    for extra in range(1, rounds + 1):
        start = time.process_time()
        bars = fetch(extra)
        spent.append((time.process_time() - start) / len(bars) * 1e6)
    return statistics.median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--serve", action="store_true", help="be the server")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    with tempfile.TemporaryDirectory() as cache:
        yfinance.set_tz_cache_location(cache)
        command = [sys.executable, "-m", "benchmarks.providers", "--serve"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as server:
            base_url = server.stdout.readline().strip()
            print("CPU seconds per million daily bars of Yahoo:")
            for name, side in (("rustybt, raw and proved", ours), ("yfinance and pandas", theirs)):
                print(f"  {name:24} {seconds_per_million(side(base_url), options.rounds):6.2f}")
            server.stdin.close()


if __name__ == "__main__":
    main()
