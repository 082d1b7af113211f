"""Windows over bars: counted in the calendar's bars, in the order asked for."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from rustybt.data.bars import Frequency
from rustybt.data.errors import LookAheadError, OptionError
from rustybt.data.polars import windows
from rustybt.data.polars._times import last_known
from tests.fakes import FrozenClock
from tests.frames import bars, minutes, sessions

DAILY, MINUTE = Frequency.parse("1d"), Frequency.parse("1m")


@pytest.mark.parametrize(
    ("calendar", "limit", "count", "expected"),
    [
        # Christmas and a weekend lie between.
        ("XNYS", "2023-12-26", 3, ["2023-12-21", "2023-12-22", "2023-12-26"]),
        ("XNYS", "2023-12-25", 1, ["2023-12-22"]),
        ("24/7", "2023-12-26", 3, ["2023-12-24", "2023-12-25", "2023-12-26"]),
        # The half day of 24 November 2023 ends at 13:00 in New York.
        ("XNYS", "2023-11-27T14:31", 2, ["2023-11-24T18:00", "2023-11-27T14:31"]),
        # Lunch in Hong Kong, 12:00 to 13:00 (04:00 to 05:00 UTC).
        ("XHKG", "2023-11-27T05:01", 2, ["2023-11-27T04:00", "2023-11-27T05:01"]),
        # Off hours: the last minutes of the session before.
        ("XNYS", "2023-11-25T12:00", 2, ["2023-11-24T17:59", "2023-11-24T18:00"]),
    ],
)
def test_labels_are_those_of_the_calendar(calendar, limit, count, expected):
    found = windows.last_labels(calendar, np.datetime64(limit), count)
    assert found.astype(str).tolist() == expected


@pytest.mark.parametrize("count", [1, 252, 2520])
def test_many_sessions_are_exactly_so_many(count):
    found = windows.last_labels("XNYS", np.datetime64("2020-06-30"), count)
    assert found.tolist() == sessions("2009-01-02", "2020-06-30")[-count:]


def test_many_minutes_are_exactly_so_many():
    found = windows.last_labels("XNYS", np.datetime64("2020-06-30T20:00"), 5000)
    every = [moment.replace(tzinfo=None) for moment in minutes("2020-06-01", "2020-06-30")]
    assert found.tolist() == every[-5000:]


BARS = bars(
    {
        "AAA": {"2024-01-02": (1, 2, 1, 1.5, 10), "2024-01-04": (2, 3, 2, 2.5, 20)},
        "BBB": {"2024-01-03": (5, 6, 5, 5.5, 30)},
    }
)
LABELS = np.array(["2024-01-03", "2024-01-04"], dtype="datetime64[D]")


def test_a_window_has_a_row_a_label_and_a_column_a_symbol_in_order():
    window = windows.wide(BARS, LABELS, ["BBB", "NONE", "AAA"], "close")
    assert window.columns == ["timestamp", "BBB", "NONE", "AAA"]
    assert window.rows() == [
        (date(2024, 1, 3), 5.5, None, None),
        (date(2024, 1, 4), None, None, 2.5),
    ]


def test_the_price_is_the_last_known_close():
    window = windows.wide(BARS, LABELS, ["AAA", "BBB"], "price")
    assert window.rows() == [(date(2024, 1, 3), 1.5, 5.5), (date(2024, 1, 4), 2.5, 5.5)]
    assert windows.last_row(window, ["BBB", "AAA"], "price").to_list() == [5.5, 2.5]


def test_a_window_without_bars_is_all_null():
    window = windows.wide(BARS.clear(), LABELS, ["AAA"], "volume")
    assert window["AAA"].to_list() == [None, None]
    assert window.schema["AAA"] == pl.Float64


def test_labels_of_sparse_bars_are_their_own():
    found = windows.labels_of(BARS, np.datetime64("2024-01-03"), 5)
    assert found.astype(str).tolist() == ["2024-01-02", "2024-01-03"]


def test_a_field_that_is_none_is_an_error():
    with pytest.raises(OptionError, match="adjusted_close"):
        windows.require_field("adjusted_close")


NOON, CLOSE = "2024-03-08T17:00", "2024-03-08T21:00"  # Friday in New York


@pytest.mark.parametrize(
    ("dt", "frequency", "now", "expected"),
    [
        ("2024-03-07", DAILY, NOON, "2024-03-07"),
        ("2024-03-08", DAILY, CLOSE, "2024-03-08"),
        (date(2024, 3, 10), DAILY, "2024-03-10T09:00", "2024-03-08"),  # a Sunday
        ("2024-03-08T16:00", DAILY, NOON, "2024-03-07"),  # an instant: what has closed by then
        (CLOSE, DAILY, CLOSE, "2024-03-08"),
        ("2024-03-08T16:30:59", MINUTE, NOON, "2024-03-08T16:30"),
        ("2024-03-08 11:30-05:00", MINUTE, NOON, "2024-03-08T16:30"),
        ("2024-03-08", MINUTE, NOON, "2024-03-08T00:00"),  # an instant, too
        ("2024-03-08", Frequency.parse("1w"), CLOSE, "2024-03-01"),
    ],
)
def test_the_last_label_is_one_that_was_known(dt, frequency, now, expected):
    assert str(last_known("XNYS", dt, frequency, FrozenClock(now)())) == expected


@pytest.mark.parametrize(
    ("dt", "frequency", "now"),
    [
        ("2024-03-08", DAILY, NOON),  # has not closed
        ("2024-03-11", DAILY, CLOSE),
        ("2024-03-08T17:01", DAILY, NOON),
        ("2024-03-08T17:01", MINUTE, NOON),
    ],
)
def test_the_future_is_refused(dt, frequency, now):
    with pytest.raises(LookAheadError):
        last_known("XNYS", dt, frequency, FrozenClock(now)())
