"""What is due in a bar is what zipline's manager of events calls in it."""

import datetime

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zipline.utils.calendar_utils import get_calendar
from zipline.utils.events import (
    AfterOpen,
    Always,
    BeforeClose,
    ComposedRule,
    Event,
    EventManager,
    OncePerDay,
    StatelessRule,
    date_rules,
    make_eventrule,
    time_rules,
)

from rustybt.compat.engine.calendar import remembering
from rustybt.compat.engine.schedule import Schedule

#: Early closes, both changes of the clocks, a break at noon, a late opening, no end of a day.
SPANS = {
    ("XNYS", "2019-11-26", "2019-12-03"),
    ("XNYS", "2019-03-07", "2019-03-13"),
    ("XNYS", "2019-10-31", "2019-11-06"),
    ("XKRX", "2019-11-12", "2019-11-18"),
    ("XHKG", "2019-12-23", "2019-12-31"),
    ("24/7", "2019-12-31", "2020-01-01"),
}
START = "2018-01-02"
CALENDARS = {name: get_calendar(name, start=START) for name in ("XNYS", "XHKG", "XKRX", "24/7")}

days = st.sampled_from(
    [
        ("every_day",),
        *(
            (name, offset)
            for name in ("week_start", "week_end", "month_start", "month_end")
            for offset in (0, 1, 2)
        ),
    ]
)
times = st.one_of(
    st.just(("every_minute",)),
    st.tuples(
        st.sampled_from(["market_open", "market_close"]),
        st.integers(1, 500).map(lambda minutes: datetime.timedelta(minutes=minutes)),
    ),
)
schedules = st.lists(st.tuples(days, times, st.booleans()), min_size=1, max_size=5)


def bars(calendar, first, last):
    """Every minute of a span from the first one of a session to its close, as zipline's clock."""
    for session in calendar.sessions_in_range(first, last):
        begin, end = calendar.first_minutes[session], calendar.session_close(session)
        yield from pd.date_range(begin, end, freq="min")


def rule(calendar, day, time, half_days):
    made = getattr(date_rules, day[0])(*day[1:]), getattr(time_rules, time[0])(*time[1:])
    return make_eventrule(*made, calendar, half_days)


def called(manager, events, moments):
    """What a manager calls, each by its number and the bar."""
    calls = []
    for number, each in enumerate(events):
        manager.add_event(Event(each, lambda _, now, number=number: calls.append((number, now))))
    for now in moments:
        manager.handle_data(None, now, now)
    return calls


def both(name, make, moments, *context):
    """The calls of zipline's manager and of ours, of events that are made anew for each."""
    calendar = CALENDARS[name]
    ours = Schedule(EventManager(*context), remembering(calendar))
    return called(EventManager(*context), make(), moments), called(ours, make(), moments)


@pytest.mark.parametrize(("name", "first", "last"), sorted(SPANS))
@settings(max_examples=8)
@given(schedules, st.integers(0, 3))
def test_what_is_due_is_zipline_s(name, first, last, schedule, place):
    calendar = CALENDARS[name]

    def make():
        events = [rule(calendar, *each) for each in schedule]
        return [*events[:place], Always(), *events[place:]]

    stock, ours = both(name, make, list(bars(calendar, first, last)))
    assert ours == stock
    assert stock


def test_a_day_that_opens_earlier_than_the_one_before_is_missed_as_by_zipline():
    calendar = CALENDARS["XKRX"]  # it opened an hour later on 2019-11-14
    time = "market_open", datetime.timedelta(minutes=5)
    moments = list(bars(calendar, "2019-11-13", "2019-11-18"))
    stock, ours = both("XKRX", lambda: [rule(calendar, ("every_day",), time, True)], moments)
    assert ours == stock
    assert [bar.day for _, bar in stock] == [13, 14, 18]


@pytest.mark.parametrize("minutes", [1, 7])
def test_one_bar_a_session_is_zipline_s(minutes):
    calendar = CALENDARS["XNYS"]
    moments = list(calendar.closes.loc["2019-10-01":"2019-12-31"])

    def make():
        time = "market_close", datetime.timedelta(minutes=minutes)
        return [Always(), rule(calendar, ("week_end", 0), ("every_minute",), False),
                rule(calendar, ("every_day",), time, True)]  # fmt: skip

    stock, ours = both("XNYS", make, moments)
    assert ours == stock


class _Odd(StatelessRule):
    """A user's own."""

    def should_trigger(self, dt):
        return dt.minute % 7 == 3


def _patched(calendar):
    made = rule(calendar, ("every_day",), ("market_open", datetime.timedelta(minutes=5)), True)
    made.rule.second.should_trigger = lambda dt: dt.minute == 40
    return made


UNKNOWN = {
    "a rule of one's own": lambda calendar: _Odd(),
    "composed of one's own": lambda calendar: OncePerDay(_Odd() & Always()),
    "without a calendar": lambda calendar: OncePerDay(),
    "another market": lambda calendar: make_eventrule(
        Always(), BeforeClose(hours=9), CALENDARS["24/7"]
    ),
    "given a method": _patched,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_rules_are_zipline_s_to_ask(name):
    calendar = CALENDARS["XNYS"]
    known = ("every_day",), ("market_close", datetime.timedelta(minutes=31)), True

    def make():
        return [rule(calendar, *known), UNKNOWN[name](calendar)]

    stock, ours = both("XNYS", make, list(bars(calendar, "2019-12-09", "2019-12-11")))
    assert ours == stock
    assert {number for number, _ in stock} == {0, 1}


def test_a_time_rule_that_was_used_by_a_later_run_stays_where_it_was():
    calendar = CALENDARS["XNYS"]
    moments = list(bars(calendar, "2019-12-09", "2019-12-11"))

    def make():
        time = time_rules.market_open(minutes=5)
        time.cal = calendar
        time.calculate_dates(moments[-1])
        return [make_eventrule(Always(), time, calendar)]

    stock, ours = both("XNYS", make, moments)
    assert ours == stock


def test_an_event_that_is_added_in_a_bar_is_due_on_that_day_and_the_next():
    calendar = CALENDARS["XNYS"]
    moments = list(bars(calendar, "2019-12-09", "2019-12-10"))
    found = []
    for manager in (EventManager(), Schedule(EventManager(), remembering(calendar))):
        calls = []

        def add(*_, manager=manager, calls=calls):
            time = "market_open", datetime.timedelta(minutes=90)
            later = rule(calendar, ("every_day",), time, True)
            manager.add_event(Event(later, lambda _, bar, calls=calls: calls.append(bar)))

        first = rule(
            calendar, ("week_start", 0), ("market_open", datetime.timedelta(minutes=20)), True
        )
        manager.add_event(Event(first, add))
        for now in moments:
            manager.handle_data(None, now, now)
        found.append(calls)
    assert found[0] == found[1]
    assert len(found[0]) == 2


def change_while_called(manager, change):
    """The calls of a manager whose events change, in one bar, while they are called."""
    calendar, calls = CALENDARS["XNYS"], []

    def event(name, time=("every_minute",)):
        made = rule(calendar, ("every_day",), time, True)
        return Event(made, lambda _, bar: calls.append((name, bar)))

    late = "market_open", datetime.timedelta(minutes=30)

    def each_bar(_, bar):
        calls.append(("each", bar))
        if bar.minute == 40 and not changed:
            changed.append(bar)
            change(manager, event)

    changed = []
    manager.add_event(event("before", late))
    manager.add_event(Event(Always(), each_bar))
    manager.add_event(event("after", late))
    for now in bars(calendar, "2019-12-09", "2019-12-10"):
        manager.handle_data(None, now, now)
    return calls


CHANGES = {
    "appended": lambda manager, event: manager.add_event(event("new")),
    "prepended": lambda manager, event: manager.add_event(event("new"), prepend=True),
    "removed": lambda manager, _: manager._events.pop(),
    "replaced": lambda manager, event: manager._events.__setitem__(-1, event("new")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_events_that_come_or_go_while_they_are_called_do_so_as_zipline_s(name):
    stock = change_while_called(EventManager(), CHANGES[name])
    ours = Schedule(EventManager(), remembering(CALENDARS["XNYS"]))
    assert change_while_called(ours, CHANGES[name]) == stock


def test_events_that_share_a_rule_are_called_as_by_zipline():
    calendar = CALENDARS["XNYS"]
    time = "market_open", datetime.timedelta(minutes=5)

    def make():
        return [rule(calendar, ("every_day",), time, True)] * 2

    stock, ours = both("XNYS", make, list(bars(calendar, "2019-12-09", "2019-12-10")))
    assert ours == stock
    assert {number for number, _ in stock} == {0}


def odd(self, dt):
    """In the place of a rule's own."""
    return dt.minute == 50


def twice(self, context, data, dt):
    """In the place of an event's own."""
    if dt.minute == 50:
        self.callback(context, data)
        self.callback(context, data)


@pytest.mark.parametrize(
    ("owner", "name", "function"),
    [
        (AfterOpen, "should_trigger", odd),
        (OncePerDay, "should_trigger", odd),
        (ComposedRule, "should_trigger", odd),
        (Always, "should_trigger", odd),
        (Event, "handle_data", twice),
        (
            EventManager,
            "handle_data",
            lambda self, context, data, _: self._events[0].callback(context, data),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_somebody_put_into_zipline_s_classes_is_asked(monkeypatch, owner, name, function):
    calendar = CALENDARS["XNYS"]
    time = "market_open", datetime.timedelta(minutes=5)
    moments = list(bars(calendar, "2019-12-09", "2019-12-10"))

    def make():
        return [rule(calendar, ("every_day",), time, True), Always()]

    before, _ = both("XNYS", make, moments)
    monkeypatch.setattr(owner, name, function)
    stock, ours = both("XNYS", make, moments)
    assert ours == stock != before


def test_the_context_of_events_is_around_them():
    entered = []

    class Around:
        def __init__(self, data):
            pass

        def __enter__(self):
            entered.append("in")

        def __exit__(self, *_):
            entered.append("out")

    moments = list(bars(CALENDARS["XNYS"], "2019-12-09", "2019-12-09"))[:2]
    stock, ours = both("XNYS", lambda: [Always()], moments, Around)
    assert ours == stock
    assert entered == ["in", "out"] * 4
