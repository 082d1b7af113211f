"""``python -m benchmarks.ingests``: ingest functions of zipline's, unchanged, on both sides.

Each ingest runs in a process of its own, which has imported everything and ingested a few assets
before, and forgot the calendars then, as a process that ingests for the first time has none: CPU
seconds of all threads, peak memory beyond what the process had, and bytes on disk. The bars, assets
and adjustments that both sides read back must be equal.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks import _markets
from benchmarks.data import DAILY, MINUTE

#: Case -> the sides that are compared, zipline's first.
CASES = {
    "daily": ("zipline", "door"),
    "csvdir": ("zipline", "door", "source"),
    "minute": ("zipline", "door"),
}
_SIDES = {"zipline": "zipline", "door": "rustybt, function unchanged", "source": "rustybt ingest"}


def ingest_function(market: _markets.Market, minutes: bool) -> Callable[..., None]:
    """An ordinary ingest function: nothing in it knows who calls."""

    def ingest(
        environ: Any,
        asset_db_writer: Any,
        minute_bar_writer: Any,
        daily_bar_writer: Any,
        adjustment_writer: Any,
        calendar: Any,
        start_session: Any,
        end_session: Any,
        cache: Any,
        show_progress: bool,
        output_dir: str,
    ) -> None:
        del environ, calendar, start_session, end_session, cache, output_dir
        asset_db_writer.write(equities=market.assets)
        writer = minute_bar_writer if minutes else daily_bar_writer
        writer.write(market.items(), show_progress=show_progress)
        if minutes:
            adjustment_writer.write()
        else:
            adjustment_writer.write(splits=market.splits, dividends=market.dividends)

    return ingest


def register(case: str, name: str, ingest: Any) -> None:
    """Make a bundle known to zipline."""
    from zipline.data.bundles import core

    bounds = MINUTE if case == "minute" else DAILY
    start, end = map(pd.Timestamp, bounds)
    core.register(name, ingest, calendar_name="XNYS", start_session=start, end_session=end)


def _work(case: str, side: str, assets: int, csvdir: Path) -> Callable[[], Any]:
    """What is timed: the ingest of a bundle named after the case and the number of assets."""
    from zipline.data.bundles import core
    from zipline.data.bundles.csvdir import csvdir_equities

    from rustybt.compat import bundles
    from rustybt.data.bundles.ingest import ingest
    from rustybt.data.sources.csv import CSVDataSource

    name = f"{case}-{assets}"
    if side == "source":
        return lambda: ingest(CSVDataSource(csvdir), name, frequency="1d")
    if case == "csvdir":
        register(case, name, csvdir_equities(["daily"], str(csvdir)))
    else:
        market = _markets.minute(assets) if case == "minute" else _markets.daily(assets, gaps=True)
        register(case, name, ingest_function(market, case == "minute"))
    return (
        (lambda: core.ingest(name, os.environ))
        if side == "zipline"
        else (lambda: bundles.ingest(name, os.environ))
    )


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def _forget_calendars() -> None:
    """Those in memory; what rustybt has on the disk stays, as it does from day to day."""
    from exchange_calendars import calendar_utils

    from rustybt.compat import calendars as compat_calendars
    from rustybt.data import calendars

    calendar_utils.global_calendar_dispatcher._factory_output_cache.clear()
    for remembered in (calendars._calendar_of_years, compat_calendars._from_the_disk):
        remembered.cache_clear()


def _child(case: str, side: str, assets: int, csvdir: Path) -> None:
    """Ingest in this process, and print what it took."""
    warnings.simplefilter("ignore")
    _work(case, side, 3, csvdir.with_name("few"))()
    work = _work(case, side, assets, csvdir)
    _forget_calendars()
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    before = _peak()
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "peak": _peak() - before}))


def run_apart(case: str, side: str, assets: int, root: Path) -> dict[str, float]:
    """CPU seconds and peak memory of an ingest in a process of its own."""
    environ = {**os.environ, "ZIPLINE_ROOT": str(root / side)}
    command = [sys.executable, "-m", "benchmarks.ingests", "--child", case, side]
    command += [str(assets), str(root / "csv" / "all")]
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _read_back(case: str, side: str, assets: int, root: Path) -> list[Any]:
    """Every bar in thousandths, the assets' lives, and the adjustments."""
    from zipline.data.bundles import core

    from rustybt.compat import bundles

    register(case, f"{case}-{assets}", None)
    load = core.load if side == "zipline" else bundles.load
    data = load(f"{case}-{assets}", {"ZIPLINE_ROOT": str(root / side)})
    finder = data.asset_finder
    found = sorted(finder.retrieve_all(finder.sids), key=lambda each: each.symbol)
    minutes = case == "minute"
    bounds = [pd.Timestamp(day) for day in (MINUTE if minutes else DAILY)]
    reader = data.equity_minute_bar_reader if minutes else data.equity_daily_bar_reader
    if minutes:
        calendar = reader.trading_calendar
        bounds = [calendar.session_first_minute(bounds[0]), calendar.session_close(bounds[1])]
    fields = [*_markets.PRICES, "volume"]
    arrays = reader.load_raw_arrays(fields, *bounds, [each.sid for each in found])
    symbols = {each.sid: each.symbol for each in found}
    tables = data.adjustment_reader.unpack_db_to_component_dfs()
    events = [_event_rows(tables[name], symbols) for name in ("splits", "dividend_payouts")]
    ratios = _event_rows(tables["dividends"], symbols).round({"ratio": 6})
    lives = [(each.symbol, each.start_date, each.end_date) for each in found]
    whole = [
        np.rint(array * (1 if name == "volume" else 1000))
        for name, array in zip(fields, arrays, strict=True)
    ]
    return [*whole, *events, ratios, lives]


def _event_rows(table: pd.DataFrame, symbols: dict[int, str]) -> pd.DataFrame:
    named = table.assign(symbol=[symbols[int(sid)] for sid in table["sid"]]).drop(columns="sid")
    named = named.drop(
        columns=[name for name in named if name in ("record_date", "declared_date", "pay_date")]
    )
    return named.sort_values(["symbol", *named.columns[:1]]).reset_index(drop=True)


def _require_equal(case: str, assets: int, root: Path) -> None:
    expected = _read_back(case, "zipline", assets, root)
    for side in CASES[case][1:]:
        for one, other in zip(expected, _read_back(case, side, assets, root), strict=True):
            if isinstance(one, pd.DataFrame):
                pd.testing.assert_frame_equal(one, other, check_dtype=False)
            else:
                np.testing.assert_array_equal(one, other)


def _bytes(side: str, case: str, assets: int, root: Path) -> dict[str, int]:
    kind = "minute" if case == "minute" else "daily"
    name = f"{case}-{assets}"
    if side == "zipline":
        directory = max((root / side / "data" / name).iterdir()) / f"{kind}_equities.bcolz"
        return {"bars": _below(directory), "panel": 0}
    version = max(p for p in (root / side / "rustybt" / name).iterdir() if p.is_dir())
    return {"bars": _below(version / kind), "panel": _below(version / "panel" / kind)}


def _below(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def measure(case: str, assets: int, rounds: int, root: Path) -> list[dict[str, Any]]:
    """Interleaved rounds of all sides of a case; a row a side."""
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in CASES[case]}
    for _ in range(rounds):
        for side, found in runs.items():
            found.append(run_apart(case, side, assets, root))
    _require_equal(case, assets, root)
    rows = []
    for side, found in runs.items():
        seconds = [each["seconds"] for each in found]
        middle = statistics.median(seconds)
        rows.append(
            {
                "case": f"{case}, {assets} assets",
                "side": side,
                "seconds": middle,
                "spread": (max(seconds) - min(seconds)) / middle,
                "peak": statistics.median(each["peak"] for each in found),
                **_bytes(side, case, assets, root),
            }
        )
    for row in rows:
        row["ratio"] = rows[0]["seconds"] / row["seconds"]
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("ingest", "by", "CPU s", "ratio", "spread", "peak MB", "bars MB", "panel MB")
    for row in rows:
        sizes = (f"{row[name] / 1e6:.1f}" for name in ("peak", "bars", "panel"))
        table.add_row(
            row["case"],
            _SIDES[row["side"]],
            f"{row['seconds']:.2f}",
            f"{row['ratio']:.1f}x",
            f"{row['spread']:.0%}",
            *sizes,
        )
    Console().print(table)


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=500, help="of the daily sets")
    parser.add_argument("--minute-assets", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        case, side, assets, csvdir = given.child
        _child(case, side, int(assets), Path(csvdir))
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        _markets.write_csvdir(_markets.daily(3, gaps=False), root / "csv" / "few")
        _markets.write_csvdir(_markets.daily(given.assets, gaps=False), root / "csv" / "all")
        for case in given.cases:
            count = given.minute_assets if case == "minute" else given.assets
            rows += measure(case, count, given.rounds, root)
    _print(rows)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
