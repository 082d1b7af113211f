"""``python -m benchmarks.runs``: whole runs of unchanged algorithms, zipline against rustybt.

Each run is a process of its own: CPU seconds from its start to the performance frame (whole), of
the call of `run_algorithm` alone (run), and its peak memory. Sides take turns; every cell of their
frames must be equal, to the bit.
"""

import argparse
import json
import os
import pickle
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

ALGORITHMS = (
    "buy_and_hold",
    "dual_moving_average",
    "inverse_volatility",
    "pipeline_momentum",
    "minute_mean_reversion",
)
#: zipline's own, but for those that need ta-lib or a notebook.
EXAMPLES = tuple(
    f"zipline.examples.{name}"
    for name in ("buy_and_hold", "buyapple", "dual_moving_average", "momentum_pipeline", "olmar")
)
#: Theirs are of several years from 2004 on; the bars begin in 2010.
_EXAMPLE_DATES = ("2011-01-03", "2013-12-31")
_MEASURES = ("whole", "run", "memory")


def worker(name: str, side: str, root: Path) -> None:
    """Run one algorithm on one side; the result goes to a file, the figures to stdout."""
    warnings.simplefilter("ignore")
    run = _stock(root) if side == "zipline" else _ours()
    import pandas as pd

    if name in EXAMPLES:
        module = import_module(name)
        bundle, frequency, dates = "examples", "daily", _EXAMPLE_DATES
    else:
        module = import_module(f"benchmarks.algorithms.{name}")
        bundle, frequency, dates = module.BUNDLE, module.FREQUENCY, (module.START, module.END)
    begin = time.process_time()
    perf = run(
        start=pd.Timestamp(dates[0]),
        end=pd.Timestamp(dates[1]),
        initialize=module.initialize,
        handle_data=getattr(module, "handle_data", None),
        before_trading_start=getattr(module, "before_trading_start", None),
        capital_base=1e7,
        bundle=bundle,
        data_frequency=frequency,
    )
    whole = time.process_time()
    memory = peak_memory()
    (root / f"{name}-{side}.pickle").write_bytes(pickle.dumps(perf))
    print(json.dumps({"whole": whole, "run": whole - begin, "memory": memory}))


def peak_memory() -> float:
    """Peak resident memory of this process in MB.

    Linux counts what `getrusage` says from the process that made this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _stock(root: Path) -> Any:
    from zipline.utils.run_algo import run_algorithm

    register(root)
    return run_algorithm


def _ours() -> Any:
    from rustybt import run_algorithm

    return run_algorithm


def register(root: Path) -> None:
    """Make the bundles known to zipline."""
    import pandas as pd
    from zipline.data.bundles import register as register_bundle
    from zipline.data.bundles.csvdir import csvdir_equities

    from benchmarks.data import DAILY, MINUTE

    for name, kind, span in (
        ("daily", "daily", DAILY),
        ("minute", "minute", MINUTE),
        ("examples", "daily", DAILY),
    ):
        first, last = map(pd.Timestamp, span)
        function = csvdir_equities([kind], str(root / "csv" / name))
        register_bundle(name, function, "XNYS", first, last)


def prepare(root: Path, symbols: int, minute_symbols: int) -> None:
    """Write the bars and ingest them on both sides."""
    from zipline.data.bundles import ingest as stock_ingest

    from benchmarks import data
    from rustybt.data.bundles.ingest import ingest
    from rustybt.data.sources.csv import CSVDataSource

    warnings.simplefilter("ignore")
    data.write(root / "csv", symbols, minute_symbols)
    data.write_examples(root / "csv")
    register(root)
    for kind, frequency in (("daily", "1d"), ("minute", "1m"), ("examples", "1d")):
        stock_ingest(kind, os.environ)
        ingest(CSVDataSource(root / "csv" / kind), kind, frequency=frequency, precision="bcolz")
        # csvdir names no country, without which zipline runs no pipeline.
        for path in (root / "zipline" / "data" / kind).glob("*/assets-*.sqlite"):
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE exchanges SET country_code = 'US'")


def measure(name: str, root: Path, rounds: int) -> dict[str, Any]:
    """Median figures of an algorithm on both sides, in turns."""
    figures: dict[str, list[dict[str, float]]] = {"zipline": [], "rustybt": []}
    for _ in range(rounds):
        for side, runs in figures.items():
            command = [sys.executable, "-m", "benchmarks.runs", "--worker", name, side, str(root)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    row: dict[str, Any] = {"algorithm": name, "cells": _same_cells(name, root)}
    for measured in _MEASURES:
        for side, runs in figures.items():
            row[f"{side} {measured}"] = statistics.median(run[measured] for run in runs)
        row[f"{measured} ratio"] = row[f"zipline {measured}"] / row[f"rustybt {measured}"]
    for side, runs in figures.items():
        row[f"{side} first"] = runs[0]["whole"]
    wholes = [run["whole"] for run in figures["rustybt"]]
    row["spread"] = (max(wholes) - min(wholes)) / statistics.median(wholes)
    return row


def _same_cells(name: str, root: Path) -> int:
    """How many cells both results have, all equal."""
    from rustybt.compat.compare import mismatches

    stock, ours = (
        pickle.loads((root / f"{name}-{side}.pickle").read_bytes())
        for side in ("zipline", "rustybt")
    )
    # An asset's own end and exchange are what each side's ingest wrote; the cells are compared.
    found = [each for each in mismatches(stock, ours, exact=True) if "['sid']" not in each.path]
    if found:
        raise SystemExit(f"{name}: {len(found)} cells differ, the first: {found[0]}")
    return int(stock.size)


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table as Markdown."""
    print("| algorithm | zipline whole / run | rustybt whole / run | ratio | peak MB |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['algorithm'].replace('_', ' ')} "
            f"| {row['zipline whole']:.2f} / {row['zipline run']:.2f} s "
            f"| {row['rustybt whole']:.2f} / {row['rustybt run']:.2f} s "
            f"| {row['whole ratio']:.1f}x / {row['run ratio']:.1f}x "
            f"| {row['zipline memory']:.0f} / {row['rustybt memory']:.0f} |"
        )
    first = rows[0]
    print(
        f"the first run after the ingest: zipline {first['zipline first']:.2f} s, "
        f"rustybt {first['rustybt first']:.2f} s"
    )
    print(f"spread of rustybt's runs at most {max(row['spread'] for row in rows):.0%}")


def main() -> None:
    """Measure the algorithms, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", nargs=3, metavar=("ALGORITHM", "SIDE", "ROOT"))
    known = (*ALGORITHMS, *EXAMPLES)
    parser.add_argument("--algorithms", nargs="+", choices=known, default=ALGORITHMS)
    parser.add_argument(
        "--examples", action="store_const", dest="algorithms", const=EXAMPLES, help="zipline's own"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--minute-symbols", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    if arguments.worker:
        name, side, root = arguments.worker
        worker(name, side, Path(root))
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["ZIPLINE_ROOT"] = str(root / "zipline")
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")
        prepare(root, arguments.symbols, arguments.minute_symbols)
        rows = [measure(name, root, arguments.rounds) for name in arguments.algorithms]
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
