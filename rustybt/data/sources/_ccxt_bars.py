"""From the range asked for to the moments when bars begin, and back to bars in our schema."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import INSTANT, VALUE_COLUMNS, Frequency, empty_bars
from rustybt.data.errors import RefusedRequestError
from rustybt.data.sources._ccxt_pages import DAY, Table
from rustybt.data.sources._provider import Range
from rustybt.data.sources.base import InstantRange

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Openings:
    """When the first and the last bar of a range begin, and how long one is, in milliseconds."""

    first: int
    last: int
    step: int


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def openings(asked: Range, frequency: Frequency, now: datetime) -> Openings:
    """The bars that a request means, those that have not ended by `now` left out.

    A bar of more than a day belongs to its last session.
    """
    if isinstance(asked, InstantRange):
        step = frequency.duration // _MILLISECOND
        labels = [to_milliseconds(label) - step for label in (asked.first, asked.last)]
    else:
        step = _days(frequency) * DAY
        days = [(session - _EPOCH.date()).days + 1 for session in (asked.first, asked.last)]
        labels = [day * DAY - step for day in days]
    return Openings(max(0, labels[0]), min(labels[1], to_milliseconds(now) - step), step)


def label_of(begin: int, frequency: Frequency) -> datetime | date:
    """The label of a bar that begins at a moment: its end, or its last session."""
    moment = _EPOCH + begin * _MILLISECOND
    if frequency.intraday:
        return moment + frequency.duration
    return moment.date() + timedelta(days=_days(frequency) - 1)


def to_bars(table: Table, symbol: str, frequency: Frequency) -> pl.DataFrame:
    """Bars in the schema; a bar that was told twice with the same values is one bar.

    Raises
    ------
    RefusedRequestError
        If days do not begin at midnight in UTC, so that they are no sessions.
    """
    if not len(table):
        return empty_bars(frequency)
    begins = table[:, 0].astype(np.int64)
    values = {name: table[:, index] for index, name in enumerate(VALUE_COLUMNS, start=1)}
    frame = pl.DataFrame({"timestamp": _labels(begins, symbol, frequency), **values})
    named = frame.with_columns(pl.lit(symbol).alias("symbol"))
    return named if (np.diff(begins) > 0).all() else named.unique()


def _labels(begins: npt.NDArray[np.int64], symbol: str, frequency: Frequency) -> pl.Series:
    if frequency.intraday:
        ends = begins + frequency.duration // _MILLISECOND
        return pl.Series(ends).cast(pl.Datetime("ms", "UTC")).cast(INSTANT)
    if (begins % DAY).any():
        moment = datetime.fromtimestamp(begins[0] / 1000, UTC)
        raise RefusedRequestError(
            f"{symbol}: the exchange's bars of {frequency} begin at {moment:%H:%M} UTC, not at "
            "midnight, and are no sessions: ask for 1h bars"
        )
    return pl.Series(begins // DAY + _days(frequency) - 1).cast(pl.Int32).cast(pl.Date)


def _days(frequency: Frequency) -> int:
    return frequency.count * (7 if frequency.unit == "w" else 1)
