"""What session and minute readers share: a panel laid on a calendar's axis."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from zipline.data.bar_reader import OHLCV

from rustybt.data.bundles.bundle import Bundle
from rustybt.data.bundles.metadata import ZIPLINE_DECIMALS
from rustybt.data.bundles.panel import Ints, Panel
from rustybt.data.errors import CalendarError

Floats = npt.NDArray[np.float64]

#: Rows that are quicker looked at one by one.
_NEAR = 8
#: Nanoseconds.
_DAY = 24 * 3600 * 10**9


@dataclass(frozen=True)
class BarsInfo:
    """What readers must know of a bundle besides its bars.

    Attributes
    ----------
    start_session, end_session : pandas.Timestamp
        Naive; the reader's axis runs from one to the other.
    price_decimals : int or None
        Places to round adjusted prices to; None not to round.
    whole_volume : bool
        Whether every volume is a whole number.
    uint32_volume : bool
        Whether volumes read as uint32, as from zipline's own format.
    """

    start_session: pd.Timestamp
    end_session: pd.Timestamp
    price_decimals: int | None = ZIPLINE_DECIMALS
    whole_volume: bool = True
    uint32_volume: bool = False

    @classmethod
    def of(cls, bundle: Bundle) -> "BarsInfo":
        """What a bundle's metadata says."""
        record = bundle.metadata
        exact = record.precision == "bcolz"
        return cls(
            *record.bounds,
            record.adjusted_decimals,
            whole_volume=exact or record.volume_decimals == 0,
            uint32_volume=exact,
        )


class Cells:
    """The values of a panel one by one, which needs no calendar.

    Parameters
    ----------
    panel : Panel

    Attributes
    ----------
    lives : dict of int to tuple
        By sid: its column, and the rows of its first and last bar.
    items : dict of str to callable
        By field, what returns the value of a row and a column.
    """

    def __init__(self, panel: Panel) -> None:
        lives = zip(range(len(panel.sids)), panel.first.tolist(), panel.last.tolist(), strict=True)
        self.lives: dict[int, tuple[int, int, int]] = dict(
            zip(panel.sids.tolist(), lives, strict=True)
        )
        self.items = {field: panel.values[field].item for field in OHLCV}
        self._labels = panel.labels

    @cached_property
    def sessions(self) -> dict[int, int]:
        """Row of each session (nanoseconds since 1970) of a daily panel."""
        return dict(zip((self._labels * _DAY).tolist(), range(len(self._labels)), strict=True))


class PanelAxis:
    """A panel's rows on the axis of a calendar, which may reach further on both sides.

    Parameters
    ----------
    panel : Panel
    labels : ndarray of int64
        The axis: days or minutes since 1970.

    Raises
    ------
    CalendarError
        If the panel has labels that the axis lacks in between.
    """

    def __init__(self, panel: Panel, labels: Ints, calendar_name: str) -> None:
        self.panel = panel
        self.labels = labels
        self.offset = int(np.searchsorted(labels, panel.labels[0])) if len(panel.labels) else 0
        span = labels[self.offset : self.offset + len(panel.labels)]
        if not np.array_equal(span, panel.labels):
            raise CalendarError(
                f"calendar {calendar_name} has changed since the bundle was ingested: its sessions "
                "are not those of the bars any more. Ingest the bundle again"
            )
        #: Column of each sid.
        self.places = {sid: column for column, sid in enumerate(panel.sids.tolist())}

    def column(self, sid: Any) -> int:
        """Column of a sid. Raises KeyError for one that has no bars."""
        return self.places[int(sid)]

    def columns(self, sids: Any) -> Ints:
        """Column of each sid (an int or an Asset), -1 for one that has no bars."""
        if isinstance(sids, (np.ndarray, pd.Index)) and sids.dtype.kind in "iu":
            return self.panel.columns_of(sids)
        return np.array([self.places.get(sid, -1) for sid in map(int, sids)], dtype=np.int64)

    def life(self, column: int) -> tuple[int, int]:
        """Rows, on the axis, of the first and last bar of a column."""
        panel = self.panel
        return self.offset + int(panel.first[column]), self.offset + int(panel.last[column])

    def block(
        self, field: str, rows: tuple[int, int], columns: Ints, out: Floats | None = None
    ) -> Floats:
        """Values of some rows, the second excluded, and columns.

        Parameters
        ----------
        columns : ndarray of int64
            -1 for one that has no bars.
        out : ndarray of float64, shape (rows, columns), optional
            Where to put them; a fresh array if not given.
        """
        if field not in OHLCV:
            raise KeyError(field)
        values, (start, stop) = self.panel.values[field], rows
        low = min(max(start - self.offset, 0), len(values))
        high = min(max(stop - self.offset, low), len(values))
        known = columns >= 0
        if out is None:
            out = np.empty((stop - start, len(columns)))
        if high - low == stop - start and known.all():
            if len(columns) == values.shape[1] and (columns == np.arange(len(columns))).all():
                np.copyto(out, values[low:high])
            else:  # numpy would fill another array first, if it had to look at each of the columns
                values[low:high].take(columns, axis=1, out=out, mode="clip")
            return out
        out[:] = 0.0 if field == "volume" else np.nan
        top = low + self.offset - start
        out[top : top + high - low, known] = values[low:high].take(columns[known], axis=1)
        return out

    def last_traded(self, column: int, row: int, first: int = 0) -> int:
        """The last row, from `first` up to `row`, in which a column has volume; -1 if none."""
        volume = self.panel.values["volume"]
        stop = min(row - self.offset, len(volume) - 1) + 1
        bottom = max(first - self.offset, 0)
        for near in range(stop - 1, max(stop - _NEAR, bottom) - 1, -1):
            if volume.item(near, column):
                return near + self.offset
        step = 64
        while stop > bottom:
            start = max(stop - step, bottom)
            traded = np.flatnonzero(volume[start:stop, column])
            if len(traded):
                return start + int(traded[-1]) + self.offset
            stop, step = start, step * 8
        return -1
