"""The ledger of what is not there: sessions without bars, and why.

``coverage.parquet`` has one row a run of sessions: ``symbol``, ``frequency``, ``first``, ``last``
(sessions, both included; null for all that was asked for), ``sessions`` (how many), ``reason``, and
``detail``, which is what the source said.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
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
from rustybt.data.listings import DELISTED as GONE

FILE = "coverage.parquet"
_DAY = timedelta(days=1)
#: First and last day, reason and detail.
Span = tuple[date, date, str, str | None]

NO_BAR = "no bar in the source"
NO_BARS_AT_ALL = "no bars in the range asked for"
CLOSED = "no bar of any symbol: a holiday that the calendar does not know"
NOT_YET = "not yet listed"
NO_EARLIER = "no earlier bar in the source"
NO_MORE = "no later bar in the source"
DELISTED = "delisted"
OFF_CALENDAR = "off the calendar: dropped"
FAILED = "the source failed"
#: Reasons that follow from the bars of a version and what was asked for.
DERIVED = (NO_BAR, CLOSED, NOT_YET, NO_EARLIER, NO_MORE)

#: Error -> reason; the first that fits.
_REASONS: tuple[tuple[type[RustyBTError], str], ...] = (
    (UnknownSymbolError, "unknown symbol"),
    (DelistedSymbolError, DELISTED),
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
    lives: pl.DataFrame,
    asked: pl.DataFrame,
    calendar: str,
    frequency: str,
    listings: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The ledger of sessions that were asked for, before an asset's first bar and after its last.

    Parameters
    ----------
    lives : polars.DataFrame
        ``symbol``, ``first``, ``last``.
    asked : polars.DataFrame
        ``symbol``, ``first`` and ``last`` of what was asked for.
    listings : polars.DataFrame, optional
        In the schema `LISTINGS`: what is known of the days before and after.
    """
    told = {row["symbol"]: row for row in (listings.to_dicts() if listings is not None else ())}
    joined = lives.select("symbol", "first", "last").join(
        asked.select("symbol", pl.col("first").alias("begin"), pl.col("last").alias("end")),
        on="symbol",
    )
    outside = (pl.col("begin") < pl.col("first")) | (pl.col("last") < pl.col("end"))
    spans: list[tuple[Any, ...]] = []
    for symbol, first, last, begin, end in joined.filter(outside).rows():
        known = told.get(symbol, {})
        if begin < first:
            spans += [(symbol, *span) for span in _before(begin, first, known)]
        if last < end:
            spans += [(symbol, *span) for span in _after(last, end, known)]
    return _located(spans, calendar, frequency)


def _before(begin: date, first: date, known: Mapping[str, Any]) -> list[Span]:
    """Why there is nothing from `begin` to before the first bar."""
    listed = known.get("listed")
    if listed is None:
        return [(begin, first - _DAY, NOT_YET, None)]
    told = f"listed on {listed}, says {known['told_by']}"
    if listed >= first:
        return [(begin, first - _DAY, NOT_YET, told)]
    later: list[Span] = [(max(begin, listed), first - _DAY, NO_EARLIER, told)]
    return [(begin, listed - _DAY, NOT_YET, told), *later] if begin < listed else later


def _after(last: date, end: date, known: Mapping[str, Any]) -> list[Span]:
    """Why there is nothing from after the last bar to `end`."""
    if known.get("status") != GONE:
        return [(last + _DAY, end, NO_MORE, None)]
    gone = known["delisted"]
    told = f"on {gone}, says {known['told_by']}" if gone else f"says {known['told_by']}"
    if gone is None or gone <= last:
        return [(last + _DAY, end, DELISTED, told)]
    until: list[Span] = [(last + _DAY, min(gone, end), NO_MORE, f"delisted {told}")]
    return [*until, (gone + _DAY, end, DELISTED, told)] if gone < end else until


def _located(spans: list[tuple[Any, ...]], calendar: str, frequency: str) -> pl.DataFrame:
    """The ledger of some spans, those that have a session."""
    if not spans:
        return pl.DataFrame(schema=LEDGER)
    starts, stops = (
        np.array([span[end] for span in spans], dtype="datetime64[D]") for end in (1, 2)
    )
    market = load_calendar(calendar, starts.min().item(), stops.max().item())
    begins = np.searchsorted(market.sessions, starts)
    ends = np.searchsorted(market.sessions, stops, side="right")
    rows = []
    for number in np.flatnonzero(begins < ends).tolist():
        symbol, _, _, reason, detail = spans[number]
        begin, end = begins[number], ends[number]
        run = market.sessions[begin].item(), market.sessions[end - 1].item(), int(end - begin)
        rows.append((symbol, frequency, *run, reason, detail))
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
