"""Dates and times: spellings, order of day and month, timezones, labels, frequencies."""

from datetime import UTC, datetime

import pytest

from rustybt.data.errors import BarSchemaError, BarValidationError, FrequencyError
from rustybt.data.sources.csv import CSVDataSource
from tests.data.sources.files import HEADER, VALUES, days, fetch, put, table, times

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    "spelling",
    [
        "2020-01-13",
        "2020-1-13",
        "20200113",
        "2020/01/13",
        "2020.01.13",
        "01/13/2020",
        "13/01/2020",
        "13-01-2020",
        "13.01.2020",
        "13-Jan-2020",
        "13 Jan 2020",
        '"Jan 13, 2020"',
        "2020-01-13 00:00:00",
        "2020-01-13T00:00:00.000000",
        "20200113 00:00",
        "2020-01-13 16:00",
        "1578873600",
        "1578873600.0",
        "1578873600000",
        "1578873600000000",
        "1578873600000000000",
    ],
)
def test_a_session_as_vendors_spell_it(tmp_path, spelling):
    assert times(put(tmp_path, "X.csv", days(spelling))) == ["2020-01-13"]


@pytest.mark.parametrize(
    "spelling",
    [
        "2020-01-13 00:00:00-05:00",
        "2020-01-13T00:00:00+0900",
        "2020-01-13T23:59:59Z",
        "2020-01-13 01:00 +14",
        "2020-01-13 05:00:00+00:00",
        "2020-01-13 00:00:00 UTC",
    ],
)
@pytest.mark.parametrize("timezone", [None, NEW_YORK, "Asia/Tokyo"])
def test_a_session_is_the_date_as_it_is_written(tmp_path, spelling, timezone):
    path = put(tmp_path, "X.csv", days(spelling))
    assert times(path, timezone=timezone) == ["2020-01-13"]


@pytest.mark.parametrize(
    "spelling",
    [
        "2020-03-09 14:31",
        "2020-03-09 14:31:00",
        "2020-03-09T14:31:00.000",
        "2020-03-09T14:31:00Z",
        "2020-03-09 14:31:00 UTC",
        "2020-03-09 10:31:00-04:00",
        "2020-03-09 20:01:00+0530",
        "20200309 143100",
        "20200309 1431",
        "2020-03-09 02:31 PM",
        "2020-03-09 2:31:00pm",
        "1583764260",
        "1583764260.000",
        "1583764260000",
        "1583764260000000",
        "1583764260000000000",
    ],
)
def test_an_instant_as_vendors_spell_it(tmp_path, spelling):
    path = put(tmp_path, "X.csv", days(spelling))
    assert times(path, "1m") == ["2020-03-09 14:31"]


def test_one_file_may_write_seconds_in_several_ways(tmp_path):
    text = days(
        "2020-03-09 14:31:00", "2020-03-09 14:32:00.000", "2020-03-09T14:33", "2020-03-09 9:34"
    )
    found = times(put(tmp_path, "X.csv", text), "1m")
    assert [text[-5:] for text in found] == ["09:34", "14:31", "14:32", "14:33"]


@pytest.mark.parametrize("date", ["2020-01-13", "13.01.2020", "20200113"])
@pytest.mark.parametrize("clock", ["9:31", "09:31:00", "0931", "093100"])
def test_a_date_and_a_time_of_day_in_two_columns(tmp_path, date, clock):
    text = table(f"{clock},{date},{VALUES}", header=f"Time,{HEADER}")
    assert times(put(tmp_path, "X.csv", text), "1m") == ["2020-01-13 09:31"]


@pytest.mark.parametrize(
    ("date_format", "spelling"),
    [
        ("%d-%b-%y", "13-Jan-20"),
        ("%m/%d/%y", "01/13/20"),
        ("%Y%m%d%H%M", "202001130931"),
        ("%d/%m/%Y %H:%M:%S", "13/01/2020 09:31:00"),
        ("%d/%m/%Y", "13/01/2020 09:31"),
        ("%Y-%m-%dT%H:%M:%S%z", "2020-01-13T10:31:00+01:00"),
        ("epoch_s", "1578907860"),
        ("epoch_ms", "1578907860000"),
    ],
)
def test_a_format_may_be_given(tmp_path, date_format, spelling):
    path = put(tmp_path, "X.csv", days(spelling))
    assert times(path, date_format=date_format, timezone="UTC") == ["2020-01-13"]
    if "%y" not in date_format:
        assert times(path, "1m", date_format=date_format) == ["2020-01-13 09:31"]


def test_epochs_before_1973_must_be_named(tmp_path):
    path = put(tmp_path, "X.csv", days("0", "86400"))
    with pytest.raises(BarSchemaError, match="date_format="):
        times(path)
    assert times(path, date_format="epoch_s") == ["1970-01-01", "1970-01-02"]


@pytest.mark.parametrize("mark", ["/", "-"])
def test_day_and_month_that_could_each_be_the_other_are_refused(tmp_path, mark):
    path = put(tmp_path, "X.csv", days("05/05/2020".replace("/", mark), f"01{mark}02{mark}2020"))
    with pytest.raises(BarSchemaError, match=f"'01{mark}02{mark}2020' day and month") as caught:
        times(path)
    first, second = (f"%m{mark}%d{mark}%Y", f"%d{mark}%m{mark}%Y")
    assert first in str(caught.value)
    assert times(path, date_format=first) == ["2020-01-02", "2020-05-05"]
    assert times(path, date_format=second) == ["2020-02-01", "2020-05-05"]


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        (["01/02/2020", "01/13/2020"], ["2020-01-02", "2020-01-13"]),
        (["01/02/2020", "13/02/2020"], ["2020-02-01", "2020-02-13"]),
        (["02/02/2020", "03/03/2020"], ["2020-02-02", "2020-03-03"]),
    ],
    ids=["month first", "day first", "all the same"],
)
def test_day_and_month_that_one_row_decides_are_read(tmp_path, dates, found):
    assert times(put(tmp_path, "X.csv", days(*dates))) == found


def test_rows_that_contradict_each_other_about_day_and_month_are_refused(tmp_path):
    path = put(tmp_path, "X.csv", days("13/01/2020", "01/14/2020", "01/15/2020"))
    with pytest.raises(BarValidationError, match=r"1 row refused:\s+X\.csv, row 2"):
        times(path)


@pytest.mark.parametrize("digits", ["202001130931", "2031011309"])
def test_digits_that_are_a_date_as_well_as_an_epoch_are_refused(tmp_path, digits):
    with pytest.raises(BarSchemaError, match=f"'{digits}' can be a date and a time"):
        times(put(tmp_path, "X.csv", days(digits)))


@pytest.mark.parametrize("wrong", ["2020-02-30", "n/a", "", "1/14/20", "13.01.2020", "20-01-13"])
def test_a_date_that_cannot_be_read_is_an_error_with_its_row(tmp_path, wrong):
    path = put(tmp_path, "X.csv", days("2020-01-13", "2020-01-14", wrong, "2020-01-15"))
    with pytest.raises(BarValidationError, match=r"1 row refused:\s+X\.csv, row 4: X: ") as caught:
        times(path)
    assert caught.value.findings.select("file", "row", "symbol").row(0) == ("X.csv", 4, "X")
    assert wrong in str(caught.value)


def test_a_file_of_unknown_dates_asks_for_the_format(tmp_path):
    with pytest.raises(BarSchemaError, match=r"row 2: 'W3 of 2020' is no date.*date_format="):
        times(put(tmp_path, "X.csv", days("W3 of 2020", "W4 of 2020")))


def test_daily_epochs_inside_a_utc_day_ask_for_the_market(tmp_path):
    # 10:00 in Sydney on 2020-01-13 and on the next day: the evening before in UTC.
    path = put(tmp_path, "X.csv", days("1578870000", "1578956400"))
    with pytest.raises(BarSchemaError, match="timezone="):
        times(path)
    assert times(path, timezone="Australia/Sydney") == ["2020-01-13", "2020-01-14"]


@pytest.mark.parametrize(
    ("timezone", "utc"),
    [
        (None, ["2020-03-06 09:31", "2020-03-09 09:31"]),
        (NEW_YORK, ["2020-03-06 14:31", "2020-03-09 13:31"]),
        ("Asia/Tokyo", ["2020-03-06 00:31", "2020-03-09 00:31"]),
    ],
)
def test_times_without_an_offset_are_told_in_the_timezone(tmp_path, timezone, utc):
    path = put(tmp_path, "X.csv", days("2020-03-06 09:31", "2020-03-09 09:31"))
    assert times(path, "1m", timezone=timezone, declared="1m") == utc


@pytest.mark.parametrize("timezone", [NEW_YORK, "Asia/Tokyo"])
def test_an_offset_goes_before_the_timezone(tmp_path, timezone):
    path = put(tmp_path, "X.csv", days("2020-03-09 14:31:00+00:00"))
    assert times(path, "1m", timezone=timezone) == ["2020-03-09 14:31"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("2020-03-08 02:30", "does not exist"), ("2020-11-01 01:30", "comes twice")],
)
def test_a_time_that_clocks_skip_or_repeat_is_an_error_with_its_row(tmp_path, wrong, reason):
    path = put(tmp_path, "X.csv", days("2020-01-02 02:30", wrong, "2020-12-01 02:30"))
    message = rf"X\.csv, row 3: X: '{wrong}' {reason} in America/New_York"
    with pytest.raises(BarValidationError, match=message):
        times(path, "1h", timezone=NEW_YORK, declared="1h")


@pytest.mark.parametrize(
    ("step", "frequency"),
    [(1, "1m"), (5, "5m"), (60, "1h"), (240, "4h")],
)
def test_starts_become_ends(tmp_path, step, frequency):
    hour, minute = divmod(step, 60)
    path = put(tmp_path, "X.csv", days("2020-03-09 00:00", f"2020-03-09 {hour:02}:{minute:02}"))
    starts, ends = (times(path, frequency, label=label) for label in ("end", "start"))
    assert ends[0] == starts[1]


def test_the_range_is_one_of_ends(tmp_path):
    path = put(tmp_path, "X.csv", days(*(f"2020-03-09 14:{minute}" for minute in range(30, 40))))
    moment = datetime(2020, 3, 9, 14, 31, tzinfo=UTC)
    bars = fetch(path, None, moment, moment, "1m", label="start")
    assert bars["timestamp"].to_list() == [moment]


@pytest.mark.parametrize(("start", "end", "count"), [(None, "03", 2), ("03", None, 3)])
def test_a_range_may_be_open(tmp_path, start, end, count):
    path = put(tmp_path, "X.csv", days(*(f"2020-01-0{day}" for day in range(2, 6))))
    ends = [each and f"2020-01-{each}" for each in (start, end)]
    assert len(fetch(path, None, *ends)) == count


@pytest.mark.parametrize(
    ("dates", "frequency"),
    [
        (["2020-01-02", "2020-01-03"], "1d"),
        (["2020-01-02", "2020-01-09"], "1d"),
        (["2020-01-02 16:00", "2020-01-03 13:00", "2020-01-06 16:00"], "1d"),
        ([f"2020-{month:02}-{day:02}" for month in (1, 2, 3) for day in (2, 9, 16, 23)], "1w"),
        (["2020-01-02 09:31", "2020-01-02 09:32", "2020-01-02 12:00"], "1m"),
        (["2020-01-02 12:00", "2020-01-02 09:35", "2020-01-02 09:30"], "5m"),
        (["2020-01-02 10:00", "2020-01-02 11:00"], "1h"),
    ],
    ids=["days", "few days", "closes", "weeks", "minutes", "unsorted", "hours"],
)
def test_the_frequency_is_that_of_the_smallest_step(tmp_path, dates, frequency):
    path = put(tmp_path, "X.csv", days(*dates))
    assert CSVDataSource(path).get_metadata().frequencies == (frequency,)
    assert len(fetch(path, frequency=frequency)) == len(dates)
    for other in {"1m", "5m", "1h", "1d", "1w"} - {frequency}:
        with pytest.raises(FrequencyError):
            fetch(path, frequency=other)


def test_a_frequency_that_is_declared_is_believed(tmp_path):
    path = put(tmp_path, "X.csv", days("2020-01-02 10:00", "2020-01-02 15:30", "2020-01-02 16:00"))
    with pytest.raises(FrequencyError, match=r"bars of 30m, not of 1h.*frequency='1h'"):
        times(path, "1h")
    source = CSVDataSource(path, frequency="1h")
    assert source.get_metadata().frequencies == ("1h",)


def test_steps_of_seconds_are_no_frequency(tmp_path):
    path = put(tmp_path, "X.csv", days("2020-01-02 10:00:00", "2020-01-02 10:00:05"))
    with pytest.raises(FrequencyError, match=r"X\.csv is 0:00:05"):
        times(path, "1m")
    assert CSVDataSource(path).get_metadata().frequencies == ()


def test_dates_are_no_minutes_whatever_is_declared(tmp_path):
    path = put(tmp_path, "minute/X.csv", days("2020-01-02", "2020-01-03"))
    with pytest.raises(FrequencyError, match="dates without times"):
        times(path.parents[1], "1m")


def test_a_step_within_a_session_of_a_declared_day_is_a_repeated_bar(tmp_path):
    path = put(tmp_path, "daily/X.csv", days("2020-01-02 10:00", "2020-01-02 11:00"))
    with pytest.raises(BarValidationError, match="more than one bar"):
        times(path.parents[1])
