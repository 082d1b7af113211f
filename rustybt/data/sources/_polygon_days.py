"""Whole sessions of the US stock market, all tickers in one request a session.

https://massive.com/docs/rest/stocks/aggregates/daily-market-summary
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from rustybt.data.sources._http import Answer, Session
from rustybt.data.sources._pages import Page, read
from rustybt.data.sources._polygon_answers import VALUES, read_rows, refusal, unreadable

#: How many requests by symbol a session of all stocks is worth: it has some 12,000 rows.
_WORTH = 8
_ROW = pl.Struct({"T": pl.String(), **dict.fromkeys(VALUES, pl.Float64())})


def is_cheaper(symbols: int, sessions: int) -> bool:
    """Whether sessions are better asked for than symbols."""
    return 0 < _WORTH * sessions <= symbols


async def read_days(
    session: Session, symbols: Sequence[str], days: Sequence[date]
) -> tuple[pl.DataFrame, bool]:
    """The unadjusted daily bars of some stocks in some sessions.

    Returns
    -------
    polars.DataFrame
        ``symbol``, ``timestamp`` (the session) and values, sorted.
    bool
        Whether the provider says that it is some minutes late.
    """
    pages = [await _read_day(session, day) for day in days]
    rows = [
        page.rows.filter(pl.col("symbol").is_in(symbols)).with_columns(timestamp=pl.lit(day))
        for page, day in zip(pages, days, strict=True)
    ]
    return pl.concat(rows).sort("symbol", "timestamp"), any(page.delayed for page in pages)


async def _read_day(session: Session, day: date) -> Page:
    # Bars by symbol are also of what is traded over the counter.
    asked = {"adjusted": "false", "include_otc": "true"}
    target = f"/v2/aggs/grouped/locale/us/market/stocks/{day}"
    return await read(session, target, asked, _page, refusal)


def _page(answer: Answer) -> Page:
    rows, facts = read_rows(answer, _ROW)
    if len(rows) != (facts["resultsCount"] or 0) or rows["T"].null_count():
        raise unreadable(answer)
    named = rows.select(
        pl.col("T").alias("symbol"), *(pl.col(short).alias(name) for short, name in VALUES.items())
    )
    return Page(named, delayed=facts["status"] == "DELAYED")
