"""What Alpha Vantage answers: tables in its JSON, and errors, which come with status 200."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

import polars as pl

from rustybt.data.bars import PRICE_COLUMNS
from rustybt.data.errors import (
    AuthenticationError,
    MalformedAnswerError,
    RateLimitError,
    RefusedRequestError,
    RustyBTError,
    UnknownSymbolError,
)
from rustybt.data.listings import LISTINGS
from rustybt.data.sources._finality import Clock
from rustybt.data.sources._http import Answer

#: Under which names an answer is no data.
_ERRORS = ("Error Message", "Information", "Note")
#: "1. open", "5. adjusted close", and of crypto once "1a. open (EUR)".
_COLUMN = re.compile(r"\d+[ab]?\. ([a-z ]+?)(?: \(\w+\))?")
#: How a list says that it does not know a value.
_NOTHING = ("None", "null", "", "0000-00-00")
_NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Series:
    """A time series of Alpha Vantage.

    Attributes
    ----------
    rows : polars.DataFrame
        ``time`` (text, as it came) and, as Float64, what the series has of ``open``, ``high``,
        ``low``, ``close``, ``volume``, ``adjusted close``, ``dividend amount`` and
        ``split coefficient``; in order of time.
    timezone : str
        Of the times.
    decimals : int
        With how many the adjusted close is written.
    """

    rows: pl.DataFrame
    timezone: str = "UTC"
    decimals: int = 0


def read_series(answer: Answer) -> Series:
    """Read the one time series of an answer; ``{}`` is one without rows.

    Raises
    ------
    MalformedAnswerError
        If it has none.
    """
    body = answer.json()
    if body == {}:
        return Series(_no_rows())
    try:
        (table,) = (body[name] for name in body if name.startswith("Time Series"))
        about = {name.partition(". ")[2]: text for name, text in body["Meta Data"].items()}
        timezone = ZoneInfo(about.get("Time Zone", "UTC")).key
        rows, decimals = _rows(table)
    except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError) as error:
        raise MalformedAnswerError(
            f"{answer.where} answered with no time series in its known form ({error!r}): "
            f"{answer.excerpt!r}"
        ) from None
    return Series(rows, timezone, decimals)


def _rows(table: Mapping[str, Mapping[str, str]]) -> tuple[pl.DataFrame, int]:
    if not table:
        return _no_rows(), 0
    listed = list(table.values())
    keys: dict[str, str] = {}
    for key in listed[0]:
        match = _COLUMN.fullmatch(key)
        if match:
            keys.setdefault(match[1], key)
    told = {name: pl.Series(name, [row[key] for row in listed]) for name, key in keys.items()}
    written = told.get("adjusted close", pl.Series([""], dtype=pl.String))
    decimals = int(written.str.extract(r"\.(\d+)").str.len_chars().fill_null(0).max())  # type: ignore[arg-type]
    values = [column.cast(pl.Float64) for column in told.values()]
    rows = pl.DataFrame([pl.Series("time", list(table)), *values])
    missing = [name for name in PRICE_COLUMNS if name not in rows.columns]
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    return rows.sort("time"), decimals


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(schema={"time": pl.String(), **dict.fromkeys(PRICE_COLUMNS, pl.Float64())})


def read_list(answer: Answer, row: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Read the ``data`` of an answer: splits, dividends.

    Parameters
    ----------
    row : mapping of str to polars data type
        The columns to take; ``None`` and empty text, in its spelling, become null.

    Raises
    ------
    MalformedAnswerError
        If it has none.
    """
    body = answer.json()
    if body == {}:
        return pl.DataFrame(schema=dict(row))
    try:
        told = [{name: each[name] for name in row} for each in body["data"]]
        text = pl.DataFrame(told, schema=dict.fromkeys(row, pl.String()))
        known = text.with_columns(
            pl.when(~pl.col(name).is_in(_NOTHING)).then(pl.col(name)).alias(name) for name in row
        )
        return known.select(
            pl.col(name).str.to_date() if dtype == pl.Date else pl.col(name).cast(dtype)
            for name, dtype in row.items()
        )
    except (KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise MalformedAnswerError(
            f"{answer.where} answered with no list in its known form ({error!r}): "
            f"{answer.excerpt!r}"
        ) from None


def read_listing(answer: Answer) -> pl.DataFrame:
    """A listing, which is CSV, in the schema `LISTINGS`.

    Raises
    ------
    MalformedAnswerError
        If it is none, or was cut off.
    """
    try:
        table = pl.read_csv(BytesIO(answer.content), infer_schema=False, null_values=["null"])
        rows = table.drop_nulls("symbol").select(
            "symbol",
            pl.col("status").str.to_lowercase(),
            pl.col("ipoDate").str.to_date(strict=False).alias("listed"),
            pl.col("delistingDate").str.to_date(strict=False).alias("delisted"),
            pl.lit("alphavantage").alias("told_by"),
        )
    except pl.exceptions.PolarsError:
        rows = pl.DataFrame(schema=LISTINGS)
    if rows.is_empty() or not answer.content.endswith(b"\n"):
        raise MalformedAnswerError(
            f"{answer.where} answered with {len(answer.content)} bytes that are no whole listing: "
            f"{answer.excerpt!r}"
        )
    return rows


def refusal(answer: Answer, symbol: str, clock: Clock) -> RustyBTError | None:
    """The error that an answer is, by its words; None if it is data, or says nothing."""
    if answer.status != 200 or not answer.content.lstrip().startswith(b"{"):
        return None
    body = answer.json()
    said = next((str(body[name]) for name in _ERRORS if name in body), "")
    return _error(f"Alpha Vantage says of {symbol}: {said!r}", said.lower(), symbol, clock())


def _error(text: str, said: str, symbol: str, now: datetime) -> RustyBTError | None:
    if not said:
        return None
    # Refusals for haste advertise the premium endpoints as well, so they are looked for first.
    if any(word in said for word in ("sparingly", "per second", "per minute", "call volume")):
        return RateLimitError(f"{text}. Ask later, or less often")
    if "per day" in said or "rate limit" in said:
        midnight = datetime.combine(
            now.astimezone(_NEW_YORK) + timedelta(days=1), time(), _NEW_YORK
        )
        return RateLimitError(
            f"{text}. Ask again tomorrow, or with a premium key", (midnight - now).total_seconds()
        )
    if "apikey" in said or "api key" in said:
        return AuthenticationError(f"{text}. Check the API key")
    if "premium" in said:
        return AuthenticationError(f"{text}. The plan of this key does not cover that")
    if "invalid api call" in said:
        return UnknownSymbolError([symbol], "Alpha Vantage")
    return RefusedRequestError(text)
