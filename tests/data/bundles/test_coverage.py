"""What is not there, and why."""

from datetime import date
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rustybt.data.bundles import coverage, open_bundle
from rustybt.data.bundles._presence import Block, Presence
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import minutes, sessions, walk

DAYS = sessions("2020-01-02", "2020-02-28")
BARS = walk(["A", "B"], DAYS)


def without(frame, symbol, days):
    return frame.filter((pl.col("symbol") != symbol) | ~pl.col("timestamp").dt.date().is_in(days))


def ledger(bars, **options):
    ingest(FrameSource(bars, **options.pop("source", {})), "b", **options)
    columns = ["symbol", "frequency", "first", "last", "sessions", "reason"]
    return open_bundle("b").coverage.select(columns).rows()


def test_complete_bars_leave_the_ledger_empty():
    assert ledger(BARS) == []


def test_a_gap_is_one_run_from_its_first_to_its_last_session():
    gaps = without(BARS, "A", DAYS[3:6] + DAYS[20:21])
    assert ledger(gaps) == [
        ("A", "1d", DAYS[3], DAYS[5], 3, coverage.NO_BAR),
        ("A", "1d", DAYS[20], DAYS[20], 1, coverage.NO_BAR),
    ]


def test_a_run_goes_on_over_a_weekend_and_a_holiday():
    friday_to_tuesday = [date(2020, 1, 17), date(2020, 1, 21)]
    assert ledger(without(BARS, "B", friday_to_tuesday)) == [
        ("B", "1d", *friday_to_tuesday, 2, coverage.NO_BAR)
    ]


def test_sessions_before_the_first_and_after_the_last_bar_are_not_missing():
    assert ledger(without(BARS, "A", DAYS[:5] + DAYS[-5:])) == []


def test_a_symbol_without_bars_is_in_the_ledger_and_not_in_the_bundle():
    rows = ledger(BARS, source={"symbols": ("GONE",)})
    assert rows == [("GONE", "1d", None, None, None, coverage.NO_BARS_AT_ALL)]
    assert open_bundle("b").metadata.symbols == ["A", "B"]


def test_dropped_bars_are_in_the_ledger():
    saturday = walk(["A"], [date(2020, 1, 4)])
    assert ledger(pl.concat([BARS, saturday]), off_calendar="drop") == [
        ("A", "1d", date(2020, 1, 4), date(2020, 1, 4), 1, coverage.OFF_CALENDAR)
    ]


def test_a_session_without_a_minute_is_in_the_ledger():
    bars = walk(["A", "B"], minutes("2020-01-02", "2020-01-08"))
    gone = [date(2020, 1, 3), date(2020, 1, 6)]
    assert ledger(without(bars, "A", gone), frequency="1m") == [
        ("A", "1d", *gone, 2, coverage.NO_BAR)
    ]


def test_minutes_that_are_missing_where_daily_bars_are_not_are_in_the_ledger():
    days = walk(["A"], sessions("2020-01-02", "2020-01-10"))
    bars = walk(["A"], minutes("2020-01-02", "2020-01-10"))
    gone = [date(2020, 1, 7), date(2020, 1, 8)]
    both = FrameSource({"1d": days, "1m": without(bars, "A", gone)})
    ingest(both, "b", frequency=("1d", "1m"))
    assert open_bundle("b").coverage.rows() == [("A", "1m", *gone, 2, coverage.NO_BAR, None)]


@given(st.sets(st.integers(0, len(DAYS) - 1), min_size=1))
def test_the_runs_are_exactly_the_sessions_without_a_bar(kept):
    present = [DAYS[row] for row in sorted(kept)]
    dated = walk(["A"], present).with_columns(pl.col("timestamp").alias("session"))
    own = dated.with_columns(sid=pl.lit(0, pl.Int64))
    found = Presence(["A"], "XNYS", DAYS[0], DAYS[-1])
    found.mark(Block.of(own))
    runs = found.missing("1d")
    spans = runs.select("first", "last").rows()
    listed = [day for first, last in spans for day in DAYS if first <= day <= last]
    life = [day for day in DAYS if present[0] <= day <= present[-1]]
    assert listed == [day for day in life if day not in present]
    assert runs["sessions"].sum() == len(listed)
    # Between two runs there is a session with a bar, else they were one.
    assert all(
        DAYS.index(later) - DAYS.index(last) > 1 for (_, last), (later, _) in pairwise(spans)
    )


def test_a_session_that_no_symbol_has_is_told_apart_from_a_gap():
    three = walk(["A", "B", "C"], DAYS)
    closed = three.filter(pl.col("timestamp") != DAYS[4])
    assert ledger(without(closed, "B", DAYS[9:10])) == [
        ("A", "1d", DAYS[4], DAYS[4], 1, coverage.CLOSED),
        ("B", "1d", DAYS[4], DAYS[4], 1, coverage.CLOSED),
        ("B", "1d", DAYS[9], DAYS[9], 1, coverage.NO_BAR),
        ("C", "1d", DAYS[4], DAYS[4], 1, coverage.CLOSED),
    ]


def test_what_was_asked_for_before_the_first_and_after_the_last_bar_has_its_reason():
    short = without(BARS, "A", DAYS[:5] + DAYS[-5:])
    assert ledger(short, start=DAYS[0], end=DAYS[-1]) == [
        ("A", "1d", DAYS[0], DAYS[4], 5, coverage.NOT_YET),
        ("A", "1d", DAYS[-5], DAYS[-1], 5, coverage.NO_MORE),
    ]


@pytest.mark.parametrize("calendar", ["24/7", "XLON"])
def test_missing_is_judged_by_the_calendar_of_the_bundle(calendar):
    days = sessions("2020-01-02", "2020-01-31", calendar)
    gone = date(2020, 1, 20)  # a holiday in New York
    bars = without(walk(["A"], days), "A", [gone])
    assert ledger(bars, calendar=calendar) == [("A", "1d", gone, gone, 1, coverage.NO_BAR)]
