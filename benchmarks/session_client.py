"""One process of a research session: ``session_client.py TOOL BASE_URL DIRECTORY FIRST LAST``.

Run by `benchmarks.session`, by an interpreter that may have no more than the tool itself. Prints a
JSON object: seconds, CPU seconds, and the bars that each step had.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

TEN = [f"S{number:02d}" for number in range(10)]
TWELVE = [*TEN, "S10", "S11"]
#: (symbols, first and last day) of each step.
STEPS = [
    (TEN, date(2015, 1, 2), date(2019, 12, 31)),  # five years
    (TEN, date(2015, 1, 2), date(2019, 12, 31)),  # the cell is run again
    (TEN, date(2015, 1, 2), date(2019, 12, 31)),  # after a restart
    (TEN[:1], date(2018, 1, 2), date(2018, 12, 31)),  # a closer look
    (TEN, date(2010, 1, 4), date(2019, 12, 31)),  # five more years
    (TWELVE, date(2010, 1, 4), date(2019, 12, 31)),  # two more symbols
    (TWELVE[::-1], date(2010, 1, 4), date(2019, 12, 31)),  # in another order, after a restart
    (TWELVE, date(2016, 6, 1), date(2016, 6, 30)),  # a month
    (TWELVE, date(2010, 1, 4), date(2020, 1, 10)),  # a week later
    (TWELVE, date(2010, 1, 4), date(2020, 1, 10)),  # and again
]
#: A restart comes before these steps.
RESTARTS = (2, 6)
NOW = datetime(2020, 1, 13, tzinfo=UTC)
Ask = Callable[[list[str], date, date], int]


def rustybt(base_url: str, directory: Path) -> Ask:
    """Yahoo's adapter in a `CachedDataSource`."""
    from rustybt.data.sources import CachedDataSource, YFinanceDataSource
    from tests.data.sources.yahoo import Rerouted

    def now() -> datetime:
        return NOW

    source = YFinanceDataSource(session=Rerouted(base_url), clock=now)
    cached = CachedDataSource(source, directory / "rustybt", clock=now)
    return lambda names, start, end: len(asyncio.run(cached.fetch(names, start, end, "1d")))


def yfinance(base_url: str, directory: Path) -> Ask:
    """yfinance as it comes: a cache of this process."""
    import yfinance as yf

    from tests.data.sources.yahoo import Rerouted

    yf.set_tz_cache_location(str(directory / "yfinance"))
    session = Rerouted(base_url)

    def ask(names: list[str], start: date, end: date) -> int:
        until = end + timedelta(days=1)
        tickers = [yf.Ticker(name, session=session) for name in names]
        return sum(len(t.history(start=start, end=until, auto_adjust=False)) for t in tickers)

    return ask


def _charts(get: Callable[[str, dict[str, Any]], Any], base_url: str) -> Ask:
    """Yahoo's charts through an HTTP client, one request a symbol."""
    crumb = get(f"{base_url}/v1/test/getcrumb", {}).text

    def ask(names: list[str], start: date, end: date) -> int:
        days = (start, end + timedelta(days=1))
        first, last = (int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()) for d in days)
        asked = {"period1": first, "period2": last, "interval": "1d", "crumb": crumb}
        answers = [get(f"{base_url}/v8/finance/chart/{name}", asked).json() for name in names]
        return sum(len(each["chart"]["result"][0].get("timestamp", [])) for each in answers)

    return ask


def requests_cache(base_url: str, directory: Path) -> Ask:
    """requests-cache that never expires."""
    from requests_cache import NEVER_EXPIRE, CachedSession

    session = CachedSession(directory / "requests", expire_after=NEVER_EXPIRE)
    return _charts(lambda url, query: session.get(url, params=query), base_url)


def hishel(base_url: str, directory: Path) -> Ask:
    """hishel as it comes."""
    from hishel import SqliteStorage
    from hishel.httpx import CacheClient

    client = CacheClient(storage=SqliteStorage(database_path=directory / "hishel.db"))
    return _charts(lambda url, query: client.get(url, params=query), base_url)


TOOLS = {
    "rustybt": rustybt,
    "yfinance": yfinance,
    "requests-cache": requests_cache,
    "hishel": hishel,
}


def main() -> None:
    """Do the steps from FIRST up to LAST."""
    tool, base_url, directory, first, last = sys.argv[1:]
    ask = TOOLS[tool](base_url, Path(directory))
    seconds, cpu = time.perf_counter(), time.process_time()
    bars = [ask(*step) for step in STEPS[int(first) : int(last)]]
    seconds, cpu = time.perf_counter() - seconds, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "bars": bars}))


if __name__ == "__main__":
    main()
