"""Aggregates of Massive (formerly Polygon.io): asked for, followed to their end, and dated."""

from dataclasses import replace
from datetime import date, datetime
from functools import partial
from urllib.parse import quote

import polars as pl

from rustybt.data.bars import Frequency
from rustybt.data.sources._http import Session
from rustybt.data.sources._pages import Page, all_pages, once, read
from rustybt.data.sources._polygon_answers import PAGE, bars_refusal, read_bars

_SPANS = {"m": "minute", "h": "hour", "d": "day"}


async def read_aggregates(
    session: Session, ticker: str, frequency: Frequency, first: date, last: date
) -> tuple[pl.DataFrame, bool]:
    """The unadjusted bars that begin from `first` to `last`.

    Parameters
    ----------
    first, last : datetime.date or datetime.datetime
        Both included; dates for daily bars.

    Returns
    -------
    polars.DataFrame
        ``start`` (UTC) and values, sorted; bars that were told twice, alike, stay once.
    bool
        Whether the provider says that it is some minutes late.
    """
    span = f"{frequency.count}/{_SPANS[frequency.unit]}"
    target = f"/v2/aggs/ticker/{quote(ticker, safe=':')}/range/{span}"
    since, until = _written(first), _written(last)
    pages: list[Page] = []
    while True:
        ask = partial(_ask, session, ticker, f"{target}/{since}/{until}")
        pages += await all_pages(ask, f"{ticker} at Massive")
        newest = pages[-1].rows["start"].max()
        # A full page that leads nowhere need not be the last one, nor its last bar a whole one.
        if not pages[-1].full or not isinstance(newest, datetime) or _written(newest) == since:
            break
        pages[-1] = replace(pages[-1], rows=pages[-1].rows.filter(pl.col("start") < newest))
        since = _written(newest)
    bars = once(pl.concat([page.rows for page in pages]), "start")
    return bars, any(page.delayed for page in pages)


async def _ask(session: Session, ticker: str, target: str, following: str) -> Page:
    first = {"adjusted": "false", "sort": "asc", "limit": PAGE}
    asked = (following, {}) if following else (target, first)
    return await read(session, *asked, read_bars, partial(bars_refusal, ticker=ticker))


def _written(moment: date) -> str:
    if isinstance(moment, datetime):
        return str(round(moment.timestamp() * 1000))
    return moment.isoformat()
