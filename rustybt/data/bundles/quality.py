"""How good the bars of a version are: counted, not guessed.

``quality_score = (1 - missing) * (1 - suspect)``

- ``missing`` is the share of sessions, between each asset's first and last bar, without a bar;
- ``suspect`` is the share of bars that are doubtful: no volume, the fifth or a later one of a run
  in which nothing moved, or a jump of the size of a split with no split on that day.

Rows that cannot be true are not counted here: they never get into a version. Every suspect bar
is listed in ``quality.parquet`` with its rule. docs/quality.md explains the figures.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import PRICE_COLUMNS

FILE = "quality.parquet"

#: Bars without a move from which on a run is called stale.
STALE_RUN = 5
#: Price ratios of ordinary splits; their inverses are those of reverse splits.
SPLIT_RATIOS = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0)
#: A jump is split-like when it is within this share of one of them.
SPLIT_TOLERANCE = 0.02

FINDINGS = pl.Schema(
    {"rule": pl.String(), "symbol": pl.String(), "timestamp": pl.Date(), "message": pl.String()}
)


@dataclass(frozen=True)
class Quality:
    """What was counted.

    Attributes
    ----------
    expected : int
        Sessions between the first and last bar, summed over the assets.
    present : int
        Of these, sessions with a bar.
    findings : polars.DataFrame
        Suspect bars, in the schema `FINDINGS`.
    """

    expected: int
    present: int
    findings: pl.DataFrame

    @property
    def missing_data_pct(self) -> float:
        """Percent of the expected sessions without a bar."""
        return 100.0 * (1.0 - self.present / self.expected) if self.expected else 0.0

    @property
    def suspect_bars(self) -> int:
        """Number of bars with at least one finding."""
        return self.findings.select("symbol", "timestamp").n_unique()

    @property
    def score(self) -> float:
        """0.0 to 1.0, rounded to six places."""
        if not self.present:
            return 0.0
        suspect = self.suspect_bars / self.present
        return round((1.0 - self.missing_data_pct / 100.0) * (1.0 - suspect), 6)


def merge(parts: list[Quality]) -> Quality:
    """The counts of several sets of assets together."""
    findings = [part.findings for part in parts] or [pl.DataFrame(schema=FINDINGS)]
    return Quality(
        sum(part.expected for part in parts),
        sum(part.present for part in parts),
        pl.concat(findings).sort("symbol", "timestamp", "rule"),
    )


def assess(daily: pl.DataFrame, splits: pl.DataFrame, expected: int) -> Quality:
    """Judge the daily bars of some assets.

    Parameters
    ----------
    daily : polars.DataFrame
        Daily bars, complete for the assets in them.
    splits : polars.DataFrame
        Their splits: ``symbol``, ``ex_date``, ``ratio``.
    expected : int
        Sessions between the first and last bar, summed over the assets.
    """
    found = [_without_volume(daily), _stale(daily), _split_like_jumps(daily, splits)]
    return Quality(expected, len(daily), pl.concat(found).sort("symbol", "timestamp", "rule"))


def _finding(rule: str, message: pl.Expr) -> list[pl.Expr]:
    return [pl.lit(rule).alias("rule"), pl.col("symbol"), pl.col("timestamp"), message]


def _without_volume(daily: pl.DataFrame) -> pl.DataFrame:
    message = pl.lit("no volume").alias("message")
    return daily.filter(pl.col("volume") == 0).select(_finding("zero_volume", message))


def _same_symbol(daily: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each bar follows one of its own symbol; bars are sorted by symbol."""
    same: npt.NDArray[np.bool_] = (
        daily.select(pl.col("symbol") == pl.col("symbol").shift()).to_series().fill_null(False)
    ).to_numpy()
    return same


def _stale(daily: pl.DataFrame) -> pl.DataFrame:
    opened, high, low, close = (daily[name].to_numpy() for name in PRICE_COLUMNS)
    flat = (opened == close) & (high == low) & _same_symbol(daily)
    flat[1:] &= close[1:] == close[:-1]
    row = np.arange(len(daily))
    length = row - np.maximum.accumulate(np.where(flat, 0, row))
    long = np.flatnonzero(length >= STALE_RUN)
    message = pl.format("bar {} in a row at {}", "length", "close").alias("message")
    runs: pl.DataFrame = daily[long].with_columns(pl.Series("length", length[long]))
    return runs.select(_finding("stale", message))


def _split_like_jumps(daily: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    close, same = daily["close"].to_numpy(), _same_symbol(daily)
    with np.errstate(divide="ignore", invalid="ignore"):  # a bar of zipline's may have no price
        change = np.diff(np.log(close), prepend=np.nan)
    large = np.flatnonzero(same & (np.abs(change) > np.log(min(SPLIT_RATIOS)) - SPLIT_TOLERANCE))
    distance = np.abs(np.abs(change[large, None]) - np.log(SPLIT_RATIOS)).min(
        axis=1, initial=np.inf
    )
    rows = large[distance < SPLIT_TOLERANCE]
    before = daily["timestamp"].gather(rows - 1).alias("before")
    jumps: pl.DataFrame = daily[rows].with_columns(pl.Series("change", change[rows]), before)
    message = pl.format(
        "close moved by a factor of {}, the size of a split, and no split is known",
        pl.col("change").exp().round(3),
    ).alias("message")
    # A split may fall on a day without a bar: the jump is then on the first bar after it.
    known = jumps.join_where(
        splits.select(pl.col("symbol").alias("of"), "ex_date"),
        pl.col("symbol") == pl.col("of"),
        pl.col("ex_date") > pl.col("before"),
        pl.col("ex_date") <= pl.col("timestamp"),
    )
    unknown = jumps.join(known, on=["symbol", "timestamp"], how="anti")
    return unknown.select(_finding("split_like_jump", message))
