"""Readers of a store that a writer of `rustybt.compat.bar_writers` fills: always up to date.

They open what a writer returned, or the directory that it was given, and see every later write.
A version's own readers are in `rustybt.compat.bar_readers`.
"""

import os
from typing import Any

import numpy as np
import pandas as pd
from zipline.data.bar_reader import NoDataForSid
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat._bar_store import BarStore, StoreInfo
from rustybt.compat._panel_reader import BarsInfo, Cells, PanelAxis
from rustybt.compat.bar_readers import MinutePanelReader, SessionPanelReader, first_bar
from rustybt.data.bars import PRICE_COLUMNS
from rustybt.data.bundles._encoding import decimal_scale
from rustybt.data.bundles.metadata import ZIPLINE_DECIMALS
from rustybt.data.bundles.panel import empty_panel


def _bars_info(store: BarStore, info: StoreInfo) -> BarsInfo:
    exact = info.precision == "bcolz"
    return BarsInfo(
        pd.Timestamp(info.start_session),
        pd.Timestamp(info.end_session),
        ZIPLINE_DECIMALS if exact else _price_decimals(store),
        whole_volume=exact,
        uint32_volume=exact,
    )


def _price_decimals(store: BarStore) -> int | None:
    """Places that hold every price of a store, three at the least, as for a version of it."""
    most = ZIPLINE_DECIMALS
    for frame in store.frames():
        for name in PRICE_COLUMNS:
            places = decimal_scale(frame[name].to_numpy())
            if places is None:
                return None
            most = max(most, places)
    return most


class _Live:
    """Reads the store again when it has changed."""

    _store: BarStore
    _built: tuple[tuple[int, int], PanelAxis] | None = None
    _read: tuple[PanelAxis, Cells] | None = None
    _described: tuple[tuple[int, int], BarsInfo] | None = None

    def _full_axis(self) -> Any:
        raise NotImplementedError

    @property
    def info(self) -> BarsInfo:
        """What a portal asks of the bars."""
        generation = self._store.generation
        if self._described is None or self._described[0] != generation:
            self._described = (generation, _bars_info(self._store, self._store.info()))
        return self._described[1]

    @info.setter
    def info(self, info: BarsInfo) -> None:
        """The base class sets it once; it is read anew when the store has changed."""

    @property
    def _axis(self) -> PanelAxis:
        generation = self._store.generation
        if self._built is None or self._built[0] != generation:
            labels = self._full_axis()
            axis = PanelAxis(self._store.panel(labels), labels, self._store.info().calendar)
            self._built = (generation, axis)
        return self._built[1]


class DailyBarReader(_Live, SessionPanelReader):
    """Daily bars of a store, called as zipline's `BcolzDailyBarReader` is.

    Parameters
    ----------
    table : path
        The directory of the store.
    read_all_threshold : int
        Accepted and not needed.
    calendar : exchange_calendars.ExchangeCalendar, optional
        The one that the store was written by; zipline's of its name, if None.
    """

    def __init__(
        self,
        table: str | os.PathLike[str],
        read_all_threshold: int = 3000,  # noqa: ARG002
        calendar: Any = None,
    ) -> None:
        self._store = BarStore(table)
        calendar = calendar if calendar is not None else get_calendar(self._store.info().calendar)
        super().__init__(empty_panel(), calendar, self.info)

    @property
    def _cells(self) -> Cells:
        axis = self._axis
        if self._read is None or self._read[0] is not axis:
            self._read = axis, Cells(axis.panel)
        return self._read[1]

    def _full_axis(self) -> Any:
        return self.sessions.values.astype("datetime64[D]").astype(np.int64)

    @property
    def first_trading_day(self) -> pd.Timestamp:
        """The first session with a bar; NaT if there are no bars."""
        return first_bar(self._axis.panel)


class MinuteBarReader(_Live, MinutePanelReader):
    """Minute bars of a store, called as zipline's `BcolzMinuteBarReader` is.

    Parameters
    ----------
    rootdir : path
        The directory of the store.
    sid_cache_sizes : mapping, optional
        Accepted and not needed.
    """

    def __init__(self, rootdir: str | os.PathLike[str], sid_cache_sizes: Any = None) -> None:  # noqa: ARG002
        self._store = BarStore(rootdir)
        info = self._store.info()
        calendar = get_calendar(info.calendar)
        super().__init__(empty_panel(), calendar, self.info, info.minutes_per_day)

    def _full_axis(self) -> Any:
        return self._minute_axis

    def get_sid_attr(self, sid: int, name: str) -> Any:
        """A value that `MinuteBarWriter.set_sid_attrs` attached to a sid; None if there is none."""
        return self._store.info().sid_attrs.get(str(int(sid)), {}).get(name)

    def table_len(self, sid: int) -> int:
        """Number of bars of a sid.

        Raises
        ------
        NoDataForSid
            If it has none.
        """
        bars = self._store.frame()
        count = int((bars["sid"] == int(sid)).sum())
        if not count:
            raise NoDataForSid(f"No minute data for sid {int(sid)}.")
        return count
