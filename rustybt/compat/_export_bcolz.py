"""A bundle as an ingestion in zipline's own format."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from zipline.data.bcolz_daily_bars import BcolzDailyBarWriter
from zipline.data.bcolz_minute_bars import BcolzMinuteBarWriter
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat._bcolz_ingestion import DAILY, MINUTE
from rustybt.compat._export_losses import Losses
from rustybt.compat._export_rows import Step, batches, by_symbol
from rustybt.compat._layout import ADJUSTMENTS
from rustybt.compat.bundles import bundle_data
from rustybt.compat.databases import databases
from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.data.bundles.bundle import Bundle
from rustybt.data.bundles.panel import UINT32_MAX
from rustybt.data.errors import CalendarError

import bcolz  # isort: skip  zipline silences what it warns of on import

#: What a price is multiplied by to become an integer, as a rule.
_THOUSANDTHS = 1000.0
#: What zipline's format cannot hold.
BEFORE_CALENDAR = "bar before zipline's calendar begins"
TOO_LARGE = "bar too large for 32 bits"
TOO_FINE = "bar with a price of more than three decimals"
FRACTIONAL_VOLUME = "bar with a volume that is not whole"

#: The largest integer that each of zipline's writers keeps.
_LARGEST = {"daily": UINT32_MAX, "minute": UINT32_MAX - 1}


@dataclass(frozen=True)
class _Axis:
    """zipline's calendar and the sessions of it that the ingestion covers."""

    calendar: Any
    start: pd.Timestamp
    end: pd.Timestamp

    @classmethod
    def of(cls, bundle: Bundle) -> "_Axis":
        # By name alone, as zipline's readers ask for it: it may begin after the bundle does.
        calendar = get_calendar(bundle.metadata.calendar)
        start, end = bundle.metadata.bounds
        if end < calendar.first_session:
            raise CalendarError(
                f"zipline's calendar {calendar.name} begins on {calendar.first_session.date()}, "
                f"after the last session of the bundle, {end.date()}"
            )
        return cls(calendar, max(start, calendar.first_session), end)

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """All sessions, in days since 1970."""
        sessions = self.calendar.sessions_in_range(self.start, self.end)
        days: npt.NDArray[np.int64] = sessions.values.astype("datetime64[D]").astype(np.int64)
        return days

    def begins(self, kind: str) -> date | datetime:
        """The first session, or the first minute, that zipline's format can hold."""
        if kind == "daily":
            return self.start.date()
        instant: datetime = self.calendar.session_first_minute(self.start).to_pydatetime()
        return instant

    def longest_session(self) -> int:
        """Minutes of the longest session, breaks included."""
        rows = self.calendar.schedule.index.slice_indexer(self.start, self.end)
        spans = self.calendar.closes.iloc[rows] - self.calendar.first_minutes.iloc[rows]
        return int(spans.max() // pd.Timedelta(minutes=1)) + 1


def write(bundle: Bundle, directory: Path, losses: Losses, step: Step) -> None:
    """Write the two stores of bars and the two databases into an empty directory."""
    stores = _Stores(bundle, _Axis.of(bundle), losses, step)
    stores.write_daily(directory / DAILY)
    with bundle_data(bundle) as data:
        minutes_per_day = data.equity_minute_bar_reader.minutes_per_day
        found = databases(bundle, data.equity_daily_bar_reader)
        for path in [*sorted(found.glob("assets-*.sqlite")), found / ADJUSTMENTS]:
            shutil.copyfile(path, directory / path.name)
    stores.write_minutes(directory / MINUTE, minutes_per_day)


@dataclass(frozen=True)
class _Stores:
    """Writes the bars of a bundle through zipline's own writers."""

    bundle: Bundle
    axis: _Axis
    losses: Losses
    step: Step

    def write_daily(self, directory: Path) -> None:
        axis = self.axis
        writer = BcolzDailyBarWriter(str(directory), axis.calendar, axis.start, axis.end)
        writer.write(self._daily_tables())

    def _daily_tables(self) -> Iterator[tuple[int, Any]]:
        days = self.axis.days
        for batch in batches(self.bundle, "daily"):
            for sid, _, bars in by_symbol(self._fitting(batch, "daily")):
                labels = bars["timestamp"].cast(pl.Int32).to_numpy()
                first, last = np.searchsorted(days, labels[[0, -1]])
                life = days[first : last + 1]
                rows = np.searchsorted(life, labels)
                columns = [_filled(bars, name, rows, len(life)) for name in VALUE_COLUMNS]
                columns.append((life * 86_400).astype(np.uint32))
                yield sid, bcolz.ctable(columns=columns, names=[*VALUE_COLUMNS, "day"])
                self.step("daily bars")

    def write_minutes(self, directory: Path, minutes_per_day: int) -> None:
        directory.mkdir()
        axis = self.axis
        if self.bundle.has("minute"):
            minutes_per_day = max(minutes_per_day, axis.longest_session())
        writer = BcolzMinuteBarWriter(
            str(directory),
            axis.calendar,
            axis.start,
            axis.end,
            minutes_per_day,
            ohlc_ratios_per_sid=dict(self.bundle.metadata.ohlc_ratios) or None,
        )
        for batch in batches(self.bundle, "minute"):
            for sid, _, bars in by_symbol(self._fitting(batch, "minute")):
                instants = bars["timestamp"].dt.replace_time_zone(None).dt.cast_time_unit("ns")
                values = {name: bars[name].to_numpy() for name in VALUE_COLUMNS}
                writer.write_cols(sid, instants.to_numpy(), values)
                self.step("minute bars")

    def _fitting(self, batch: pl.DataFrame, kind: str) -> pl.DataFrame:
        """The bars that zipline's format has room for, volumes whole; the losses are counted."""
        losses = self.losses
        begins = self.axis.begins(kind)
        early = batch.filter(pl.col("timestamp") < begins)
        losses.add(BEFORE_CALENDAR, early, pl.lit(f"zipline's calendar begins at {begins}"))
        kept = self._judged(batch.filter(pl.col("timestamp") >= begins), kind)
        text = pl.format("high {} or volume {} is too large", "high", "volume")
        losses.add(TOO_LARGE, kept.filter("large"), text)
        kept = kept.filter(~pl.col("large"))
        text = pl.format("open {} high {} low {} close {}", *PRICE_COLUMNS)
        losses.add(TOO_FINE, kept.filter("fine"), text)
        broken = kept.filter(pl.col("volume") != pl.col("volume").floor())
        losses.add(FRACTIONAL_VOLUME, broken, pl.format("volume {}", "volume"))
        return kept.with_columns(pl.col("volume").floor())

    def _judged(self, bars: pl.DataFrame, kind: str) -> pl.DataFrame:
        """With ``large`` and ``fine``: whether a value is too large, or a price would change."""
        own = self.bundle.metadata.ohlc_ratios if kind == "minute" else {}
        ratio = np.array([own.get(sid, _THOUSANDTHS) for sid in bars["sid"]])
        prices = [bars[name].to_numpy() for name in PRICE_COLUMNS]
        units = [np.rint(values * ratio) for values in prices]
        largest = np.maximum.reduce([*units, np.floor(bars["volume"].to_numpy())])
        # numpy divides; Polars multiplies by the inverse of a constant, which is another number.
        fine = [unit / ratio != values for unit, values in zip(units, prices, strict=True)]
        large = largest > _LARGEST[kind]
        return bars.with_columns(large=large, fine=np.logical_or.reduce(fine))


def _filled(
    bars: pl.DataFrame, name: str, rows: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.uint32]:
    """The integers of a field; zero in the sessions that have no bar."""
    out = np.zeros(size, dtype=np.uint32)
    values = bars[name].to_numpy()
    out[rows] = values if name == "volume" else np.rint(values * _THOUSANDTHS)
    return out
