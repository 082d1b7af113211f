"""``data`` of an algorithm: what it asks most often, answered without a detour."""

from typing import Any

import pandas as pd
from zipline.assets import Equity
from zipline.protocol import BarData as ZiplineBarData

from rustybt.compat.engine.frames import frame, series
from rustybt.compat.engine.portal import DataPortal

_FIELDS = frozenset({"open", "high", "low", "close", "volume", "price"})


class BarData(ZiplineBarData):
    """zipline's, with its constructor; what it does not know it asks its parent for."""

    def __init__(
        self,
        data_portal: DataPortal,
        simulation_dt_func: Any,
        data_frequency: str,
        trading_calendar: Any,
        restrictions: Any,
    ) -> None:
        super().__init__(
            data_portal, simulation_dt_func, data_frequency, trading_calendar, restrictions
        )
        self._portal = data_portal
        self._now = simulation_dt_func
        self._mode = data_frequency
        self._session_of = data_portal.trading_calendar.minute_to_session
        self._between_minutes = False
        self._last: pd.Timestamp | None = None
        self._session: pd.Timestamp | None = None

    def _set_between_minutes(self, value: bool) -> None:
        self._between_minutes = value
        ZiplineBarData._handle_non_market_minutes.__set__(self, value)

    #: Set by zipline around `before_trading_start`, when there is no bar to look at.
    _handle_non_market_minutes = property(fset=_set_between_minutes)

    def _moment(self) -> pd.Timestamp:
        """The bar to look at: the session for daily bars, else the minute."""
        dt = self._now()
        if self._mode != "daily":
            return dt
        if dt is not self._last:
            self._last, self._session = dt, self._session_of(dt)
        return self._session

    def current(self, *args: Any, **kwargs: Any) -> Any:
        """See `zipline.protocol.BarData.current`."""
        if len(args) != 2 or kwargs or self._between_minutes:
            return super().current(*args, **kwargs)
        assets, field = args
        if type(field) is str and field in _FIELDS:
            if type(assets) is Equity:
                return self._portal.value(assets, field, self._moment(), self._mode)
            if type(assets) in (list, tuple):
                series = self._current_of(assets, field)
                if series is not None:
                    return series
        return super().current(*args)

    def _current_of(self, assets: Any, field: str) -> pd.Series | None:
        group = self._portal.group(assets, self._mode)
        if group is None:
            return None
        values = self._portal.spot_values(group, field, self._moment(), self._mode)
        if values is None:
            return None
        return series(values, group.labels.view(), field)

    def history(self, *args: Any, **kwargs: Any) -> Any:
        """See `zipline.protocol.BarData.history`."""
        if len(args) != 4 or kwargs or self._between_minutes:
            return super().history(*args, **kwargs)
        assets, field, bar_count, frequency = args
        if type(field) is not str or type(frequency) is not str:
            return super().history(*args)
        alone = type(assets) is Equity
        if not alone and type(assets) not in (list, tuple):
            return super().history(*args)
        asked = [assets] if alone else assets
        window = self._portal.window(asked, self._moment(), bar_count, frequency, field, self._mode)
        if window is None:
            return super().history(*args)
        block, index, group = window
        if alone:
            return series(block[:, 0], index, assets)
        return frame(block, index, group.labels.view())
