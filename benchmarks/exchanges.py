"""``python -m benchmarks.exchanges``: our CPU time for bars through ccxt, and ccxt's with pandas.

A process of its own serves 5 849 daily bars of one market in Binance's format, six pages of them.
Both sides ask it through ccxt's client, without a limit on the rate; ours checks every answer and
every bar, and theirs pages as ccxt's manual does, and is turned into the same columns by pandas.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import ccxt.async_support as ccxt
import numpy as np
import pandas as pd
import polars as pl

from rustybt.data.sources import CCXTDataSource
from rustybt.data.sources.adapters import Budget
from rustybt.data.sources.testing import LoopbackServer, World
from tests.data.sources.exchanges import Binance
from tests.frames import walk

SYMBOL, BARS = "BTC/USDT", 5_849
FIRST = date(2008, 1, 1)
LAST = FIRST + timedelta(days=BARS - 1)
NOW = datetime(2024, 3, 1, tzinfo=UTC)


def serve() -> None:
    """Serve until the standard input is closed."""
    days = [FIRST + timedelta(days=day) for day in range(BARS)]
    world = World({"1d": walk([SYMBOL], days)}, now=NOW, calendar="24/7")
    with LoopbackServer(Binance(world)) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()


def options(base_url: str) -> dict[str, Any]:
    spot = {"fetchMarkets": {"types": ["spot"]}}
    urls = {"api": {"public": f"{base_url}/api/v3"}}
    return {"enableRateLimit": False, "urls": urls, "options": spot}


def ours(base_url: str, budget: Budget) -> Callable[[], pl.DataFrame]:
    source = CCXTDataSource("binance", exchange_options=options(base_url), budget=budget)
    return lambda: asyncio.run(source.fetch([SYMBOL], FIRST, LAST, "1d"))


def theirs(base_url: str) -> Callable[[], pl.DataFrame]:
    async def pages() -> list[list[float]]:
        # Closed at once, like ours, and not after the quarter of a second that ccxt waits.
        exchange = ccxt.binance({**options(base_url), "timeout_on_exit": 0})
        rows: list[list[float]] = []
        since = int(np.datetime64(FIRST, "ms").astype(int))
        try:
            while page := await exchange.fetch_ohlcv(SYMBOL, "1d", since, 1000):
                rows += page
                since = page[-1][0] + 86_400_000
        finally:
            await exchange.close()
        return rows

    def fetch() -> pl.DataFrame:
        names = ["timestamp", "open", "high", "low", "close", "volume"]
        frame = pd.DataFrame(asyncio.run(pages()), columns=names)
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="ms").dt.date
        return pl.from_pandas(frame.assign(symbol=SYMBOL))

    return fetch


def milliseconds(fetch: Callable[[], pl.DataFrame], rounds: int) -> float:
    assert len(fetch()) == BARS
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        fetch()
        spent.append((time.process_time() - start) * 1000)
    return statistics.median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--serve", action="store_true", help="be the server")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.exchanges", "--serve"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as server:
            base_url = server.stdout.readline().strip()
            print(f"CPU milliseconds for {BARS} daily bars of an exchange:")
            budget = Budget("binance", directory=Path(folder))
            sides = {
                "rustybt, checked": ours(base_url, budget),
                "ccxt and pandas": theirs(base_url),
            }
            for name, side in sides.items():
                spent = milliseconds(side, given.rounds)
                print(f"  {name:17} {spent:6.1f}")
            server.stdin.close()


if __name__ == "__main__":
    main()
