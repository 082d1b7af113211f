"""One ingestion in zipline's own format, read sid by sid without changing a byte of it."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy.exc import SQLAlchemyError
from zipline.data.bcolz_daily_bars import BcolzDailyBarReader
from zipline.data.bcolz_minute_bars import BcolzMinuteBarMetadata, BcolzMinuteBarReader
from zipline.data.bundles import core as zipline_core
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat._layout import ADJUSTMENTS
from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.errors import BundleError

import bcolz  # isort: skip  zipline silences what it warns of on import

DAILY, MINUTE = "daily_equities.bcolz", "minute_equities.bcolz"

#: What bcolz, zipline and SQLite raise at files that are not what was written.
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    sqlite3.Error,
    SQLAlchemyError,
)

Units = dict[str, npt.NDArray[np.uint32]]
Labels = npt.NDArray[np.int64]
Bounds = tuple[str, pd.Timestamp, pd.Timestamp]


class ConversionError(BundleError, ValueError):
    """An ingestion in zipline's format cannot become a version."""


class _SessionReader(BcolzDailyBarReader):
    """zipline's reader on a calendar that reaches back to the first session.

    zipline asks for the calendar by name alone; most then begin twenty years before today, also
    when the ingestion began earlier.
    """

    def __init__(self, table: Any, calendar: Any, sessions: pd.DatetimeIndex) -> None:
        super().__init__(table)
        self._own_calendar, self._own_sessions = calendar, sessions

    @property
    def sessions(self) -> pd.DatetimeIndex:
        return self._own_sessions

    @property
    def trading_calendar(self) -> Any:
        return self._own_calendar


class _MinuteReader(BcolzMinuteBarReader):
    """The same for minutes."""

    def __init__(self, directory: Path, metadata: BcolzMinuteBarMetadata) -> None:
        self._own_metadata = metadata
        super().__init__(str(directory))

    def _get_metadata(self) -> BcolzMinuteBarMetadata:
        return self._own_metadata


@dataclass(frozen=True)
class Ingestion:
    """A directory that ``zipline ingest`` wrote.

    Attributes
    ----------
    path : pathlib.Path
    """

    path: Path

    @property
    def timestamp(self) -> pd.Timestamp:
        """When it was ingested, UTC.

        Raises
        ------
        ConversionError
            If the directory is not named by a time.
        """
        try:
            return zipline_core.from_bundle_ingest_dirname(self.path.name).tz_localize("UTC")
        except (ValueError, TypeError):
            raise ConversionError("its directory is not named by an ingest time") from None

    @cached_property
    def databases(self) -> list[Path]:
        """Files of the asset database, in each of its versions, and of the adjustments."""
        return [*sorted(self.path.glob("assets-*.sqlite")), self.path / ADJUSTMENTS]

    @cached_property
    def _table(self) -> Any:
        return bcolz.ctable(rootdir=str(self.path / DAILY), mode="r")

    @cached_property
    def daily_bounds(self) -> Bounds:
        """Calendar, first and last session of the daily bars."""
        attrs = self._table.attrs
        if "calendar_name" not in attrs.attrs:
            raise ConversionError("its daily bars name no calendar: zipline wrote it before 2017")
        start, end = (pd.Timestamp(attrs[f"{edge}_session_ns"]) for edge in ("start", "end"))
        return get_calendar(attrs["calendar_name"]).name, start, end

    @cached_property
    def _minute_metadata(self) -> BcolzMinuteBarMetadata:
        return BcolzMinuteBarMetadata.read(str(self.path / MINUTE))

    @cached_property
    def minute_bounds(self) -> Bounds:
        """Calendar, first and last session of the minute bars."""
        metadata = self._minute_metadata
        start, end = (
            pd.Timestamp(edge).tz_localize(None)
            for edge in (metadata.start_session, metadata.end_session)
        )
        return metadata.calendar.name, start, end

    @property
    def bounds(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """First and last session, naive."""
        return self.daily_bounds[1:]

    @cached_property
    def calendar(self) -> Any:
        """zipline's calendar, reaching back to the first session."""
        name, start, _ = self.daily_bounds
        calendar = get_calendar(name)
        return calendar if calendar.first_session <= start else get_calendar(name, start=start)

    @cached_property
    def sessions(self) -> pd.DatetimeIndex:
        """All sessions of the range, naive."""
        return self.calendar.sessions_in_range(*self.bounds)

    @property
    def minutes_per_day(self) -> int:
        """Positions that each session takes in the files of minutes."""
        return int(self._minute_metadata.minutes_per_day)

    def ohlc_ratio(self, sid: int) -> float:
        """What a minute price of a sid was multiplied by to become an integer."""
        metadata = self._minute_metadata
        return float((metadata.ohlc_ratios_per_sid or {}).get(sid, metadata.default_ohlc_ratio))

    @cached_property
    def daily_reader(self) -> BcolzDailyBarReader:
        """zipline's reader of the daily bars."""
        return _SessionReader(self._table, self.calendar, self.sessions)

    @cached_property
    def minute_reader(self) -> BcolzMinuteBarReader:
        """zipline's reader of the minute bars."""
        metadata = self._minute_metadata
        metadata.calendar = self.calendar
        return _MinuteReader(self.path / MINUTE, metadata)

    @cached_property
    def daily_lives(self) -> dict[int, tuple[int, int]]:
        """sid -> places, among `sessions`, of its first row and of the one after its last."""
        attrs = self._table.attrs
        lives = {}
        for sid, first_row in attrs["first_row"].items():
            start = attrs["calendar_offset"][sid]
            lives[int(sid)] = (start, start + attrs["last_row"][sid] - first_row + 1)
        return dict(sorted(lives.items()))

    def daily_bars(self, sid: int) -> tuple[Labels, Units]:
        """Days since 1970 and the stored integers of each field, one a session of the life.

        Raises
        ------
        ConversionError
            If the sessions are not the calendar's any more.
        """
        first, stop = self.daily_lives[sid]
        row = self._table.attrs["first_row"][str(sid)]
        rows = slice(row, row + stop - first)
        days = self._table["day"][rows].astype(np.int64) // 86_400
        sessions = self.sessions[first:stop].values.astype("datetime64[D]").astype(np.int64)
        if not np.array_equal(days, sessions):
            raise ConversionError(
                f"the rows of sid {sid} are not on the sessions of calendar {self.calendar.name}: "
                "the calendar has changed since, and zipline now reads them on wrong days. Ingest "
                "the bundle again"
            )
        return days, {name: self._table[name][rows] for name in VALUE_COLUMNS}

    @cached_property
    def minute_sids(self) -> list[int]:
        """Sids that have a file of minutes, ascending."""
        return sorted(int(path.stem) for path in (self.path / MINUTE).glob("*/*/*.bcolz"))

    @cached_property
    def _first_minutes(self) -> Labels:
        return self._of_sessions(self.calendar.first_minutes)

    @cached_property
    def _closes(self) -> Labels:
        return self._of_sessions(self.calendar.closes)

    def hours(self, places: slice) -> tuple[Labels, Labels]:
        """First and last minutes since 1970 of some sessions, by place among `sessions`."""
        return self._first_minutes[places], self._closes[places]

    def _of_sessions(self, instants: pd.Series) -> Labels:
        rows = self.calendar.schedule.index.slice_indexer(*self.bounds)
        minutes: Labels = instants.iloc[rows].values.astype("datetime64[m]").astype(np.int64)
        return minutes

    @property
    def last_opening(self) -> np.int64:
        """The first minute of the last session, since 1970."""
        return self._first_minutes[-1]

    def _minute_file(self, sid: int) -> Path:
        padded = f"{sid:06d}"
        return self.path / MINUTE / padded[:2] / padded[2:4] / f"{padded}.bcolz"

    def is_open_at(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """Whether each minute since 1970 is one of the calendar."""
        minutes = self._market_minutes
        places = np.minimum(np.searchsorted(minutes, labels), len(minutes) - 1)
        found: npt.NDArray[np.bool_] = minutes[places] == labels
        return found

    @cached_property
    def _market_minutes(self) -> Labels:
        minutes: Labels = self.calendar.minutes.values.astype("datetime64[m]").astype(np.int64)
        return minutes

    def minute_bars(self, sid: int) -> tuple[Labels, Units]:
        """Minutes since 1970 and the stored integers of each field, where one is not zero.

        Minutes after an early close may be among them; zipline does not serve those.

        Raises
        ------
        ConversionError
            If the fields differ in length, reach past the last session, or have bars in a break.
        """
        path = self._minute_file(sid)
        units = {n: bcolz.carray(rootdir=str(path / n), mode="r")[:] for n in VALUE_COLUMNS}
        if len({len(column) for column in units.values()}) > 1:
            raise ConversionError(f"{path.name} is damaged: its fields differ in length")
        rows = np.flatnonzero(np.logical_or.reduce(list(units.values())))
        days, minutes = np.divmod(rows, self.minutes_per_day)
        if len(days) and days[-1] >= len(self._first_minutes):
            raise ConversionError(f"{path.name} has bars after the last session")
        labels = self._first_minutes[days] + minutes
        in_break = labels[~self.is_open_at(labels) & (labels <= self._closes[days])]
        if len(in_break):
            raise ConversionError(
                f"sid {sid} has bars in {len(in_break)} minutes in which the market has a break, "
                f"the first at {in_break[0].astype('datetime64[m]')} UTC; a version has none there"
            )
        return labels, {name: column[rows] for name, column in units.items()}

    def sids_with_attributes(self) -> Iterator[int]:
        """Sids to which ``BcolzMinuteBarWriter.set_sid_attrs`` attached something."""
        for sid in self.minute_sids:
            if json.loads((self._minute_file(sid) / "__attrs__").read_text() or "{}"):
                yield sid
