"""What Massive (formerly Polygon.io) tells of a ticker: its listing, its end, its names before."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import polars as pl

from rustybt.data.errors import MalformedAnswerError, UnknownSymbolError
from rustybt.data.listings import ACTIVE, DELISTED, FORMER, LISTINGS, Listings
from rustybt.data.sources._http import Answer, Session
from rustybt.data.sources._pages import read
from rustybt.data.sources._polygon_answers import bars_refusal
from rustybt.data.sources._polygon_lists import tickers

#: Requests of a ticker that is traded: its details, and its events. One that is not takes two more.
CALLS = 2
_DAY = timedelta(days=1)


async def read_listing(session: Session, ticker: str, told_by: str) -> Listings:
    """All that is told of a ticker; nothing of one that there never was."""
    details = await _results(session, f"/v3/reference/tickers/{quote(ticker, safe='')}", ticker)
    gone = None if details else await _delisted(session, ticker)
    if gone is not None:
        # A delisted ticker has details on a day on which it was traded.
        path = f"/v3/reference/tickers/{quote(ticker, safe='')}"
        details = await _results(session, path, ticker, date=(gone - _DAY).isoformat())
    elif not details:
        return Listings()
    row = (
        ticker,
        ACTIVE if gone is None else DELISTED,
        _day(details.get("list_date")),
        gone,
        told_by,
    )
    dates = pl.DataFrame([row], schema=LISTINGS, orient="row")
    return Listings(dates, await _former(session, ticker))


async def _delisted(session: Session, ticker: str) -> date | None:
    rows = await tickers(session, is_active=False, ticker=ticker)
    days = rows.filter(ticker=ticker)["delisted_utc"].drop_nulls()
    return max((day for day in map(_day, days) if day is not None), default=None)


async def _former(session: Session, ticker: str) -> pl.DataFrame:
    path = f"/vX/reference/tickers/{quote(ticker, safe='')}/events"
    found = await _results(session, path, ticker, types="ticker_change")
    changes = sorted(
        (day, str(event["ticker_change"]["ticker"]))
        for event in found.get("events") or ()
        if event.get("type") == "ticker_change" and (day := _day(event.get("date"))) is not None
    )
    names = [name for _, name in changes]
    if ticker not in names[-1:]:
        return pl.DataFrame(schema=FORMER)
    rows = [
        (ticker, name, following - _DAY)
        for name, (following, _) in zip(names, changes[1:], strict=False)
        if name != ticker
    ]
    return pl.DataFrame(rows, schema=FORMER, orient="row")


async def _results(session: Session, path: str, ticker: str, **params: str) -> Mapping[str, Any]:
    """The results of an answer, which are one record; empty where there are none."""
    try:
        return await read(
            session, path, params, _record, lambda answer: bars_refusal(answer, ticker)
        )
    except UnknownSymbolError:
        return {}


def _record(answer: Answer) -> Mapping[str, Any]:
    body = answer.json()
    results = body.get("results") if isinstance(body, Mapping) else None
    if not isinstance(results, Mapping):
        raise MalformedAnswerError(
            f"{answer.where} answered {answer.status} with {len(answer.content)} bytes that are "
            f"not what it documents: {answer.excerpt!r}"
        )
    return results


def _day(text: object) -> date | None:
    """The day of ``2022-10-28`` or ``2022-10-28T04:00:00Z``."""
    return date.fromisoformat(text[:10]) if isinstance(text, str) and text else None
