"""The ledger of what is not there: sessions without bars, and why.

``coverage.parquet`` has one row a run of sessions: ``symbol``, ``frequency``, ``first``, ``last``
(sessions, both included; null for all that was asked for), ``sessions`` (how many), ``reason``, and
``detail``, which is what the source said.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from rustybt.data.calendars import load_calendar, to_session
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
CLOSED = "no bar of any symbol: a holiday that the calendar does not know"
NOT_YET = "not yet listed"
NO_MORE = "no later bar in the source"
OFF_CALENDAR = "off the calendar: dropped"
FAILED = "the source failed"
#: Reasons that follow from the bars of a version and what was asked for.
DERIVED = (NO_BAR, CLOSED, NOT_YET, NO_MORE)

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


def not_renewed(
    failures: Mapping[str, RustyBTError], spans: Mapping[str, tuple[Any, Any]], frequency: str
) -> pl.DataFrame:
    """The ledger of symbols of which only the sessions that were asked for are missing."""
    rows = [
        (symbol, frequency, *map(_day, spans[symbol]), None, reason_of(error), str(error))
        for symbol, error in sorted(failures.items())
    ]
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


def _day(moment: Any) -> date | None:
    return None if moment is None else to_session(moment)


def outside_lives(
    lives: pl.DataFrame, asked: pl.DataFrame, calendar: str, frequency: str
) -> pl.DataFrame:
    """The ledger of sessions that were asked for, before an asset's first bar and after its last.

    Parameters
    ----------
    lives : polars.DataFrame
        ``symbol``, ``first``, ``last``.
    asked : polars.DataFrame
        ``symbol``, ``first`` and ``last`` of what was asked for.
    """
    joined = lives.join(asked, on="symbol")
    early = joined.filter(pl.col("first_right") < pl.col("first")).select(
        "symbol",
        pl.col("first_right").alias("from"),
        pl.col("first").dt.offset_by("-1d").alias("to"),
        pl.lit(NOT_YET).alias("reason"),
    )
    late = joined.filter(pl.col("last") < pl.col("last_right")).select(
        "symbol",
        pl.col("last").dt.offset_by("1d").alias("from"),
        pl.col("last_right").alias("to"),
        pl.lit(NO_MORE).alias("reason"),
    )
    spans = pl.concat([early, late])
    if spans.is_empty():
        return pl.DataFrame(schema=LEDGER)
    market = load_calendar(calendar, *_bounds(spans))
    rows = []
    for symbol, start, stop, reason in spans.rows():
        sessions = market.sessions_between(start, stop)
        if len(sessions):
            run = sessions[0].item(), sessions[-1].item(), len(sessions)
            rows.append((symbol, frequency, *run, reason, None))
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


def _bounds(spans: pl.DataFrame) -> tuple[date, date]:
    first, last = spans["from"].min(), spans["to"].max()
    assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  not empty
    return first, last


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
