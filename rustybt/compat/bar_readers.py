"""zipline's bar readers on a bundle's panels: same calls, same errors, same missing values."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from zipline.data.bar_reader import (
    NoDataAfterDate,
    NoDataBeforeDate,
    NoDataForSid,
    NoDataOnDate,
)
from zipline.data.bcolz_minute_bars import MinuteBarReader
from zipline.data.session_bars import CurrencyAwareSessionBarReader

from rustybt.compat._panel_reader import BarsInfo, Cells, PanelAxis
from rustybt.data.bundles.panel import Panel

_MINUTE = 60 * 10**9

Arrays = list[npt.NDArray[Any]]


class SessionPanelReader(CurrencyAwareSessionBarReader):
    """Daily bars for zipline.

    Parameters
    ----------
    panel : Panel
        Of daily bars.
    calendar : exchange_calendars.ExchangeCalendar or callable
        The run's own object, when the run is on the bundle's calendar. Or what gives one, called
        on first use; then the panel is taken to have this calendar's sessions.
    info : BarsInfo
    currencies : mapping of int to str, optional
        Currency of each sid's prices; USD for sids with bars if not given, as in zipline.
    """

    def __init__(
        self,
        panel: Panel,
        calendar: Any,
        info: BarsInfo,
        currencies: dict[int, str] | None = None,
    ) -> None:
        self._panel = panel
        self._given = calendar
        self._currencies = currencies
        self.info = info

    @cached_property
    def _calendar(self) -> Any:
        return self._given() if callable(self._given) else self._given

    @property
    def trading_calendar(self) -> Any:
        """The calendar of the sessions."""
        return self._calendar

    @cached_property
    def sessions(self) -> pd.DatetimeIndex:
        """All sessions from the bundle's first to its last, naive."""
        return self._calendar.sessions_in_range(self.info.start_session, self.info.end_session)

    @cached_property
    def _axis(self) -> PanelAxis:
        days = self.sessions.values.astype("datetime64[D]").astype(np.int64)
        return PanelAxis(self._panel, days, self._calendar.name)

    @cached_property
    def _cells(self) -> Cells:
        return Cells(self._panel if callable(self._given) else self._axis.panel)

    @cached_property
    def _rows(self) -> dict[int, int]:
        return {int(value): row for row, value in enumerate(self.sessions.asi8)}

    @property
    def first_trading_day(self) -> pd.Timestamp:
        """The first session with a bar; NaT if there are no bars."""
        return first_bar(self._panel)

    @property
    def last_available_dt(self) -> pd.Timestamp:
        """The last session."""
        return self.sessions[-1]

    def _row(self, day: Any) -> int:
        try:
            return self._rows[pd.Timestamp(day).value]
        except KeyError:
            raise NoDataOnDate(
                f"{day} is not a session of the bundle, which reaches from "
                f"{self.sessions[0].date()} to {self.sessions[-1].date()}"
            ) from None

    def load_raw_arrays(
        self, columns: Sequence[str], start_date: Any, end_date: Any, assets: Sequence[Any]
    ) -> Arrays:
        """Values of some fields, one array of shape (sessions, assets) each.

        Raises
        ------
        NoDataOnDate
            If a date is not a session of the bundle.
        ValueError
            If none of the assets has bars.
        """
        start, stop = self._row(start_date), self._row(end_date) + 1
        positions = self._axis.columns(assets)
        if not (positions >= 0).any():
            raise ValueError("At least one valid asset id is required.")
        return _arrays(self._axis, self.info, columns, (start, stop), positions)

    def get_value(self, sid: Any, dt: Any, field: str) -> Any:
        """One value. NaN (0 for volume) on a session inside the asset's life without a bar.

        Raises
        ------
        NoDataOnDate, NoDataBeforeDate, NoDataAfterDate
            If there is no such session, or it lies outside the asset's life.
        KeyError
            If the sid has no bars.
        """
        cells = self._cells
        row = cells.sessions.get(dt.value)
        if row is None:
            row = self._row(dt) - self._axis.offset
        column, first, last = cells.lives.get(sid) or cells.lives[int(sid)]
        if row < first:
            raise NoDataBeforeDate(f"No data on or before day={dt} for sid={sid}")
        if row > last:
            raise NoDataAfterDate(f"No data on or after day={dt} for sid={sid}")
        value = cells.items[field](row, column)
        return int(value) if field == "volume" and self.info.whole_volume else value

    def get_last_traded_dt(self, asset: Any, day: Any) -> pd.Timestamp:
        """The last session up to `day` in which the asset has volume; NaT if there is none."""
        row = self._rows.get(pd.Timestamp(day).value)
        if row is None:
            return pd.NaT
        found = self._axis.last_traded(self._axis.column(asset), row)
        return self.sessions[found] if found >= 0 else pd.NaT

    def currency_codes(self, sids: Sequence[Any]) -> npt.NDArray[np.object_]:
        """Currency of each sid's prices, None for an unknown sid. Shape (len(sids),)."""
        known = self._axis.columns(sids) >= 0
        currencies = self._currencies or {}
        codes = [
            currencies.get(int(sid), "USD") if is_known else None
            for sid, is_known in zip(sids, known, strict=True)
        ]
        return np.array(codes, dtype=object)


def first_bar(panel: Panel) -> pd.Timestamp:
    """The session of the earliest bar of a daily panel; NaT if there are no bars."""
    if not len(panel.first):
        return pd.NaT
    return pd.Timestamp(int(panel.labels[panel.first.min()]), unit="D")


class MinutePanelReader(MinuteBarReader):
    """Minute bars for zipline.

    Parameters
    ----------
    panel : Panel
        Of minute bars.
    calendar : exchange_calendars.ExchangeCalendar or callable
        The run's own object, when the run is on the bundle's calendar. Or what gives one, called
        on first use.
    info : BarsInfo
    minutes_per_day : int, optional
        Minutes of an ordinary session, from its first minute to its close; the longest session
        of the calendar if not given. Between an early close and the ordinary one, the value of
        the close is served, as zipline does.
    """

    def __init__(
        self, panel: Panel, calendar: Any, info: BarsInfo, minutes_per_day: int | None = None
    ) -> None:
        self._panel = panel
        self._given = calendar
        self._minutes_per_day = minutes_per_day
        self.info = info
        self._last_dt: tuple[int, int] = (-1, -1)

    @cached_property
    def _calendar(self) -> Any:
        return self._given() if callable(self._given) else self._given

    @property
    def trading_calendar(self) -> Any:
        """The calendar of the minutes."""
        return self._calendar

    #: zipline's reindexing reader asks for it under this name.
    calendar = trading_calendar

    @property
    def first_trading_day(self) -> pd.Timestamp:
        """The first session of the bundle."""
        return self.info.start_session

    @cached_property
    def last_available_dt(self) -> pd.Timestamp:
        """The close of the last session, UTC."""
        return self._calendar.session_close(self.info.end_session)

    @cached_property
    def _schedule(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First minutes and closes of all sessions, in minutes since 1970."""
        index = self._calendar.schedule.index
        rows = index.slice_indexer(self.info.start_session, self.info.end_session)
        opens = self._calendar.first_minutes.iloc[rows]
        closes = self._calendar.closes.iloc[rows]
        return _in_minutes(opens), _in_minutes(closes)

    @cached_property
    def minutes_per_day(self) -> int:
        """Minutes of an ordinary session."""
        if self._minutes_per_day is not None:
            return self._minutes_per_day
        opens, closes = self._schedule
        return int((closes - opens).max(initial=0)) + 1

    @cached_property
    def _minute_axis(self) -> npt.NDArray[np.int64]:
        """Every minute from the first session to the last, in minutes since 1970."""
        opens, _ = self._schedule
        if not len(opens):
            return opens
        first, last = self.info.start_session, self.info.end_session
        if self._calendar.break_starts[first:last].notna().any():
            return _in_minutes(self._calendar.sessions_minutes(first, last))
        # Sessions in one piece: no need of the calendar's every minute in twenty years.
        counts = _in_minutes(self._calendar.last_minutes[first:last]) - opens + 1
        before = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + np.repeat(opens - before, counts)

    @cached_property
    def _axis(self) -> PanelAxis:
        return PanelAxis(self._panel, self._minute_axis, self._calendar.name)

    def _minute(self, dt: pd.Timestamp) -> int:
        """A minute since 1970; the close for one between an early close and the ordinary one."""
        minute = int(dt.value // _MINUTE)
        opens, closes = self._schedule
        session = int(np.searchsorted(opens, minute, side="right")) - 1
        if session < 0 or minute - opens[session] >= self.minutes_per_day:
            raise NoDataOnDate(f"{dt} is not a market minute of the bundle")
        return min(minute, int(closes[session]))

    def _row(self, dt: pd.Timestamp) -> int:
        """Row of a minute; -1 where the market has a break."""
        if self._last_dt[0] == dt.value:
            return self._last_dt[1]
        minute = self._minute(dt)
        labels = self._axis.labels
        row = int(np.searchsorted(labels, minute))
        if labels[row] != minute:
            row = -1
        self._last_dt = (dt.value, row)
        return row

    def _column(self, sid: Any) -> int:
        try:
            return self._axis.column(sid)
        except KeyError:
            raise NoDataForSid(f"No minute data for sid {int(sid)}.") from None

    def get_value(self, sid: Any, dt: pd.Timestamp, field: str) -> Any:
        """One value: NaN, or 0 for volume, in a minute without a trade.

        Raises
        ------
        NoDataOnDate
            If `dt` is not a market minute.
        NoDataForSid
            If the sid has no minute bars.
        """
        row = self._row(dt)
        column = self._column(sid)
        axis = self._axis
        position = row - axis.offset
        if row < 0 or not 0 <= position < len(axis.panel.labels):
            return 0 if field == "volume" else np.nan
        value = axis.panel.values[field].item(position, column)
        return int(value) if field == "volume" and self.info.whole_volume else value

    def get_last_traded_dt(self, asset: Any, dt: pd.Timestamp) -> pd.Timestamp:
        """The last minute up to `dt`, in the asset's life, with volume; NaT if there is none."""
        column = self._column(asset)
        labels = self._axis.labels
        row = int(np.searchsorted(labels, dt.value // _MINUTE, side="right")) - 1
        first = int(np.searchsorted(labels, asset.start_date.value // _MINUTE))
        found = self._axis.last_traded(column, row, first)
        return pd.Timestamp(int(labels[found]), unit="m", tz="UTC") if found >= 0 else pd.NaT

    def load_raw_arrays(
        self, fields: Sequence[str], start_dt: Any, end_dt: Any, sids: Sequence[Any]
    ) -> Arrays:
        """Values of some fields, one array of shape (minutes, sids) each.

        Raises
        ------
        ValueError
            If one of the ends is not a market minute.
        NoDataForSid
            If a sid has no minute bars.
        """
        try:
            first, last = self._minute(start_dt), self._minute(end_dt)
        except NoDataOnDate as error:
            raise ValueError(str(error)) from None
        labels = self._axis.labels
        start = int(np.searchsorted(labels, first))
        stop = int(np.searchsorted(labels, last, side="right"))
        columns = np.fromiter((self._column(sid) for sid in sids), np.int64)
        return _arrays(self._axis, self.info, fields, (start, stop), columns)


def _in_minutes(times: Any) -> npt.NDArray[np.int64]:
    """Minutes since 1970 of a series or an index."""
    minutes: npt.NDArray[np.int64] = times.values.astype("datetime64[m]").astype(np.int64)
    return minutes


def _arrays(
    axis: PanelAxis,
    info: BarsInfo,
    fields: Sequence[str],
    rows: tuple[int, int],
    columns: npt.NDArray[np.int64],
) -> Arrays:
    """The values of some fields in some rows (the second excluded) and columns of an axis."""
    # Memory in several pieces goes back to the system when it is freed, and comes anew, page by
    # page, the next time: that takes ten times as long as the values do.
    blocks = np.empty((len(fields), rows[1] - rows[0], len(columns)))
    for field, block in zip(fields, blocks, strict=True):
        axis.block(field, rows, columns, block)
    as_integers = info.uint32_volume
    return [
        block.astype(np.uint32) if field == "volume" and as_integers else block
        for field, block in zip(fields, blocks, strict=True)
    ]
