"""Scheduled functions: which of them are due is worked out once a session, not once a bar.

zipline asks the rule of every event in every bar. What its own rules say hangs on the session and
on one minute of it; rules of any other kind, and all beside them, are zipline's to ask.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

import pandas as pd
from zipline.utils.context_tricks import nop_context
from zipline.utils.events import (
    AfterOpen,
    Always,
    BeforeClose,
    ComposedRule,
    Event,
    EventManager,
    NDaysBeforeLastTradingDayOfMonth,
    NDaysBeforeLastTradingDayOfWeek,
    NotHalfDay,
    NthTradingDayOfMonth,
    NthTradingDayOfWeek,
    OncePerDay,
)

from rustybt.compat.engine.originals import is_zipline_s

_DAY = pd.Timedelta(1, unit="d")
#: The attribute of a rule that holds the minute in which it triggers.
_MINUTE_OF: dict[type, str] = {AfterOpen: "_period_end", BeforeClose: "_period_start"}
#: Rules that say the same in every bar of a session.
_OF_SESSIONS = (
    Always,
    NDaysBeforeLastTradingDayOfMonth,
    NDaysBeforeLastTradingDayOfWeek,
    NotHalfDay,
    NthTradingDayOfMonth,
    NthTradingDayOfWeek,
)

#: The place of an event, the rule that must know that it has triggered, if there is one, and what
#: is called.
Call = tuple[int, OncePerDay | None, Callable[..., Any]]


class _NotKnownError(Exception):
    """A rule is not one of zipline's own."""


class Schedule(EventManager):
    """zipline's manager of events, with what another one of them holds.

    Parameters
    ----------
    manager : zipline.utils.events.EventManager
    calendar : exchange_calendars.ExchangeCalendar
        Of the run.
    """

    def __init__(self, manager: EventManager, calendar: Any) -> None:
        super().__init__(manager._create_context)
        self._events = manager._events
        self._calendar = calendar
        #: The events that what is due was worked out for.
        self._planned: list[Event] = []
        self._until = -1
        self._every: list[Call] | None = None
        self._due: dict[int, list[Call]] = {}

    def handle_data(self, context: Any, data: Any, dt: pd.Timestamp) -> None:
        """Call what is due in a bar."""
        now = dt.value
        if now > self._until or self._events != self._planned:
            self._plan(dt)
        if self._every is None:
            super().handle_data(context, data, dt)
            return
        calls = self._due.get(now, self._every)
        around = self._create_context(data)
        if around is nop_context:
            self._call(calls, context, data, dt)
        else:
            with around:
                self._call(calls, context, data, dt)

    def _call(self, calls: list[Call], context: Any, data: Any, dt: pd.Timestamp) -> None:
        for place, rule, callback in calls:
            if rule is not None:
                if rule.triggered:  # by an event before that shares it
                    continue
                rule.triggered = True
            callback(context, data)
            if self._events != self._planned:
                # Events came or went: zipline goes on through its list as it is now.
                for event in islice(self._events, place + 1, None):
                    event.handle_data(context, data, dt)
                return

    def _plan(self, dt: pd.Timestamp) -> None:
        """Work out what is due from a bar to the end of its session, or to where a rule changes."""
        closes = self._calendar.closes_nanos
        self._until = int(closes[min(closes.searchsorted(dt.value), len(closes) - 1)])
        self._planned = list(self._events)
        try:
            if not (
                is_zipline_s(EventManager, "handle_data") and is_zipline_s(Event, "handle_data")
            ):
                raise _NotKnownError
            calls = [call for place in range(len(self._planned)) for call in self._calls(place, dt)]
        except _NotKnownError:
            self._every, self._due = None, {}
            return
        self._every = [call for minute, call in calls if minute is None]
        self._due = {
            now: [call for minute, call in calls if minute in (None, now)]
            for now in {minute for minute, _ in calls} - {None}
        }

    def _calls(self, place: int, dt: pd.Timestamp) -> list[tuple[int | None, Call]]:
        """The minute of an event in the session, None for every one; no element for none."""
        event = self._planned[place]
        rule = event.rule
        if type(event) is not Event:
            raise _NotKnownError
        if type(rule) is Always and _is_as_made(rule):
            return [(None, (place, None, event.callback))]
        if type(rule) is not OncePerDay or not _is_as_made(rule):
            raise _NotKnownError
        parts = list(_parts(rule.rule))
        if any(getattr(part.cal, "name", None) != self._calendar.name for part in parts):
            raise _NotKnownError
        # What follows is what `OncePerDay.should_trigger` does.
        if rule.date is None or dt >= rule.next_date:
            rule.triggered = False
            rule.date, rule.next_date = dt, dt + _DAY
        self._until = min(self._until, rule.next_date.value - 1)
        if rule.triggered:
            return []
        minute = _minute(parts, dt)
        return [] if minute is None else [(minute, (place, rule, event.callback))]


def _is_as_made(rule: Any) -> bool:
    """Whether nobody gave a rule, or all of its kind, a method of their own."""
    asked = type(rule).should_trigger
    own = asked is Always.always_trigger or is_zipline_s(type(rule), "should_trigger")
    return own and "should_trigger" not in vars(rule)


def _parts(rule: Any) -> Any:
    """The rules that a rule is composed of, in the order in which they are asked."""
    if type(rule) is ComposedRule and rule.composer is ComposedRule.lazy_and and _is_as_made(rule):
        yield from _parts(rule.first)
        yield from _parts(rule.second)
    elif type(rule) in (*_OF_SESSIONS, *_MINUTE_OF) and _is_as_made(rule):
        yield rule
    else:
        raise _NotKnownError


def _minute(parts: list[Any], dt: pd.Timestamp) -> int | None:
    """The minute, from `dt` on, in which all of some rules trigger; None if there is none."""
    found = None
    for part in parts:
        if type(part) in _OF_SESSIONS:
            if not part.should_trigger(dt):
                return None
            continue
        if part._period_start is None or part._period_close <= dt:
            part.calculate_dates(dt)
        minute = getattr(part, _MINUTE_OF[type(part)]).value
        if found not in (None, minute):
            return None
        found = minute
    return dt.value if found is None else found
