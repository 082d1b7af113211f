"""Windows of past bars, adjusted as of their end: slices of a panel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rustybt.compat.engine.events import RunEvents
from rustybt.compat.engine.prices import Group, Ints, Prices
from rustybt.data.bundles.metadata import ZIPLINE_DECIMALS

Floats = npt.NDArray[np.float64]


#: Windows kept at a time, by field and group, and how many values each may hold.
_KEPT, _VALUES = 16, 1 << 16
#: Rows beyond a window that are kept with it: the next one is asked for a bar later.
_AHEAD, _LEAST_AHEAD = 512, 16


@dataclass(frozen=True)
class _Kept:
    """Rows of some columns of a panel, as they were stored and rounded."""

    start: int
    stop: int
    stored: Floats
    rounded: Floats
    gaps: npt.NDArray[np.bool_]  # whether a row has a NaN


@dataclass(frozen=True)
class _Changes:
    """What changes a field of a group: from which row on, in which column, by which factor.

    Sorted by row; those of one column and row in the order in which zipline applies them.
    """

    rows: Ints
    columns: Ints
    ratios: Floats

    def inside(self, start: int, stop: int) -> "_Changes":
        """Those that take effect between two rows of a window, its first one and its last."""
        low, high = self.rows.searchsorted((start, stop - 1), side="right").tolist()
        return _Changes(self.rows[low:high], self.columns[low:high], self.ratios[low:high])

    def applied(self, stored: Floats, start: int) -> tuple[Ints, Floats]:
        """The columns that change, and their values after it, one change after the other."""
        columns, places = np.unique(self.columns, return_inverse=True)
        values = stored[:, columns]
        bars = np.arange(len(values))[:, np.newaxis]
        left = np.arange(len(places))
        while len(left):
            each, first = np.unique(places[left], return_index=True)
            now = left[first]
            values[:, each] *= np.where(bars < self.rows[now] - start, self.ratios[now], 1.0)
            left = np.delete(left, first)
        return columns, values


class Windows:
    """The adjusted windows of one panel.

    Parameters
    ----------
    prices : Prices
    events : RunEvents or None
        None where the run has no adjustments.
    """

    def __init__(self, prices: Prices, events: RunEvents | None) -> None:
        self._prices = prices
        self._events = events
        self._price_places = prices.info.price_decimals
        # zipline rounds volumes too; what is left of a share after a split, but not a coin's.
        self._volume_places = ZIPLINE_DECIMALS if prices.info.whole_volume else None
        self._kept: dict[tuple[str, Group], _Kept] = {}
        self._changes: dict[tuple[bool, Group], _Changes] = {}

    def load(self, field: str, start: int, stop: int, group: Group) -> tuple[Floats, bool]:
        """Values of rows `start` to `stop` (excluded), seen from the last one.

        Returns
        -------
        ndarray of float64, shape (stop - start, assets)
            A fresh one.
        bool
            Whether there may be a NaN in it.
        """
        kept = self._rows(field, start, stop, group)
        rows = slice(start - kept.start, stop - kept.start)
        block = kept.rounded[rows].copy()
        if self._events is not None:
            changes = self._changes_of(field, group).inside(start, stop)
            if len(changes.rows):
                columns, values = changes.applied(kept.stored[rows], start)
                block[:, columns] = self._round(values, field)
        return block, bool(kept.gaps[rows].any())

    def _rows(self, field: str, start: int, stop: int, group: Group) -> _Kept:
        key = (field, group)
        kept = self._kept.get(key)
        if kept is None or start < kept.start or stop > kept.stop:
            ahead = max(_LEAST_AHEAD, min(_AHEAD, _VALUES // len(group.assets)))
            stored = self._prices.axis.block(field, start, stop + ahead, group.columns)
            gaps = np.isnan(stored).any(axis=1)
            kept = _Kept(start, stop + ahead, stored, self._round(stored, field), gaps)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def _round(self, values: Floats, field: str) -> Floats:
        places = self._volume_places if field == "volume" else self._price_places
        return values if places is None else values.round(places)

    def _changes_of(self, field: str, group: Group) -> _Changes:
        key = (field == "volume", group)
        if key not in self._changes:
            assert self._events is not None  # noqa: S101  the caller asked
            found = [
                (when, column, ratio)
                for column, asset in enumerate(group.assets)
                for when, ratio in self._events.of_field(asset.sid, field)
            ]
            times, columns, ratios = zip(*found, strict=True) if found else ((), (), ())
            rows = np.searchsorted(self._prices.times, np.array(times, dtype=np.int64))
            order = np.argsort(rows, kind="stable")
            if len(self._changes) >= _KEPT:
                self._changes.clear()
            self._changes[key] = _Changes(
                rows[order],
                np.array(columns, dtype=np.int64)[order],
                np.array(ratios, dtype=np.float64)[order],
            )
        return self._changes[key]


def fill_forward(block: Floats) -> None:
    """Each NaN becomes the value above it. In place."""
    columns = np.flatnonzero(np.isnan(block).any(axis=0))
    values = block[:, columns]
    rows = np.where(np.isnan(values), 0, np.arange(len(values))[:, np.newaxis])
    np.maximum.accumulate(rows, axis=0, out=rows)
    block[:, columns] = np.take_along_axis(values, rows, axis=0)


def end_lives(block: Floats, group: Group, days: Ints, end: int) -> None:
    """Write NaN behind the end of each asset's life. In place.

    Parameters
    ----------
    days : ndarray of int64
        Midnight of each row, nanoseconds since 1970.
    end : int
        Of the window.
    """
    columns = np.flatnonzero(end >= group.ends)
    rows, places = np.nonzero(days[:, np.newaxis] > group.ends[columns])
    block[rows, columns[places]] = np.nan
