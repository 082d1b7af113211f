"""Splits and dividends: beside the bars, in files of their own, in both."""

import asyncio
from datetime import date

import pytest

from rustybt.data.errors import BarSchemaError, BarValidationError, UnknownSymbolError
from rustybt.data.sources.csv import CSVDataSource
from tests.data.sources.files import HEADER, VALUES, days, put, table

NONE = "0.0,1.0"


def events(path, symbols=("X",), start=None, end=None, **options):
    source = CSVDataSource(path, **options)
    return asyncio.run(source.fetch_events(list(symbols), start, end))


def beside(
    tmp_path, *acts, header="dividend,split", dates=("2020-01-02", "2020-01-03", "2020-01-06")
):
    rows = [f"{day},{VALUES},{act}" for day, act in zip(dates, acts, strict=True)]
    return put(tmp_path, "X.csv", table(*rows, header=f"{HEADER},{header}"))


@pytest.mark.parametrize("written", ["4.0", "4"])
@pytest.mark.parametrize("header", ["split", "Stock Splits", "split_coefficient", "splitFactor"])
@pytest.mark.parametrize("none", ["1.0", "0.0", ""])
def test_a_split_in_a_column_is_new_shares_for_an_old_one(tmp_path, written, header, none):
    found = events(beside(tmp_path, none, written, none, header=header))
    assert found.splits.rows() == [("X", date(2020, 1, 3), 0.25)]
    assert len(found) == 1


@pytest.mark.parametrize("header", ["dividend", "Dividends", "7. dividend amount", "divCash"])
@pytest.mark.parametrize("none", ["0.0", "0", "", "nan"])
def test_a_dividend_in_a_column_is_cash_a_share(tmp_path, header, none):
    found = events(beside(tmp_path, none, none, "0.82", header=header))
    assert found.dividends.rows() == [("X", date(2020, 1, 6), 0.82, None, None, None)]
    assert len(found) == 1


def test_a_split_and_a_dividend_on_one_day(tmp_path):
    found = events(beside(tmp_path, NONE, "0.1,0.5", NONE))
    assert found.splits["ratio"].to_list() == [2.0]
    assert found.dividends["amount"].to_list() == [0.1]


@pytest.mark.parametrize("act", ["0.0,-2.0", "-0.1,1.0"])
def test_an_event_that_cannot_be_is_an_error_with_its_row(tmp_path, act):
    with pytest.raises(BarValidationError, match=r"X\.csv, row 3: X 2020-01-03: .* above zero"):
        events(beside(tmp_path, NONE, act, NONE))


def test_text_in_an_event_is_an_error_with_its_row(tmp_path):
    with pytest.raises(BarValidationError, match=r"X\.csv, row 3: X 2020-01-03: split is not a"):
        events(beside(tmp_path, NONE, "0,4:1", NONE))


def test_a_column_that_may_be_splits_must_be_mapped(tmp_path):
    path = beside(tmp_path, "1", "4", "1", header="Split Ratio")
    with pytest.raises(BarSchemaError, match=r"'Split Ratio' may be splits"):
        events(path)
    assert events(path, columns={"Split Ratio": "split"}).splits["ratio"].to_list() == [0.25]
    assert not len(events(path, columns={"Split Ratio": None}))


def test_an_event_repeated_on_each_bar_of_a_session_is_one(tmp_path):
    dates = ("2020-01-02 23:30", "2020-01-02 23:31", "2020-01-02 23:32")
    path = beside(tmp_path, *["0.5,2"] * 3, dates=dates)
    assert events(path).splits["ex_date"].to_list() == [date(2020, 1, 2)]
    assert len(events(path)) == 2
    offsets = beside(tmp_path, *["0.5,2"] * 3, dates=[f"{each}Z" for each in dates])
    assert events(offsets, timezone="Asia/Tokyo").splits["ex_date"].to_list() == [date(2020, 1, 3)]


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("symbol,ex_date,ratio\nX,2020-01-03,0.25\n", 0.25),
        ("Ticker,Date,Ratio\nX,03.01.2020,1.5\n", 1.5),
        ("symbol,execution_date,split_from,split_to\nX,2020-01-03,1,4\n", 0.25),
        ("from,to,symbol,ex_date\n3,2,X,20200103\n", 1.5),
    ],
)
@pytest.mark.parametrize("place", ["folder", "file", "named"])
def test_splits_from_a_file(tmp_path, text, ratio, place):
    bars = put(tmp_path, "bars/X.csv", days("2020-01-02"))
    put(tmp_path, ("elsewhere" if place == "named" else "bars") + "/splits.csv", text)
    options = {"events": tmp_path / "elsewhere"} if place == "named" else {}
    path = bars if place == "file" else bars.parent
    assert events(path, **options).splits.rows() == [("X", date(2020, 1, 3), ratio)]


def test_dividends_from_a_file_with_their_dates(tmp_path):
    put(tmp_path, "X.csv", days("2020-01-02"))
    header = "symbol,ex_date,amount,declared_date,record_date,pay_date"
    rows = ["X,2020-02-07,0.77,2020-01-28,2020-02-10,2020-02-13", "X,2020-05-08,0.82,,,2020-05-14"]
    put(tmp_path, "dividends.csv", table(*rows, header=header))
    first, second = events(tmp_path).dividends.rows()
    assert first[2:] == (0.77, date(2020, 1, 28), date(2020, 2, 10), date(2020, 2, 13))
    assert second[2:] == (0.82, None, None, date(2020, 5, 14))


def test_events_in_csvdir_are_beside_the_folders_or_in_daily(tmp_path):
    put(tmp_path, "daily/X.csv", days("2020-01-02"))
    put(tmp_path, "daily/splits.csv", "symbol,ex_date,ratio\nX,2020-01-03,0.5\n")
    put(tmp_path, "dividends.csv", "symbol,ex_date,amount\nX,2020-01-03,0.5\n")
    found = events(tmp_path)
    assert (len(found.splits), len(found.dividends)) == (1, 1)


def test_events_of_a_symbol_with_minutes_only(tmp_path):
    put(tmp_path, "daily/Y.csv", days("2020-01-02"))
    row = f"2020-01-02 14:31,{VALUES},2"
    put(tmp_path, "minute/X.csv", table(row, header=f"{HEADER},split"))
    assert events(tmp_path, ["X", "Y"]).splits["symbol"].to_list() == ["X"]


def test_daily_bars_come_with_the_events_in_a_file_of_minutes_of_several_symbols(tmp_path):
    put(tmp_path, "daily/X.csv", days("2020-01-02"))
    row = f"X,2020-01-02 14:31,{VALUES},2"
    put(tmp_path, "minute/all.csv", table(row, header=f"Symbol,{HEADER},split"))

    async def delivered():
        source = CSVDataSource(tmp_path)
        return [each async for each in source.deliver(["X"], None, None, ["1d"])]

    [delivery] = asyncio.run(delivered())
    assert delivery.events.splits.equals(events(tmp_path).splits)
    assert delivery.events.splits.rows() == [("X", date(2020, 1, 2), 0.5)]


@pytest.mark.parametrize(
    ("start", "end", "days_"), [("2020-01-03", "2020-01-06", [3, 6]), ("2020-01-04", None, [6])]
)
def test_events_are_those_of_the_range_and_the_symbols(tmp_path, start, end, days_):
    put(tmp_path, "X.csv", days("2020-01-02"))
    rows = [f"{symbol},2020-01-0{day},0.5" for symbol in "XY" for day in (2, 3, 6)]
    put(tmp_path, "dividends.csv", table(*rows, header="symbol,ex_date,amount"))
    found = events(tmp_path, start=start, end=end).dividends
    assert found["ex_date"].to_list() == [date(2020, 1, day) for day in days_]
    assert found["symbol"].unique().to_list() == ["X"]


def test_events_in_a_column_and_in_a_file_are_not_applied_twice(tmp_path):
    path = beside(tmp_path, "0.5,1", NONE, NONE)
    put(tmp_path, "dividends.csv", "symbol,ex_date,amount\nX,2020-01-02,0.5\n")
    with pytest.raises(BarSchemaError, match=r"dividends\.csv and also .* of X\.csv \(row 2\)"):
        events(path)
    assert len(events(path, columns={"dividend": None})) == 1


@pytest.mark.parametrize("adjustment", ["split", "split_dividend"])
def test_adjusted_prices_have_no_events(tmp_path, adjustment):
    path = beside(tmp_path, "0.5,2", NONE, NONE)
    assert len(events(path)) == 2
    assert not len(events(path, adjustment=adjustment))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("symbol,ex_date,quota\nX,2020-01-03,1\n", BarSchemaError, r"from, to in splits\.csv"),
        ("symbol,ex_date,ratio\nX,soon,1\n", BarSchemaError, r"splits\.csv, row 2: 'soon'"),
        ("symbol,ex_date,ratio\nX,,2\n", BarSchemaError, r"row 2: '' is not an ex-date"),
        ("symbol,ex_date,ratio\nX,2020-01-03,2:1\n", BarValidationError, r"row 2: .*'2:1'"),
        ("symbol,ex_date,ratio\nX,2020-01-03,0\n", BarValidationError, r"row 2: .*above zero"),
        ("symbol,ex_date,from,to\nX,2020-01-03,1,0\n", BarValidationError, r"row 2: .*above zero"),
        ("", BarSchemaError, r"splits\.csv is empty"),
    ],
)
def test_a_file_of_events_that_cannot_be_used_is_an_error(tmp_path, text, error, message):
    put(tmp_path, "X.csv", days("2020-01-02"))
    put(tmp_path, "splits.csv", text)
    with pytest.raises(error, match=message):
        events(tmp_path)


def test_a_file_of_no_events_has_none(tmp_path):
    put(tmp_path, "X.csv", days("2020-01-02"))
    put(tmp_path, "splits.csv", "symbol,ex_date,ratio\n")
    assert not len(events(tmp_path))


def test_two_splits_on_one_date_are_an_error_with_their_rows(tmp_path):
    put(tmp_path, "X.csv", days("2020-01-02"))
    put(tmp_path, "splits.csv", "symbol,ex_date,ratio\nX,2020-01-03,0.5\nX,2020-01-03,0.25\n")
    with pytest.raises(BarValidationError, match=r"splits\.csv, row 2: .*splits have this date"):
        events(tmp_path)


@pytest.mark.parametrize("column", [True, False])
def test_events_of_an_unknown_symbol_are_an_error(tmp_path, column):
    header = f"Symbol,{HEADER}" if column else HEADER
    cells = f"X,2020-01-02,{VALUES}" if column else f"2020-01-02,{VALUES}"
    path = put(tmp_path, "X.csv", table(cells, header=header))
    with pytest.raises(UnknownSymbolError, match="no symbol Y"):
        events(path, ["X", "Y"])
