"""Seeded bars in zipline's csvdir layout, which both sides read."""

from pathlib import Path

import exchange_calendars
import numpy as np
import pandas as pd
import polars as pl

#: First and last session of the daily set.
DAILY = ("2010-01-04", "2019-12-31")
#: First and last session of the minute set, inside the daily one.
MINUTE = ("2019-10-01", "2019-12-31")


def calendar() -> exchange_calendars.ExchangeCalendar:
    """XNYS over the years of the data."""
    return exchange_calendars.get_calendar(
        "XNYS", start=pd.Timestamp("2009-01-01"), end=pd.Timestamp("2020-12-31"), side="right"
    )


def write(directory: Path, symbols: int, minute_symbols: int, *, eventful: bool = False) -> None:
    """Write a csvdir of each kind: random walks in cents, volumes in round lots.

    Parameters
    ----------
    eventful : bool
        Whether the daily bars are of a market as it is: see `_eventful`.
    """
    market = calendar()
    sessions = market.sessions_in_range(*DAILY)
    minutes = market.sessions_minutes(*MINUTE).tz_localize(None)
    for kind, index, count, seed in (
        ("daily", sessions, symbols, 1),
        ("minute", minutes, minute_symbols, 2),
    ):
        folder = directory / kind / kind
        folder.mkdir(parents=True)
        random = np.random.default_rng(seed)
        for number in range(count):
            bars = _walk(random, index)
            if eventful and kind == "daily":
                bars = _eventful(random, bars)
            bars.write_csv(folder / f"S{number:04d}.csv")


def _eventful(random: np.random.Generator, bars: pl.DataFrame) -> pl.DataFrame:
    """A tenth listed later, a tenth delisted earlier, dividends, and now and then a split.

    No session is left out inside a life: zipline's csvdir takes none that is.
    """
    size = len(bars)
    fate = random.random()
    first = int(random.integers(1, size // 2)) if fate < 0.1 else 0
    last = int(random.integers(size // 2, size)) if fate > 0.9 else size
    quarterly = np.arange(size) % 63 == random.integers(63)
    rare = random.random(size) < 1 / 2500
    events = {
        "dividend": np.where(quarterly, 0.25, 0.0),
        "split": np.where(rare, 2.0, 1.0),
    }
    return bars.with_columns(**events)[first:last]


def _walk(random: np.random.Generator, index: pd.DatetimeIndex) -> pl.DataFrame:
    size = len(index)
    close = np.maximum(np.rint(5000 * np.exp(np.cumsum(random.normal(0, 0.001, size)))), 200)
    opened = close + random.integers(-40, 41, size)
    high = np.maximum(opened, close) + random.integers(0, 40, size)
    low = np.minimum(opened, close) - random.integers(0, 40, size)
    prices = {"open": opened, "high": high, "low": low, "close": close}
    return pl.DataFrame(
        {
            "date": index.strftime("%Y-%m-%d %H:%M:%S"),
            **{name: values / 100 for name, values in prices.items()},
            "volume": random.integers(1, 10_000, size) * 100,
        }
    )
