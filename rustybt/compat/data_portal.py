"""zipline's data portal, without the places where it drops digits.

zipline rounds adjusted prices to three decimals and cuts volumes to integers on their way into
`history`. Both are right for its own format and wrong for a coin at 1.234e-5.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from zipline.data.data_portal import DataPortal as ZiplineDataPortal
from zipline.data.dispatch_bar_reader import (
    AssetDispatchMinuteBarReader,
    AssetDispatchSessionBarReader,
)
from zipline.data.history_loader import DailyHistoryLoader, MinuteHistoryLoader
from zipline.data.resample import DailyHistoryAggregator

from rustybt.compat._panel_reader import BarsInfo


class _FloatVolume:
    """Volumes of a dispatching reader stay floats."""

    def _make_raw_array_out(self, field: str, shape: tuple[int, int]) -> npt.NDArray[Any]:
        if field == "volume":
            return np.zeros(shape)
        return super()._make_raw_array_out(field, shape)  # type: ignore[misc]


class _SessionReader(_FloatVolume, AssetDispatchSessionBarReader):
    pass


class _MinuteReader(_FloatVolume, AssetDispatchMinuteBarReader):
    pass


class _StoredDecimals:
    """Adjusted prices of equities keep as many decimals as are stored."""

    _price_decimals: int | None

    def _decimal_places_for_asset(self, asset: Any, reference_date: Any) -> int | None:
        if type(asset).__name__ == "Equity":
            return self._price_decimals
        return super()._decimal_places_for_asset(asset, reference_date)  # type: ignore[misc]


class _DailyLoader(_StoredDecimals, DailyHistoryLoader):
    pass


class _MinuteLoader(_StoredDecimals, MinuteHistoryLoader):
    pass


class DataPortal(ZiplineDataPortal):
    """The portal of a run: zipline's own, with its constructor.

    On a bundle of precision ``full``, `history` and `current` agree to every stored digit. On
    any other readers it is zipline's portal to the bit.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        infos = {
            getattr(reader, "info", None)
            for dispatcher in self._pricing_readers.values()
            for reader in dispatcher._readers.values()
        }
        known = [info for info in infos if isinstance(info, BarsInfo)]
        if known and not known[0].uint32_volume:
            self._keep_every_digit(known[0].price_decimals)

    def _keep_every_digit(self, price_decimals: int | None) -> None:
        calendar, finder = self.trading_calendar, self.asset_finder
        last = {"daily": self._last_available_session, "minute": self._last_available_minute}
        kinds = {"daily": _SessionReader, "minute": _MinuteReader}
        self._pricing_readers = {
            name: kinds[name](calendar, finder, reader._readers, last[name])
            for name, reader in self._pricing_readers.items()
        }
        self._daily_aggregator = DailyHistoryAggregator(
            calendar.first_minutes, self._pricing_readers["minute"], calendar
        )
        self._history_loader = self._loader(_DailyLoader, self._history_loader, "daily")
        self._minute_history_loader = self._loader(
            _MinuteLoader, self._minute_history_loader, "minute"
        )
        for loader in (self._history_loader, self._minute_history_loader):
            loader._price_decimals = price_decimals

    def _loader(self, kind: type, given: Any, name: str) -> Any:
        return kind(
            self.trading_calendar,
            self._pricing_readers[name],
            self._adjustment_reader,
            self.asset_finder,
            self._roll_finders,
            prefetch_length=given._prefetch_length,
        )
