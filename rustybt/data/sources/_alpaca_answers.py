"""What Alpaca's market data answers, read into columns."""

from collections.abc import Mapping, Sequence
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
from rustybt.data.sources._finality import utc_now
from rustybt.data.sources._http import Answer
from rustybt.data.sources._pages import Page

#: The most bars of a page, of all its symbols together.
PAGE = 10_000
#: Bytes. An error is short; a page of bars need not be read twice.
_LONGEST_ERROR = 4096

_BAR = pl.Struct(
    {
        "t": pl.String(),
        "o": pl.Float64(),
        "h": pl.Float64(),
        "l": pl.Float64(),
        "c": pl.Float64(),
        "v": pl.Float64(),
    }
)
_COLUMNS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


def refusal(answer: Answer) -> RustyBTError | None:
    """The error that an answer is, whatever its status; None if it is none or says too little."""
    if answer.status >= 500 or len(answer.content) > _LONGEST_ERROR:
        return None
    body = answer.json()
    said = body.get("message") if isinstance(body, Mapping) else None
    if not said:
        return None
    text = f"{answer.where} answered {answer.status}: {said}"
    if "subscription does not permit" in said:
        return AuthenticationError(
            f"{text}. Without a subscription to SIP data ask for bars that ended more than 15 "
            "minutes ago, or for feed='iex'"
        )
    if said.startswith("invalid symbol"):
        return UnknownSymbolError([said.partition(":")[2].strip() or said], "Alpaca")
    if answer.status == 429:
        return _rate_limit(answer, text)
    return RefusedRequestError(text) if answer.status == 200 else None


def _rate_limit(answer: Answer, text: str) -> RateLimitError | None:
    """Alpaca says in a header of its own when it may be asked again, in seconds since 1970."""
    reset = answer.headers.get("X-RateLimit-Reset", "")
    if "Retry-After" in answer.headers or not reset.isdecimal():
        return None
    pause = max(0.0, int(reset) - utc_now().timestamp())
    return RateLimitError(f"{text}. Ask again in {pause:.0f} s, or less often", pause)


def read_bars(answer: Answer, symbols: Sequence[str]) -> Page:
    """One page: ``symbol``, ``start`` (UTC instants) and values, in the provider's order.

    Raises
    ------
    MalformedAnswerError
        If it is none.
    """
    lists = pl.Struct({symbol: pl.List(_BAR) for symbol in symbols})
    try:
        whole = pl.read_json(answer.content, schema={"bars": lists, "next_page_token": pl.String()})
        bars = _flat(whole["bars"])
    except pl.exceptions.PolarsError:
        raise unreadable(answer) from None
    if whole.height != 1 or b'"bars"' not in answer.content or bars["start"].null_count():
        raise unreadable(answer)
    return Page(bars, whole["next_page_token"][0] or "")


def _flat(lists: pl.Series) -> pl.DataFrame:
    """The bars of a struct of lists, one field a symbol, as rows."""
    by_symbol = lists.struct.unnest().unpivot(variable_name="symbol", value_name="bar")
    rows = by_symbol.filter(pl.col("bar").list.len() > 0).explode("bar")
    table = pl.DataFrame([rows["symbol"], *rows["bar"].struct.unnest()])
    return table.select(
        "symbol",
        pl.col("t").str.to_datetime(_INSTANT, time_unit="us", time_zone="UTC").alias("start"),
        *(pl.col(short).alias(name) for short, name in _COLUMNS.items()),
    )


def unreadable(answer: Answer) -> MalformedAnswerError:
    """The error that an answer is not what the provider documents."""
    return MalformedAnswerError(
        f"{answer.where} answered {answer.status} with {len(answer.content)} bytes that are not "
        f"what it documents: {answer.excerpt!r}"
    )


def read_assets(answer: Answer) -> list[dict[str, Any]]:
    """The asset of an answer, or the assets.

    Raises
    ------
    MalformedAnswerError
        If there is none.
    """
    body = answer.json()
    assets = [body] if isinstance(body, Mapping) else body
    if not isinstance(assets, list) or not all(
        isinstance(asset, Mapping) and "symbol" in asset for asset in assets
    ):
        raise unreadable(answer)
    return [dict(asset) for asset in assets]
