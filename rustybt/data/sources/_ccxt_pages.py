"""All bars of a range, page by page, from an exchange that may answer too few, too many or none.

Times are milliseconds since 1970, of the moment when a bar begins.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from rustybt.data.errors import MalformedAnswerError, RefusedRequestError

#: Begin, open, high, low, close, volume.
Row = Sequence[float | None]
#: Rows as numbers, shape (n, 6); what is missing is not a number.
Table = npt.NDArray[np.float64]
#: Asks for bars that begin at a time or later, so many of them at most.
Ask = Callable[[int, int], Awaitable[list[Row]]]

DAY = 86_400_000


@dataclass(frozen=True)
class Pages:
    """How an exchange is asked for the bars of a symbol.

    Attributes
    ----------
    ask : callable
    ask_daily : callable or None
        Asks for daily bars, if the exchange has them.
    step : int
        Length of a bar.
    limit : int
        How many bars the exchange gives at once.
    documented : bool
        Whether the limit is the exchange's own, and not a cautious guess.
    now : int
    where : str
        Exchange and symbol, for messages.
    """

    ask: Ask
    ask_daily: Ask | None
    step: int
    limit: int
    documented: bool
    now: int
    where: str

    async def read(self, first: int, last: int) -> Table:
        """The bars that begin from `first` to `last`, in order; those told twice, twice.

        An exchange that has no bars for a while answers with an empty page; only the end of the
        range ends the reading.

        Raises
        ------
        MalformedAnswerError
            If the exchange answers with earlier bars than it was asked for, again and again.
        RefusedRequestError
            If it gives no bars as old as these.
        """
        pages = [_table([])]
        days = _Days()
        cursor = first
        while cursor <= last:
            page = await self._page(self.ask, cursor, self.step)
            if not len(page):
                cursor = await self._after_nothing(cursor, days)
                continue
            await self._require_reach(page, cursor)
            pages.append(page)
            days.seen = _last(page)
            cursor = _last(page) + self.step
        table = np.concatenate(pages)
        return table[table[:, 0] <= last]

    async def _page(self, ask: Ask, cursor: int, step: int) -> Table:
        """The bars from `cursor` on that one request gives; asked once more if there are none."""
        for _ in range(2):
            answered = _table(await ask(cursor, self.limit))
            page = answered[answered[:, 0] >= cursor]
            if len(page):
                return page
        # A bar that only contains the moment asked for is the way of some exchanges.
        if len(answered) and _first(answered) < cursor - step:
            raise MalformedAnswerError(
                f"{self.where}: asked for bars from {cursor} on, in milliseconds, the exchange "
                f"answers with those of {_first(answered)} to {_last(answered)}"
            )
        return page

    async def _after_nothing(self, cursor: int, days: "_Days") -> int:
        """Where to go on after an empty page: after a page's time, or where a daily bar is.

        Without daily bars, minutes of a market that rested for years would be asked for window by
        window. They are not believed if there are none at all, not even new ones, nor once they
        lack a day of which there are shorter bars.
        """
        beyond = cursor + self.limit * self.step
        if self.ask_daily is None or self.step >= DAY or days.wrong:
            return beyond
        # A day earlier, for exchanges whose days do not begin at midnight.
        start = cursor - cursor % DAY - DAY
        known = days.begins
        if not known or not known[0] <= cursor < known[-1]:
            page = await self._page(self.ask_daily, start, DAY)
            known[:] = map(int, page[:, 0])
        if days.seen >= start and not any(day <= days.seen < day + DAY for day in known):
            days.wrong = True
            return beyond
        active = [day for day in known if day > cursor - DAY]
        if active:
            return max(beyond, active[0])
        if not days.proved:
            newest = self.now - self.now % DAY - (self.limit - 1) * DAY
            days.proved = bool(len(await self._page(self.ask_daily, newest, DAY)))
            days.wrong = not days.proved
        return beyond if days.wrong else max(beyond, start + self.limit * DAY)

    async def _require_reach(self, page: Table, cursor: int) -> None:
        """Tell "trading began later" from "older bars are not given", which look alike.

        Both begin late, and the latter ends now. An exchange that is asked for a single bar from
        the same moment gives the page's first one only if it honours the moment.
        """
        late = _first(page) > cursor + self.step
        if not late or _last(page) + 2 * self.step < self.now:
            return
        probe = _table(await self.ask(cursor, 1))
        honours_limit = len(probe) == 1
        if honours_limit and _first(probe) == _first(page):
            return
        everything = len(page) < self.limit and (self.documented or honours_limit)
        if not everything:
            raise RefusedRequestError(
                f"{self.where}: the exchange gives only its newest {len(page)} bars of this "
                f"frequency, and was asked for older ones: ask for a start of "
                f"{_written(_first(page))} or later, for longer bars, or another source"
            )


@dataclass
class _Days:
    """The daily bars that were asked for last, and the last shorter bar that there was."""

    begins: list[int] = field(default_factory=list)
    seen: int = -1
    proved: bool = False
    wrong: bool = False


def _table(rows: Sequence[Row]) -> Table:
    """Rows in the order of time."""
    if not rows:
        return np.empty((0, 6))
    try:
        table = np.array(rows, dtype=np.float64)[:, :6]
    except (ValueError, TypeError, IndexError) as error:
        raise MalformedAnswerError(f"bars are not rows of six numbers: {rows[0]!r}") from error
    begins = table[:, 0]
    if np.isnan(begins).any():
        raise MalformedAnswerError(f"a bar has no time: {rows[int(np.isnan(begins).argmax())]!r}")
    return table if (begins[1:] >= begins[:-1]).all() else table[begins.argsort(kind="stable")]


def _first(table: Table) -> int:
    return int(table[0, 0])


def _last(table: Table) -> int:
    return int(table[-1, 0])


def _written(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M} UTC"
