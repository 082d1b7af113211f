"""What is measured: each case is prepared once a side, timed many times, and returns its values."""

from collections.abc import Callable, Iterator
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
        How often the function is called in one timing, after a first call by itself.
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
        day = asset.start_date
        return float(data.equity_daily_bar_reader.get_value(asset.sid, day, "close"))

    return first_value


def _get_value(side: Side) -> Timed:
    data = side.load("daily")
    reader, finder = data.equity_daily_bar_reader, data.asset_finder
    random = np.random.default_rng(7)
    places = []
    for asset in random.choice(finder.retrieve_all(finder.sids), 200):
        days = reader.sessions[reader.sessions.slice_indexer(asset.start_date, asset.end_date)]
        places.append((asset.sid, random.choice(days)))
    named = [(sid, pd.Timestamp(day)) for sid, day in places]
    return lambda: [reader.get_value(sid, day, "close") for sid, day in named]


def _raw_arrays(side: Side) -> Timed:
    data = side.load("daily")
    reader, sids = data.equity_daily_bar_reader, data.asset_finder.sids
    start, end = pd.Timestamp("2015-01-02"), pd.Timestamp("2015-12-31")
    return lambda: reader.load_raw_arrays(["close", "volume"], start, end, sids)


def _days() -> Iterator[pd.Timestamp]:
    return iter(get_calendar("XNYS").sessions_in_range("2012-01-03", "2019-12-31"))


def _spot(count: int) -> Callable[[Side], Timed]:
    def prepare(side: Side) -> Timed:
        portal, assets = _portal(side)
        chosen, days = assets[:count], _days()
        return lambda: portal.get_spot_value(chosen, "close", next(days), "daily")

    return prepare


def _history(count: int) -> Callable[[Side], Timed]:
    def prepare(side: Side) -> Timed:
        portal, assets = _portal(side)
        chosen, days = assets[:count], _days()
        return lambda: portal.get_history_window(chosen, next(days), 20, "1d", "price", "daily")

    return prepare


CASES = (
    Case("open a bundle to its first value", _open, calls=5),
    Case("reader get_value, 200 at random", _get_value, calls=5),
    Case("load_raw_arrays, 500 assets x 252", _raw_arrays, calls=5),
    Case("portal spot, 200 assets, day after day", _spot(200), calls=100),
    Case("history 1 x 20, day after day", _history(1), calls=100),
    Case("history 500 x 20, day after day", _history(500), calls=20),
)
