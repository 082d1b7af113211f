"""What a portal shows of the bars that are forming now."""

import warnings
from collections.abc import Collection
from datetime import datetime
from typing import Any

from rustybt.data.bars import Bar, Frequency
from rustybt.data.calendars import to_instant, to_session
from rustybt.data.errors import FrequencyError, LiveDataWarning, RustyBTError
from rustybt.data.polars._times import is_date
from rustybt.data.sources._finality import Clock
from rustybt.data.sources._stream_grid import Grid, grid_of
from rustybt.data.sources.base import DataSource
from rustybt.data.sources.live_view import LiveView


class LiveBars:
    """The bars of a source that streams, as they form.

    Parameters
    ----------
    source : DataSource
    calendar : str
    clock : Clock
    """

    def __init__(self, source: DataSource, calendar: str, clock: Clock) -> None:
        self._source = source
        self._calendar = calendar
        self._clock = clock
        self._views: dict[Frequency, LiveView] = {}
        self._failed: set[Frequency] = set()

    async def at(
        self, symbols: Collection[str], dt: Any, frequency: Frequency, *, at_any_age: bool
    ) -> dict[str, Bar]:
        """The bar of each symbol that is forming at a time, if that is now, or the one before.

        Parameters
        ----------
        at_any_age : bool
            Whether an older bar is as good: the last known price is wanted.

        Returns
        -------
        dict of str to Bar
            Without symbols that the stream has not shown, which are to be fetched; empty where
            nothing is streamed.
        """
        grid = self._grid(frequency)
        if grid is None or not _is_now(dt, grid, frequency, self._clock()):
            return {}
        view = self._views.setdefault(frequency, LiveView(self._source, str(frequency)))
        try:
            shown = await view.newest(symbols)
        except RustyBTError as error:
            self._give_up(frequency, error)
            return {}
        oldest = grid.last_ended(self._clock())
        if not view.is_current:
            return {}
        return {name: bar for name, bar in shown.items() if at_any_age or bar.timestamp >= oldest}

    async def aclose(self) -> None:
        """Hang up."""
        for view in self._views.values():
            await view.aclose()

    def _grid(self, frequency: Frequency) -> Grid | None:
        if frequency in self._failed:
            return None
        try:
            return grid_of(frequency, self._calendar)
        except FrequencyError:
            return None

    def _give_up(self, frequency: Frequency, error: RustyBTError) -> None:
        self._failed.add(frequency)
        text = f"bars of {frequency} are fetched, since they cannot be streamed: {error}"
        warnings.warn(text, LiveDataWarning, stacklevel=4)


def _is_now(dt: Any, grid: Grid, frequency: Frequency, now: datetime) -> bool:
    """Whether a time lies in the bar that is forming now."""
    label = grid.holding(now)
    if label is None:
        return False
    if not frequency.intraday and is_date(dt):
        return bool(to_session(dt) == label)
    return grid.start(label) <= to_instant(dt) <= now
