"""``python -m benchmarks``: measure, check that values are equal, print the table."""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


def _cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of all threads of this process, and what came back."""
    start = time.process_time()
    value = work()
    return time.process_time() - start, value


def _bytes_below(directory: Path, leave_out: str = "") -> int:
    paths = (path for path in directory.rglob("*") if path.is_file())
    return sum(p.stat().st_size for p in paths if not leave_out or leave_out not in p.parts)


def _measure(prepared: list[Callable[[], Any]], calls: int, rounds: int) -> list[list[float]]:
    """Interleaved rounds of both sides; raises if their values differ."""
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        totals, values = [0.0, 0.0], [[], []]
        for side, work in enumerate(prepared):
            for _ in range(calls):
                spent, value = _cpu(work)
                totals[side] += spent
                values[side].append(value)
        for stock, ours in zip(*values, strict=True):
            np.testing.assert_array_equal(stock, ours)
        for side in (0, 1):
            seconds[side].append(totals[side])
    return seconds


def _ingests(directory: Path, rounds: int) -> list[dict[str, Any]]:
    from benchmarks.sides import OURS, STOCK

    rows = []
    for kind in ("daily", "minute"):
        seconds: list[list[float]] = [[], []]
        for _ in range(rounds):
            for side, engine in enumerate((STOCK, OURS)):
                spent, _value = _cpu(partial(engine.ingest, directory / kind, kind, kind))
                seconds[side].append(spent)
        rows.append(_row(f"ingest {kind} bars from csvdir", seconds))
    return rows


def _row(name: str, seconds: list[list[float]]) -> dict[str, Any]:
    stock, ours = (statistics.median(side) for side in seconds)
    spread = max((max(side) - min(side)) / statistics.median(side) for side in seconds)
    return {
        "case": name,
        "zipline": stock,
        "rustybt": ours,
        "ratio": stock / ours,
        "spread": spread,
    }


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
    table = Table("case", "zipline CPU s", "rustybt CPU s", "zipline / rustybt", "spread")
    for row in rows:
        table.add_row(
            row["case"],
            f"{row['zipline']:.4f}",
            f"{row['rustybt']:.4f}",
            f"{row['ratio']:.1f}x",
            f"{row['spread']:.0%}",
        )
    console = Console()
    console.print(table)
    for row in disk:
        console.print(
            f"{row['kind']} bars on disk: bcolz {row['zipline_bytes'] / 1e6:.1f} MB, "
            f"Parquet {row['rustybt_bytes'] / 1e6:.1f} MB "
            f"({row['rustybt_bytes'] / row['zipline_bytes']:.2f}), "
            f"panel {row['panel_bytes'] / 1e6:.1f} MB"
        )


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=500, help="of the daily set")
    parser.add_argument("--minute-symbols", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ingest-rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["ZIPLINE_ROOT"] = str(root / "zipline")
        from benchmarks import data
        from benchmarks.cases import CASES
        from benchmarks.sides import OURS, STOCK

        data.write(root / "csv", arguments.symbols, arguments.minute_symbols)
        rows = _ingests(root / "csv", arguments.ingest_rounds)
        for case in CASES:
            prepared = [case.prepare(side) for side in (STOCK, OURS)]
            rows.append(_row(case.name, _measure(prepared, case.calls, arguments.rounds)))
        disk = _disk(root / "zipline")
    _print(rows, disk)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cases": rows, "disk": disk}, indent=1))


if __name__ == "__main__":
    main()
