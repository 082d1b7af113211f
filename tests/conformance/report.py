"""The result as a table for people and as JSON."""

import json
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten

from rich.console import Console
from rich.table import Table

from tests.conformance.running import SWAPS, Plan, Run
from tests.conformance.verdict import Stock, totals

_LIBRARIES = ("zipline-reloaded", "numpy", "pandas", "polars", "pyarrow", "exchange_calendars")
_LINE = 300  # characters of a problem that are printed; all of it is in the JSON


@dataclass(frozen=True)
class Judged:
    """A run, its counterpart on zipline as it is, and what is wrong with it."""

    run: Run
    stock: Stock | None
    problems: list[str]

    @property
    def stock_counts(self) -> Counter[str]:
        """Outcomes on zipline as it is."""
        return Counter(self.stock.counts if self.stock else {})


def print_table(console: Console, results: Sequence[Judged], plan: Plan) -> None:
    """Print the modules side by side, their totals, and every problem."""
    table = Table(title=_title(plan), show_footer=True)
    right = {"justify": "right"}
    ours, stock = (
        _counted(totals(counts))
        for counts in ([j.run.counts for j in results], [j.stock_counts for j in results])
    )
    table.add_column("module", f"{len(results)} modules", overflow="fold")
    table.add_column("stock", stock)
    table.add_column("ours", ours)
    table.add_column("n/a", str(sum(len(j.run.left_out) for j in results)), **right)
    table.add_column("built", str(sum(_built(j, plan) for j in results)), **right)
    table.add_column("leaks", str(sum(_leaks(j) for j in results)), **right)
    table.add_column("s", f"{sum(j.run.seconds for j in results):.0f}", **right)
    table.add_column("")
    for judged in results:
        table.add_row(*_row(judged, plan))
    console.print(table)
    for judged in results:
        _print_problems(console, judged)


def _print_problems(console: Console, judged: Judged) -> None:
    for problem in judged.problems:
        told = problem if problem.startswith("tests/") else f"{judged.run.module}: {problem}"
        line = shorten(told, _LINE, placeholder=" ...")
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _title(plan: Plan) -> str:
    if not plan.swaps:
        return "zipline's tests on zipline as it is"
    what = "rustybt" if set(plan.swaps) == set(SWAPS) else f"rustybt's {', '.join(plan.swaps)}"
    return f"zipline's tests on {what}, precision {plan.precision}"


def _row(judged: Judged, plan: Plan) -> list[str]:
    run = judged.run
    return [
        run.module.removeprefix("tests/"),
        _counted(judged.stock_counts),
        _counted(run.counts),
        str(len(run.left_out) or ""),
        str(_built(judged, plan) or ""),
        str(_leaks(judged) or ""),
        f"{run.seconds:.0f}",
        "[red]no[/]" if judged.problems else "[green]ok[/]",
    ]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in sorted(counts, key=_order)) or "-"


def _order(outcome: str) -> tuple[bool, str]:
    return outcome != "passed", outcome


def _built(judged: Judged, plan: Plan) -> int:
    return sum(judged.run.constructions.get(role, 0) for role in plan.swaps)


def _leaks(judged: Judged) -> int:
    return sum(sum(tests.values()) for tests in judged.run.leaks.values())


def write_report(path: Path, results: Sequence[Judged], plan: Plan) -> None:
    """Write everything that is known of the runs."""
    content = {
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "swaps": plan.swaps,
        "precision": plan.precision,
        "modules": {judged.run.module: _entry(judged) for judged in results},
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def _entry(judged: Judged) -> dict[str, object]:
    stock = asdict(judged.stock) if judged.stock else None
    return {
        "counts": judged.run.counts,
        **asdict(judged.run),
        "stock": stock,
        "problems": judged.problems,
    }
