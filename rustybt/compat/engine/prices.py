"""Where the values of equities lie in a panel: rows by time, columns by asset."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import is_
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
from zipline.assets import Equity
from zipline.data.bar_reader import NoDataOnDate

from rustybt.compat.bar_readers import MinutePanelReader, SessionPanelReader

if TYPE_CHECKING:
    from rustybt.compat._panel_reader import PanelAxis

Ints = npt.NDArray[np.int64]

#: Groups of assets kept at a time: an algorithm asks for the same few again and again.
_KEPT = 8
#: Nanoseconds.
MINUTE = 60 * 10**9
DAY = 24 * 60 * MINUTE


#: When an equity is there: its start and end (nanoseconds since 1970), its column in the panel,
#: and the rows, on the axis, of its first and last bar. A tuple: it is taken apart all the time.
Life = tuple[int, int, int, int, int]


@dataclass(frozen=True, eq=False)
class Group:
    """Equities that are asked for together.

    Attributes
    ----------
    assets : tuple of Equity
    columns : ndarray of int64
        In the panel.
    starts, ends : ndarray of int64
        Of the assets, nanoseconds since 1970.
    last_start, first_end : int
        The latest of the starts, and the earliest of the ends.
    first_rows : ndarray of int64
        Of each asset's first bar.
    has_later_bars : bool
        Whether an asset has bars behind its end.
    labels : pandas.Index
        The assets, as the columns of a frame.
    zeros : ndarray of float64
        One an asset.
    """

    assets: tuple[Equity, ...]
    columns: Ints
    starts: Ints
    ends: Ints
    last_start: int
    first_end: int
    first_rows: Ints
    has_later_bars: bool
    labels: pd.Index
    zeros: npt.NDArray[np.float64]


class Prices:
    """A panel of equities as a run reads it.

    Parameters
    ----------
    reader : SessionPanelReader or MinutePanelReader
    """

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.info = reader.info
        self.axis: PanelAxis = reader._axis
        self.offset = self.axis.offset
        self.values = self.axis.panel.values
        self.rows = len(self.axis.panel.labels)
        self.is_daily = isinstance(reader, SessionPanelReader)
        #: Time of each row, nanoseconds since 1970.
        self.times: Ints = self.axis.labels * (DAY if self.is_daily else MINUTE)
        self._items = {name: array.item for name, array in self.values.items()}
        self._items["price"] = self._items["close"]
        self._lives: dict[int, Life | None] = {}
        self._groups: list[Group] = []
        #: What was asked for last, the very object, and its group.
        self._asked: tuple[Any, Group | None] = None, None
        #: What was in it, if it is a list.
        self._listed: list[Any] = []

    @cached_property
    def instants(self) -> pd.DatetimeIndex:
        """Time of each row of minutes, as a calendar's minutes are."""
        return pd.DatetimeIndex(self.times, tz=ZoneInfo("UTC"))

    @classmethod
    def of(cls, portal: Any, name: str) -> "Prices | None":
        """The prices behind a portal, or None where they are not a panel on its calendar."""
        reader = portal._pricing_readers[name]._readers.get(Equity)
        kinds = (SessionPanelReader, MinutePanelReader)
        return cls(reader) if isinstance(reader, kinds) and len(reader._panel.sids) else None

    def life(self, asset: Equity) -> Life | None:
        """When an asset is there; None if it has no bars."""
        try:
            return self._lives[asset.sid]
        except KeyError:
            column = self.axis.places.get(asset.sid)
            life = None
            if column is not None:
                span = (asset.start_date.value, asset.end_date.value)
                life = (*span, column, *self.axis.life(column))
            self._lives[asset.sid] = life
            return life

    def group(self, assets: Sequence[Any]) -> Group | None:
        """The assets as a group; None if one of them is no equity or has no bars."""
        asked, found = self._asked
        if assets is asked and (type(assets) is tuple or assets == self._listed):
            return found
        wanted = tuple(assets)
        group = self._group(wanted)
        self._asked, self._listed = (assets, group), list(wanted)
        return group

    def _group(self, wanted: tuple[Any, ...]) -> Group | None:
        for group in self._groups:
            # The very assets: one is also equal to the number of its sid.
            kept = group.assets
            if wanted is kept or (len(wanted) == len(kept) and all(map(is_, kept, wanted))):
                return group
        if not wanted or any(type(asset) is not Equity for asset in wanted):
            return None
        lives = [self.life(asset) for asset in wanted]
        known = [life for life in lives if life is not None]
        if len(known) < len(lives):
            return None
        starts, ends, columns, first_rows, last_rows = np.array(known, dtype=np.int64).T
        group = Group(
            wanted,
            columns,
            starts,
            ends,
            int(starts.max()),
            int(ends.min()),
            first_rows,
            bool((self.times[last_rows] // DAY * DAY > ends).any()),
            pd.Index(list(wanted)),
            np.zeros(len(wanted)),
        )
        self._groups = [group, *self._groups[: _KEPT - 1]]
        return group

    def row(self, moment: pd.Timestamp) -> int | None:
        """Row of a session or a minute: None where there is none, negative in a break."""
        if self.is_daily:
            found: int | None = self.reader._rows.get(moment.value)
            return found
        try:
            return int(self.reader._row(moment))
        except NoDataOnDate:
            return None

    def last_of_stretch(self, row: int, end: int) -> int:
        """The last of the minutes from a row on that follow one another, and not after `end`."""
        times = self.times[row : row + (end - int(self.times[row])) // MINUTE + 1]
        holes = np.flatnonzero(np.diff(times) != MINUTE)
        return int(times[holes[0]] if len(holes) else times[-1])

    def scalar(self, field: str, row: int, column: int) -> float | int:
        """One value, as zipline's readers return it: NaN (0 for volume) where there is none."""
        position = row - self.offset
        if not 0 <= position < self.rows:
            return 0 if field == "volume" else np.nan
        value = self._items[field](position, column)
        return int(value) if field == "volume" and self.info.whole_volume else value

    def last_priced(self, row: int, column: int) -> int:
        """The last row up to `row` in which a column has a close; -1 if there is none."""
        close = self.values["close"]
        stop = min(row - self.offset, self.rows - 1) + 1
        step = 8
        while stop > 0:
            start = max(stop - step, 0)
            priced = np.flatnonzero(~np.isnan(close[start:stop, column]))
            if len(priced):
                return start + int(priced[-1]) + self.offset
            stop, step = start, step * 8
        return -1
