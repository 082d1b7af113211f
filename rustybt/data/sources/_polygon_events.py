"""Splits and dividends as Massive (formerly Polygon.io) lists them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rustybt.data.adjustments import Events, conform_events
from rustybt.data.errors import MalformedAnswerError, RefusedRequestError, RustyBTError
from rustybt.data.sources._http import Answer, Session
from rustybt.data.sources._polygon_answers import refusal
from rustybt.data.sources._polygon_lists import read_list
from rustybt.data.sources.base import SessionRange

#: Currency of the prices of US stocks.
CURRENCY = "USD"


@dataclass(frozen=True)
class _List:
    """One of the provider's lists, at its address of today and at the one before."""

    path: str
    old_path: str
    date: str
    row: pl.Struct


_SPLITS = _List(
    "/stocks/v1/splits",
    "/v3/reference/splits",
    "execution_date",
    pl.Struct(
        {
            "id": pl.String(),
            "ticker": pl.String(),
            "execution_date": pl.String(),
            "split_from": pl.Float64(),
            "split_to": pl.Float64(),
        }
    ),
)
_DIVIDENDS = _List(
    "/stocks/v1/dividends",
    "/v3/reference/dividends",
    "ex_dividend_date",
    pl.Struct(
        {
            "id": pl.String(),
            "ticker": pl.String(),
            "ex_dividend_date": pl.String(),
            "cash_amount": pl.Float64(),
            "currency": pl.String(),
            "declaration_date": pl.String(),
            "record_date": pl.String(),
            "pay_date": pl.String(),
        }
    ),
)


#: How many stocks are named in one request.
TOGETHER = 25


class _NoSuchListError(RefusedRequestError):
    """The host does not serve a list at its address of today."""


async def read_events(session: Session, tickers: Sequence[str], asked: SessionRange) -> Events:
    """The splits and cash dividends of some stocks with an ex-date in a range.

    Stock dividends stand among the splits, as the provider has them. A dividend of any kind
    (regular, special, a capital gain) is cash; one in another currency than the prices is told in
    the notes. More than `TOGETHER` stocks are picked out of what the provider has of all.
    """
    splits = await _listed(session, _SPLITS, tickers, asked)
    dividends = await _listed(session, _DIVIDENDS, tickers, asked)
    try:
        return _events(splits.unique(maintain_order=True), dividends.unique(maintain_order=True))
    except pl.exceptions.PolarsError as error:
        raise MalformedAnswerError(
            f"Massive's splits or dividends of {', '.join(tickers[:8])} have no true dates: {error}"
        ) from error


def _events(splits: pl.DataFrame, dividends: pl.DataFrame) -> Events:
    paid = dividends.with_columns(
        *_dated(
            ex_date="ex_dividend_date",
            declared_date="declaration_date",
            record_date="record_date",
            pay_date="pay_date",
        ),
        symbol="ticker",
        amount="cash_amount",
    )
    fits = (pl.col("currency").fill_null(CURRENCY) == CURRENCY) & (pl.col("amount") > 0)
    divided = splits.select(
        *_dated(ex_date="execution_date"),
        symbol="ticker",
        ratio=pl.col("split_from") / pl.col("split_to"),
    )
    return Events(
        splits=conform_events("splits", divided),
        dividends=conform_events("dividends", paid.filter(fits)),
        notes=tuple(_note(row) for row in paid.filter(~fits).iter_rows(named=True)),
    )


def _dated(**columns: str) -> list[pl.Expr]:
    return [pl.col(column).str.to_date("%Y-%m-%d").alias(name) for name, column in columns.items()]


def _note(row: dict[str, Any]) -> str:
    return (
        f"The dividend of {row['symbol']} on {row['ex_date']} is left out: "
        f"{row['amount']} {row['currency'] or CURRENCY} is no amount in {CURRENCY}."
    )


async def _listed(
    session: Session, listed: _List, tickers: Sequence[str], asked: SessionRange
) -> pl.DataFrame:
    dates = {f"{listed.date}.gte": asked.first, f"{listed.date}.lte": asked.last}
    named = {"ticker.any_of": ",".join(tickers)} if len(tickers) <= TOGETHER else {}
    if len(tickers) == 1:
        named = {"ticker": tickers[0]}
    try:
        found = await read_list(session, listed.path, named | dates, listed.row, _list_refusal)
    except _NoSuchListError:
        asks = [{"ticker": ticker} for ticker in tickers] if named else [{}]
        parts = [await read_list(session, listed.old_path, ask | dates, listed.row) for ask in asks]
        found = pl.concat(parts)
    day = pl.col(listed.date).str.to_date("%Y-%m-%d", strict=False)
    wanted = pl.col("ticker").is_in(tickers) & day.is_between(asked.first, asked.last)
    return found.filter(wanted.fill_null(True))


def _list_refusal(answer: Answer) -> RustyBTError | None:
    if answer.status == 404:
        return _NoSuchListError(f"{answer.where} answered 404")
    return refusal(answer)
