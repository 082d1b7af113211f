"""The hours of a market: bars of its sessions only, or of all hours that a provider has.

A provider of US stocks has minutes from 04:00 to 20:00 in New York, and its hours begin on the
hour: the one from 09:00 to 10:00 mixes half an hour before the open with half an hour after it.
Bars of the regular session are therefore made of parts that no open or close falls inside.
"""

from math import gcd

import numpy as np
import polars as pl

from rustybt.data.bars import INSTANT, VALUE_COLUMNS, Frequency
from rustybt.data.calendars import Calendar, calendar_days, load_calendar
from rustybt.data.errors import MalformedAnswerError

#: Every frequency of whole minutes or hours that is shorter than a day.
INTRADAY = (*(f"{n}m" for n in range(1, 60)), *(f"{n}h" for n in range(1, 24)))

#: Minutes. Opens and closes, early ones too, lie on half hours.
_GRID = 30


def parts_of(frequency: Frequency) -> Frequency:
    """The longest bars that make up bars of `frequency` and that no open or close divides."""
    return Frequency.parse(f"{gcd(minutes_of(frequency), _GRID)}m")


def minutes_of(frequency: Frequency) -> int:
    """How many minutes an intraday bar lasts."""
    return frequency.count * (60 if frequency.unit == "h" else 1)


def regular(
    parts: pl.DataFrame, of: Frequency, frequency: Frequency, calendar: str, timezone: str
) -> pl.DataFrame:
    """Bars of the regular session.

    Parameters
    ----------
    parts : polars.DataFrame
        ``start`` (UTC) and values, sorted.
    of : Frequency
        How long the parts are; see `parts_of`.
    frequency : Frequency
        How long the bars are to be. They begin at multiples of it since midnight in `timezone`,
        and the last one of a session ends with it.

    Returns
    -------
    polars.DataFrame
        ``timestamp``, the end of each bar, and values.
    """
    labelled = ending(parts, of)
    if labelled.is_empty():
        return labelled.drop("start")
    ends = labelled["timestamp"].to_numpy()
    market = load_calendar(calendar, *calendar_days(ends))
    inside = labelled.filter(pl.Series(market.is_open_at(ends)))
    if of == frequency or inside.is_empty():
        return inside.drop("start")
    bucket = _ends_of_buckets(inside, minutes_of(frequency), timezone)
    closes = _close_after(inside["timestamp"], market)
    return rolled_up(inside, pl.select(pl.min_horizontal(bucket, closes)).to_series())


def ending(bars: pl.DataFrame, frequency: Frequency) -> pl.DataFrame:
    """Bars with their end as ``timestamp``, beside their ``start``."""
    end = pl.col("start") + frequency.duration
    return bars.with_columns(end.cast(INSTANT).alias("timestamp"))


def rolled_up(bars: pl.DataFrame, ends: pl.Series) -> pl.DataFrame:
    """Bars that share an end, as one bar with that as its ``timestamp``."""
    return (
        bars.group_by(ends.alias("timestamp"), maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .select("timestamp", *VALUE_COLUMNS)
    )


def sessions(bars: pl.DataFrame, timezone: str, whose: str) -> pl.DataFrame:
    """Daily bars with their date as ``timestamp`` instead of their ``start``.

    Raises
    ------
    MalformedAnswerError
        If one does not begin at midnight in `timezone`: its date is then in doubt.
    """
    local = bars["start"].dt.convert_time_zone(timezone)
    off = bars.filter(local.dt.time() != pl.time(0))
    if not off.is_empty():
        raise MalformedAnswerError(
            f"a daily bar of {whose} begins at {off['start'][0]}: no midnight in {timezone}"
        )
    return bars.with_columns(local.dt.date().alias("timestamp")).drop("start")


def _ends_of_buckets(bars: pl.DataFrame, minutes: int, timezone: str) -> pl.Series:
    local = pl.col("start").dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    midnight = local.dt.truncate("1d")
    passed = (local - midnight).dt.total_minutes()
    end = midnight + pl.duration(minutes=(passed // minutes + 1) * minutes)
    instant = end.dt.replace_time_zone(timezone, ambiguous="latest", non_existent="null")
    return bars.select(instant.dt.convert_time_zone("UTC").cast(INSTANT)).to_series()


def _close_after(instants: pl.Series, market: Calendar) -> pl.Series:
    row = np.searchsorted(market.closes, instants.to_numpy())
    closes = pl.Series(market.closes[row].astype("datetime64[us]"))
    return closes.dt.replace_time_zone("UTC").cast(INSTANT)
