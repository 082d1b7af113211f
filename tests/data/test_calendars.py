"""Trading calendars, against sessions and hours that are written down here."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from rustybt.data.calendars import (
    calendar_days,
    load_calendar,
    resolve_name,
    to_instant,
    to_session,
)
from rustybt.data.errors import CalendarError


def days(*texts):
    return [np.datetime64(text, "D") for text in texts]


def minute(text):
    return np.datetime64(text, "m")


def test_sessions_leave_out_weekends_and_holidays():
    calendar = load_calendar("XNYS", date(2020, 11, 25), date(2020, 12, 1))
    assert list(calendar.sessions) == days("2020-11-25", "2020-11-27", "2020-11-30", "2020-12-01")
    assert list(calendar.sessions_between(date(2020, 11, 26), date(2020, 11, 30))) == days(
        "2020-11-27", "2020-11-30"
    )


@pytest.mark.parametrize(
    ("name", "session", "first", "close", "count"),
    [
        ("XNYS", "2020-11-30", "2020-11-30T14:31", "2020-11-30T21:00", 390),
        ("XNYS", "2020-11-27", "2020-11-27T14:31", "2020-11-27T18:00", 210),
        ("XNYS", "2020-03-06", "2020-03-06T14:31", "2020-03-06T21:00", 390),
        ("XNYS", "2020-03-09", "2020-03-09T13:31", "2020-03-09T20:00", 390),
        ("XLON", "2020-03-27", "2020-03-27T08:01", "2020-03-27T16:30", 510),
        ("XLON", "2020-03-30", "2020-03-30T07:01", "2020-03-30T15:30", 510),
        ("XHKG", "2020-01-23", "2020-01-23T01:31", "2020-01-23T08:00", 330),
        ("XHKG", "2020-01-24", "2020-01-24T01:31", "2020-01-24T04:00", 150),
        ("24/7", "2020-01-04", "2020-01-04T00:01", "2020-01-05T00:00", 1440),
        ("CMES", "2020-01-02", "2020-01-01T23:01", "2020-01-02T23:00", 1440),
    ],
)
def test_minutes_of_a_session(name, session, first, close, count):
    day = date.fromisoformat(session)
    calendar = load_calendar(name, day, day)
    found = calendar.minutes_between(day, day)
    assert (found[0], found[-1], len(found)) == (minute(first), minute(close), count)
    assert list(calendar.first_minutes) == [minute(first)]
    assert list(calendar.closes) == [minute(close)]


def test_a_lunch_break_has_no_minutes():
    day = date(2020, 1, 23)
    calendar = load_calendar("XHKG", day, day)
    steps = np.diff(calendar.minutes_between(day, day)).astype(int)
    assert list(steps[steps > 1]) == [61]
    asked = [minute(f"2020-01-23T{text}") for text in ("04:00", "04:01", "05:00", "05:01")]
    assert calendar.is_open_at(np.array(asked)).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2020-11-27T14:30", False),
        ("2020-11-27T14:31", True),
        ("2020-11-27T14:31:30", False),
        ("2020-11-27T18:00", True),
        ("2020-11-27T18:01", False),
        ("2020-11-26T15:00", False),
        ("2030-01-01T00:00", False),
        ("1990-01-01T00:00", False),
    ],
)
def test_a_minute_is_open_at_its_end(instant, is_open):
    calendar = load_calendar("XNYS", date(2020, 11, 25), date(2020, 11, 30))
    asked = np.array([instant], dtype="datetime64[us]")
    assert calendar.is_open_at(asked).tolist() == [is_open]


@pytest.mark.parametrize(
    ("name", "instant", "session"),
    [
        ("XNYS", "2020-11-25T14:31", "2020-11-25"),
        ("XNYS", "2020-11-25T21:00", "2020-11-25"),
        ("XNYS", "2020-11-25T21:01", "2020-11-27"),
        ("XNYS", "2020-11-28T12:00", "2020-11-30"),
        ("24/7", "2020-11-28T00:00", "2020-11-27"),
        ("24/7", "2020-11-28T00:01", "2020-11-28"),
        ("CMES", "2020-11-25T23:00", "2020-11-25"),
        ("XASX", "2020-11-25T23:30", "2020-11-26"),
    ],
)
def test_an_instant_belongs_to_the_session_that_closes_next(name, instant, session):
    calendar = load_calendar(name, date(2020, 11, 23), date(2020, 11, 30))
    assert list(calendar.session_of(np.array([minute(instant)]))) == days(session)


def test_an_instant_after_the_last_close_has_no_session():
    calendar = load_calendar("XNYS", date(2020, 11, 23), date(2020, 11, 30))
    assert np.isnat(calendar.session_of(np.array([minute("2020-11-30T21:01")]))).all()


def test_every_minute_belongs_to_its_session():
    first, last = date(2020, 3, 2), date(2020, 3, 13)
    calendar = load_calendar("XNYS", first, last)
    for session in calendar.sessions:
        own = calendar.minutes_between(session, session)
        assert set(calendar.session_of(own)) == {session}
    whole = calendar.minutes_between(first, last)
    assert len(whole) == 390 * len(calendar.sessions)
    assert calendar.is_open_at(whole).all()


@pytest.mark.parametrize("name", ["XNYS", "24/7"])
def test_a_range_without_a_session_has_no_minutes(name):
    calendar = load_calendar(name, date(2020, 11, 28), date(2020, 11, 30))
    outside = calendar.minutes_between(date(2020, 12, 5), date(2020, 12, 6))
    assert (len(outside), outside.dtype) == (0, np.dtype("datetime64[m]"))


def test_a_weekend_has_no_sessions():
    calendar = load_calendar("XNYS", date(2020, 11, 28), date(2020, 11, 29))
    assert len(calendar.sessions) == 0
    assert len(calendar.closes) == 0


@pytest.mark.parametrize(
    ("alias", "name"), [("NYSE", "XNYS"), ("NASDAQ", "XNYS"), ("XNYS", "XNYS"), ("24/7", "24/7")]
)
def test_an_alias_is_resolved(alias, name):
    assert resolve_name(alias) == name
    assert load_calendar(alias, date(2020, 1, 2), date(2020, 1, 3)).name == name


@pytest.mark.parametrize(("wrong", "hint"), [("xnys", "XNYS"), ("NYES", "NYSE"), ("?", "try XNYS")])
def test_an_unknown_name_is_an_error_with_a_hint(wrong, hint):
    with pytest.raises(CalendarError, match=hint):
        load_calendar(wrong, date(2020, 1, 2), date(2020, 1, 3))


def test_reversed_dates_are_an_error():
    with pytest.raises(CalendarError, match="2020-01-03 lies after 2020-01-02"):
        load_calendar("XNYS", date(2020, 1, 3), date(2020, 1, 2))


def test_dates_before_the_calendar_are_an_error():
    with pytest.raises(CalendarError, match="XKRX does not cover 1900-01-02"):
        _ = load_calendar("XKRX", date(1900, 1, 2), date(1900, 1, 31)).sessions


def test_what_lies_outside_the_dates_asked_for_is_not_known():
    calendar = load_calendar("XNYS", date(2020, 7, 1), date(2020, 7, 2))
    assert list(calendar.sessions.astype(str)) == ["2020-07-01", "2020-07-02"]
    assert len(calendar.closes) == len(calendar.first_minutes) == 2
    assert len(calendar.minutes_between(date(2020, 1, 1), date(2020, 12, 31))) == 2 * 390


def test_ranges_of_the_same_years_share_the_work():
    one, other = (load_calendar("XLON", date(2013, month, 1), date(2015, 3, 1)) for month in (2, 5))
    assert one._exchange is other._exchange
    assert len(one.sessions) > len(other.sessions)


def test_loading_does_not_take_away_the_calendar_that_others_hold():
    import exchange_calendars

    held = exchange_calendars.get_calendar("XNYS", side="right")
    _ = load_calendar("XNYS", date(2019, 1, 2), date(2019, 1, 3)).sessions
    assert exchange_calendars.get_calendar("XNYS", side="right") is held


@pytest.mark.parametrize(
    "moment",
    [
        "2020-01-02T14:31:00+00:00",
        "2020-01-02 14:31",
        "2020-01-02T09:31:00-05:00",
        datetime(2020, 1, 2, 14, 31),
        datetime(2020, 1, 2, 14, 31, tzinfo=UTC),
        datetime(2020, 1, 2, 23, 31, tzinfo=timezone(timedelta(hours=9))),
        pd.Timestamp("2020-01-02 14:31"),
        pd.Timestamp("2020-01-02 09:31", tz="America/New_York"),
        np.datetime64("2020-01-02T14:31"),
        np.datetime64("2020-01-02T14:31:00.000000000"),
    ],
    ids=repr,
)
def test_an_instant_is_utc_whatever_it_comes_as(moment):
    found = to_instant(moment)
    assert found == datetime(2020, 1, 2, 14, 31, tzinfo=UTC)
    assert found.tzinfo is UTC
    assert type(found) is datetime


@pytest.mark.parametrize(
    "moment",
    ["2020-01-02", date(2020, 1, 2), np.datetime64("2020-01-02"), pd.Timestamp("2020-01-02")],
)
def test_a_date_is_midnight_as_an_instant(moment):
    assert to_instant(moment) == datetime(2020, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "moment",
    [
        "2020-01-02",
        "2020-01-02T23:59:00-11:00",
        date(2020, 1, 2),
        datetime(2020, 1, 2, 0, 0, tzinfo=timezone(timedelta(hours=14))),
        pd.Timestamp("2020-01-02 23:59", tz="Pacific/Pago_Pago"),
        pd.Timestamp("2020-01-02", tz="UTC"),
        np.datetime64("2020-01-02T23:59"),
    ],
    ids=repr,
)
def test_a_session_is_the_date_as_it_is_written(moment):
    found = to_session(moment)
    assert found == date(2020, 1, 2)
    assert type(found) is date


def test_the_days_of_some_instants():
    instants = np.array(["2020-01-03T00:00", "2020-01-02T23:59"], dtype="datetime64[m]")
    assert calendar_days(instants) == (date(2020, 1, 2), date(2020, 1, 3))
