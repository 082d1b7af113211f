"""Freshness policies: answers written down from the exchanges' published hours."""

from datetime import UTC, date, datetime, timedelta

import exchange_calendars
import pandas as pd
import pytest

from rustybt.data.errors import CalendarError, OptionError
from rustybt.data.sources.freshness import (
    AlwaysStaleFreshnessPolicy,
    CacheFreshnessPolicy,
    FreshnessPolicyFactory,
    HybridFreshnessPolicy,
    MarketCloseFreshnessPolicy,
    NeverStaleFreshnessPolicy,
    TTLFreshnessPolicy,
)
from tests.fakes import FrameSource
from tests.frames import walk

BARS = walk(["AAA"], [date(2024, 1, 2), date(2024, 1, 3)])


def at(text: str) -> pd.Timestamp:
    """A local time and its zone, as ``2024-03-08 16:00 America/New_York``."""
    moment, _, zone = text.rpartition(" ")
    return pd.Timestamp(moment, tz=zone)


NEW_YORK = [
    ("2024-03-08 12:00", "2024-03-08 15:59", True),  # Friday, before the close
    ("2024-03-08 12:00", "2024-03-08 16:00", False),  # at the close
    ("2024-03-08 12:00", "2024-03-10 12:00", False),  # mid-session data on Sunday
    ("2024-03-08 16:00", "2024-03-11 15:59", True),  # Friday's close, over the change to DST
    ("2024-03-08 16:00", "2024-03-11 16:00", False),
    ("2024-11-01 16:00", "2024-11-04 15:59", True),  # and back
    ("2024-11-01 16:00", "2024-11-04 16:00", False),
    ("2024-11-29 12:00", "2024-11-29 12:59", True),  # half day: 13:00
    ("2024-11-29 12:00", "2024-11-29 13:00", False),
    ("2024-12-24 13:00", "2024-12-26 15:59", True),  # half day, then Christmas
    ("2024-12-24 13:00", "2024-12-26 16:00", False),
    ("2022-03-08 16:00", "2024-03-08 09:00", False),  # years ago
    ("2024-03-08 16:01", "2024-03-08 16:00", False),  # from the future
]


@pytest.mark.parametrize(("cached", "now", "fresh"), NEW_YORK)
def test_daily_bars_are_fresh_until_the_close(cached, now, fresh):
    policy = MarketCloseFreshnessPolicy("NYSE")
    zone = "America/New_York"
    assert policy.is_fresh(at(f"{cached} {zone}"), at(f"{now} {zone}")) is fresh


@pytest.mark.parametrize(
    ("calendar", "cached", "now", "fresh"),
    [
        # Hong Kong closes at 16:00 and not at noon.
        ("XHKG", "2024-03-08 11:30 Asia/Hong_Kong", "2024-03-08 13:30 Asia/Hong_Kong", True),
        ("XHKG", "2024-03-08 11:30 Asia/Hong_Kong", "2024-03-08 16:00 Asia/Hong_Kong", False),
        # A round-the-clock market closes its day at midnight UTC.
        ("24/7", "2024-03-09 12:00 UTC", "2024-03-09 23:59 UTC", True),
        ("24/7", "2024-03-09 12:00 UTC", "2024-03-10 00:00 UTC", False),
        # CME's session of Monday opens on Sunday evening and closes on Monday at 17:00.
        ("CMES", "2024-03-10 18:00 America/Chicago", "2024-03-11 16:59 America/Chicago", True),
        ("CMES", "2024-03-10 18:00 America/Chicago", "2024-03-11 17:00 America/Chicago", False),
    ],
)
def test_the_close_is_that_of_the_market(calendar, cached, now, fresh):
    assert MarketCloseFreshnessPolicy(calendar).is_fresh(at(cached), at(now)) is fresh


@pytest.mark.parametrize(
    ("calendar", "cached", "now", "fresh"),
    [
        # Trading: five minutes.
        ("XNYS", "2024-03-08 10:00 America/New_York", "2024-03-08 10:04 America/New_York", True),
        ("XNYS", "2024-03-08 10:00 America/New_York", "2024-03-08 10:05 America/New_York", False),
        # After the close: what was cached before it is not fresh, however young.
        ("XNYS", "2024-03-08 15:58 America/New_York", "2024-03-08 16:01 America/New_York", False),
        ("XNYS", "2024-03-08 16:00 America/New_York", "2024-03-11 09:29 America/New_York", True),
        ("XNYS", "2024-03-08 16:00 America/New_York", "2024-03-11 09:30 America/New_York", False),
        # Lunch in Hong Kong, 12:00 to 13:00.
        ("XHKG", "2024-03-08 12:00 Asia/Hong_Kong", "2024-03-08 12:59 Asia/Hong_Kong", True),
        ("XHKG", "2024-03-08 11:59 Asia/Hong_Kong", "2024-03-08 12:01 Asia/Hong_Kong", False),
        ("XHKG", "2024-03-08 12:00 Asia/Hong_Kong", "2024-03-08 13:00 Asia/Hong_Kong", False),
        # Always open, also at midnight.
        ("24/7", "2024-03-09 23:58 UTC", "2024-03-10 00:02 UTC", True),
        ("24/7", "2024-03-09 23:58 UTC", "2024-03-10 00:03 UTC", False),
        # CME halts from 16:00 to 17:00 Chicago, which its calendar leaves out: open all night.
        ("CMES", "2024-03-11 02:00 America/Chicago", "2024-03-11 02:05 America/Chicago", False),
    ],
)
def test_intraday_bars_have_a_time_to_live_while_the_market_trades(calendar, cached, now, fresh):
    assert HybridFreshnessPolicy(calendar, 300).is_fresh(at(cached), at(now)) is fresh


@pytest.mark.parametrize(
    ("seconds", "fresh"), [(0, True), (3599.999, True), (3600, False), (-1, False)]
)
def test_a_time_to_live_ends_when_it_is_over(seconds, fresh):
    cached = datetime(2024, 3, 8, tzinfo=UTC)
    now = cached + timedelta(seconds=seconds)
    assert TTLFreshnessPolicy(3600).is_fresh(cached, now) is fresh


@pytest.mark.parametrize("ttl", [0, -1, timedelta(0)])
@pytest.mark.parametrize("policy", [TTLFreshnessPolicy, lambda ttl: HybridFreshnessPolicy(ttl=ttl)])
def test_a_time_to_live_is_above_zero(policy, ttl):
    with pytest.raises(OptionError):
        policy(ttl)


def test_never_and_always_stale_are_what_they_say():
    long_ago, now = pd.Timestamp("2000-01-01"), pd.Timestamp("2024-01-01")
    assert NeverStaleFreshnessPolicy().is_fresh(long_ago, now)
    assert not NeverStaleFreshnessPolicy().is_fresh(now, long_ago)
    assert not AlwaysStaleFreshnessPolicy().is_fresh(now, now)


def test_times_without_a_timezone_are_utc():
    policy = MarketCloseFreshnessPolicy()
    assert policy.is_fresh(pd.Timestamp("2024-03-07 21:00"), pd.Timestamp("2024-03-08 20:59"))
    assert not policy.is_fresh(pd.Timestamp("2024-03-07 21:00"), pd.Timestamp("2024-03-08 21:00"))


@pytest.mark.parametrize(
    ("facts", "frequency", "calendar", "policy"),
    [
        ({"calendar": "XNYS"}, "1d", None, MarketCloseFreshnessPolicy("XNYS")),
        ({}, "1d", "NYSE", MarketCloseFreshnessPolicy("XNYS")),
        ({"calendar": "XNYS"}, "1d", "XLON", MarketCloseFreshnessPolicy("XLON")),
        ({}, "5m", "XNYS", HybridFreshnessPolicy("XNYS", timedelta(minutes=5))),
        ({}, "4h", "XNYS", HybridFreshnessPolicy("XNYS", timedelta(hours=1))),
        ({"calendar": "24/7"}, "1d", None, TTLFreshnessPolicy(timedelta(hours=1))),
        ({"calendar": "24/7"}, "minute", None, TTLFreshnessPolicy(timedelta(minutes=1))),
        ({}, "1d", None, TTLFreshnessPolicy(timedelta(hours=1))),
        ({"source_type": "csv"}, "1d", "XNYS", NeverStaleFreshnessPolicy()),
    ],
)
def test_the_policy_suits_the_source(facts, frequency, calendar, policy):
    source = FrameSource(BARS, **facts)
    assert FreshnessPolicyFactory.create_policy(source, frequency, calendar) == policy


def test_a_calendar_may_be_one_of_exchange_calendars():
    calendar = exchange_calendars.get_calendar("XNYS")
    policy = FreshnessPolicyFactory.create_policy(FrameSource(BARS), "1d", calendar)
    assert policy == MarketCloseFreshnessPolicy("XNYS")


def test_a_calendar_that_is_none_is_an_error():
    with pytest.raises(CalendarError):
        FreshnessPolicyFactory.create_policy(FrameSource(BARS), "1d", "NO_SUCH")


class TwoHours(CacheFreshnessPolicy):
    def is_fresh(self, cache_time, current_time):
        return (current_time - cache_time).total_seconds() < 7200


@pytest.mark.parametrize("registered", [TwoHours(), lambda source, frequency, name: TwoHours()])
def test_a_policy_that_is_registered_for_a_source_goes_first(registered):
    FreshnessPolicyFactory.register("frame", registered)
    try:
        policy = FreshnessPolicyFactory.create_policy(FrameSource(BARS), "1d", "XNYS")
        assert isinstance(policy, TwoHours)
    finally:
        FreshnessPolicyFactory.unregister("frame")
    policy = FreshnessPolicyFactory.create_policy(FrameSource(BARS), "1d", "XNYS")
    assert policy == MarketCloseFreshnessPolicy("XNYS")
