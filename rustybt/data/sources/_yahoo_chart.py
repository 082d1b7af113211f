"""Yahoo's chart: one answer about one symbol, read without judging its prices.

The format is that of ``/v8/finance/chart/SYMBOL``: columns under ``indicators``, start times under
``timestamp``, corporate actions under ``events``. Prices are adjusted for every split up to the
day of the answer, whatever its range; the adjusted close, which only daily charts have, for
dividends as well.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from rustybt.data.bars import INSTANT, VALUE_COLUMNS
from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    UnknownSymbolError,
)

#: How Yahoo says that it knows the symbol and has none of the bars.
_NO_BARS = ("data doesn't exist for startdate",)
#: How it says that it has no such symbol; it says the same of one that it has forgotten.
_NO_SYMBOL = ("no data found", "quote not found", "not found")

_WHEN = {"session": pl.Date(), "start": INSTANT}
ROWS = pl.Schema({**_WHEN, **dict.fromkeys((*VALUE_COLUMNS, "adjusted"), pl.Float64())})
SPLIT_ROWS = pl.Schema({**_WHEN, **dict.fromkeys(("numerator", "denominator"), pl.Float64())})
CASH_ROWS = pl.Schema({**_WHEN, "amount": pl.Float64()})


@dataclass(frozen=True)
class Chart:
    """What Yahoo answered.

    Attributes
    ----------
    meta : mapping
        Its facts about the symbol: ``exchangeName``, ``exchangeTimezoneName``, ``currency``,
        ``firstTradeDate``, ``regularMarketTime``, ``dataGranularity``, ...
    rows : polars.DataFrame
        `ROWS`: in order of time, split-adjusted, null where nothing is known.
    splits : polars.DataFrame
        `SPLIT_ROWS`: `numerator` new shares for `denominator` old ones.
    dividends, gains : polars.DataFrame
        `CASH_ROWS`, split-adjusted: dividends, and a fund's capital gains.
    """

    meta: Mapping[str, Any]
    rows: pl.DataFrame
    splits: pl.DataFrame
    dividends: pl.DataFrame
    gains: pl.DataFrame

    @property
    def last_trade(self) -> datetime | None:
        """When the symbol was last traded on its regular market, if Yahoo says so."""
        seconds = self.meta.get("regularMarketTime")
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def read_chart(symbol: str, status: int, content: bytes, interval: str) -> Chart | None:
    """Read an answer.

    Returns
    -------
    Chart or None
        None if Yahoo says that the symbol has no bars in the range.

    Raises
    ------
    UnknownSymbolError, RateLimitError, AuthenticationError, OutageError, RefusedRequestError
        What Yahoo says, by its status and its words.
    MalformedAnswerError
        If it is not a chart, or one of other bars than were asked for.
    """
    chart = _chart_object(symbol, status, content)
    error = chart.get("error")
    if error:
        said = str(error.get("description") or error.get("code") or error)
        if any(words in said.lower() for words in _NO_BARS):
            return None
        raise _refusal(symbol, status, said)
    if status != 200:
        raise _refusal(symbol, status, str(chart)[:200])
    try:
        (result,) = chart["result"]
        meta = dict(result["meta"])
        events = result.get("events") or {}
        tables = (
            _rows(result),
            _event_rows(events.get("splits"), SPLIT_ROWS),
            _event_rows(events.get("dividends"), CASH_ROWS),
            _event_rows(events.get("capitalGains"), CASH_ROWS),
        )
        read = Chart(meta, *_dated(tables, ZoneInfo(meta["exchangeTimezoneName"]).key))
    except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError) as broken:
        raise MalformedAnswerError(
            f"Yahoo's chart of {symbol} is not in its known form: {broken!r}"
        ) from broken
    granularity = meta.get("dataGranularity", interval)
    if _minutes(granularity) != _minutes(interval):
        raise MalformedAnswerError(
            f"Yahoo answered with {granularity} bars of {symbol} when asked for {interval}"
        )
    return read


def _chart_object(symbol: str, status: int, content: bytes) -> dict[str, Any]:
    if b"Will be right back" in content[:100_000] and not content.lstrip().startswith(b"{"):
        raise OutageError(f"Yahoo is down (asked for {symbol}). Try later")
    try:
        parsed = json.loads(content)
        # Refusals of the gateway stand under "finance".
        chart = parsed.get("chart") or parsed.get("finance")
        if isinstance(chart, dict):
            return chart
    except (ValueError, AttributeError):
        pass
    shape = f"{len(content)} bytes that are no chart and begin with {content[:20]!r}"
    if status != 200:
        raise _refusal(symbol, status, shape)
    raise MalformedAnswerError(f"Yahoo answered for {symbol} with {shape}")


def _refusal(symbol: str, status: int, said: str) -> RustyBTError:
    text = f"Yahoo answered {status} for {symbol}: {said!r}"
    match status:
        case 404:
            if any(words in said.lower() for words in _NO_SYMBOL):
                return UnknownSymbolError([symbol], f"Yahoo (it says {said!r})")
            return RefusedRequestError(text)
        case 401 | 403:
            return AuthenticationError(f"{text}. It refuses the session's cookie or crumb")
        case 429 | 999:
            return RateLimitError(f"{text}. Ask later, or less often")
        case _ if status >= 500:
            return OutageError(f"{text}. Try later")
    return RefusedRequestError(text)


def _minutes(interval: str) -> str:
    return {"60m": "1h"}.get(interval, interval)


def _rows(result: dict[str, Any]) -> pl.DataFrame:
    starts = result.get("timestamp")
    quote = result["indicators"]["quote"][0]
    if not starts:
        if any(quote.get(name) for name in VALUE_COLUMNS):
            raise ValueError("it has prices without times")
        return ROWS.to_frame().drop("session")
    adjusted = (result["indicators"].get("adjclose") or [{}])[0].get("adjclose")
    columns = {name: quote[name] for name in VALUE_COLUMNS}
    columns["adjusted"] = adjusted or [None] * len(starts)
    wrong = [name for name, values in columns.items() if len(values) != len(starts)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} and the times are not of one length")
    values = [pl.Series(name, each, pl.Float64, strict=False) for name, each in columns.items()]
    return in_order(pl.DataFrame([_instants(starts), *values]))


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows in order of time; those that came twice, alike, once."""
    if (rows["start"].diff().drop_nulls() > timedelta(0)).all():
        return rows
    return rows.unique(maintain_order=True).sort("start", maintain_order=True)


def _event_rows(told: dict[str, Any] | None, schema: pl.Schema) -> pl.DataFrame:
    names = [name for name in schema if name not in _WHEN]
    # An event that is told twice is one.
    once = sorted(
        {(each["date"], *(float(each[n]) for n in names)) for each in (told or {}).values()}
    )
    values = [
        pl.Series(name, [row[place] for row in once], pl.Float64)
        for place, name in enumerate(names, 1)
    ]
    return pl.DataFrame([_instants([row[0] for row in once]), *values])


def _instants(seconds: list[int]) -> pl.Series:
    whole = np.array(seconds, "datetime64[s]").astype("datetime64[us]")
    if np.isnat(whole).any():
        raise ValueError("a time is missing")
    return pl.Series("start", whole).dt.replace_time_zone("UTC")


def _dated(tables: Sequence[pl.DataFrame], timezone: str) -> list[pl.DataFrame]:
    """The tables with the sessions of their rows."""
    sessions = session_dates(pl.concat(table["start"] for table in tables), timezone)
    dated, at = [], 0
    for table in tables:
        dated.append(table.insert_column(0, sessions[at : at + len(table)]))
        at += len(table)
    return dated


def session_dates(starts: pl.Series, timezone: str) -> pl.Series:
    """The sessions that rows or events are of, as a Series named ``session``.

    Parameters
    ----------
    starts : polars.Series
        Instants, UTC: the open of the session, or midnight, in the market's time, or any time
        between open and close.
    timezone : str
        The market's.
    """
    local = pl.lit(starts).dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    # Midnight of the next day, where Yahoo has forgotten about summer time.
    early = (local.dt.hour() >= 22) & (local.dt.minute() == 0) & (local.dt.second() == 0)
    meant = pl.when(early).then(local.dt.offset_by("2h")).otherwise(local)
    return pl.select(meant.dt.date().alias("session")).to_series()
