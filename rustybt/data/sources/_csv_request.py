"""What is asked of CSV files: bars of one frequency in a range that may be open at either end."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from rustybt.data.bars import DAILY, Frequency
from rustybt.data.sources._csv_layout import CsvLayout
from rustybt.data.sources._csv_table import TableReader
from rustybt.data.sources._ranges import requested_instants, requested_sessions

#: Days of a range that are looked for in a file one by one.
_FEW = 10


@dataclass(frozen=True)
class CsvRequest:
    """A range of bars, and the files as they are found for it.

    Attributes
    ----------
    layout : CsvLayout
    frequency : Frequency
    start, end : date, instant or None
        Both included; see `rustybt.data.sources.base.DataSource.fetch`.
    reader : TableReader
        For one thread at a time.
    """

    layout: CsvLayout
    frequency: Frequency
    start: Any
    end: Any
    reader: TableReader = field(default_factory=TableReader)

    @cached_property
    def inside(self) -> pl.Expr:
        """Whether a bar is in the range; also true of rows whose time is unknown."""
        return _between("timestamp", self.start, self.end, self.frequency)

    @cached_property
    def ex_dates(self) -> pl.Expr:
        """The same of events."""
        return _between("ex_date", self.start, self.end, DAILY)

    @cached_property
    def days(self) -> tuple[date, ...]:
        """All days of a short range of daily bars; none of one that is long or open."""
        if self.frequency.intraday or self.start is None or self.end is None:
            return ()
        asked = requested_sessions(self.start, self.end)
        count = (asked.last - asked.first).days + 1
        if count > _FEW:
            return ()
        return tuple(asked.first + timedelta(days=day) for day in range(count))


def _between(column: str, start: Any, end: Any, frequency: Frequency) -> pl.Expr:
    if start is None and end is None:
        return pl.lit(True)
    one, other = (end if start is None else start), (start if end is None else end)
    if frequency.intraday:
        instants = requested_instants(one, other, frequency)
        first, last = pl.lit(instants.first), pl.lit(instants.last)
    else:
        sessions = requested_sessions(one, other)
        first, last = pl.lit(sessions.first), pl.lit(sessions.last)
    time = pl.col(column)
    after = pl.lit(True) if start is None else time >= first
    before = pl.lit(True) if end is None else time <= last
    return (after & before).fill_null(True)
