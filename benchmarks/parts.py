"""``python -m benchmarks.parts``: readers and portal, zipline's beside ours, and bytes on disk.

Each case is called once by itself, then many times in turns with the other side; the values of
every call must be equal, of frames also the axes and dtypes.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.cases import Case


def _cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of all threads of this process, and what came back."""
    start = time.process_time()
    value = work()
    return time.process_time() - start, value


def _bytes_below(directory: Path, leave_out: str = "") -> int:
    paths = (path for path in directory.rglob("*") if path.is_file())
    return sum(p.stat().st_size for p in paths if not leave_out or leave_out not in p.parts)


def _measure(case: "Case", rounds: int) -> dict[str, Any]:
    """Interleaved rounds of both sides; raises if their values differ."""
    from benchmarks.sides import OURS, STOCK

    sides = [case.prepare(side) for side in (STOCK, OURS)]
    first, values = zip(*map(_cpu, sides), strict=True)
    _require_equal(case, *values)
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds):
        found = []
        for side, work in enumerate(sides):
            spent, values = _cpu(lambda work=work: [work() for _ in range(case.calls)])
            seconds[side].append(spent / case.calls)
            found.append(values)
        for one, other in zip(*found, strict=True):
            _require_equal(case, one, other)
    medians = [statistics.median(side) for side in seconds]
    return {
        "group": "Parts",
        "case": case.name,
        "unit": "CPU s",
        "zipline": medians[0],
        "rustybt": medians[1],
        "first": first,
        "spread": max((max(side) - min(side)) / statistics.median(side) for side in seconds),
    }


def _require_equal(case: "Case", stock: Any, ours: Any) -> None:
    """The same values, to the bit; of frames also the axes, their order and the dtypes."""
    if isinstance(stock, pd.DataFrame):
        pd.testing.assert_frame_equal(stock, ours, check_exact=True, obj=case.name)
        return
    many = isinstance(stock, list) and stock and isinstance(stock[0], np.ndarray)
    for one, other in zip(stock, ours, strict=True) if many else [(stock, ours)]:
        np.testing.assert_array_equal(one, other, err_msg=case.name)
        assert np.asarray(one).dtype == np.asarray(other).dtype, case.name


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
    table = Table("case", "zipline", "rustybt", "ratio", "spread", "first call")
    for row in rows:
        ratio, (stock, ours) = row["zipline"] / row["rustybt"], row["first"]
        table.add_row(
            row["case"],
            f"{1e6 * row['zipline']:,.1f} us",
            f"{1e6 * row['rustybt']:,.1f} us",
            f"{ratio:,.1f}x",
            f"{row['spread']:.0%}",
            f"{1e3 * stock:.1f} / {1e3 * ours:.1f} ms",
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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["ZIPLINE_ROOT"] = str(root / "zipline")
        _prepare(root / "csv", arguments.symbols, arguments.minute_symbols)
        from benchmarks.cases import CASES

        rows = [_measure(case, arguments.rounds) for case in CASES]
        disk = _disk(root / "zipline")
    _print(rows, disk)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "disk": disk}, indent=1))


def _prepare(csvdir: Path, symbols: int, minute_symbols: int) -> None:
    """Write the bars and ingest them on both sides."""
    from benchmarks import data
    from benchmarks.sides import OURS, STOCK

    data.write(csvdir, symbols, minute_symbols, eventful=True)
    for kind in ("daily", "minute"):
        for side in (STOCK, OURS):
            side.ingest(csvdir / kind, kind, kind)


if __name__ == "__main__":
    main()
