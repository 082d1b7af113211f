"""A plan counts calls, rows and minutes, and asks for nothing."""

from datetime import UTC, datetime

import pytest

from rustybt.data.bundles import list_bundles
from rustybt.data.bundles.ingest import plan
from rustybt.data.errors import OptionError
from tests.fakes import FrameSource
from tests.frames import minutes, sessions, walk

BARS = walk(["A"], sessions("2020-01-02", "2020-01-03"))
NOW = datetime(2020, 2, 15, 12, tzinfo=UTC)


class Paced(FrameSource):
    """A provider of 100 bars a call and 30 calls a minute, which nobody may ask."""

    def __init__(self):
        super().__init__(BARS, requests_per_minute=30.0)

    def calls_needed(self, symbols, bars, frequency):
        return symbols * -(-bars // 100)

    async def fetch(self, *request):
        raise AssertionError("a plan asks for nothing")

    fetch_events = list_symbols = fetch


def planned(**request):
    return plan(Paced(), **{"symbols": ["A", "B"], "clock": lambda: NOW, **request})


def test_daily_bars_are_the_calendars_sessions():
    found = planned(start="2019-01-02", end="2019-12-31")
    days = len(sessions("2019-01-02", "2019-12-31"))
    assert found.rows == 2 * days == 2 * 252
    assert found.calls == 2 * 3
    assert found.seconds == 60 * found.calls / 30


def test_minutes_are_those_of_the_sessions_with_their_early_closes():
    found = planned(start="2019-11-25", end="2019-11-29", frequency="1m")
    assert found.rows == 2 * len(minutes("2019-11-25", "2019-11-29"))


def test_hours_of_a_session_round_up():
    assert planned(start="2019-11-25", end="2019-11-25", frequency="1h").rows == 2 * 7


class WithEvents(Paced):
    """A provider that takes two more calls a symbol for events, whatever bars are asked for."""

    def calls_needed(self, symbols, bars, frequency):
        return super().calls_needed(symbols, bars, frequency) + 2 * symbols

    def calls_shared(self, symbols, bars, frequency):
        return 2 * symbols


def test_events_are_counted_once_for_all_frequencies():
    request = {"start": "2020-01-02", "end": "2020-01-02", "clock": lambda: NOW}
    days, minutes, both = (
        plan(WithEvents(), symbols=["A", "B"], frequency=each, **request).calls
        for each in ("1d", "1m", ("1d", "1m"))
    )
    assert (days, minutes) == (2 * (1 + 2), 2 * (4 + 2))
    assert both == days + minutes - 2 * 2


def test_what_lies_after_today_is_not_counted():
    until_now = planned(start="2020-01-02", end="2020-02-15")
    assert planned(start="2020-01-02", end="2029-12-31").rows == until_now.rows
    assert planned(start="2020-01-02").rows == until_now.rows
    assert planned(start="2021-01-02").rows == 0


@pytest.mark.parametrize("missing", ["symbols", "start"])
def test_what_only_the_provider_knows_must_be_said(missing):
    request = {"start": "2020-01-02", "symbols": ["A"], missing: None}
    with pytest.raises(OptionError, match=f"--{missing}"):
        planned(**request)


def test_files_need_no_call_and_no_dates():
    found = plan(FrameSource(BARS))
    assert (found.calls, found.rows, found.seconds) == (0, None, None)
    assert list_bundles() == []
