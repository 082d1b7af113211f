"""``python -m benchmarks.floor``: what an ingest of daily frames costs that only writes.

The parts that no ingest of ours can leave out, each by itself and as cheap as we know how: the
ingest function, whose frames are made; the databases of assets and adjustments; the bars as
Parquet; a checksum of every byte of the bars and of their files; the arrays of the panel. Nothing
is checked, judged, counted or flushed to the disk. Beside it, zipline's whole ingest of the same
frames: the ratio of the two is what no ingest with these promises can pass.
"""

import argparse
import hashlib
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import _markets, ingests
from benchmarks.data import DAILY, calendar
from benchmarks.measuring import cpu
from rustybt.compat.adjustment_writer import AdjustmentWriter, StoreCloses
from rustybt.compat.asset_writer import AssetWriter
from rustybt.compat.bar_writers import DailyBarWriter
from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.bundles._encoding import write_bars
from rustybt.data.bundles.panel import write_panel


class _Taker:
    """A writer that looks at what it is given, and writes nothing."""

    def write(self, data: Any = (), **_: Any) -> None:
        """Go through the frames."""
        for _ in data:
            pass


def _years(market: _markets.Market) -> list[pl.DataFrame]:
    """The bars of each year, by sid and session."""
    columns = {
        "sid": np.repeat(np.arange(len(market.frames)), [len(each) for each in market.frames]),
        "timestamp": np.concatenate([each.index.values for each in market.frames]),
        **{
            name: np.concatenate([each[name].to_numpy() for each in market.frames])
            for name in VALUE_COLUMNS
        },
    }
    bars = pl.DataFrame(columns).with_columns(pl.col("timestamp").cast(pl.Date))
    years = bars.with_columns(pl.col("timestamp").dt.year().alias("year"))
    parts = years.partition_by("year", as_dict=True, include_key=False)
    return [part for _, part in sorted(parts.items())]


def _parts(
    market: _markets.Market, years: list[pl.DataFrame], root: Path
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is timed, by name."""
    taker = _Taker()
    ingest = ingests.ingest_function(market, minutes=False)
    unused = dict.fromkeys(("environ", "calendar", "start_session", "end_session", "cache"))
    writers = dict.fromkeys(
        ("asset_db_writer", "minute_bar_writer", "daily_bar_writer", "adjustment_writer"), taker
    )
    told = {**unused, **writers, "show_progress": False, "output_dir": ""}
    yield "the ingest function itself", lambda: ingest(**told)
    first, last = map(pd.Timestamp, DAILY)
    sessions = calendar().sessions_in_range(first, last)
    writer = DailyBarWriter(root / "store", calendar(), first, last)
    writer.write(market.items())
    closes = StoreCloses(writer.store, sessions)

    def databases() -> None:
        assets = AssetWriter(str(root / "assets.sqlite"))
        assets.write(equities=market.assets)
        assets.engine.dispose()
        made = AdjustmentWriter(str(root / "adjustments.sqlite"), closes, overwrite=True)
        made.write(splits=market.splits, dividends=market.dividends)
        made.close()
        (root / "assets.sqlite").unlink()

    yield "the databases of assets and adjustments", databases

    def parquet() -> None:
        for number, year in enumerate(years):
            write_bars(root / f"{number}.parquet", year)

    yield "the bars as Parquet", parquet
    labels = sessions.values.astype("datetime64[D]").astype(np.int64)
    sids = np.arange(len(market.frames))
    (root / "panel").mkdir()
    yield "the arrays of the panel", lambda: write_panel(root / "panel", labels, sids, iter(years))

    def checksums() -> None:
        for year in years:
            for name in VALUE_COLUMNS:
                hashlib.sha256(year[name].to_numpy().data)
        for path in [*root.glob("*.parquet"), *(root / "panel").iterdir()]:
            hashlib.sha256(path.read_bytes())

    yield "checksums of the bars and of their files", checksums


def main() -> None:
    """Measure the parts, and zipline's ingest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    market = _markets.daily(given.assets, gaps=True)
    years = _years(market)
    table = Table("part", "CPU s")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "floor").mkdir()
        least = 0.0
        for name, work in _parts(market, years, root / "floor"):
            seconds = statistics.median(cpu(work)[0] for _ in range(given.rounds))
            least += seconds
            table.add_row(name, f"{seconds:.3f}")
        stock = statistics.median(
            ingests.run_apart("daily", "zipline", given.assets, root)["seconds"]
            for _ in range(given.rounds)
        )
    table.add_row("all of these", f"{least:.3f}")
    table.add_row(f"zipline's ingest ({stock / least:.1f}x)", f"{stock:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
