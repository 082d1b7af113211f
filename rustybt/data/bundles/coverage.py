"""The ledger of what is not there: sessions without bars, and why.

``coverage.parquet`` has one row a run of sessions: ``symbol``, ``frequency``, ``first``, ``last``
(sessions, both included), ``sessions`` (how many) and ``reason``.
"""

import numpy as np
import polars as pl

from rustybt.data.calendars import Days

FILE = "coverage.parquet"

NO_BAR = "no bar in the source"
NO_BARS_AT_ALL = "no bars in the range asked for"
OFF_CALENDAR = "off the calendar: dropped"

LEDGER = pl.Schema(
    {
        "symbol": pl.String(),
        "frequency": pl.String(),
        "first": pl.Date(),
        "last": pl.Date(),
        "sessions": pl.Int64(),
        "reason": pl.String(),
    }
)


def life_sessions(bars: pl.DataFrame, sessions: Days) -> pl.DataFrame:
    """Count of sessions in each symbol's life, from its first to its last session with a bar.

    Parameters
    ----------
    bars : polars.DataFrame
        ``symbol`` and ``session``.
    sessions : ndarray of datetime64[D]
        The calendar's.

    Returns
    -------
    polars.DataFrame
        ``symbol``, ``first``, ``last``, ``expected``, ``present``.
    """
    lives = bars.group_by("symbol").agg(
        pl.col("session").min().alias("first"),
        pl.col("session").max().alias("last"),
        pl.col("session").n_unique().cast(pl.Int64).alias("present"),
    )
    start = np.searchsorted(sessions, lives["first"].to_numpy())
    stop = np.searchsorted(sessions, lives["last"].to_numpy(), side="right")
    return lives.with_columns(pl.Series("expected", stop - start)).sort("symbol")


def missing_runs(
    bars: pl.DataFrame, lives: pl.DataFrame, sessions: Days, frequency: str
) -> pl.DataFrame:
    """The sessions inside each symbol's life that have no bar, as runs, in the schema `LEDGER`.

    Parameters
    ----------
    bars : polars.DataFrame
        ``symbol`` and ``session``.
    lives : polars.DataFrame
        As `life_sessions` returns them.
    """
    rows = []
    incomplete = lives.filter(pl.col("present") < pl.col("expected"))
    for life in incomplete.iter_rows(named=True):
        present = bars.filter(pl.col("symbol") == life["symbol"])["session"].unique()
        start = int(np.searchsorted(sessions, np.datetime64(life["first"])))
        expected = sessions[start : start + life["expected"]]
        absent = np.flatnonzero(~np.isin(expected, present.to_numpy()))
        for run in np.split(absent, np.flatnonzero(np.diff(absent) > 1) + 1):
            first, last = expected[run[0]].item(), expected[run[-1]].item()
            rows.append((life["symbol"], frequency, first, last, len(run), NO_BAR))
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


def dropped(bars: pl.DataFrame, frequency: str) -> pl.DataFrame:
    """The ledger of bars that were left out because the market was closed."""
    day = pl.col("timestamp").cast(pl.Date)
    return bars.select(
        "symbol",
        pl.lit(frequency).alias("frequency"),
        day.alias("first"),
        day.alias("last"),
        pl.lit(1, pl.Int64).alias("sessions"),
        pl.lit(OFF_CALENDAR).alias("reason"),
    ).unique(maintain_order=True)
