"""Minutes rolled up to sessions, with volumes that are no 32-bit integers."""

from typing import Any

import numpy as np
import numpy.typing as npt
from zipline.data.resample import MinuteResampleSessionBarReader as ZiplineResampleReader


class MinuteResampleSessionBarReader(ZiplineResampleReader):
    """zipline's session reader on minute bars, which sums any volume.

    On uint32 volumes it is zipline's own to the bit. On others zipline's compiled sum refuses to
    start; here it is a sum of floats.

    Parameters
    ----------
    calendar : exchange_calendars.ExchangeCalendar
    minute_bar_reader : MinuteBarReader
    """

    def __init__(self, calendar: Any, minute_bar_reader: Any) -> None:
        super().__init__(calendar, minute_bar_reader)

    def _get_resampled(
        self, columns: Any, start_session: Any, end_session: Any, assets: Any
    ) -> list[npt.NDArray[Any]]:
        volume = None
        if "volume" in columns:
            volume = self._volume(start_session, end_session, assets)
        if volume is None:
            return super()._get_resampled(columns, start_session, end_session, assets)
        prices = [name for name in columns if name != "volume"]
        if not prices:
            return [volume]
        found = iter(super()._get_resampled(prices, start_session, end_session, assets))
        return [volume if name == "volume" else next(found) for name in columns]

    def _volume(
        self, start_session: Any, end_session: Any, assets: Any
    ) -> npt.NDArray[np.float64] | None:
        """Volume by session, shape (sessions, assets); None where zipline can sum it itself."""
        opens = self._calendar.first_minutes[start_session:end_session]
        first, last = opens.iloc[0], self._calendar.session_close(end_session)
        (minutes,) = self._minute_bar_reader.load_raw_arrays(["volume"], first, last, assets)
        if minutes.dtype == np.uint32:
            return None
        starts = self._calendar.minutes_in_range(first, last).searchsorted(opens)
        return np.add.reduceat(minutes, starts, axis=0)
