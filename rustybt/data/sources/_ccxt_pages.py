"""All bars of a range, page by page, from an exchange that may answer too few, too many or none.

Times are milliseconds since 1970, of the moment when a bar begins.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rustybt.data.errors import MalformedAnswerError, RefusedRequestError

#: Begin, open, high, low, close, volume.
Row = Sequence[float | None]
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

    async def read(self, first: int, last: int) -> list[Row]:
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
        rows: list[Row] = []
        days: list[int] = []
        cursor = first
        while cursor <= last:
            page = await self._page(self.ask, cursor, self.step)
            if not page:
                cursor = await self._after_nothing(cursor, days)
                continue
            await self._require_reach(page, cursor)
            rows += page
            cursor = _begin(page[-1]) + self.step
        return [row for row in rows if _begin(row) <= last]

    async def _page(self, ask: Ask, cursor: int, step: int) -> list[Row]:
        """The bars from `cursor` on that one request gives; asked once more if there are none."""
        for _ in range(2):
            answered = sorted(await ask(cursor, self.limit), key=_begin)
            page = [row for row in answered if _begin(row) >= cursor]
            if page:
                return page
        # A bar that only contains the moment asked for is the way of some exchanges.
        if answered and _begin(answered[0]) < cursor - step:
            raise MalformedAnswerError(
                f"{self.where}: asked for bars from {cursor} on, in milliseconds, the exchange "
                f"answers with those of {_begin(answered[0])} to {_begin(answered[-1])}"
            )
        return []

    async def _after_nothing(self, cursor: int, days: list[int]) -> int:
        """Where to go on after an empty page: after a page's time, or where a daily bar is.

        `days` are the daily bars that were asked for last; without them, minutes of a market that
        rested for years would be asked for window by window.
        """
        beyond = cursor + self.limit * self.step
        if self.ask_daily is None or self.step >= DAY:
            return beyond
        # A day earlier, for exchanges whose days do not begin at midnight.
        start = cursor - cursor % DAY - DAY
        if not days or not days[0] <= cursor < days[-1]:
            days[:] = map(_begin, await self._page(self.ask_daily, start, DAY))
        active = [day for day in days if day > cursor - DAY]
        return max(beyond, active[0] if active else start + self.limit * DAY)

    async def _require_reach(self, page: list[Row], cursor: int) -> None:
        """Tell "trading began later" from "older bars are not given", which look alike.

        Both begin late, and the latter ends now. An exchange that is asked for a single bar from
        the same moment gives the page's first one only if it honours the moment.
        """
        late = _begin(page[0]) > cursor + self.step
        if not late or _begin(page[-1]) + 2 * self.step < self.now:
            return
        probe = sorted(await self.ask(cursor, 1), key=_begin)
        honours_limit = len(probe) == 1
        if honours_limit and _begin(probe[0]) == _begin(page[0]):
            return
        everything = len(page) < self.limit and (self.documented or honours_limit)
        if not everything:
            raise RefusedRequestError(
                f"{self.where}: the exchange gives only its newest {len(page)} bars of this "
                f"frequency, and was asked for older ones: ask for a start of "
                f"{_written(_begin(page[0]))} or later, for longer bars, or another source"
            )


def _begin(row: Row) -> int:
    if row[0] is None:
        raise MalformedAnswerError(f"a bar has no time: {list(row)}")
    return int(row[0])


def _written(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%d %H:%M} UTC"
