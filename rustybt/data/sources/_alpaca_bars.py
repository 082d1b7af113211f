"""Bars of Alpaca: what to ask for, several symbols at once, and what the rows then mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from rustybt.data.bars import Frequency
from rustybt.data.calendars import load_calendar
from rustybt.data.sources import _hours
from rustybt.data.sources._alpaca_answers import PAGE, read_bars, refusal
from rustybt.data.sources._http import Session
from rustybt.data.sources._pages import Page, all_pages, once, read
from rustybt.data.sources.base import InstantRange, SessionRange

_HOUR = Frequency(1, "h")
_UNITS = {"m": "Min", "h": "Hour", "d": "Day", "w": "Week"}


@dataclass(frozen=True)
class Market:
    """One of the provider's markets.

    Attributes
    ----------
    name : str
        As `rustybt.data.sources.alpaca.AlpacaDataSource` takes it.
    path : str
        Where its bars are.
    asset_class : str
        As the provider's list of assets calls it.
    calendar : str
    timezone : str
        Where days begin.
    minutes : int
        How many minutes of a day have bars.
    """

    name: str
    path: str
    asset_class: str
    calendar: str
    timezone: str
    minutes: int


STOCKS = Market("stocks", "/v2/stocks/bars", "us_equity", "XNYS", "America/New_York", 960)
CRYPTO = Market("crypto", "/v1beta3/crypto/us/bars", "crypto", "24/7", "UTC", 1440)
MARKETS = {each.name: each for each in (STOCKS, CRYPTO)}


def market_of(symbol: str) -> Market:
    """The market of a symbol: a pair is crypto."""
    return CRYPTO if "/" in symbol else STOCKS


@dataclass(frozen=True)
class Plan:
    """What to ask for, so that bars of `frequency` can be made of it.

    Attributes
    ----------
    market : Market
    frequency : Frequency
    parts : Frequency
        The bars that are asked for.
    first, last : datetime.datetime
        When the first and the last of them begin.
    is_regular : bool
        Whether those of before the open and after the close are left out.
    """

    market: Market
    frequency: Frequency
    parts: Frequency
    first: datetime
    last: datetime
    is_regular: bool

    @property
    def rows(self) -> int:
        """How many bars of a symbol that is, about."""
        days = (self.last - self.first).days + 1
        if not self.parts.intraday:
            return days
        return days * self.market.minutes // _hours.minutes_of(self.parts) or 1

    @property
    def params(self) -> dict[str, Any]:
        """As the provider spells it."""
        return {
            "timeframe": f"{self.parts.count}{_UNITS[self.parts.unit]}",
            "start": f"{self.first.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{self.last.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }


def plan_for(
    asked: SessionRange | InstantRange,
    frequency: Frequency,
    market: Market,
    extended_hours: bool,
    now: datetime,
) -> Plan:
    """What to ask for; nothing that begins after `now`, which wants a subscription of its own."""
    is_regular = market is STOCKS and not extended_hours
    if isinstance(asked, InstantRange):
        parts = _hours.parts_of(frequency) if is_regular else frequency
        first, last = asked.first - frequency.duration, min(asked.last, now) - parts.duration
    else:
        # Alpaca's days of crypto begin at midnight in Chicago; ours, as the calendar's, in UTC.
        parts = frequency if market is STOCKS else _HOUR
        begins = asked.first
        if frequency.unit == "w":
            begins -= timedelta(days=begins.weekday())
        first = _midnight(begins, market)
        last = min(_midnight(asked.last, market), now)
        if parts is _HOUR:
            last = min(last + timedelta(hours=23), now)
    return Plan(market, frequency, parts, first, max(first, last), is_regular)


def _midnight(day: date, market: Market) -> datetime:
    return datetime.combine(day, time(0), ZoneInfo(market.timezone)).astimezone(UTC)


async def read_parts(
    session: Session, plan: Plan, symbols: Sequence[str], options: Mapping[str, Any]
) -> pl.DataFrame:
    """The parts of all symbols: ``symbol``, ``start`` (UTC) and values, sorted, each once."""
    params = {
        "symbols": ",".join(symbols),
        **plan.params,
        "limit": PAGE,
        "sort": "asc",
        **options,
    }

    async def ask(token: str) -> Page:
        more = {"page_token": token} if token else {}
        reader = partial(read_bars, symbols=symbols)
        return await read(session, plan.market.path, {**params, **more}, reader, refusal)

    pages = await all_pages(ask, f"{', '.join(symbols[:3])} at Alpaca")
    return once(pl.concat([page.rows for page in pages]), "symbol", "start")


def by_symbol(parts: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The parts of each symbol that has any."""
    return {
        str(name): table.drop("symbol")
        for (name,), table in parts.partition_by("symbol", as_dict=True).items()
    }


def dated(parts: pl.DataFrame, plan: Plan, symbol: str) -> pl.DataFrame:
    """The parts of one symbol as its bars, with their ``timestamp``."""
    market, frequency = plan.market, plan.frequency
    if market is CRYPTO and not frequency.intraday:
        return _hours.rolled_up(parts, _last_days(parts["start"], frequency))
    if not frequency.intraday:
        days = _hours.sessions(parts, market.timezone, f"{symbol} at Alpaca")
        return days if frequency.unit == "d" else _by_last_session(days, market)
    if not plan.is_regular:
        return _hours.ending(parts, plan.parts)
    return _hours.regular(parts, plan.parts, frequency, market.calendar, market.timezone)


def _last_days(starts: pl.Series, frequency: Frequency) -> pl.Series:
    """The day, or the Sunday of the week, that each hour belongs to."""
    if frequency.unit == "d":
        return starts.dt.date()
    return starts.dt.truncate("1w").dt.date().dt.offset_by("6d")


def _by_last_session(weeks: pl.DataFrame, market: Market) -> pl.DataFrame:
    """Weekly bars, which the provider labels with a Monday, with their last session."""
    mondays = weeks["timestamp"].to_numpy().astype("datetime64[D]")
    if not len(mondays):
        return weeks
    after = mondays + np.timedelta64(7, "D")
    known = load_calendar(market.calendar, mondays.min().item(), after.max().item()).sessions
    last = known[np.searchsorted(known, after) - 1]
    return weeks.with_columns(pl.Series("timestamp", last))
