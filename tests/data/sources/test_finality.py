"""Which bars have ended: sessions by their close, early ones too, whatever their order."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rustybt.data.bars import DAILY, MINUTE
from rustybt.data.sources._finality import bar_ends, ended, ended_only, is_final
from tests.frames import minutes, sessions, walk

BARS = walk("A", sessions("2020-11-02", "2020-11-27"))
EARLY_CLOSE = datetime(2020, 11, 27, 18, tzinfo=UTC)


def last(bars):
    return bars["timestamp"].max()


@pytest.mark.parametrize(
    ("now", "session"),
    [
        (EARLY_CLOSE, date(2020, 11, 27)),
        (EARLY_CLOSE - timedelta(seconds=1), date(2020, 11, 25)),
        (datetime(2020, 11, 25, 21, tzinfo=UTC), date(2020, 11, 25)),
        (datetime(2020, 11, 25, 20, 59, tzinfo=UTC), date(2020, 11, 24)),
        (datetime(2024, 1, 1, tzinfo=UTC), date(2020, 11, 27)),
    ],
)
def test_a_session_has_ended_at_its_close(now, session):
    assert last(ended(BARS, DAILY, "XNYS", now)) == session


def test_a_bar_off_the_calendar_ends_with_its_day():
    sunday = BARS.head(1).with_columns(timestamp=date(2020, 11, 8))
    midnight = datetime(2020, 11, 9, tzinfo=UTC)
    assert len(ended(sunday, DAILY, "XNYS", midnight)) == 1
    assert len(ended(sunday, DAILY, "XNYS", midnight - timedelta(seconds=1))) == 0


def test_an_intraday_bar_ends_with_its_label():
    bars = walk("A", minutes("2020-11-27", "2020-11-27"))
    now = datetime(2020, 11, 27, 15, 0, 30, tzinfo=UTC)
    assert last(ended(bars, MINUTE, "XNYS", now)) == now.replace(second=0)


@settings(max_examples=30)
@given(st.permutations(range(len(BARS))), st.integers(0, 40 * 24))
def test_neither_order_nor_age_changes_what_has_ended(order, hours):
    now = datetime(2020, 11, 1, tzinfo=UTC) + timedelta(hours=hours)
    shuffled = BARS[order]
    found = ended(shuffled, DAILY, "XNYS", now)
    assert found.equals(ended_only(shuffled, bar_ends(shuffled, DAILY, "XNYS"), now))


def test_a_bar_is_final_once_its_lag_has_passed():
    ends = pl.Series([EARLY_CLOSE, EARLY_CLOSE - timedelta(days=1)])
    lag = timedelta(days=1)
    assert is_final(ends, lag, EARLY_CLOSE).to_list() == [False, True]
