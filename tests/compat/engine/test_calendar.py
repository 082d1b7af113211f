"""A calendar with a memory answers as the calendar does."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.engine.calendar import remembering

CALENDARS = {name: get_calendar(name) for name in ("XNYS", "XHKG", "24/7")}
MEMORIES = {name: remembering(calendar) for name, calendar in CALENDARS.items()}
FIRST = int(pd.Timestamp("2019-06-01").value // 10**9)


def answer(calendar, *arguments):
    try:
        return calendar.minute_to_session(*arguments)
    except ValueError as error:
        return type(error)


@pytest.mark.parametrize("name", CALENDARS)
@given(
    st.lists(st.integers(0, 3 * 10**7), min_size=1, max_size=30),
    st.sampled_from([None, "UTC", "America/New_York"]),
    st.sampled_from(["next", "previous", "none"]),
)
def test_every_moment_has_the_same_session(name, seconds, zone, direction):
    for second in seconds:
        moment = pd.Timestamp((FIRST + second) * 10**9, tz="UTC")
        moment = moment.tz_localize(None) if zone is None else moment.tz_convert(zone)
        expected = answer(CALENDARS[name], moment, direction)
        assert answer(MEMORIES[name], moment, direction) == expected
        assert answer(MEMORIES[name], moment, direction) == expected, "asked again"


@pytest.mark.parametrize("moment", ["1990-01-02 15:00", "2050-01-03 15:00"])
def test_moments_outside_are_answered_by_the_calendar(moment):
    moment = pd.Timestamp(moment, tz="UTC")
    assert answer(MEMORIES["XNYS"], moment) == answer(CALENDARS["XNYS"], moment)


def test_the_calendar_itself_is_left_alone():
    calendar = CALENDARS["XNYS"]
    twin = remembering(calendar)
    assert twin is not calendar
    assert remembering(twin) is twin
    assert isinstance(twin, type(calendar))
    assert "minute_to_session" not in vars(calendar)
    assert type(calendar).__name__ == type(twin).__name__


def test_a_long_run_does_not_fill_the_memory():
    twin = remembering(CALENDARS["24/7"])
    for minute in pd.date_range("2020-01-01", periods=20_000, freq="min", tz="UTC"):
        twin.minute_to_session(minute)
    assert len(twin._sessions_of) <= 4096
