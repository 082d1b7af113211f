"""Windows of past bars, adjusted as of their end: slices of a panel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rustybt.compat.engine.events import RunEvents
from rustybt.compat.engine.prices import DAY, Group, Ints, Prices
from rustybt.data.bundles.metadata import ZIPLINE_DECIMALS

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


#: Windows kept at a time, by field and group, and how many values each may hold beyond its own.
_KEPT, _VALUES = 16, 1 << 16
#: Rows beyond a window that are kept with it once a run goes on from bar to bar.
_AHEAD, _LEAST_AHEAD = 512, 16
#: Missing values of a window that are quicker filled one by one.
_FEW = 128


@dataclass(frozen=True)
class _Changes:
    """What changes a field of a group: from which row on, in which column, by which factor.

    Sorted by row; those of one column and row in the order in which zipline applies them.
    """

    rows: Ints
    columns: Ints
    ratios: Floats

    def until(self, row: int) -> int:
        """How many take effect up to a row."""
        return int(self.rows.searchsorted(row, side="right"))

    def between(self, low: int, high: int) -> "_Changes":
        """Those of two numbers, the second excluded."""
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


class _Kept:
    """Rows of some columns of a panel, adjusted as they are seen from one of them, and rounded.

    Parameters
    ----------
    start : int
        The row of the first.
    stored : ndarray of float64, shape (rows, assets)
        As they are in the panel; changed from here on.
    seen : int
        The row that they are seen from.
    changes : _Changes
    places : int or None
        To round to.
    """

    def __init__(
        self, start: int, stored: Floats, seen: int, changes: _Changes, places: int | None
    ) -> None:
        self.start, self.stop, self.seen = start, start + len(stored), seen
        self._changes, self._places = changes, places
        # What took effect up to the first row is in its price already.
        self._done = changes.until(seen)
        inside = changes.between(changes.until(start), self._done)
        if len(inside.rows):
            columns, values = inside.applied(stored, start)
            stored[:, columns] = values
        self._exact = stored
        self._rounded = stored if places is None else stored.round(places)
        self._missing: Bools | None = None

    def holds(self, start: int, stop: int) -> bool:
        """Whether a window lies in it that is seen from no earlier row than the last one was."""
        return self.start <= start and stop <= self.stop and self.seen < stop

    def window(self, start: int, stop: int) -> Floats:
        """Some of the rows, seen from the last of them. A fresh array."""
        if self.seen < stop - 1:
            self._look_from(stop - 1)
        return self._rounded[start - self.start : stop - self.start].copy()

    def _look_from(self, row: int) -> None:
        done = self._changes.until(row)
        for number in range(self._done, done):
            column = self._changes.columns[number]
            before = self._exact[: self._changes.rows[number] - self.start, column]
            before *= self._changes.ratios[number]
            if self._places is not None:
                self._rounded[: len(before), column] = before.round(self._places)
        self._done, self.seen = done, row

    def missing(self, start: int, stop: int, group: Group, times: Ints) -> Bools:
        """Where in some rows an asset has no value though it has had bars and is still there."""
        if self._missing is None:
            rows = np.arange(self.start, self.stop)[:, np.newaxis]
            days = times[self.start : self.stop, np.newaxis] // DAY * DAY
            known = (rows >= group.first_rows) & (days <= group.ends)
            self._missing = known & np.isnan(self._exact)
        return self._missing[start - self.start : stop - self.start]


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

    def load(self, field: str, start: int, stop: int, group: Group) -> Floats:
        """Values of rows `start` to `stop` (excluded), seen from the last one.

        Returns
        -------
        ndarray of float64, shape (stop - start, assets)
            A fresh one.
        """
        return self._rows(field, start, stop, group).window(start, stop)

    def missing(self, field: str, start: int, stop: int, group: Group) -> Bools:
        """Where the values of a window are missing in an asset's life, from its first bar on."""
        kept = self._rows(field, start, stop, group)
        return kept.missing(start, stop, group, self._prices.times)

    def _rows(self, field: str, start: int, stop: int, group: Group) -> _Kept:
        key = (field, group)
        kept = self._kept.get(key)
        if kept is None or not kept.holds(start, stop):
            ahead = 0
            if kept is not None and kept.seen < stop - 1 and start <= kept.stop:  # from bar to bar
                ahead = max(_LEAST_AHEAD, min(_AHEAD, _VALUES // len(group.assets)))
            end = min(stop + ahead, max(len(self._prices.times), stop))
            stored = self._prices.axis.block(field, start, end, group.columns)
            places = self._volume_places if field == "volume" else self._price_places
            kept = _Kept(start, stored, stop - 1, self._changes_of(field, group), places)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def _changes_of(self, field: str, group: Group) -> _Changes:
        key = (field == "volume", group)
        if key not in self._changes:
            found = [
                (when, column, ratio)
                for column, asset in enumerate(group.assets)
                for when, ratio in (
                    self._events.of_field(asset.sid, field) if self._events is not None else ()
                )
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


def fill_forward(block: Floats, missing: Bools, cells: list[int]) -> None:
    """Each missing value, but those of the first row, becomes the value above it. In place.

    Parameters
    ----------
    missing : ndarray of bool, shape of the block
    cells : list of int
        The places, row by row, that are missing.
    """
    width = block.shape[1]
    if len(cells) > _FEW:
        for row in range(1, len(block)):
            np.copyto(block[row], block[row - 1], where=missing[row])
        return
    flat = block.reshape(-1)
    for cell in cells:
        if cell >= width:
            flat[cell] = flat[cell - width]
