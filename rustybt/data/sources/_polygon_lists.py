"""Lists of Massive (formerly Polygon.io): its tickers, and why one of them has no bars."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Any

import polars as pl

from rustybt.data.errors import DelistedSymbolError, RustyBTError, UnknownSymbolError
from rustybt.data.sources._http import Answer, Session
from rustybt.data.sources._pages import Page, all_pages, read
from rustybt.data.sources._polygon_answers import read_rows, refusal

_LIMIT = 1000
_TICKER = pl.Struct({"ticker": pl.String(), "delisted_utc": pl.String()})


async def read_list(
    session: Session,
    path: str,
    params: Mapping[str, Any],
    row: pl.Struct,
    refused: Callable[[Answer], RustyBTError | None] = refusal,
) -> pl.DataFrame:
    """All pages of a list, with the columns of `row`."""
    first = (path, {**params, "limit": _LIMIT})

    async def ask(following: str) -> Page:
        target, asked = (following, {}) if following else first
        return await read(session, target, asked, partial(_page, row=row), refused)

    pages = await all_pages(ask, f"{path} at Massive")
    return pl.concat([page.rows for page in pages])


def _page(answer: Answer, row: pl.Struct) -> Page:
    rows, facts = read_rows(answer, row)
    return Page(rows, facts["next_url"] or "")


async def tickers(session: Session, *, is_active: bool, **params: str) -> pl.DataFrame:
    """``ticker`` and ``delisted_utc`` of what is, or is no longer, traded."""
    asked = {**params, "active": str(is_active).lower(), "sort": "ticker", "order": "asc"}
    return await read_list(session, "/v3/reference/tickers", asked, _TICKER)


async def absence(session: Session, ticker: str, first: date) -> str:
    """Why there are no bars of a ticker from `first` on; one or two requests.

    Raises
    ------
    UnknownSymbolError
        If the provider never had the ticker.
    DelistedSymbolError
        If it was delisted before `first`.
    """
    named = pl.col("ticker") == ticker
    if len((await tickers(session, is_active=True, ticker=ticker)).filter(named)):
        return "no bars in the range asked for"
    gone = (await tickers(session, is_active=False, ticker=ticker)).filter(named)
    if gone.is_empty():
        raise UnknownSymbolError([ticker], "Massive")
    left = max((each[:10] for each in gone["delisted_utc"].drop_nulls()), default="")
    if left and left < first.isoformat():
        raise DelistedSymbolError(
            f"Massive has no bars of {ticker} since {left}, when it was delisted; ask for a range "
            "before that"
        )
    return "no bars in the range asked for"
