"""Seeded synthetic bars whose prices uint32 thousandths can hold exactly.

A listing follows one random walk over the sessions of a calendar. The walk is split-adjusted; the
raw price before an ex-date is the walk divided by the ratios still to come, as an exchange prints.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

FIELDS = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Split:
    """A split: prices before ``ex_date`` are multiplied by ``ratio`` (2:1 is 0.5)."""

    ex_date: date
    ratio: float


@dataclass(frozen=True)
class Dividend:
    """A cash dividend per share as traded; dates that are None are left empty in the file."""

    ex_date: date
    amount: float
    declared_date: date | None = None
    record_date: date | None = None
    pay_date: date | None = None


@dataclass(frozen=True)
class Listing:
    """What is needed to draw one symbol's bars.

    ``quiet`` sessions have a row with volume 0 at the last close, ``absent`` ones have no row.
    ``traded_share`` is the share of minutes that have a row. Prices are multiples of ``tick`` plus
    ``offset``, which keeps them off zipline's limit prices (whole cents). No split ratio here
    brings a price half-way between two thousandths, as ``history`` rounds to three decimals.
    """

    symbol: str
    price: float
    volume: int
    tick: float = 0.01
    offset: float = 0.0
    first: date | None = None
    last: date | None = None
    quiet: frozenset[date] = frozenset()
    absent: frozenset[date] = frozenset()
    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    traded_share: float = 1.0
    late_opens: dict[date, int] = field(default_factory=dict)

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each symbol and purpose, the same in every run."""
        return np.random.default_rng(zlib.crc32(f"{self.symbol} {purpose}".encode()))

    def ratios_to_come(self, sessions: Sequence[date]) -> np.ndarray:
        """For each session the product of the ratios of the splits after it."""
        factors = np.ones(len(sessions))
        for split in self.splits:
            factors[[session < split.ex_date for session in sessions]] *= split.ratio
        return factors


def walk(
    listing: Listing, rng: np.random.Generator, start: float, count: int, volatility: float
) -> dict[str, np.ndarray]:
    """Split-adjusted open, high, low and close of ``count`` bars that begin at ``start``."""
    close = start * np.exp(np.cumsum(rng.normal(volatility / 90, volatility, count)))
    previous = np.concatenate([[start], close[:-1]])
    opened = previous * np.exp(rng.normal(0, volatility / 4, count))
    reach = np.exp(np.abs(rng.normal(0, volatility / 3, (2, count))))
    return {
        "open": opened,
        "high": np.maximum(opened, close) * reach[0],
        "low": np.minimum(opened, close) / reach[1],
        "close": close,
    }


def on_tick(prices: np.ndarray, listing: Listing) -> np.ndarray:
    """Prices on the listing's grid, each the float nearest to its decimal, at least one tick."""
    ticks = np.maximum(np.round((prices - listing.offset) / listing.tick), 1)
    return np.round(ticks * listing.tick + listing.offset, 3)


def daily_bars(listing: Listing, sessions: Sequence[date]) -> pl.DataFrame:
    """Raw daily bars: date, open, high, low, close, volume."""
    first, last = listing.first or sessions[0], listing.last or sessions[-1]
    own = [session for session in sessions if first <= session <= last]
    rng = listing.rng("daily")
    bars = walk(listing, rng, listing.price, len(own), 0.018)
    factors = listing.ratios_to_come(own)
    raw = {name: on_tick(prices / factors, listing) for name, prices in bars.items()}
    volume = np.round(listing.volume * factors * rng.lognormal(0, 0.5, len(own)))
    frame = pl.DataFrame({"date": own, **raw, "volume": volume.astype(np.int64)})
    quiet = pl.col("date").is_in(sorted(listing.quiet))
    held = pl.col("close").shift(1).fill_null(pl.col("close"))
    return frame.with_columns(
        *(pl.when(quiet).then(held).otherwise(pl.col(name)).alias(name) for name in FIELDS),
        pl.when(quiet).then(0).otherwise(pl.col("volume")).alias("volume"),
    ).filter(~pl.col("date").is_in(sorted(listing.absent)))


def minute_bars(
    listing: Listing, minutes: pl.DataFrame, start: float, seldom_quiet: float = 0.01
) -> pl.DataFrame:
    """Raw minute bars on ``minutes`` (session Date, date Datetime UTC at the bar's end).

    One minute in a hundred is printed with volume 0, and the minutes without a trade are missing.
    """
    rng = listing.rng("minute")
    bars = walk(listing, rng, start, len(minutes), 0.0007)
    sessions = minutes["session"].to_list()
    factors = listing.ratios_to_come(sessions)
    raw = {name: on_tick(prices / factors, listing) for name, prices in bars.items()}
    volume = np.round(listing.volume / 390 * factors * rng.lognormal(0, 0.7, len(minutes)) + 1)
    volume[rng.random(len(minutes)) < seldom_quiet] = 0
    frame = minutes.with_columns(
        *(pl.Series(name, prices) for name, prices in raw.items()),
        pl.Series("volume", volume.astype(np.int64)),
        pl.Series("printed", rng.random(len(minutes)) < listing.traded_share),
    ).with_columns(pl.int_range(pl.len()).over("session").alias("nth"))
    late = [listing.late_opens.get(session, 0) for session in sessions]
    return frame.filter(
        pl.col("printed")
        & (pl.col("nth") >= pl.Series(late))
        & ~pl.col("session").is_in(sorted(listing.absent))
    ).drop("printed", "nth")


def sessions_of(minute: pl.DataFrame) -> pl.DataFrame:
    """The daily bars that minute bars make up; minutes without volume set no price."""
    traded = minute.filter(pl.col("volume") > 0)
    return traded.group_by("session", maintain_order=True).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
