"""Windows of past bars, adjusted as of their end: slices of a panel."""

import numpy as np
import numpy.typing as npt

from rustybt.compat.engine.events import RunEvents
from rustybt.compat.engine.prices import Group, Prices
from rustybt.data.bundles.metadata import ZIPLINE_DECIMALS

Floats = npt.NDArray[np.float64]


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
        self._rows: dict[tuple[int, bool], list[tuple[int, float]]] = {}

    def load(self, field: str, start: int, stop: int, group: Group, seen_after: bool) -> Floats:
        """Values of rows `start` to `stop` (excluded), shape (stop - start, assets), a fresh array.

        Parameters
        ----------
        seen_after : bool
            Whether the window is seen from the row after its last one, so that what takes effect
            there acts on all of it.
        """
        block = self._prices.axis.block(field, start, stop, group.columns)
        if self._events is not None:
            last = stop if seen_after else stop - 1
            for column, asset in enumerate(group.assets):
                for row, ratio in self._events_of(asset.sid, field):
                    if start < row <= last:
                        block[: row - start, column] *= ratio
        places = self._volume_places if field == "volume" else self._price_places
        return block if places is None else block.round(places)

    def _events_of(self, sid: int, field: str) -> list[tuple[int, float]]:
        """(row from which on it is in force, ratio) of what changes a field, by row."""
        key = (sid, field == "volume")
        if key not in self._rows:
            assert self._events is not None  # noqa: S101  the caller asked
            events = self._events.of_field(sid, field)
            rows = np.searchsorted(self._prices.times, [when for when, _ in events])
            found = zip(rows.tolist(), (ratio for _, ratio in events), strict=True)
            inside = [(row, ratio) for row, ratio in found if row < len(self._prices.times)]
            self._rows[key] = sorted(inside, key=lambda event: event[0])
        return self._rows[key]


def fill_forward(block: Floats) -> Floats:
    """Each NaN becomes the value above it. In place."""
    for column in np.flatnonzero(np.isnan(block).any(axis=0)):
        values = block[:, column]
        row = np.where(np.isnan(values), 0, np.arange(len(values)))
        block[:, column] = values[np.maximum.accumulate(row)]
    return block


def end_lives(block: Floats, group: Group, days: npt.NDArray[np.int64], end: int) -> None:
    """Write NaN behind the end of each asset's life. In place.

    Parameters
    ----------
    days : ndarray of int64
        Midnight of each row, nanoseconds since 1970.
    end : int
        Of the window.
    """
    for column in np.flatnonzero(end >= group.ends):
        block[days > group.ends[column], column] = np.nan
