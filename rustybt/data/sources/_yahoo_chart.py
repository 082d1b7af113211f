"""Yahoo's chart: one answer about one symbol, read without judging its prices.

The format is that of ``/v8/finance/chart/SYMBOL``: columns under ``indicators``, start times under
``timestamp``, corporate actions under ``events``. Prices are adjusted for every split up to the
day of the answer, whatever its range; the adjusted close, which only daily charts have, for
dividends as well.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

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

ROWS = pl.Schema(
    {"start": INSTANT, **{name: pl.Float64() for name in (*VALUE_COLUMNS, "adjusted")}}
)
SPLIT_ROWS = pl.Schema({"start": INSTANT, "numerator": pl.Float64(), "denominator": pl.Float64()})
CASH_ROWS = pl.Schema({"start": INSTANT, "amount": pl.Float64()})


@dataclass(frozen=True)
class Chart:
    """What Yahoo answered.

    Attributes
    ----------
    meta : mapping
        Its facts about the symbol: ``exchangeName``, ``exchangeTimezoneName``, ``currency``,
        ``firstTradeDate``, ``regularMarketTime``, ``dataGranularity``, ...
    rows : polars.DataFrame
        `ROWS`, as they came: split-adjusted, null where nothing is known.
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
    def timezone(self) -> str:
        """The market's, as the IANA names it."""
        return str(self.meta["exchangeTimezoneName"])

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
        ZoneInfo(meta["exchangeTimezoneName"])
        read = Chart(meta, _rows(result), *_events(result.get("events") or {}))
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
        return ROWS.to_frame()
    adjusted = (result["indicators"].get("adjclose") or [{}])[0].get("adjclose")
    columns = {name: quote[name] for name in VALUE_COLUMNS}
    columns["adjusted"] = adjusted or [None] * len(starts)
    wrong = [name for name, values in columns.items() if len(values) != len(starts)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} and the times are not of one length")
    values = [
        pl.Series(name, each, dtype=pl.Float64, strict=False) for name, each in columns.items()
    ]
    return pl.DataFrame([_instants(starts), *values])


def _events(events: dict[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    return (
        _event_rows(events.get("splits"), SPLIT_ROWS),
        _event_rows(events.get("dividends"), CASH_ROWS),
        _event_rows(events.get("capitalGains"), CASH_ROWS),
    )


def _event_rows(told: dict[str, Any] | None, schema: pl.Schema) -> pl.DataFrame:
    listed = list((told or {}).values())
    values = [
        pl.Series(name, [float(each[name]) for each in listed], dtype=pl.Float64)
        for name in schema.names()[1:]
    ]
    return (
        pl.DataFrame([_instants([each["date"] for each in listed]), *values]).unique().sort("start")
    )


def _instants(seconds: list[int]) -> pl.Series:
    whole = pl.Series("start", seconds, dtype=pl.Int64)
    return (whole * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
