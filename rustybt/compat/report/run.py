"""A backtest's performance frame, taken apart into typed Polars frames.

This is the only module of the report that knows the columns of the frame that
`zipline.run_algorithm` returns. Everything after it works on `Run`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from numbers import Real
from types import MappingProxyType
from typing import Any

import pandas as pd
import polars as pl

#: zipline's own columns: whatever else the frame has was put there by ``record()``.
ZIPLINE_COLUMNS = frozenset(
    {
        "algo_volatility",
        "algorithm_period_return",
        "alpha",
        "benchmark_period_return",
        "benchmark_volatility",
        "beta",
        "capital_used",
        "ending_cash",
        "ending_exposure",
        "ending_value",
        "excess_return",
        "gross_leverage",
        "long_exposure",
        "long_value",
        "longs_count",
        "max_drawdown",
        "max_leverage",
        "net_leverage",
        "orders",
        "period_close",
        "period_label",
        "period_open",
        "pnl",
        "portfolio_value",
        "positions",
        "returns",
        "sharpe",
        "short_exposure",
        "short_value",
        "shorts_count",
        "sortino",
        "starting_cash",
        "starting_exposure",
        "starting_value",
        "trading_days",
        "transactions",
        "treasury_period_return",
    }
)
#: Risk figures over the whole run, read from the frame's last row.
RISK_COLUMNS = ("sharpe", "sortino", "alpha", "beta", "algo_volatility", "max_drawdown")

INSTANT = pl.Datetime("us", "UTC")
_NEEDED = {"portfolio_value", "algorithm_period_return", "returns", "starting_cash"}
_FILLS = {
    "asset": pl.String,
    "timestamp": INSTANT,
    "session": pl.Date,
    "amount": pl.Float64,
    "price": pl.Float64,
}
_ORDERS = {
    "id": pl.String,
    "asset": pl.String,
    "timestamp": INSTANT,
    "session": pl.Date,
    "amount": pl.Float64,
    "filled": pl.Float64,
    "commission": pl.Float64,
    "level": pl.Float64,
}
_POSITIONS = {
    "session": pl.Date,
    "asset": pl.String,
    "amount": pl.Float64,
    "price": pl.Float64,
    "value": pl.Float64,
}


@dataclass(frozen=True)
class Run:
    """What the report shows of a backtest.

    Attributes
    ----------
    sessions : polars.DataFrame
        One row a session: ``session`` Date, ``close`` Datetime UTC, and Float64 ``value``
        (portfolio value at the close), ``growth`` (1.0 at the start), ``benchmark`` (growth of
        the benchmark), ``returns``, ``gross`` and ``net`` leverage.
    fills, orders, positions : polars.DataFrame
        One row a transaction, an order (as last seen; ``level`` is its limit or stop price),
        and a position held at a session's close. ``asset`` is a label that is unique in the run.
    recorded : mapping of str to polars.Series
        The numeric variables of ``record()``, Float64, one value a session, null where unset.
    unplotted : tuple of str
        Recorded variables that are not numbers.
    risk : mapping of str to float or None
        zipline's figures over the whole run (`RISK_COLUMNS`), None where not a number.
    """

    sessions: pl.DataFrame
    fills: pl.DataFrame
    orders: pl.DataFrame
    positions: pl.DataFrame
    recorded: Mapping[str, pl.Series]
    unplotted: tuple[str, ...]
    risk: Mapping[str, float | None]
    capital_base: float

    @property
    def has_benchmark(self) -> bool:
        """False for a run without one, for which zipline reports returns of zero throughout."""
        return bool((self.sessions["benchmark"] != 1.0).any())

    @property
    def intraday(self) -> bool:
        """Whether any fill happened before its session's close."""
        closes = self.fills.join(self.sessions.select("session", "close"), on="session")
        return bool((closes["timestamp"] < closes["close"]).any())


def read_perf(perf: pd.DataFrame) -> Run:
    """Read the frame that `zipline.run_algorithm` returns.

    Raises
    ------
    ValueError
        The frame has no rows, lacks zipline's columns, or is not indexed by instants.
    """
    _check(perf)
    days = [session_of(close) for close in perf.index]
    labels = _labels(perf)
    recorded, unplotted = _recorded(perf)
    return Run(
        sessions=_sessions(perf, days),
        fills=pl.DataFrame(list(_fills(perf, days, labels)), schema=_FILLS, orient="row"),
        orders=_orders(perf, days, labels),
        positions=pl.DataFrame(
            list(_positions(perf, days, labels)), schema=_POSITIONS, orient="row"
        ),
        recorded=MappingProxyType(recorded),
        unplotted=unplotted,
        risk=MappingProxyType({name: _last(perf, name) for name in RISK_COLUMNS}),
        capital_base=float(perf["starting_cash"].iloc[0]),
    )


def _check(perf: pd.DataFrame) -> None:
    if lacking := sorted(_NEEDED - set(perf.columns)):
        raise ValueError(
            f"the performance frame has no column {', '.join(lacking)}: pass what run_algorithm "
            "returns, from a run with zipline's default metrics"
        )
    if perf.empty:
        raise ValueError("the performance frame has no rows: the run covered no session")
    if not isinstance(perf.index, pd.DatetimeIndex):
        raise ValueError("the performance frame is not indexed by session closes")


def session_of(close: pd.Timestamp) -> date:
    """Return the session that closes at an instant.

    The frame is labelled by closes. A round-the-clock calendar closes at midnight UTC, which is
    already the next date, hence the minute.
    """
    if close.tzinfo is None:
        return close.date()
    return (close.tz_convert("UTC") - timedelta(minutes=1)).date()


def _sessions(perf: pd.DataFrame, days: list[date]) -> pl.DataFrame:
    absent = pl.repeat(None, len(perf), dtype=pl.Float64, eager=True)

    def column(name: str) -> pl.Series:
        return _floats(perf[name]) if name in perf else absent

    closes = perf.index if perf.index.tz is not None else perf.index.tz_localize("UTC")
    return pl.DataFrame(
        {
            "session": pl.Series(days, dtype=pl.Date),
            "close": pl.Series(list(closes), dtype=INSTANT),
            "value": column("portfolio_value"),
            "growth": 1.0 + column("algorithm_period_return"),
            "benchmark": 1.0 + column("benchmark_period_return"),
            "returns": column("returns"),
            "gross": column("gross_leverage"),
            "net": column("net_leverage"),
        }
    )


def _floats(values: pd.Series) -> pl.Series:
    """Turn a column that may hold None and NaN into Float64 with nulls."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    return pl.Series(numbers, dtype=pl.Float64).fill_nan(None)


def _entries(perf: pd.DataFrame, column: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if column not in perf:
        return
    for i, entries in enumerate(perf[column]):
        for entry in entries if isinstance(entries, list) else ():
            yield i, entry


def _labels(perf: pd.DataFrame) -> dict[Any, str]:
    """Name every asset by its symbol, adding the sid where two assets share one."""
    columns = ("transactions", "orders", "positions")
    assets = dict.fromkeys(e["sid"] for column in columns for _, e in _entries(perf, column))
    symbols = [_symbol(asset) for asset in assets]
    return {
        asset: symbol if symbols.count(symbol) == 1 else f"{symbol} (sid {int(asset)})"
        for asset, symbol in zip(assets, symbols, strict=True)
    }


def _symbol(asset: Any) -> str:
    return str(getattr(asset, "symbol", "") or f"sid {asset}")


def _fills(
    perf: pd.DataFrame, days: list[date], labels: dict[Any, str]
) -> Iterable[tuple[Any, ...]]:
    for i, fill in _entries(perf, "transactions"):
        label, amount, price = labels[fill["sid"]], float(fill["amount"]), float(fill["price"])
        yield label, fill["dt"], days[i], amount, price


def _orders(perf: pd.DataFrame, days: list[date], labels: dict[Any, str]) -> pl.DataFrame:
    """Keep each order's last state: zipline lists it in every session in which it changed."""
    last = {}
    for i, order in _entries(perf, "orders"):
        first_seen = last[order["id"]][3] if order["id"] in last else days[i]
        last[order["id"]] = (
            str(order["id"]),
            labels[order["sid"]],
            order["created"],
            first_seen,
            float(order["amount"]),
            float(order["filled"]),
            float(order["commission"] or 0.0),
            order["limit"] or order["stop"],
        )
    return pl.DataFrame(list(last.values()), schema=_ORDERS, orient="row")


def _positions(
    perf: pd.DataFrame, days: list[date], labels: dict[Any, str]
) -> Iterable[tuple[Any, ...]]:
    for i, held in _entries(perf, "positions"):
        amount, price = float(held["amount"]), float(held["last_sale_price"])
        value = amount * price * getattr(held["sid"], "price_multiplier", 1.0)
        yield days[i], labels[held["sid"]], amount, price, value


def _recorded(perf: pd.DataFrame) -> tuple[dict[str, pl.Series], tuple[str, ...]]:
    numeric, other = {}, []
    for name in sorted(set(perf.columns) - ZIPLINE_COLUMNS, key=str):
        given = perf[name].dropna()
        if given.empty:
            continue
        if given.map(lambda value: isinstance(value, Real)).all():
            numeric[str(name)] = _floats(perf[name])
        else:
            other.append(str(name))
    return numeric, tuple(other)


def _last(perf: pd.DataFrame, name: str) -> float | None:
    if name not in perf:
        return None
    value = _floats(perf[name].iloc[-1:])[0]
    return float(value) if value is not None else None
