"""Bars of Yahoo's charts: on their sessions and labels, unadjusted, and ended."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from rustybt.data.bars import BAR_COLUMNS, Frequency
from rustybt.data.errors import MalformedAnswerError, UnadjustableError
from rustybt.data.sources._finality import ended_only, ended_sessions
from rustybt.data.sources._session_labels import session_ends
from rustybt.data.sources._yahoo_chart import ROWS, Chart, in_order
from rustybt.data.sources._yahoo_prices import later_splits, latest_once, raw_rows

#: By how much an intraday price may lie outside its session's range and still be adjusted.
_SLACK = 1.25
_HALF_HOUR = Frequency(30, "m")
#: So many bars do not all lack a neighbour by chance.
_MANY = 12


def daily_bars(
    symbol: str, chart: Chart, splits: pl.DataFrame, calendar: str, now: datetime
) -> pl.DataFrame:
    """The sessions of a daily chart that have ended.

    Parameters
    ----------
    splits : polars.DataFrame
        `ex_date` and `ratio` of those to undo, ascending.
    calendar : str
        Says when a session closes.
    """
    rows = latest_once(chart.rows)
    bars = raw_rows(rows, later_splits(rows["session"], splits)).rename({"session": "timestamp"})
    return _bars(symbol, ended_sessions(bars, calendar, now))


def intraday_bars(
    symbol: str,
    charts: Sequence[Chart],
    frequency: Frequency,
    splits: pl.DataFrame,
    calendar: str | None,
    now: datetime,
) -> pl.DataFrame:
    """The bars of intraday charts that have ended, labelled at their ends.

    Parameters
    ----------
    charts : sequence of Chart
        Of ranges that follow one another.
    splits : polars.DataFrame
        `ex_date` and `ratio` of those to undo, ascending.
    calendar : str or None
        Where the bars end that the close cuts short; those outside its sessions leave. None
        takes them all, each at its full length.
    """
    rows = in_order(pl.concat([ROWS.to_frame(), *(chart.rows for chart in charts)]))
    if frequency == _HALF_HOUR:
        _require_half_hours(symbol, rows)
    if calendar is None:
        ends = (rows["start"] + frequency.duration).alias("timestamp")
    else:
        ends = session_ends(rows["start"], frequency, calendar)
    rows = raw_rows(rows, later_splits(rows["session"], splits)).with_columns(ends)
    bars = _without_live_row(rows, frequency).drop_nulls("timestamp")
    return _bars(symbol, ended_only(bars, bars["timestamp"], now))


def _without_live_row(rows: pl.DataFrame, frequency: Frequency) -> pl.DataFrame:
    """Leave out the latest trade, which Yahoo appends as a row, and the bar it may still change."""
    if len(rows) < 2 or rows["start"][-1] - rows["start"][-2] >= frequency.duration:
        return rows
    bar_end = rows["timestamp"][-2]
    changing = bar_end is not None and bar_end > rows["start"][-1]
    return rows[: -2 if changing else -1]


def _require_half_hours(symbol: str, rows: pl.DataFrame) -> None:
    """Check that half hours are what was answered: Yahoo has been seen to answer with hours.

    Raises
    ------
    MalformedAnswerError
        If no bar of many begins half an hour after another one.
    """
    gaps = rows["start"].diff().drop_nulls()
    if len(gaps) >= _MANY and not (gaps == _HALF_HOUR.duration).any():
        raise MalformedAnswerError(
            f"Yahoo answered with bars of {symbol} of which none begins half an hour after "
            "another, when asked for half hours. Ask for 15m or 1h"
        )


def require_adjusted(symbol: str, charts: Sequence[Chart], daily: Chart) -> None:
    """Check that intraday prices are adjusted for the same splits as the daily ones.

    Raises
    ------
    UnadjustableError
        If they lie outside their session's range, as prices from before a split would.
    """
    rows = pl.concat([ROWS.to_frame(), *(chart.rows for chart in charts)])
    closes = rows.group_by("session").agg(pl.col("close").median())
    ranges = daily.rows.select("session", "low", "high")
    outside = closes.join(ranges, on="session").filter(
        (pl.col("close") > pl.col("high") * _SLACK) | (pl.col("close") < pl.col("low") / _SLACK)
    )
    if len(outside):
        day, price, low, high = outside.sort("session").row(0)
        raise UnadjustableError(
            f"{symbol}: Yahoo's intraday prices of {day} lie about {price:.6g} and its daily ones "
            f"from {low:.6g} to {high:.6g}: they are not adjusted for the same splits. Take daily "
            "bars, or another source"
        )


def _bars(symbol: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.lit(symbol).alias("symbol")).select(BAR_COLUMNS)
