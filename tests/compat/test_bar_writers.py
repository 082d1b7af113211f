"""zipline's writer calls: its bits under ``bcolz``, every digit under ``full``."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zipline.data.bcolz_daily_bars import BcolzDailyBarReader, BcolzDailyBarWriter
from zipline.data.bcolz_minute_bars import (
    BcolzMinuteBarReader,
    BcolzMinuteBarWriter,
    BcolzMinuteOverlappingData,
    BcolzMinuteWriterColumnMismatch,
)
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.bar_writers import DailyBarWriter, MinuteBarWriter
from rustybt.compat.store_readers import DailyBarReader, MinuteBarReader

CALENDAR = get_calendar("XNYS")
SESSIONS = CALENDAR.sessions_in_range("2015-11-23", "2015-12-04")
FIRST, LAST = SESSIONS[0], SESSIONS[-1]
#: The day after Thanksgiving, which closes early, and its neighbours.
MINUTES = CALENDAR.sessions_minutes(SESSIONS[2], SESSIONS[4])
FIELDS = ["open", "high", "low", "close", "volume"]


def frame(index: pd.DatetimeIndex, **columns: Any) -> pd.DataFrame:
    """Bars of 10.0 and 100 shares, but for the columns that are given."""
    plain = {**dict.fromkeys(FIELDS, 10.0), "volume": 100.0}
    return pd.DataFrame({**plain, **columns}, index=index)


def daily(directory: Path, precision: str = "full") -> DailyBarWriter:
    return DailyBarWriter(directory / precision, CALENDAR, FIRST, LAST, precision)


def minute(directory: Path, precision: str = "full") -> MinuteBarWriter:
    return MinuteBarWriter(directory / precision, CALENDAR, FIRST, LAST, 390, precision=precision)


VALUES = {
    "price": st.one_of(
        st.integers(0, 2**32 - 2).map(lambda units: units / 1000),
        st.floats(0, 4e6),
        st.just(float("nan")),
        st.floats(4.3e9, 1e12),
    ),
    "volume": st.one_of(
        st.integers(0, 2**32 - 2).map(float), st.floats(0, 1e6), st.floats(4.3e9, 1e13)
    ),
}


@st.composite
def tables(draw: st.DrawFn, index: pd.DatetimeIndex) -> list[tuple[int, pd.DataFrame]]:
    """Frames of one to three sids, each over a part of the index."""
    out = []
    for sid in draw(st.lists(st.integers(0, 20), min_size=1, max_size=3, unique=True)):
        start = draw(st.integers(0, len(index) - 1))
        stop = draw(st.integers(start + 1, min(len(index), start + 20)))
        count = stop - start
        columns = {
            name: draw(
                st.lists(
                    VALUES["volume" if name == "volume" else "price"],
                    min_size=count,
                    max_size=count,
                )
            )
            for name in FIELDS
        }
        out.append((sid, pd.DataFrame(columns, index=index[start:stop])))
    return out


def outcome(work: Any, *arguments: Any) -> Any:
    """What a call returns, or the type of what it raises."""
    try:
        value = work(*arguments)
    except Exception as error:  # noqa: BLE001  the type is what is compared
        return type(error)
    return value


def same(ours: Any, stock: Any) -> bool:
    if isinstance(stock, type) or isinstance(ours, type):
        return ours is stock
    equal = np.array_equal(np.asarray(ours, float), np.asarray(stock, float), equal_nan=True)
    return equal and np.asarray(ours).dtype == np.asarray(stock).dtype


@settings(max_examples=40)
@given(data=tables(SESSIONS))
def test_daily_bars_have_zipline_s_bits_under_bcolz(
    tmp_path_factory: pytest.TempPathFactory, data: list[tuple[int, pd.DataFrame]]
) -> None:
    directory = tmp_path_factory.mktemp("daily")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock_writer = BcolzDailyBarWriter(str(directory / "stock"), CALENDAR, FIRST, LAST)
        stock_writer.write([(sid, bars.copy()) for sid, bars in data])
        daily(directory, "bcolz").write(data)
    stock = BcolzDailyBarReader(str(directory / "stock"))
    ours = DailyBarReader(directory / "bcolz")
    sids = [sid for sid, _ in data]
    for field in FIELDS:
        a = stock.load_raw_arrays([field], FIRST, LAST, np.array(sids))[0]
        b = ours.load_raw_arrays([field], FIRST, LAST, np.array(sids))[0]
        assert same(b, a)
        for sid in [*sids, 99]:
            for day in (*SESSIONS[::3], pd.Timestamp("2015-11-26"), pd.Timestamp("2016-01-04")):
                asked = (sid, day, field)
                mine, theirs = (outcome(r.get_value, *asked) for r in (ours, stock))
                assert same(mine, theirs), asked


@settings(max_examples=25)
@given(data=tables(MINUTES))
def test_minute_bars_have_zipline_s_bits_under_bcolz(
    tmp_path_factory: pytest.TempPathFactory, data: list[tuple[int, pd.DataFrame]]
) -> None:
    directory = tmp_path_factory.mktemp("minute")
    (directory / "stock").mkdir()
    stock_writer = BcolzMinuteBarWriter(str(directory / "stock"), CALENDAR, FIRST, LAST, 390)
    stock_writer.write(data)
    minute(directory, "bcolz").write(data)
    stock = BcolzMinuteBarReader(str(directory / "stock"))
    ours = MinuteBarReader(directory / "bcolz")
    sids = [sid for sid, _ in data]
    for field in FIELDS:
        a = stock.load_raw_arrays([field], MINUTES[0], MINUTES[-1], sids)[0]
        b = ours.load_raw_arrays([field], MINUTES[0], MINUTES[-1], sids)[0]
        assert same(b, a)
        for sid in [*sids, 99]:
            for moment in (*MINUTES[::97], MINUTES[0] - pd.Timedelta(hours=2)):
                asked = (sid, moment, field)
                mine, theirs = (outcome(r.get_value, *asked) for r in (ours, stock))
                assert np.array_equal(mine, theirs, equal_nan=not isinstance(theirs, type)), asked


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("close", 1.234e-5),
        ("close", 150_000_000.0),
        ("close", 42000.1234),
        ("volume", 0.7),
        ("volume", 4.5e12),
        ("volume", 11_253_050_000.0),
    ],
)
def test_full_keeps_what_zipline_s_format_destroys(
    tmp_path: Path, column: str, value: float
) -> None:
    daily(tmp_path).write([(1, frame(SESSIONS, **{column: value}))])
    minute(tmp_path / "m").write([(1, frame(MINUTES, **{column: value}))])
    assert DailyBarReader(tmp_path / "full").get_value(1, SESSIONS[3], column) == value
    assert MinuteBarReader(tmp_path / "m/full").get_value(1, MINUTES[7], column) == value


@pytest.mark.parametrize("precision", ["full", "bcolz"])
def test_the_caller_s_frame_is_not_modified(tmp_path: Path, precision: str) -> None:
    given_frame = frame(SESSIONS, close=[np.nan, 5e9, *[1.0] * (len(SESSIONS) - 2)])
    before = given_frame.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        daily(tmp_path, precision).write([(1, given_frame)])
    pd.testing.assert_frame_equal(given_frame, before)


@pytest.mark.parametrize("value", [-1.0, float("inf")])
def test_full_refuses_what_no_bar_can_hold(tmp_path: Path, value: float) -> None:
    bars = frame(SESSIONS, close=[value, *[10.0] * (len(SESSIONS) - 1)])
    with pytest.raises(ValueError, match=r"close.*sid 1"):
        daily(tmp_path).write([(1, bars)], invalid_data_behavior="raise")
    with pytest.warns(UserWarning, match="1 bars of sid 1"):
        daily(tmp_path).write([(1, bars)])
    assert np.isnan(DailyBarReader(tmp_path / "full").get_value(1, FIRST, "close"))


def test_a_gap_is_kept_under_full_and_refused_under_bcolz(tmp_path: Path) -> None:
    gap = frame(SESSIONS.delete(4))
    daily(tmp_path).write([(1, gap)])
    reader = DailyBarReader(tmp_path / "full")
    assert np.isnan(reader.get_value(1, SESSIONS[4], "close"))
    assert reader.get_last_traded_dt(1, SESSIONS[4]) == SESSIONS[3]
    with pytest.raises(AssertionError, match="Missing sessions"):
        daily(tmp_path, "bcolz").write([(1, gap)])


@pytest.mark.parametrize("precision", ["full", "bcolz"])
def test_rows_off_the_calendar_are_refused(tmp_path: Path, precision: str) -> None:
    saturday = SESSIONS.insert(5, pd.Timestamp("2015-11-28"))
    with pytest.raises(AssertionError, match=r"Extra sessions.*2015-11-28"):
        daily(tmp_path, precision).write([(1, frame(saturday))])


def test_a_failed_write_leaves_the_one_before(tmp_path: Path) -> None:
    writer = daily(tmp_path)
    writer.write([(1, frame(SESSIONS))])

    def breaking() -> Any:
        yield 1, frame(SESSIONS, close=99.0)
        raise RuntimeError("the provider hung up")

    with pytest.raises(RuntimeError):
        writer.write(breaking())
    assert DailyBarReader(tmp_path / "full").get_value(1, FIRST, "close") == 10.0


def test_assets_name_the_sids_that_may_come(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown asset id 2"):
        daily(tmp_path).write([(2, frame(SESSIONS))], assets={1})


def test_a_sid_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        daily(tmp_path).write([(1, frame(SESSIONS[:2])), (1, frame(SESSIONS[2:]))])


def test_csv_files_are_written_by_sid(tmp_path: Path) -> None:
    frame(SESSIONS, close=12.5).rename_axis("day").to_csv(tmp_path / "a.csv")
    daily(tmp_path).write_csvs({3: str(tmp_path / "a.csv")})
    assert DailyBarReader(tmp_path / "full").get_value(3, LAST, "close") == 12.5


def test_minutes_are_added_and_seen_at_once(tmp_path: Path) -> None:
    writer = minute(tmp_path)
    reader = MinuteBarReader(tmp_path / "full")
    writer.write_sid(1, frame(MINUTES[:5]))
    assert reader.get_value(1, MINUTES[4], "close") == 10.0
    writer.write_sid(1, frame(MINUTES[5:9], close=11.0))
    assert reader.get_value(1, MINUTES[8], "close") == 11.0
    assert reader.table_len(1) == 9
    with pytest.raises(BcolzMinuteOverlappingData, match="sid=1"):
        writer.write_sid(1, frame(MINUTES[:5]))


def test_arrays_must_have_one_length(tmp_path: Path) -> None:
    columns = {name: np.ones(3) for name in FIELDS}
    with pytest.raises(BcolzMinuteWriterColumnMismatch, match="dts=2"):
        minute(tmp_path).write_cols(1, MINUTES[:2].values, columns)


def test_truncate_drops_what_lies_after(tmp_path: Path) -> None:
    writer = minute(tmp_path)
    writer.write([(1, frame(MINUTES)), (2, frame(MINUTES))])
    writer.truncate(SESSIONS[2])
    reader = MinuteBarReader(tmp_path / "full")
    assert reader.last_available_dt == CALENDAR.session_close(SESSIONS[2])
    assert reader.table_len(1) == 390
    assert writer.last_date_in_output_for_sid(1) == SESSIONS[2]


def test_attributes_of_a_sid_are_read_back(tmp_path: Path) -> None:
    writer = minute(tmp_path)
    writer.set_sid_attrs(1, factor=100)
    writer.set_sid_attrs(1, note="x")
    reader = MinuteBarReader(tmp_path / "full")
    assert (reader.get_sid_attr(1, "factor"), reader.get_sid_attr(1, "note")) == (100, "x")
    assert reader.get_sid_attr(2, "factor") is None


def test_a_store_goes_on_after_opening_it_again(tmp_path: Path) -> None:
    minute(tmp_path).write_sid(1, frame(MINUTES[:5]))
    MinuteBarWriter.open(tmp_path / "full", LAST).write_sid(1, frame(MINUTES[5:6]))
    assert MinuteBarReader(tmp_path / "full").table_len(1) == 6
