"""Ends of intraday bars, where a market closes or has lunch."""

from datetime import timedelta

import polars as pl
import pytest

from rustybt.data.bars import INSTANT, Frequency
from rustybt.data.sources._session_labels import session_ends


@pytest.mark.parametrize(
    ("calendar", "frequency", "start", "end"),
    [
        ("XNYS", "1h", "2020-03-06 14:30", "2020-03-06 15:30"),
        ("XNYS", "1h", "2020-03-06 20:30", "2020-03-06 21:00"),
        ("XNYS", "1h", "2020-03-09 19:30", "2020-03-09 20:00"),  # summer time
        ("XNYS", "1h", "2020-11-27 17:30", "2020-11-27 18:00"),  # half a day
        ("XNYS", "1m", "2020-11-27 17:59", "2020-11-27 18:00"),
        ("XNYS", "1m", "2020-11-27 18:00", None),
        ("XNYS", "5m", "2020-03-06 14:25", None),
        ("XNYS", "1h", "2020-03-06 14:00", "2020-03-06 15:00"),  # with half an hour before
        ("XNYS", "1h", "2020-03-07 15:00", "2020-03-07 16:00"),  # a Saturday
        ("XHKG", "1h", "2020-03-06 03:30", "2020-03-06 04:00"),  # lunch
        ("XHKG", "30m", "2020-03-06 04:00", None),
        ("XHKG", "30m", "2020-03-06 05:00", "2020-03-06 05:30"),
        ("CMES", "1h", "2020-03-06 05:00", "2020-03-06 06:00"),
    ],
)
def test_a_bar_ends_with_its_session(calendar, frequency, start, end):
    starts = pl.Series([start]).str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", time_zone="UTC")
    found = session_ends(starts, Frequency.parse(frequency), calendar)
    assert found.dtype == INSTANT
    assert found.dt.strftime("%Y-%m-%d %H:%M").to_list() == [end]


def test_no_bars_have_no_ends():
    none = pl.Series([], dtype=INSTANT)
    assert session_ends(none, Frequency.parse("1h"), "XNYS").is_empty()


def test_many_bars_end_one_after_the_other():
    starts = pl.datetime_range(
        pl.datetime(2020, 3, 6, 14, 30), pl.datetime(2020, 3, 6, 20, 59), "1m", time_zone="UTC",
        eager=True,
    )  # fmt: skip
    ends = session_ends(starts.cast(INSTANT), Frequency.parse("1m"), "XNYS")
    assert (ends - starts == timedelta(minutes=1)).all()
