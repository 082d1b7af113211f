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
#: What zipline's examples trade.
EXAMPLE_SYMBOLS = ("AAPL", "AMD", "CERN", "COST", "DELL", "GPS", "INTC", "MMM", "MSFT")


def calendar() -> exchange_calendars.ExchangeCalendar:
    """XNYS over the years of the data."""
    return exchange_calendars.get_calendar(
        "XNYS", start=pd.Timestamp("2009-01-01"), end=pd.Timestamp("2020-12-31"), side="right"
    )


def write(directory: Path, symbols: int, minute_symbols: int) -> None:
    """Write a csvdir of each kind: random walks in cents, volumes in round lots."""
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
            _walk(random, index).write_csv(folder / f"S{number:04d}.csv")


def write_examples(directory: Path) -> None:
    """Write a csvdir of the daily bars of the symbols that zipline's examples name."""
    folder = directory / "examples" / "daily"
    folder.mkdir(parents=True)
    sessions = calendar().sessions_in_range(*DAILY)
    random = np.random.default_rng(3)
    for symbol in EXAMPLE_SYMBOLS:
        _walk(random, sessions).write_csv(folder / f"{symbol}.csv")


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
