"""Windows of past bars, adjusted as of their end: slices of a panel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rustybt.compat.engine.events import RunEvents
from rustybt.compat.engine.prices import DAY, Group, Ints, Prices
from rustybt.data.bundles.metadata import ZIPLINE_DECIMALS

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


#: Windows kept at a time, by field and group, and how many values each may hold beyond its own.
_KEPT, _VALUES = 16, 1 << 16
#: Rows beyond a window that are kept with it once a run goes on from bar to bar: the more, the
#: longer it does.
_AHEAD, _LEAST_AHEAD = 512, 32
_NEVER = 1 << 62


class Span(NamedTuple):
    """Rows of a window, the second excluded, and the row that they are seen from."""

    start: int
    stop: int
    seen: int


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

    def row(self, number: int) -> int:
        """From which row on one of them takes effect; far away where there is none."""
        return int(self.rows[number]) if number < len(self.rows) else _NEVER

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
    span : Span
        The rows, and from where they are seen.
    room : ndarray of float64, shape (2, rows or more, assets)
        The first of the two begins with the rows as they are in the panel.
    changes : _Changes
    places : int or None
        To round to.
    """

    def __init__(self, span: Span, room: Floats, changes: _Changes, places: int | None) -> None:
        start, self.stop, seen = span
        self.start, self.seen, self.room = start, seen, room
        self._changes, self._places = changes, places
        stored, rounded = room[:, : self.stop - start]
        # What took effect up to the first row is in its price already.
        self._done = changes.until(seen)
        inside = changes.between(changes.until(start), self._done)
        if len(inside.rows):
            columns, values = inside.applied(stored, start)
            stored[:, columns] = values
        self._next = changes.row(self._done)
        self._exact = stored
        self._rounded = stored if places is None else stored.round(places, out=rounded)
        self._gaps: Gaps | None = None
        #: Whether the last window was one row on.
        self.walks = False
        #: How far back from where it was seen the longest window began.
        self.reach = seen - start

    def holds(self, span: Span) -> bool:
        """Whether a window lies in it that is seen from no earlier row than the last one was."""
        return self.start <= span.start and span.stop <= self.stop and self.seen <= span.seen

    def window(self, span: Span) -> Floats:
        """Some of the rows. A fresh array."""
        if self.seen < span.seen:
            self.walks = span.seen == self.seen + 1
            self._look_from(span.seen)
        return self._rounded[span.start - self.start : span.stop - self.start].copy()

    def _look_from(self, row: int) -> None:
        while self._next <= row:
            done = self._changes.until(self._next)
            self._change(self._changes.between(self._done, done), self._next - self.start)
            self._done, self._next = done, self._changes.row(done)
        self.seen = row

    def _change(self, changes: _Changes, stop: int) -> None:
        """Let the changes of one row take effect in the rows before it."""
        columns: Any = changes.columns
        if len(set(columns.tolist())) < len(columns):  # the one after the other
            for number in range(len(columns)):
                self._change(changes.between(number, number + 1), stop)
            return
        if len(columns) == 1:
            columns = slice(columns[0], columns[0] + 1)
        exact = self._exact[:stop, columns] * changes.ratios
        self._exact[:stop, columns] = exact
        if self._places is not None:
            self._rounded[:stop, columns] = exact.round(self._places)

    def gaps(self, group: Group, times: Ints) -> "Gaps":
        """Where an asset has no value though it has had bars and is still there."""
        if self._gaps is None:
            missing = np.isnan(self._exact)
            if self.start < group.first_rows.max():
                rows = np.arange(self.start, self.stop)[:, np.newaxis]
                missing &= rows >= group.first_rows
            last = times[min(self.stop, len(times)) - 1]
            if last // DAY * DAY > group.first_end:
                days = times[self.start : self.stop, np.newaxis] // DAY * DAY
                missing &= days <= group.ends
            self._gaps = Gaps(missing)
        return self._gaps


class Gaps:
    """The missing values in some rows, and where each is taken from: from the last one above it.

    Parameters
    ----------
    missing : ndarray of bool, shape (rows, assets)
    """

    def __init__(self, missing: Bools) -> None:
        rows, self._width = missing.shape
        self._cells = np.flatnonzero(missing)
        #: How many lie above each row.
        self._above = np.searchsorted(self._cells, np.arange(rows + 1) * self._width).tolist()
        self._sources = self._cells - self._width  # negative in the first row
        # Those of one column that follow each other have the source of the first of them.
        row, column = np.divmod(self._cells, self._width)
        place = column * rows + row
        order = np.argsort(place)
        begins = (np.diff(place[order], prepend=-2) != 1) | (row[order] == 0)
        first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
        self._sources[order] = self._sources[order[first]]

    def fill(self, block: Floats, first: int, price: Callable[[int], float]) -> None:
        """Fill what is missing in a window as zipline does. In place.

        Parameters
        ----------
        block : ndarray of float64, shape (bars, assets)
            C-contiguous.
        first : int
            Its first row.
        price : callable
            Returns the last price of a column before the window.
        """
        low, high, end = (self._above[row] for row in (first, first + 1, first + len(block)))
        if low == end:
            return
        begin = first * self._width
        flat, cells = block.reshape(-1), self._cells[low:end] - begin
        sources = self._sources[low:end] - begin
        if high > low:
            for column in cells[: high - low].tolist():
                flat[column] = price(column)
            np.copyto(sources, cells % self._width, where=sources < 0)
        flat[cells] = flat[sources]


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

    def load(self, field: str, span: Span, group: Group) -> Floats:
        """Values of some rows, as they are seen from one.

        Returns
        -------
        ndarray of float64, shape (rows, assets)
            A fresh one.
        """
        return self._rows(field, span, group).window(span)

    def filled(self, span: Span, group: Group, price: Callable[[int], float]) -> Floats:
        """Closes as `load` gives them, each missing one filled with the last price before it.

        Parameters
        ----------
        price : callable
            Returns the last price of a column (of the group) before the window.
        """
        kept = self._rows("close", span, group)
        block = kept.window(span)
        kept.gaps(group, self._prices.times).fill(block, span.start - kept.start, price)
        return block

    def _rows(self, field: str, span: Span, group: Group) -> _Kept:
        key = (field, group)
        kept = self._kept.get(key)
        if kept is None or not kept.holds(span):
            start, stop, seen = span
            ahead, most = 0, _VALUES // len(group.assets)
            near = kept is not None and kept.seen < seen and start <= kept.stop
            if kept is not None and (kept.walks or near):
                more = 4 * (kept.stop - kept.start) if near else 0
                ahead = max(_LEAST_AHEAD, min(more, _AHEAD, most))
                # Whoever asks for a short window may ask for a long one in the same bar.
                start = min(start, max(seen - min(kept.reach, most), 0))
            end = min(stop + ahead, max(len(self._prices.times), stop))
            room = self._room(kept, end - start, group)
            self._prices.axis.block(field, (start, end), group.columns, room[0, : end - start])
            places = self._volume_places if field == "volume" else self._price_places
            span = Span(start, end, seen)
            kept = _Kept(span, room, self._changes_of(field, group), places)
            kept.walks = near
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept

    def _room(self, before: _Kept | None, rows: int, group: Group) -> Floats:
        """Memory for rows and what they are rounded to: that of the rows before, if it is enough.

        Memory that is given back to the system takes longer to come anew than to be filled.
        """
        if before is not None and before.room.shape[1] >= rows:
            return before.room
        return np.empty((2, rows, len(group.assets)))

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
