"""Which sessions have a bar, asset by asset, and from that which are missing and why."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bundles import coverage
from rustybt.data.bundles._spill import run_starts
from rustybt.data.calendars import Days, load_calendar

#: Assets that must all be without a bar before the market is taken to have been closed.
_ALL_OF = 3


@dataclass(frozen=True)
class Block:
    """Days with a bar, of some symbols and a piece of time: a bit a day, so that many fit.

    Attributes
    ----------
    symbols : list of str
    first : int
        The first day, since 1970.
    there : ndarray of bool
        Shape (len(symbols), days).
    """

    symbols: list[str]
    first: int
    there: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, bars: pl.DataFrame) -> "Block":
        """The block of some bars: ``sid``, ``symbol`` and ``session``, each asset's together."""
        begins = run_starts(bars["sid"])
        rows = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(bars))))
        days = bars["session"].to_physical().to_numpy()
        first = int(days.min())
        there = np.zeros((len(begins), int(days.max()) - first + 1), dtype=np.bool_)
        there[rows, days - first] = True
        return cls(bars["symbol"][begins].to_list(), first, there)


@dataclass(frozen=True)
class Presence:
    """Sessions with a bar of one frequency.

    Attributes
    ----------
    symbols : list of str
    calendar : str
    first, last : date
        Bounds of the sessions.
    """

    symbols: list[str]
    calendar: str
    first: date
    last: date

    @cached_property
    def sessions(self) -> Days:
        """All sessions of the calendar, shape (n,)."""
        return load_calendar(self.calendar, self.first, self.last).sessions

    @cached_property
    def there(self) -> npt.NDArray[np.bool_]:
        """Whether there is a bar, shape (len(symbols), n); to be marked."""
        return np.zeros((len(self.symbols), len(self.sessions)), dtype=np.bool_)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {symbol: row for row, symbol in enumerate(self.symbols)}

    def mark(self, block: Block) -> None:
        """Note the bars of a block."""
        days = block.first + np.arange(block.there.shape[1])
        inside = days >= self.sessions[0].astype(np.int64)
        columns = np.flatnonzero(block.there.any(axis=0) & inside)
        places = np.searchsorted(self.sessions, (block.first + columns).astype("datetime64[D]"))
        rows = np.array([self._row[symbol] for symbol in block.symbols])
        self.there[np.ix_(rows, places)] |= block.there[:, columns]

    def set_between(self, spans: pl.DataFrame, value: bool) -> None:
        """Note the same for ranges of sessions: ``symbol``, ``first``, ``last``, both included."""
        starts = np.searchsorted(self.sessions, spans["first"].to_numpy())
        stops = np.searchsorted(self.sessions, spans["last"].to_numpy(), side="right")
        for symbol, start, stop in zip(spans["symbol"], starts, stops, strict=True):
            if symbol in self._row:
                self.there[self._row[symbol], start:stop] = value

    def missing(self, frequency: str) -> pl.DataFrame:
        """Runs of sessions without a bar inside each symbol's life, as a coverage ledger."""
        alive = _alive(self.there)
        absent = alive & ~self.there
        closed = self._closed(alive)
        parts = [
            self._runs(absent & ~closed, frequency, coverage.NO_BAR),
            self._runs(absent & closed, frequency, coverage.CLOSED),
        ]
        return pl.concat(parts)

    def _closed(self, alive: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Sessions on which none of several living assets has a bar, shape (n,)."""
        closed: npt.NDArray[np.bool_] = ~self.there.any(axis=0) & (alive.sum(axis=0) >= _ALL_OF)
        return closed

    def _runs(self, flags: npt.NDArray[np.bool_], frequency: str, reason: str) -> pl.DataFrame:
        some = np.flatnonzero(flags.any(axis=1))
        edges = np.diff(flags[some].astype(np.int8), axis=1, prepend=0, append=0)
        rows, starts = np.nonzero(edges == 1)
        _, stops = np.nonzero(edges == -1)
        rows = some[rows]
        return pl.DataFrame(
            {
                "symbol": [self.symbols[row] for row in rows],
                "frequency": [frequency] * len(rows),
                "first": pl.Series(self.sessions[starts], dtype=pl.Date),
                "last": pl.Series(self.sessions[stops - 1], dtype=pl.Date),
                "sessions": stops - starts,
                "reason": [reason] * len(rows),
                "detail": [None] * len(rows),
            },
            schema=coverage.LEDGER,
        )


def _alive(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether each session lies between a row's first and last bar."""
    first, behind = there.argmax(axis=1), there.shape[1] - there[:, ::-1].argmax(axis=1)
    column = np.arange(there.shape[1])
    inside = (column >= first[:, np.newaxis]) & (column < behind[:, np.newaxis])
    alive: npt.NDArray[np.bool_] = inside & there.any(axis=1, keepdims=True)
    return alive
