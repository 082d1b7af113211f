"""Restatements: final bars that a source gives with other values than it did. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.data.sources._bar_request import inside
from rustybt.data.sources._store_index import Span

#: Prices closer than a 32-bit float can tell apart, as of what a source un-adjusts, are the same.
_NOISE = 2.0**-23


@dataclass(frozen=True)
class Restatement:
    """A final bar that changed.

    Attributes
    ----------
    source, symbol, frequency : str
    timestamp : date or datetime
    noticed : datetime
    old, new : mapping of str to float, or None
        Its values before and after; None where there was no bar.
    """

    source: str
    symbol: str
    frequency: str
    timestamp: date | datetime
    noticed: datetime
    old: dict[str, float] | None
    new: dict[str, float] | None


def changed(old: pl.DataFrame, new: pl.DataFrame) -> list[dict[str, Any]]:
    """Bars that two answers to one request do not agree on.

    Returns
    -------
    list of dict
        ``symbol``, ``timestamp``, and ``old`` and ``new`` values by column, None where one of them
        has no bar.
    """
    key = ["symbol", "timestamp"]
    both = old.join(new, on=key, how="full", coalesce=True, suffix="_new")
    rows = both.filter(~_same()).sort(key).iter_rows(named=True)
    return [
        {
            **{name: row[name] for name in key},
            "old": _values(row, ""),
            "new": _values(row, "_new"),
        }
        for row in rows
    ]


def _same() -> pl.Expr:
    close = [
        (pl.col(name) - pl.col(f"{name}_new")).abs() <= pl.col(name).abs() * _NOISE
        for name in PRICE_COLUMNS
    ]
    same = pl.all_horizontal(*close, pl.col("volume") == pl.col("volume_new"))
    return same.fill_null(False)


def _values(row: dict[str, Any], suffix: str) -> dict[str, float] | None:
    values = {name: row[f"{name}{suffix}"] for name in VALUE_COLUMNS}
    return None if values["close"] is None else values


def final_bars(bars: pl.DataFrame, spans: Sequence[Span]) -> pl.DataFrame:
    """The bars that lie in final spans."""
    parts = [
        inside(bars.filter(pl.col("symbol") == span.symbol), span.interval)
        for span in spans
        if span.final
    ]
    return pl.concat([bars.clear(), *parts])
