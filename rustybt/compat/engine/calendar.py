"""A market's calendar that remembers what it was asked: a run asks the same of it all day."""

from functools import cache
from typing import Any

import pandas as pd

#: Answers kept at a time; a run goes forward, and old ones are not asked for again.
_KEPT = 4096
_MINUTE = 60 * 10**9


class _Remembering:
    """Mixed into a calendar's own class."""

    _sessions_of: dict[int, pd.Timestamp]
    #: The row of the schedule that was looked at last, and its session: a day has many minutes.
    _last: tuple[int, pd.Timestamp]
    #: First and last minute of a session, nanoseconds since 1970, and the session.
    _inside: tuple[int, int, pd.Timestamp]

    def minute_to_session(
        self, minute: Any, direction: str = "next", _parse: bool = True
    ) -> pd.Timestamp:
        """See `ExchangeCalendar.minute_to_session`."""
        if type(minute) is not pd.Timestamp or direction not in ("next", "previous", "none"):
            return super().minute_to_session(minute, direction, _parse)  # type: ignore[misc]
        value = minute.value
        if direction != "next":
            inside = self._session_around(value)
            return inside or super().minute_to_session(minute, direction, _parse)  # type: ignore[misc]
        session = self._sessions_of.get(value)
        if session is not None:
            return session
        ends = self.last_minutes_nanos  # type: ignore[attr-defined]
        first = self.first_minutes_nanos[0]  # type: ignore[attr-defined]
        if value % _MINUTE or not first <= value <= ends[-1]:
            return super().minute_to_session(minute, direction, _parse)  # type: ignore[misc]
        if len(self._sessions_of) >= _KEPT:
            self._sessions_of.clear()
        row = int(ends.searchsorted(value))
        if self._last[0] != row:
            self._last = row, self.schedule.index[row]  # type: ignore[attr-defined]
        self._sessions_of[value] = self._last[1]
        return self._last[1]

    def _session_around(self, value: int) -> pd.Timestamp | None:
        """The session that a minute lies in, whatever the direction; schedules ask every minute."""
        first, last, session = self._inside
        if not first <= value <= last:
            ends = self.last_minutes_nanos  # type: ignore[attr-defined]
            row = int(ends.searchsorted(value))
            if row == len(ends):
                return None
            first, last = int(self.first_minutes_nanos[row]), int(ends[row])  # type: ignore[attr-defined]
            session = self.schedule.index[row]  # type: ignore[attr-defined]
            self._inside = first, last, session
        return session if first <= value <= last and not value % _MINUTE else None


@cache
def _remembering_class(kind: type) -> type:
    return type(kind.__name__, (_Remembering, kind), {"__module__": kind.__module__})


def remembering(calendar: Any) -> Any:
    """The same calendar, with a memory; the one that was passed stays as it is."""
    if isinstance(calendar, _Remembering):
        return calendar
    twin = object.__new__(_remembering_class(type(calendar)))
    vars(twin).update(vars(calendar), _sessions_of={}, _last=(-1, pd.NaT), _inside=(0, -1, pd.NaT))
    return twin
