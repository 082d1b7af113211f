"""What there is of a session up to a minute of it: the last row of a window of days."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rustybt.compat.engine.prices import Group, Prices

Floats = npt.NDArray[np.float64]

#: Summaries kept at a time, by field and group.
_KEPT = 16


@dataclass
class _Summary:
    """The summary of a session's minutes up to a row, of all assets of a group."""

    first: int
    row: int
    values: Floats


class SoFar:
    """Opens, highs, lows, closes and volumes of sessions that are not over.

    They are those of `zipline.data.resample.DailyHistoryAggregator`: a minute that follows the one
    before is added to what is known.

    Parameters
    ----------
    prices : Prices
        Of minutes.
    calendar : exchange_calendars.ExchangeCalendar
    """

    def __init__(self, prices: Prices, calendar: Any) -> None:
        self._prices = prices
        self._calendar = calendar
        self._known: dict[tuple[str, Group], _Summary] = {}
        #: A session (nanoseconds since 1970), and the row of its first minute.
        self._first: tuple[int, int | None] = -1, None

    def values(self, field: str, row: int, session: int, group: Group) -> Floats | None:
        """The summary of one field. A fresh array; None if zipline must make it.

        Parameters
        ----------
        row : int
            Of the minute.
        session : int
            That it belongs to, nanoseconds since 1970.
        """
        field = "close" if field == "price" else field
        if field == "volume" and not self._prices.info.whole_volume:
            return None  # the sum depends on when it was asked for
        first = self._first_row(session)
        if first is None or row >= self._prices.offset + self._prices.rows:
            return None
        known = self._known.get((field, group))
        if known is None or known.first != first or known.row > row:
            nothing = np.zeros if field == "volume" else _nans
            known = _Summary(first, first - 1, nothing(len(group.assets)))
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[field, group] = known
        if known.row < row:
            low, high = (each - self._prices.offset for each in (known.row + 1, row + 1))
            minutes = self._prices.values[field][low:high].take(group.columns, axis=1)
            _ADD[field](known.values, minutes)
            known.row = row
        values = known.values.copy()
        if group.last_start > session or group.first_end < session:
            gone = (group.starts > session) | (group.ends < session)
            values[gone] = 0.0 if field == "volume" else np.nan
        return values

    def _first_row(self, session: int) -> int | None:
        """Row of the first minute of a session; None where the panel has not all of it."""
        if self._first[0] != session:
            prices, calendar = self._prices, self._calendar
            number = int(calendar.sessions_nanos.searchsorted(session))
            first = int(calendar.first_minutes_nanos[number])
            row = int(prices.times.searchsorted(first))
            whole = prices.times[row] == first and row >= prices.offset
            self._first = session, row if whole else None
        return self._first[1]


def _nans(count: int) -> Floats:
    return np.full(count, np.nan)


def _add_opens(known: Floats, minutes: Floats) -> None:
    """The first one that there is."""
    missing = np.isnan(known)
    if missing.any():
        there = ~np.isnan(minutes)
        places = np.flatnonzero(missing & there.any(axis=0))
        known[places] = minutes[there.argmax(axis=0)[places], places]


def _add_closes(known: Floats, minutes: Floats) -> None:
    """The last one that there is."""
    there = ~np.isnan(minutes[::-1])
    places = np.flatnonzero(there.any(axis=0))
    known[places] = minutes[::-1][there.argmax(axis=0)[places], places]


def _add_highs(known: Floats, minutes: Floats) -> None:
    np.fmax(known, np.fmax.reduce(minutes, axis=0), out=known)


def _add_lows(known: Floats, minutes: Floats) -> None:
    np.fmin(known, np.fmin.reduce(minutes, axis=0), out=known)


def _add_volumes(known: Floats, minutes: Floats) -> None:
    known += minutes.sum(axis=0)


_ADD = {
    "open": _add_opens,
    "high": _add_highs,
    "low": _add_lows,
    "close": _add_closes,
    "volume": _add_volumes,
}
