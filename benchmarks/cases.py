"""What is measured: each case is prepared once a side, timed many times, and returns its values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from zipline.utils.calendar_utils import get_calendar

from benchmarks.sides import Side

Timed = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes
    ----------
    name : str
    prepare : callable of a Side
        Returns the function that is timed; what that returns must be equal on both sides.
    calls : int
        How often the function is called in one timing.
    """

    name: str
    prepare: Callable[[Side], Timed]
    calls: int = 1


def _portal(side: Side) -> tuple[Any, list[Any]]:
    data = side.load("daily")
    calendar = get_calendar("XNYS")
    portal = side.portal(
        data.asset_finder,
        trading_calendar=calendar,
        first_trading_day=data.equity_daily_bar_reader.first_trading_day,
        equity_daily_reader=data.equity_daily_bar_reader,
        adjustment_reader=data.adjustment_reader,
    )
    return portal, data.asset_finder.retrieve_all(data.asset_finder.sids)


def _open(side: Side) -> Timed:
    def first_value() -> float:
        data = side.load("daily")
        asset = data.asset_finder.lookup_symbol("S0000", as_of_date=None)
        day = pd.Timestamp("2015-06-01")
        return float(data.equity_daily_bar_reader.get_value(asset.sid, day, "close"))

    return first_value


def _get_value(side: Side) -> Timed:
    reader = side.load("daily").equity_daily_bar_reader
    random = np.random.default_rng(7)
    days = reader.sessions[random.integers(0, len(reader.sessions), 200)]
    sids = random.integers(0, 20, 200)

    def values() -> list[float]:
        pairs = zip(sids, days, strict=True)
        return [float(reader.get_value(int(sid), day, "close")) for sid, day in pairs]

    return values


def _raw_arrays(side: Side) -> Timed:
    data = side.load("daily")
    reader, sids = data.equity_daily_bar_reader, data.asset_finder.sids

    def arrays() -> Any:
        start, end = pd.Timestamp("2015-01-02"), pd.Timestamp("2015-12-31")
        return reader.load_raw_arrays(["close", "volume"], start, end, sids)[0]

    return arrays


def _spot(side: Side) -> Timed:
    portal, assets = _portal(side)
    chosen, day = assets[:200], pd.Timestamp("2016-03-01")
    return lambda: [float(v) for v in portal.get_spot_value(chosen, "close", day, "daily")]


def _history(count: int) -> Callable[[Side], Timed]:
    def prepare(side: Side) -> Timed:
        portal, assets = _portal(side)
        chosen = assets[:count]
        days = iter(get_calendar("XNYS").sessions_in_range("2012-01-03", "2019-12-31"))
        latest: dict[str, Any] = {}

        def window() -> Any:
            latest["day"] = next(days)
            frame = portal.get_history_window(chosen, latest["day"], 20, "1d", "close", "daily")
            return frame.to_numpy()

        return window

    return prepare


def _initialize(context: Any) -> None:
    from zipline.api import symbol

    context.asset = symbol("S0000")
    context.bar = 0


def _crossover(context: Any, data: Any) -> None:
    from zipline.api import order_target

    context.bar += 1
    if context.bar < 100:
        return
    short = data.history(context.asset, "price", 20, "1d").mean()
    long = data.history(context.asset, "price", 100, "1d").mean()
    order_target(context.asset, 100 if short > long else 0)


def _run(side: Side) -> Timed:
    def whole_run() -> Any:
        perf = side.run(
            start=pd.Timestamp("2010-01-04"),
            end=pd.Timestamp("2019-12-31"),
            initialize=_initialize,
            handle_data=_crossover,
            capital_base=1e6,
            bundle="daily",
            trading_calendar=get_calendar("XNYS"),
        )
        return perf["portfolio_value"].to_numpy()

    return whole_run


CASES = (
    Case("open a bundle to its first value", _open),
    Case("reader get_value, 200 random", _get_value),
    Case("load_raw_arrays, all assets x 252", _raw_arrays),
    Case("portal spot, 200 assets", _spot),
    Case("history 1 x 20, 50 days on", _history(1), calls=50),
    Case("history all x 20, 5 days on", _history(500), calls=5),
    Case("run, dual moving average, 10 years", _run),
)
