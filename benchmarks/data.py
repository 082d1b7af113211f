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
    dates = index.strftime("%Y-%m-%d %H:%M:%S")
    return pl.DataFrame({"date": dates, **walk(random, random.normal(0, 0.001, len(index)))})


def walk(
    random: np.random.Generator, steps: np.ndarray, start: float = 5000, least: float = 200
) -> dict[str, np.ndarray]:
    """The five values of bars: a random walk in cents, volumes in round lots.

    Parameters
    ----------
    steps : ndarray of float64
        Of the logarithm of the close.
    start, least : float
        Cents.
    """
    size = len(steps)
    close = np.maximum(np.rint(start * np.exp(np.cumsum(steps))), least)
    opened = close + random.integers(-40, 41, size)
    cents = {
        "open": opened,
        "high": np.maximum(opened, close) + random.integers(0, 40, size),
        "low": np.minimum(opened, close) - random.integers(0, 40, size),
        "close": close,
    }
    prices = {name: values / 100 for name, values in cents.items()}
    return {**prices, "volume": random.integers(1, 10_000, size) * 100}
