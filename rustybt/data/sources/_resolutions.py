"""Coarser bars of finer ones: what a cache can derive instead of fetching. Pure functions.

Bars of a session are those of its trading minutes, opens to closes; longer intraday bars end at
whole multiples of their length. Where a market's hours are no such multiples, providers disagree on
where a bar ends, and nothing is derived.
"""

from collections.abc import Iterable
from datetime import date

import numpy as np
import polars as pl

from rustybt.data.bars import DAILY, VALUE_COLUMNS, Frequency, conform
from rustybt.data.bundles._batch import to_sessions
from rustybt.data.calendars import Calendar, load_calendar
from rustybt.data.sources._intervals import Interval
from rustybt.data.sources._time_axis import moment_at

_MINUTES_A_DAY = 1440


def finer(frequencies: Iterable[str], wanted: Frequency) -> list[Frequency]:
    """Frequencies of a source that bars of another one may be made of, the coarsest first."""
    if wanted.intraday:
        able = [
            each
            for each in map(Frequency.parse, frequencies)
            if each.intraday
            and each.duration < wanted.duration
            and not wanted.duration % each.duration
        ]
    else:
        able = [each for each in map(Frequency.parse, frequencies) if each.intraday]
        able = able if wanted == DAILY else []
    return sorted(able, key=lambda each: each.duration, reverse=True)


def needed(interval: Interval, wanted: Frequency, fine: Frequency, name: str) -> Interval | None:
    """The minutes whose bars make up the bars of an interval; None if they cannot.

    Parameters
    ----------
    interval : Interval
        Of labels of `wanted`.
    wanted, fine : Frequency
    name : str
        The market's calendar.
    """
    market = _market(name, interval, wanted)
    length = _length(wanted)
    if not _fits(market, fine) or (wanted.intraday and not _fits(market, wanted)):
        return None
    if wanted.intraday:
        first, last = -(-interval.first // length) * length, interval.last // length * length
        return Interval(first - length + 1, last) if first <= last else None
    rows = _rows(market, interval)
    if not len(rows):
        return None
    begins = market.first_minutes[rows[0]].astype(np.int64)
    return Interval(int(begins), int(market.closes[rows[-1]].astype(np.int64)))


def derived(bars: pl.DataFrame, wanted: Frequency, name: str, interval: Interval) -> pl.DataFrame:
    """Bars of a longer frequency, of the finer ones that `needed` says.

    Parameters
    ----------
    bars : polars.DataFrame
        Intraday bars, sorted.
    wanted : Frequency
    name : str
        The market's calendar.
    interval : Interval
        Of labels of `wanted`.
    """
    if bars.is_empty():
        return conform(bars.head(0).cast({"timestamp": wanted.timestamp_dtype}), wanted)
    if wanted.intraday:
        ends = pl.col("timestamp").dt.offset_by("-1us").dt.truncate(str(wanted))
        bars = bars.with_columns(ends.dt.offset_by(str(wanted)).alias("session"))
    else:
        market = _market(name, interval, wanted)
        labels = bars["timestamp"].to_numpy()
        sessions = pl.Series("session", market.session_of(labels))
        bars = bars.with_columns(sessions).filter(pl.Series(market.is_open_at(labels)))
    return conform(to_sessions(bars).select("symbol", "timestamp", *VALUE_COLUMNS), wanted)


def _length(frequency: Frequency) -> int:
    return int(frequency.duration.total_seconds()) // 60 if frequency.intraday else _MINUTES_A_DAY


def _market(name: str, interval: Interval, wanted: Frequency) -> Calendar:
    per_day = _MINUTES_A_DAY if wanted.intraday else 1
    days = [moment_at(number // per_day, intraday=False) for number in interval]
    return load_calendar(name, date(days[0].year, 1, 1), date(days[1].year, 12, 31))


def _fits(market: Calendar, frequency: Frequency) -> bool:
    """Whether trading begins and ends where a bar does."""
    length = _length(frequency)
    return not any((edge.astype(np.int64) % length).any() for edge in market.trading_spans)


def _rows(market: Calendar, interval: Interval) -> "np.ndarray":
    days = market.sessions.astype(np.int64)
    return np.flatnonzero((days >= interval.first) & (days <= interval.last))
