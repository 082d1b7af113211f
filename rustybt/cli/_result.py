"""The result of a run: its figures, and what to say of it."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from rustybt.cli._output import count, facts, heading, number, say, some

#: zipline.finance.order.ORDER_STATUS
_STATUS = {0: "open", 1: "filled", 2: "cancelled", 3: "rejected", 4: "held"}

#: Columns of the performance frame whose last row is about the whole run.
_FIGURES = {
    "portfolio_value": "final_value",
    "algorithm_period_return": "total_return",
    "benchmark_period_return": "benchmark_return",
    "max_drawdown": "max_drawdown",
    "algo_volatility": "volatility",
    "sharpe": "sharpe",
    "sortino": "sortino",
    "alpha": "alpha",
    "beta": "beta",
}


def figures(perf: pd.DataFrame) -> dict[str, Any]:
    """The figures of a run as plain JSON values; None for what is not there or not finite."""
    last = perf.iloc[-1]
    values = {ours: last.get(column) for column, ours in _FIGURES.items()}
    return {
        **{name: _finite(value) for name, value in values.items()},
        "sessions": len(perf),
        "orders": dict(Counter(_orders(perf).values())),
        "transactions": sum(map(len, perf.get("transactions", ()))),
    }


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and isfinite(value) else None


def _orders(perf: pd.DataFrame) -> dict[str, str]:
    """Order -> what it was last: open, filled, cancelled, ..."""
    return {
        order["id"]: _STATUS.get(int(order["status"]), str(order["status"]))
        for session in perf.get("orders", ())
        for order in session
    }


def write_pickle(perf: pd.DataFrame, path: Path) -> None:
    """Pickle the frame into a file that is whole or not there.

    Raises
    ------
    OSError
        Naming the file.
    """
    path = path.resolve()
    is_device = path.exists() and not path.is_file()
    target = path if is_device else path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # The name of the final file says how to compress, as in pandas.
        perf.to_pickle(target, compression=_compression(path))
        target.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        if target != path:
            target.unlink(missing_ok=True)


def _compression(path: Path) -> Any:
    known = {".gz": "gzip", ".bz2": "bz2", ".zip": "zip", ".xz": "xz", ".zst": "zstd"}
    return known.get(path.suffix.lower())


def as_record(
    perf: pd.DataFrame, seconds: float, files: Mapping[str, Path | None]
) -> dict[str, Any]:
    """Run, figures and written files as plain JSON values."""
    return {
        "run": perf.attrs["rustybt"],
        "result": figures(perf),
        "seconds": round(seconds, 3),
        "files": {name: str(path) for name, path in files.items() if path is not None},
    }


def print_summary(perf: pd.DataFrame, seconds: float, files: Mapping[str, Path | None]) -> None:
    """Print the result for a person."""
    run = perf.attrs["rustybt"]
    heading(f"{run['algorithm']} on {run['bundle']}, {run['start']} to {run['end']}")
    written = [f"{name}: {path}" for name, path in files.items() if path is not None]
    facts(
        [
            *result_facts(perf),
            *data_facts(run),
            ("time", f"{seconds:.1f} s"),
            ("written", "\n".join(written) or None),
        ]
    )
    if not written:
        say("  Nothing was written: -o perf.pickle keeps the frame, --report run.html draws it.")


def result_facts(perf: pd.DataFrame) -> Iterator[tuple[str, object]]:
    """What the algorithm earned and traded."""
    found = figures(perf)
    capital = perf.attrs["rustybt"]["capital_base"]
    value = number(found["final_value"])
    yield "value", value and f"{value}, from {capital:,.2f}"
    for name in ("total_return", "max_drawdown", "volatility"):
        yield name.replace("_", " "), number(found[name], ".2%")
    yield "sharpe", number(found["sharpe"], ".2f")
    yield "benchmark", _benchmark(perf, found["benchmark_return"])
    orders = found["orders"]
    states = ", ".join(f"{n:,} {status}" for status, n in orders.items())
    total = sum(orders.values())
    filled = count(found["transactions"], "transaction")
    yield "orders", f"{total:,} ({states}); {filled}" if total else "none: nothing was traded"


def _benchmark(perf: pd.DataFrame, returned: float | None) -> str | None:
    if returned is None:
        return None
    if (perf["benchmark_period_return"] == 0).all():
        return "none: zero returns (--benchmark-symbol names one)"
    return f"{returned:.2%}"


def data_facts(run: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What the run read."""
    yield "calendar", run["calendar"]
    if run["format"] != "rustybt":
        yield "data", f"zipline's own bundle {run['bundle']} ({run['format']})"
        return
    span = f"{run['data_start']} to {run['data_end']}"
    yield "data", f"version {run['version']}, {span}, {some(run['symbols'])}"
    score, missing = run["quality_score"], run["missing_data_pct"]
    yield "quality", f"{score:.4f} of 1, {missing:.2f} % of sessions missing"
    if run["adjustment"] != "raw":
        yield "adjusted", f"for {run['adjustment']} before the ingest: no events are applied"
    yield "assumed", "\n".join(run["assumptions"]) or None
