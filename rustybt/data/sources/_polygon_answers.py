"""What Massive (formerly Polygon.io) answers, read into columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    UnknownSymbolError,
)
from rustybt.data.sources._http import Answer
from rustybt.data.sources._pages import Page

#: The most bars that are counted for one page: minutes, or days.
PAGE = 50_000
#: Bytes. An error is short; a page of bars need not be read twice.
_LONGEST_ERROR = 4096

_FACTS = {
    "status": pl.String(),
    "queryCount": pl.Int64(),
    "resultsCount": pl.Int64(),
    "next_url": pl.String(),
}
_BAR = pl.Struct(
    {
        "t": pl.Int64(),
        "o": pl.Float64(),
        "h": pl.Float64(),
        "l": pl.Float64(),
        "c": pl.Float64(),
        "v": pl.Float64(),
    }
)
_SLOWER = "On a plan that counts requests say so: requests_per_minute=5 for the free one"
#: The provider's letters for the values of a bar.
VALUES = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


@dataclass(frozen=True)
class Market:
    """One of the provider's markets.

    Attributes
    ----------
    name : str
        As `rustybt.data.sources.polygon.PolygonDataSource` takes it.
    reference : str
        As the provider's lists call it.
    prefix : str
        What its tickers begin with.
    calendar : str
    timezone : str
        Where a daily bar begins at midnight.
    """

    name: str
    reference: str
    prefix: str
    calendar: str
    timezone: str


STOCKS = Market("stocks", "stocks", "", "XNYS", "America/New_York")
CRYPTO = Market("crypto", "crypto", "X:", "24/7", "UTC")
FOREX = Market("forex", "fx", "C:", "24/5", "UTC")
MARKETS = {each.name: each for each in (STOCKS, CRYPTO, FOREX)}


def market_of(symbol: str) -> Market:
    """The market that a ticker belongs to.

    Raises
    ------
    RefusedRequestError
        If it is one that is not read here.
    """
    prefix = symbol[:2] if symbol[1:2] == ":" else ""
    for market in MARKETS.values():
        if market.prefix == prefix:
            return market
    raise RefusedRequestError(
        f"{symbol} belongs to a market of Massive that is not read: there are stocks (AAPL), "
        "crypto (X:BTCUSD) and forex (C:EURUSD)"
    )


def refusal(answer: Answer) -> RustyBTError | None:
    """The error that an answer is, whatever its status; None if it is none or says too little."""
    if answer.status == 200 and len(answer.content) > _LONGEST_ERROR:
        return None
    body = answer.json() if answer.status < 500 else None
    if not isinstance(body, Mapping) or body.get("status") in ("OK", "DELAYED"):
        return None
    said = str(body.get("error") or body.get("message") or "")
    text = f"{answer.where} answered {answer.status}: {said or answer.excerpt!r}"
    if body.get("status") in ("NOT_AUTHORIZED", "AUTH_ERROR") or "API Key" in said:
        return AuthenticationError(f"{text}. Check the API key and what its plan covers")
    if "maximum requests" in said:
        return None if answer.status == 429 else RateLimitError(f"{text}. {_SLOWER}")
    if answer.status == 200 and body.get("status") == "ERROR":
        return RefusedRequestError(text)
    return None


def bars_refusal(answer: Answer, ticker: str) -> RustyBTError | None:
    """`refusal`, where the request is about the bars of one ticker."""
    if answer.status == 404 and b"NOT_FOUND" in answer.content:
        return UnknownSymbolError([ticker], "Massive")
    return refusal(answer)


def read_bars(answer: Answer) -> Page:
    """One page of aggregates: ``start`` (UTC instants) and values, in the provider's order.

    Raises
    ------
    MalformedAnswerError
        If it is none.
    """
    rows, facts = read_rows(answer, _BAR)
    if (rows.is_empty() and facts["resultsCount"]) or rows["t"].null_count():
        raise unreadable(answer)
    bars = rows.select(
        pl.from_epoch("t", time_unit="ms").dt.replace_time_zone("UTC").alias("start"),
        *(pl.col(short).alias(name) for short, name in VALUES.items()),
    )
    is_full = (facts["queryCount"] or 0) >= PAGE
    return Page(bars, facts["next_url"] or "", is_full, facts["status"] == "DELAYED")


def read_rows(answer: Answer, row: pl.Struct) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The results of an answer, with the columns of `row`, and what stands beside them.

    Raises
    ------
    MalformedAnswerError
        If it has no results and does not say that all is well either.
    """
    try:
        whole = pl.read_json(answer.content, schema={**_FACTS, "results": pl.List(row)})
    except pl.exceptions.PolarsError:
        raise unreadable(answer) from None
    facts = whole.drop("results").rows(named=True)
    if len(facts) != 1 or facts[0]["status"] is None:
        raise unreadable(answer)
    rows = whole["results"][0]
    if rows is None:  # how an empty range is answered
        rows = pl.Series(dtype=row)
    return rows.struct.unnest(), facts[0]


def unreadable(answer: Answer) -> MalformedAnswerError:
    """The error for an answer that is none of its kind."""
    return MalformedAnswerError(
        f"{answer.where} answered {answer.status} with {len(answer.content)} bytes that are not "
        f"what it documents: {answer.excerpt!r}"
    )
