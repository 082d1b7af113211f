"""Frequencies, the bar schema, and which bars can be true."""

import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rustybt.data.bars import (
    BAR_COLUMNS,
    DAILY,
    INSTANT,
    MINUTE,
    Frequency,
    bar_schema,
    conform,
    empty_bars,
    require_valid,
    spelled,
    validate,
)
from rustybt.data.errors import BarSchemaError, BarValidationError, FrequencyError

DAY = date(2020, 1, 2)


def frame(*rows, **columns):
    """Bars of X, one session after another: open, high, low, close, volume."""
    flat = [("X", DAY + timedelta(days=at), *row) for at, row in enumerate(rows)]
    made = pl.DataFrame(flat, schema=BAR_COLUMNS, orient="row", infer_schema_length=None)
    return made.with_columns(**columns)


GOOD = (10.0, 12.0, 9.0, 11.0, 100.0)


@pytest.mark.parametrize(
    ("text", "frequency"),
    [
        ("1d", DAILY),
        ("daily", DAILY),
        ("D", DAILY),
        ("1 day", DAILY),
        ("1m", MINUTE),
        ("minute", MINUTE),
        ("min", MINUTE),
        ("5min", Frequency(5, "m")),
        ("60m", Frequency(1, "h")),
        ("120 minutes", Frequency(2, "h")),
        ("90m", Frequency(90, "m")),
        ("1h", Frequency(1, "h")),
        ("hourly", Frequency(1, "h")),
        ("1wk", Frequency(1, "w")),
        ("weekly", Frequency(1, "w")),
    ],
)
def test_a_frequency_is_read(text, frequency):
    assert Frequency.parse(text) == frequency
    assert Frequency.parse(frequency) is frequency


@pytest.mark.parametrize(
    "text", ["", "0d", "d1", "fortnight", "1", "-1d", "1.5h", "1mo", "1M x", "1M", " M ", "3 M"]
)
def test_a_text_that_is_no_frequency_is_an_error(text):
    with pytest.raises(FrequencyError, match="unknown frequency"):
        Frequency.parse(text)


@given(st.integers(1, 10**6), st.sampled_from("mhdw"))
def test_a_frequency_is_what_its_text_says(count, unit):
    frequency = Frequency.parse(f"{count}{unit}")
    assert Frequency.parse(str(frequency)) == frequency


@pytest.mark.parametrize(
    ("text", "dtype", "minutes"),
    [("1m", INSTANT, 1), ("4h", INSTANT, 240), ("1d", pl.Date, None), ("1w", pl.Date, None)],
)
def test_intraday_bars_have_instants_and_a_length(text, dtype, minutes):
    frequency = Frequency.parse(text)
    assert frequency.timestamp_dtype == dtype
    assert frequency.intraday == (minutes is not None)
    if minutes:
        assert frequency.duration == timedelta(minutes=minutes)
    else:
        with pytest.raises(FrequencyError, match="no fixed length"):
            _ = frequency.duration


@pytest.mark.parametrize("frequency", [DAILY, MINUTE], ids=str)
def test_no_bars_are_in_the_schema(frequency):
    assert empty_bars(frequency).schema == bar_schema(frequency)
    assert tuple(bar_schema(frequency)) == BAR_COLUMNS


def test_conform_brings_columns_types_and_order():
    rough = pl.DataFrame(
        {
            "volume": [1, 2, 3],
            "close": pl.Series([1, 2, 3], dtype=pl.Int32),
            "high": ["1", "2", "3"],
            "low": [1.0, 2.0, 3.0],
            "open": pl.Series([1.0, 2.0, 3.0], dtype=pl.Float32),
            "other": [None, None, None],
            "row": [4, 5, 6],
            "timestamp": [datetime(2020, 1, 3), datetime(2020, 1, 2), datetime(2020, 1, 3)],
            "symbol": ["B", "B", "A"],
        }
    )
    bars = conform(rough, DAILY)
    assert bars.drop("row").schema == bar_schema(DAILY)
    assert bars["row"].to_list() == [6, 5, 4]
    assert bars["timestamp"].to_list() == [date(2020, 1, 3), date(2020, 1, 2), date(2020, 1, 3)]


def test_conform_names_the_columns_that_are_missing_and_there():
    with pytest.raises(BarSchemaError, match=r"no column high, low; the columns are symbol, time"):
        conform(frame(GOOD).drop("high", "low"), DAILY)


def test_conform_refuses_what_cannot_become_a_number():
    with pytest.raises(BarSchemaError, match="cannot be read"):
        conform(frame(GOOD).with_columns(close=pl.lit("eleven")), DAILY)


def test_rows_without_a_price_leave_and_others_stay():
    bars = conform(frame(GOOD, (None,) * 4 + (0.0,), (10.0, None, 9.0, 11.0, 1.0)), DAILY)
    assert bars["timestamp"].to_list() == [DAY, DAY + timedelta(days=2)]


@given(st.permutations(range(6)))
def test_conform_does_not_depend_on_the_order_of_rows(order):
    bars = frame(*[GOOD] * 3).vstack(frame(*[GOOD] * 3).with_columns(symbol=pl.lit("A")))
    assert conform(bars[list(order)], DAILY).equals(conform(bars, DAILY))


@pytest.mark.parametrize(
    "row",
    [
        GOOD,
        (10.0, 10.0, 10.0, 10.0, 0.0),
        (9.0, 12.0, 9.0, 12.0, 1.0),
        (1e-8, 2e-8, 1e-8, 2e-8, 0.7),
        (150e6, 150e6, 150e6, 150e6, 4.5e12),
    ],
)
def test_a_bar_that_can_be_true_has_no_finding(row):
    assert validate(frame(row)).is_empty()
    assert require_valid(frame(row)).equals(frame(row))


@pytest.mark.parametrize(
    ("row", "rule", "says"),
    [
        ((10.0, 12.0, 10.5, 11.0, 1.0), "ohlc", "low 10.5"),
        ((10.0, 12.0, 9.0, 8.0, 1.0), "ohlc", "close 8.0"),
        ((13.0, 12.0, 9.0, 11.0, 1.0), "ohlc", "open 13.0"),
        ((10.0, 10.5, 9.0, 11.0, 1.0), "ohlc", "high 10.5"),
        ((10.0, 9.0, 12.0, 11.0, 1.0), "ohlc", "high 9.0 low 12.0"),
        ((0.0, 12.0, 0.0, 11.0, 1.0), "price", "zero or negative"),
        ((-1.0, 12.0, -1.0, 11.0, 1.0), "price", "open -1.0"),
        ((math.nan, 12.0, 9.0, 11.0, 1.0), "price", "open NaN"),
        ((10.0, math.inf, 9.0, 11.0, 1.0), "price", "high inf"),
        ((10.0, 12.0, None, 11.0, 1.0), "price", "low missing"),
        ((10.0, 12.0, 9.0, 11.0, -1.0), "volume", "-1.0"),
        ((10.0, 12.0, 9.0, 11.0, None), "volume", "missing"),
        ((10.0, 12.0, 9.0, 11.0, math.nan), "volume", "NaN"),
        ((10.0, 12.0, 9.0, 11.0, math.inf), "volume", "inf"),
    ],
)
def test_a_bar_that_cannot_be_true_has_one_finding(row, rule, says):
    findings = validate(frame(GOOD, row, GOOD))
    assert findings.select("rule", "symbol", "timestamp").rows() == [
        (rule, "X", DAY + timedelta(days=1))
    ]
    assert says in findings["message"][0]


def test_bars_that_stand_there_twice_are_each_found():
    twice = frame(GOOD, GOOD, GOOD, timestamp=pl.Series([DAY, DAY, date(2020, 1, 9)]))
    assert validate(twice)["rule"].to_list() == ["duplicate", "duplicate"]
    other = twice.with_columns(symbol=pl.Series(["X", "Y", "X"]))
    assert validate(other.sort("symbol", "timestamp")).is_empty()


@pytest.mark.parametrize("column", ["symbol", "timestamp"])
def test_a_bar_without_a_key_is_found(column):
    lost = frame(GOOD).with_columns(pl.lit(None, frame(GOOD).schema[column]).alias(column))
    assert validate(lost)["rule"].to_list() == ["timestamp"]


def test_findings_say_where_rows_came_from():
    bad = frame(GOOD, (10.0, 9.0, 9.0, 11.0, 1.0)).with_columns(
        file=pl.lit("X.csv"), row=pl.Series([7, 9], dtype=pl.UInt32)
    )
    with pytest.raises(
        BarValidationError, match=r"X\.csv, row 9: X 2020-01-03: .*\nhint"
    ) as caught:
        require_valid(bad, "hint")
    assert caught.value.findings.select("file", "row").rows() == [("X.csv", 9)]


def test_an_error_spells_out_the_first_findings_and_counts_the_rest():
    with pytest.raises(BarValidationError) as caught:
        require_valid(frame(*[(10.0, 9.0, 9.0, 11.0, 1.0)] * 8))
    assert str(caught.value).count("open or close lies outside") == 5
    assert "8 rows refused" in str(caught.value)
    assert "... and 3 more" in str(caught.value)
    assert len(caught.value.findings) == 8


good = st.sampled_from([9.0, 10.0, 11.0])
prices = good | good | good | st.sampled_from([math.nan, math.inf, 0.0, -1.0, None])


@given(st.lists(st.tuples(prices, prices, prices, prices, prices), max_size=20))
def test_a_bar_is_found_exactly_if_it_breaks_a_rule_in_plain_words(rows):
    found = validate(conform(frame(*rows), DAILY))["timestamp"].to_list()
    expected = [
        DAY + timedelta(days=at)
        for at, row in enumerate(rows)
        if not _is_true(row) and any(price is not None for price in row[:4])
    ]
    assert sorted(set(found)) == expected


def _is_true(row):
    if any(value is None or not math.isfinite(value) for value in row):
        return False
    opened, high, low, close, volume = row
    return 0 < low <= min(opened, close) and max(opened, close) <= high and volume >= 0


def test_instants_of_every_timezone_become_utc():
    moment = datetime(2020, 1, 2, 9, 31)
    local = frame(GOOD).with_columns(
        timestamp=pl.lit(moment).dt.replace_time_zone("America/New_York")
    )
    assert conform(local, MINUTE)["timestamp"].to_list() == [
        datetime(2020, 1, 2, 14, 31, tzinfo=UTC)
    ]


@pytest.mark.parametrize(
    ("frequencies", "text"),
    [
        (("1d",), "1d"),
        (("1d", "1m", "2m", "3m", "5m"), "1m to 3m, 5m, 1d"),
        (("1h", "2h", "90m", "1w"), "90m, 1h, 2h, 1w"),
        ((), ""),
    ],
)
def test_frequencies_are_told_by_the_ends_of_their_runs(frequencies, text):
    assert spelled(frequencies) == text
