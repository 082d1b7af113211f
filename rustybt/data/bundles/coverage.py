"""The ledger of what is not there: sessions without bars, and why.

``coverage.parquet`` has one row a run of sessions: ``symbol``, ``frequency``, ``first``, ``last``
(sessions, both included; null for all that was asked for), ``sessions`` (how many), ``reason``, and
``detail``, which is what the source said.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from rustybt.data.calendars import Days
from rustybt.data.errors import (
    AuthenticationError,
    BarValidationError,
    DelistedSymbolError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    SourceFileError,
    UnadjustableError,
    UnknownSymbolError,
)

FILE = "coverage.parquet"

NO_BAR = "no bar in the source"
NO_BARS_AT_ALL = "no bars in the range asked for"
OFF_CALENDAR = "off the calendar: dropped"
FAILED = "the source failed"

#: Error -> reason; the first that fits.
_REASONS: tuple[tuple[type[RustyBTError], str], ...] = (
    (UnknownSymbolError, "unknown symbol"),
    (DelistedSymbolError, "delisted"),
    (RateLimitError, "rate limited"),
    (AuthenticationError, "unauthorised"),
    (OutageError, "outage"),
    (MalformedAnswerError, "malformed answer"),
    (RefusedRequestError, "refused by the provider"),
    (UnadjustableError, "cannot be un-adjusted"),
    (SourceFileError, "unreadable file"),
    (BarValidationError, "refused by validation"),
    (RustyBTError, FAILED),
)

LEDGER = pl.Schema(
    {
        "symbol": pl.String(),
        "frequency": pl.String(),
        "first": pl.Date(),
        "last": pl.Date(),
        "sessions": pl.Int64(),
        "reason": pl.String(),
        "detail": pl.String(),
    }
)


def reason_of(error: RustyBTError) -> str:
    """The reason in the ledger for an error of a source."""
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))


def never_there(
    absences: Mapping[str, str], failures: Mapping[str, RustyBTError], frequency: str
) -> pl.DataFrame:
    """The ledger of symbols without a single bar of a frequency, each with the reason."""
    none = [(symbol, NO_BARS_AT_ALL, detail) for symbol, detail in absences.items()]
    failed = [(symbol, reason_of(error), str(error)) for symbol, error in failures.items()]
    rows = [
        (symbol, frequency, None, None, None, reason, detail if detail != reason else None)
        for symbol, reason, detail in sorted(none + failed)
    ]
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


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
            rows.append((life["symbol"], frequency, first, last, len(run), NO_BAR, None))
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
        pl.lit(None, pl.String).alias("detail"),
    ).unique(maintain_order=True)
