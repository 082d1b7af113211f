"""What is read: each case is prepared once a side, and called with the number of a step.

A step is a session or a minute further on, as in a run, unless the case says that it is random.
Both sides must give equal values at every step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from zipline.finance.asset_restrictions import NoRestrictions
from zipline.utils.calendar_utils import get_calendar

from benchmarks.sides import Side

Step = Callable[[int], Any]

_FIELDS = ["open", "high", "low", "close", "volume"]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes
    ----------
    name : str
    prepare : callable of a Side
        Returns what is timed, a function of the number of a step.
    steps : int
        In a round.
    reads : int
        In a step; the figures are of one.
    """

    name: str
    prepare: Callable[[Side], Step]
    steps: int
    reads: int = 1


def _portal(side: Side, kind: str) -> tuple[Any, list[Any]]:
    data = side.load(kind)
    daily, minute = data.equity_daily_bar_reader, data.equity_minute_bar_reader
    readers: dict[str, dict[str, Any]] = {
        "daily": {"equity_daily_reader": daily},
        "minute": {"equity_minute_reader": minute},
    }
    readers["both"] = readers["daily"] | readers["minute"]
    reader = daily if kind == "daily" else minute
    portal = side.portal(
        data.asset_finder,
        trading_calendar=get_calendar("XNYS"),
        first_trading_day=reader.first_trading_day,
        adjustment_reader=data.adjustment_reader,
        **readers[kind],
    )
    return portal, data.asset_finder.retrieve_all(data.asset_finder.sids)


def _moments(kind: str) -> pd.DatetimeIndex:
    """Where the steps are: years in which assets are listed and delisted, or minutes."""
    calendar = get_calendar("XNYS")
    if kind == "daily":
        return calendar.sessions_in_range("2016-01-04", "2019-11-29")
    return calendar.minutes_in_range("2019-11-01 13:30", "2019-12-20 21:00")


def _get_value(side: Side) -> Step:
    data = side.load("daily")
    reader, finder = data.equity_daily_bar_reader, data.asset_finder
    random = np.random.default_rng(7)
    steps = []
    for _ in range(16):
        assets = finder.retrieve_all(random.choice(finder.sids, 25).tolist())
        lives = [reader.sessions.slice_indexer(a.start_date, a.end_date) for a in assets]
        days = [reader.sessions[int(random.integers(life.start, life.stop))] for life in lives]
        steps.append([(asset.sid, day) for asset, day in zip(assets, days, strict=True)])

    def values(step: int) -> list[float]:
        return [reader.get_value(sid, day, "close") for sid, day in steps[step % len(steps)]]

    return values


def raw_arrays(bundle: str, start: Any, end: Any, fields: list[str]) -> Callable[[Side], Step]:
    """`load_raw_arrays` of all assets."""

    def prepare(side: Side) -> Step:
        data = side.load(bundle)
        reader, sids = data.equity_daily_bar_reader, data.asset_finder.sids
        span = pd.Timestamp(start), pd.Timestamp(end)
        return lambda _: reader.load_raw_arrays(fields, *span, sids)

    return prepare


#: Of the bundle that is made on request only: as many sessions as a calendar of zipline has.
LARGE_SESSIONS = 5000


def large_sessions() -> pd.DatetimeIndex:
    """The sessions of the large bundle."""
    return get_calendar("XNYS").sessions[-LARGE_SESSIONS:]


def _large(side: Side) -> Step:
    first, last = large_sessions()[[0, -1]]
    return raw_arrays("large", first, last, ["close"])(side)


def _spot(kind: str, count: int, field: str) -> Callable[[Side], Step]:
    def prepare(side: Side) -> Step:
        portal, assets = _portal(side, kind)
        chosen, moments = assets[:count], _moments(kind)
        return lambda step: portal.get_spot_value(chosen, field, moments[step], kind)

    return prepare


def _current(kind: str, count: int, field: str) -> Callable[[Side], Step]:
    def prepare(side: Side) -> Step:
        data, assets, now = _bar_data(side, kind)
        chosen, moments = assets[:count], _moments(kind)

        def step(number: int) -> Any:
            now[0] = moments[number]
            return data.current(chosen, field)

        return step

    return prepare


def _bar_data(side: Side, kind: str) -> tuple[Any, list[Any], list[pd.Timestamp]]:
    """``data`` of an algorithm, the assets, and where to put the moment that it is."""
    portal, assets = _portal(side, kind)
    now = [pd.Timestamp("NaT")]
    calendar, restrictions = get_calendar("XNYS"), NoRestrictions()
    mode = "daily" if kind == "daily" else "minute"
    return side.bar_data(portal, lambda: now[0], mode, calendar, restrictions), assets, now


def _window(count: int, field: str, shape: str = "forward") -> Callable[[Side], Step]:
    def prepare(side: Side) -> Step:
        portal, assets = _portal(side, "daily")
        days = _moments("daily")
        if shape == "random":
            days = days[np.random.default_rng(3).permutation(len(days))]
        chosen = assets[:count]
        return lambda step: portal.get_history_window(chosen, days[step], 20, "1d", field, "daily")

    return prepare


def _history(kind: str, count: int, field: str) -> Callable[[Side], Step]:
    """As an algorithm asks: ``data.history`` at the close of each bar."""

    def prepare(side: Side) -> Step:
        data, assets, now = _bar_data(side, kind)
        moments = _moments(kind)
        if kind == "daily":
            moments = pd.DatetimeIndex(get_calendar("XNYS").closes[moments])
        asked = assets[0] if count == 1 else assets[:count]
        frequency = "1m" if kind == "minute" else "1d"

        def step(number: int) -> Any:
            now[0] = moments[number]
            return data.history(asked, field, 20, frequency)

        return step

    return prepare


CASES = (
    Case("reader get_value, random sid and day", _get_value, 4, 25),
    Case("load_raw_arrays 500 x 252", raw_arrays("daily", "2015-01-02", "2015-12-31", _FIELDS), 1),
    Case("portal spot, 200 assets, close", _spot("daily", 200, "close"), 20),
    Case("portal spot, 200 assets, price", _spot("daily", 200, "price"), 20),
    Case("portal spot, 20 assets, minute close", _spot("minute", 20, "close"), 40),
    Case("data.current, 200 assets, price", _current("daily", 200, "price"), 20),
    Case("portal history 500 x 20, close", _window(500, "close"), 40),
    Case("portal history 500 x 20, price", _window(500, "price"), 40),
    Case("portal history 500 x 20, price, random days", _window(500, "price", "random"), 2),
    Case("portal history 1 x 20, close", _window(1, "close"), 40),
    Case("portal history 1 x 20, price", _window(1, "price"), 40),
    Case("data.history 500 x 20, price", _history("daily", 500, "price"), 20),
    Case("data.history 1 x 20, price", _history("daily", 1, "price"), 40),
    Case("data.history 20 x 20 minutes, price", _history("minute", 20, "price"), 40),
    Case("data.history 1 x 20 minutes, price", _history("minute", 1, "price"), 40),
    Case("data.history 20 x 20 days in a minute run", _history("both", 20, "price"), 40),
    Case("data.history 1 x 20 days in a minute run", _history("both", 1, "price"), 40),
)

LARGE = Case("load_raw_arrays 3000 x 5000, close", _large, 1)
