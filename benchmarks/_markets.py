"""Seeded markets with what real ones have: late listings, delistings, splits, dividends, gaps."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from benchmarks import data
from benchmarks.data import DAILY, MINUTE, calendar

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Market:
    """Bars of some assets, as an ingest function has them, and their events.

    Attributes
    ----------
    frames : list of pandas.DataFrame
        By sid: open, high, low, close, volume, indexed by session or minute. As ingest functions
        do, a session without a trade has a row of zeros, since zipline's writer wants one.
    splits, dividends : pandas.DataFrame
        As zipline's adjustment writer takes them.
    """

    frames: list[pd.DataFrame]
    splits: pd.DataFrame
    dividends: pd.DataFrame

    @property
    def symbols(self) -> list[str]:
        """By sid."""
        return [f"S{sid:04d}" for sid in range(len(self.frames))]

    @property
    def assets(self) -> pd.DataFrame:
        """As zipline's asset writer takes them."""
        first = [frame.index[0].normalize() for frame in self.frames]
        last = [frame.index[-1].normalize() for frame in self.frames]
        return pd.DataFrame(
            {
                "symbol": self.symbols,
                "asset_name": self.symbols,
                "start_date": first,
                "end_date": last,
                "auto_close_date": [day + pd.Timedelta(days=1) for day in last],
                "exchange": "NYSE",
            }
        )

    def items(self) -> Iterator[tuple[int, pd.DataFrame]]:
        """(sid, frame), each a copy: zipline's writers change what they are given."""
        return ((sid, frame.copy()) for sid, frame in enumerate(self.frames))


def daily(assets: int, *, gaps: bool) -> Market:
    """Ten years: a fifth listed late, a tenth delisted early, splits, dividends each quarter."""
    random = np.random.default_rng(11)
    sessions = calendar().sessions_in_range(*DAILY)
    frames, splits, dividends = [], [], []
    for sid in range(assets):
        begin = int(random.integers(20, 2000)) if random.random() < 0.2 else 0
        end = int(random.integers(2100, 2500)) if random.random() < 0.1 else len(sessions)
        index = sessions[begin:end]
        frame = walk(random, index)
        for day in random.choice(index[5:-5], size=int(random.integers(0, 3)), replace=False):
            splits.append((sid, day, 0.5))
            frame.loc[frame.index >= day, list(PRICES)] = (
                frame.loc[frame.index >= day, list(PRICES)] * 0.5
            ).round(2)
        if sid % 2:
            days = index[63::63]
            amounts = random.integers(5, 60, len(days)) / 100
            dividends += [(sid, day, amount) for day, amount in zip(days, amounts, strict=True)]
        if gaps:
            missing = random.choice(len(index) - 2, size=len(index) // 500, replace=False) + 1
            frame.iloc[missing] = 0.0
        frames.append(frame)
    paid = pd.DataFrame(dividends, columns=["sid", "ex_date", "amount"])
    for name in ("record_date", "declared_date", "pay_date"):
        paid[name] = paid["ex_date"]
    return Market(frames, pd.DataFrame(splits, columns=["sid", "effective_date", "ratio"]), paid)


def minute(assets: int) -> Market:
    """Three months of minutes; one minute in twenty without a trade is no row."""
    random = np.random.default_rng(12)
    minutes = calendar().sessions_minutes(*MINUTE)
    frames = []
    for _ in range(assets):
        kept = random.random(len(minutes)) < 0.95
        kept[[0, -1]] = True
        frames.append(walk(random, minutes[kept]))
    columns = ["sid", "effective_date", "ratio"]
    return Market(frames, pd.DataFrame(columns=columns), pd.DataFrame())


def sessions_of(minutes: Market) -> Market:
    """The daily bars that minutes of the New York Stock Exchange make."""
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    frames = []
    for frame in minutes.frames:
        days = frame.index.normalize().tz_localize(None)
        every = calendar().sessions_in_range(days[0], days[-1])
        frames.append(frame.groupby(days).agg(how).reindex(every, fill_value=0.0))
    return Market(frames, minutes.splits, minutes.dividends)


def walk(random: np.random.Generator, index: pd.DatetimeIndex) -> pd.DataFrame:
    """A random walk in cents, volumes in round lots."""
    values = data.walk(random, random.normal(0, 0.012, len(index)) * 0.3, 9000, 500)
    return pd.DataFrame({**values, "volume": values["volume"].astype(float)}, index=index)


def write_csvdir(market: Market, directory: Path) -> None:
    """The daily bars in zipline's csvdir layout, events in columns of their own."""
    folder = directory / "daily"
    folder.mkdir(parents=True)
    for sid, frame in enumerate(market.frames):
        written = pl.DataFrame(
            {
                "date": frame.index.strftime("%Y-%m-%d"),
                **{name: frame[name].to_numpy() for name in PRICES},
                "volume": frame["volume"].to_numpy().astype(np.int64),
                "dividend": _at(frame.index, market.dividends, sid, ("ex_date", "amount", 0.0)),
                "split": 1.0 / _at(frame.index, market.splits, sid, ("effective_date", "ratio", 1)),
            }
        )
        written.write_csv(folder / f"S{sid:04d}.csv")


def _at(index: pd.DatetimeIndex, events: pd.DataFrame, sid: int, what: tuple[Any, ...]) -> Any:
    day, value, nothing = what
    own = events[events["sid"] == sid]
    out = np.full(len(index), float(nothing))
    out[index.get_indexer(own[day])] = own[value]
    return out
