"""``python -m benchmarks.parts``: readers and portal, zipline's beside ours, and bytes on disk.

The market has splits, dividends, late listings, delistings and sessions without a trade; both sides
get it by the same ingest function. Each case is called once by itself, then many times in turns
with the other side; every value must be equal, to the bit, of frames also the axes and dtypes.
``--large`` adds a bundle of 3000 assets and 5000 sessions, which takes some minutes to make.
"""

import argparse
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table


def _bytes_below(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _disk(root: Path) -> list[dict[str, Any]]:
    rows = []
    for kind in ("daily", "minute"):
        stock = max((root / "data" / kind).iterdir()) / f"{kind}_equities.bcolz"
        version = max(p for p in (root / "rustybt" / kind).iterdir() if p.is_dir())
        sizes = {
            "zipline_bytes": _bytes_below(stock),
            "rustybt_bytes": _bytes_below(version / kind),
            "panel_bytes": _bytes_below(version / "panel" / kind),
        }
        rows.append({"kind": kind, **sizes})
    return rows


def _print(rows: list[dict[str, Any]], disk: list[dict[str, Any]]) -> None:
    table = Table("case", "zipline", "rustybt", "ratio", "of a round", "first call")
    for row in rows:
        ratio, (stock, ours) = row["zipline"] / row["rustybt"], row["first"]
        table.add_row(
            row["case"],
            f"{1e6 * row['zipline']:,.1f} us",
            f"{1e6 * row['rustybt']:,.1f} us",
            f"{ratio:,.1f}x",
            f"{row['least']:,.0f} - {row['most']:,.0f}x",
            f"{1e3 * stock:.1f} / {1e3 * ours:.1f} ms" if stock else "",
        )
    console = Console(width=120)
    console.print(table)
    for row in disk:
        console.print(
            f"{row['kind']} bars on disk: bcolz {row['zipline_bytes'] / 1e6:.1f} MB, "
            f"Parquet {row['rustybt_bytes'] / 1e6:.1f} MB "
            f"({row['rustybt_bytes'] / row['zipline_bytes']:.2f}), "
            f"panel {row['panel_bytes'] / 1e6:.1f} MB"
        )


def _prepare(symbols: int, minute_symbols: int) -> None:
    """Ingest the bars on both sides."""
    from benchmarks import _markets
    from benchmarks.ingests import ingest_function, register
    from benchmarks.sides import SIDES

    markets = {
        "daily": _markets.daily(symbols, gaps=True),
        "minute": _markets.minute(minute_symbols),
    }
    for kind, market in markets.items():
        register(kind, kind, ingest_function(market, kind == "minute"))
    days = _markets.sessions_of(markets["minute"])
    register("minute", "both", partial(_ingest_both, markets["minute"], days))
    for name in (*markets, "both"):
        for side in SIDES:
            side.ingest(name, os.environ)


def _ingest_both(minutes: Any, days: Any, *writers: Any) -> None:
    _, assets, minute, daily, adjustments, *_ = writers
    assets.write(equities=minutes.assets)
    minute.write(minutes.items())
    daily.write(days.items())
    adjustments.write()


def _prepare_large(assets: int) -> None:
    from zipline.data.bundles import core

    from benchmarks._markets import walk
    from benchmarks.cases import large_sessions
    from benchmarks.sides import SIDES

    sessions = large_sessions()

    def frames() -> Iterator[tuple[int, pd.DataFrame]]:
        random = np.random.default_rng(5)
        for sid in range(assets):
            yield sid, walk(random, sessions)

    def ingest(_: Any, asset_writer: Any, __: Any, daily: Any, adjustments: Any, *___: Any) -> None:
        symbols = [f"L{sid:04d}" for sid in range(assets)]
        lives = {"start_date": sessions[0], "end_date": sessions[-1], "exchange": "NYSE"}
        asset_writer.write(equities=pd.DataFrame({"symbol": symbols, **lives}))
        daily.write(frames())
        adjustments.write()

    core.register("large", ingest, "XNYS", sessions[0], sessions[-1])
    for side in SIDES:
        side.ingest("large", os.environ)


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500, help="of the daily set")
    parser.add_argument("--minute-symbols", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "zipline"
        os.environ |= {
            "ZIPLINE_ROOT": str(root),
            "XDG_CACHE_HOME": str(Path(temporary) / "cache"),
            "RUSTYBT_PRECISION": "bcolz",
        }
        _prepare(arguments.symbols, arguments.minute_symbols)
        from benchmarks import opens
        from benchmarks.cases import CASES, LARGE
        from benchmarks.measuring import measure

        rows = opens.measure(max(arguments.rounds // 2, 1))
        rows += [measure(case, arguments.rounds) for case in CASES]
        if arguments.large:
            _prepare_large(3000)
            rows.append(measure(LARGE, 3))
        disk = _disk(root)
    _print(rows, disk)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "disk": disk}, indent=1))


if __name__ == "__main__":
    main()
