"""``python -m benchmarks``: all that is compared with zipline-reloaded, as one table.

Its parts are commands of their own: whole runs (`benchmarks.runs`), readers and portal
(`benchmarks.parts`), ingests (`benchmarks.ingests`). What they measured goes into one file, which
`benchmarks.picture` draws.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Part -> its command, in the order in which they are measured and shown.
PARTS = {
    "runs": ["benchmarks.runs"],
    "examples": ["benchmarks.runs", "--examples"],
    "parts": ["benchmarks.parts"],
    "ingests": ["benchmarks.ingests"],
}
_INGESTS = {
    "door": "{}, the function unchanged",
    "source": "{}, read by rustybt ingest",
}
Row = dict[str, Any]


def measured(part: str, rounds: int | None) -> Any:
    """What a part measures, in a process of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "figures.json"
        command = [sys.executable, "-m", *PARTS[part], "--json", str(path)]
        if rounds is not None:
            command += ["--rounds", str(rounds)]
        subprocess.run(command, check=True, env={**os.environ, "COLUMNS": "120"})
        return json.loads(path.read_text())


def rows_of(figures: dict[str, Any]) -> list[Row]:
    """One row a case: ``group``, ``case``, ``unit``, ``zipline``, ``rustybt``."""
    runs = figures["runs"]
    return [
        *_runs(runs, "whole", "Whole process", "CPU s"),
        *_runs(figures["examples"], "whole", "Whole process, zipline's examples", "CPU s"),
        *_runs(runs, "run", "In run_algorithm", "CPU s"),
        *_runs(runs, "memory", "Peak memory of a run", "MB"),
        *_parts(figures["parts"]),
        *_ingests(figures["ingests"]),
    ]


def _runs(rows: list[Row], measure: str, group: str, unit: str) -> Iterator[Row]:
    for row in rows:
        case = row["algorithm"].rpartition(".")[2].replace("_", " ")
        yield _row(group, case, unit, row[f"zipline {measure}"], row[f"rustybt {measure}"])


def _parts(found: dict[str, Any]) -> Iterator[Row]:
    for row in found["rows"]:
        yield _row(
            "Readers and portal", row["case"], "us", *_scaled(row, 1e6, "zipline", "rustybt")
        )
    for row in found["disk"]:
        sizes = _scaled(row, 1e-6, "zipline_bytes", "rustybt_bytes")
        yield _row("Bars on disk", row["kind"], "MB", *sizes)


def _scaled(row: Row, factor: float, *names: str) -> list[float]:
    return [factor * row[name] for name in names]


def _ingests(rows: list[Row]) -> Iterator[Row]:
    stock = {row["case"]: row["seconds"] for row in rows if row["side"] == "zipline"}
    for row in rows:
        if row["side"] in _INGESTS:
            case = _INGESTS[row["side"]].format(row["case"])
            yield _row("Ingest", case, "CPU s", stock[row["case"]], row["seconds"])


def _row(group: str, case: str, unit: str, zipline: float, rustybt: float) -> Row:
    return {"group": group, "case": case, "unit": unit, "zipline": zipline, "rustybt": rustybt}


def markdown(rows: list[Row]) -> Iterator[str]:
    """The lines of the table."""
    yield "| | | zipline | rustybt | ratio |"
    yield "|---|---|---|---|---|"
    group = ""
    for row in rows:
        shown, group = (row["group"] if row["group"] != group else ""), row["group"]
        stock, ours = row["zipline"], row["rustybt"]
        values = " | ".join(f"{_short(value)} {row['unit']}" for value in (stock, ours))
        yield f"| {shown} | {row['case']} | {values} | {_short(stock / ours)}x |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    """Measure everything, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of every part; each has its own number else")
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args()
    figures = {part: measured(part, given.rounds) for part in PARTS}
    rows = rows_of(figures)
    print("\n".join(markdown(rows)))
    if given.json:
        given.json.write_text(json.dumps({"rows": rows, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
