"""Bars for tests: calendars asked directly, prices from a seed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from exchange_calendars.always_open import AlwaysOpenCalendar
from exchange_calendars.exchange_calendar_xasx import XASXExchangeCalendar
from exchange_calendars.exchange_calendar_xhkg import XHKGExchangeCalendar
from exchange_calendars.exchange_calendar_xlon import XLONExchangeCalendar
from exchange_calendars.exchange_calendar_xnys import XNYSExchangeCalendar

from rustybt.data.adjustments import DIVIDENDS, SPLITS, Events

VALUES = ("open", "high", "low", "close", "volume")


#: Made directly: `exchange_calendars.get_calendar` would replace the calendars that it remembers.
_CALENDARS = {
    "XNYS": XNYSExchangeCalendar,
    "XLON": XLONExchangeCalendar,
    "XHKG": XHKGExchangeCalendar,
    "XASX": XASXExchangeCalendar,
    "24/7": AlwaysOpenCalendar,
}


@lru_cache
def _calendar(name: str, first: str, last: str) -> Any:
    margin = pd.Timedelta(days=9)
    span = {"start": pd.Timestamp(first) - margin, "end": pd.Timestamp(last) + margin}
    return _CALENDARS[name](side="right", **span)


def sessions(first: str, last: str, calendar: str = "XNYS") -> list[date]:
    """The calendar's sessions from first to last, both included."""
    return list(_calendar(calendar, first, last).sessions_in_range(first, last).date)


def minutes(first: str, last: str, calendar: str = "XNYS") -> list[datetime]:
    """The calendar's minutes of the sessions first to last, labelled at their end, UTC."""
    return list(_calendar(calendar, first, last).sessions_minutes(first, last).to_pydatetime())


def bars(rows: Mapping[str, Mapping[Any, Sequence[float]]]) -> pl.DataFrame:
    """Bars that are spelled out: symbol -> timestamp -> open, high, low, close, volume."""
    flat = [
        (symbol, _moment(when), *map(float, values))
        for symbol, own in rows.items()
        for when, values in own.items()
    ]
    frame = pl.DataFrame(flat, schema=["symbol", "timestamp", *VALUES], orient="row")
    return _in_microseconds(frame).sort("symbol", "timestamp")


def _moment(when: Any) -> Any:
    if isinstance(when, str):
        return date.fromisoformat(when) if len(when) == 10 else pd.Timestamp(when, tz="UTC")
    return when


def _in_microseconds(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.schema["timestamp"] == pl.Date:
        return frame
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC")))


def walk(
    symbols: Iterable[str], timestamps: Sequence[Any], seed: int = 0, decimals: int = 2
) -> pl.DataFrame:
    """A random walk for each symbol: valid bars, prices of some decimals, whole volumes."""
    random = np.random.default_rng(seed)
    parts = []
    for symbol in symbols:
        size = len(timestamps)
        close = 50.0 * np.exp(np.cumsum(random.normal(0.0005, 0.01, size)))
        opened = close * np.exp(random.normal(0, 0.005, size))
        high = np.maximum(opened, close) * (1 + random.random(size) / 100)
        low = np.minimum(opened, close) * (1 - random.random(size) / 100)
        prices = {"open": opened, "high": high, "low": low, "close": close}
        rounded = {name: np.round(values, decimals) for name, values in prices.items()}
        volume = random.integers(1, 10**6, size).astype(float)
        values = {"timestamp": list(timestamps), **rounded, "volume": volume}
        parts.append(pl.DataFrame(values).select(pl.lit(symbol).alias("symbol"), pl.all()))
    return _in_microseconds(pl.concat(parts)).sort("symbol", "timestamp")


def splits(*rows: tuple[str, str, float]) -> Events:
    """Splits that are spelled out: symbol, ex-date, ratio."""
    parsed = [(symbol, date.fromisoformat(day), ratio) for symbol, day, ratio in rows]
    return Events(splits=pl.DataFrame(parsed, schema=SPLITS, orient="row"))


def dividends(*rows: tuple[str, str, float, str | None]) -> Events:
    """Cash dividends that are spelled out: symbol, ex-date, amount, pay date."""
    parsed = [
        (symbol, date.fromisoformat(day), amount, None, None, paid and date.fromisoformat(paid))
        for symbol, day, amount, paid in rows
    ]
    return Events(dividends=pl.DataFrame(parsed, schema=DIVIDENDS, orient="row"))
