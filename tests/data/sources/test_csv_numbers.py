"""Numbers: decimal marks, thousands, missing values, precision, and rows that are refused."""

import pytest

from rustybt.data.errors import BarSchemaError, BarValidationError
from tests.data.sources.files import VALUES, days, fetch, put, table

GERMAN = "Date;Open;High;Low;Close;Volume"


def values(path, **options):
    return fetch(path, **options).row(0)[2:]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1,5;2,5;0,5;2,25;100", (1.5, 2.5, 0.5, 2.25, 100.0)),
        ("1,500;2,500;1,100;2,250;100", (1.5, 2.5, 1.1, 2.25, 100.0)),
        ("1.234,5;2.234,5;1.000;1.234;1.000.000", (1234.5, 2234.5, 1000.0, 1234.0, 1e6)),
        ("1.5;2.5;0.5;2.25;100", (1.5, 2.5, 0.5, 2.25, 100.0)),
        ("1,234.5;1,300.0;1,000.5;1,299;100", (1234.5, 1300.0, 1000.5, 1299.0, 100.0)),
        ("1,5;2,5e0;,5;2,;1E2", (1.5, 2.5, 0.5, 2.0, 100.0)),
    ],
    ids=["commas", "three decimals", "grouped", "points", "thousands", "odd spellings"],
)
def test_decimal_commas_in_a_file_of_semicolons(tmp_path, row, expected):
    path = put(tmp_path, "X.csv", table(f"02.01.2020;{row}", header=GERMAN))
    assert values(path) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('"1,234.5","1,300.0","1,000.5","1,299","1,000,000"', (1234.5, 1300, 1000.5, 1299, 1e6)),
        ('"1,5","2,5","0,5","2,25",100', (1.5, 2.5, 0.5, 2.25, 100)),
        ('999.5,"1,300",5.5,"1,299","1,000"', (999.5, 1300, 5.5, 1299, 1000)),
    ],
    ids=["thousands", "decimal commas", "one tells all"],
)  # fmt: skip
def test_quoted_commas_in_a_file_of_commas(tmp_path, row, expected):
    assert values(put(tmp_path, "X.csv", table(f"2020-01-02,{row}"))) == expected


def test_a_comma_that_could_be_either_is_refused_until_it_is_said(tmp_path):
    path = put(tmp_path, "X.csv", table('2020-01-02,"1,200","1,300","1,100","1,250",7'))
    with pytest.raises(BarSchemaError, match=r"X\.csv: the comma of '1,200'.*decimal=','"):
        values(path)
    assert values(path, decimal=".") == (1200, 1300, 1100, 1250, 7)
    assert values(path, decimal=",") == (1.2, 1.3, 1.1, 1.25, 7)


def test_points_and_commas_that_contradict_are_refused(tmp_path):
    path = put(tmp_path, "X.csv", table('2020-01-02,"1,5",2.5,1.25,"1,5",7'))
    with pytest.raises(BarSchemaError, match=r"points \('2.5'\) and decimal commas \('1,5'\)"):
        values(path)


def test_a_mark_that_was_said_is_held_to(tmp_path):
    path = put(tmp_path, "X.csv", table("02.01.2020;10,5;12.5;9;11;100", header=GERMAN))
    with pytest.raises(BarValidationError, match=r"row 2: X 2020-01-02: high is not .*'12\.5'"):
        values(path, decimal=",")


@pytest.mark.parametrize(
    "mark", ["12,34,567", "1'234", "$12", "12%", "0x1F", "1_000", "1.2.3", "x"]
)
def test_what_is_no_number_is_an_error_with_its_row(tmp_path, mark):
    rows = [f"2020-01-02,{VALUES}", f'2020-01-03,10,12,9,"{mark}",100', f"2020-01-06,{VALUES}"]
    with pytest.raises(BarValidationError, match=r"1 row refused:\s+X\.csv, row 3: ") as caught:
        values(put(tmp_path, "X.csv", table(*rows)))
    assert f"close is not a number: '{mark}'" in str(caught.value)
    assert caught.value.findings.select("file", "row").rows() == [("X.csv", 3)]


@pytest.mark.parametrize("absent", ["", "NaN", "null", "N/A", "-", " "])
def test_a_row_without_a_price_is_no_trade(tmp_path, absent):
    rows = [f"2020-01-02,{VALUES}", "2020-01-03" + f",{absent}" * 4 + ",0"]
    assert len(fetch(put(tmp_path, "X.csv", table(*rows)))) == 1


@pytest.mark.parametrize("column", range(5))
def test_a_row_with_some_values_missing_is_refused(tmp_path, column):
    cells = VALUES.split(",")
    cells[column] = ""
    path = put(tmp_path, "X.csv", table(f"2020-01-02,{VALUES}", ",".join(["2020-01-03", *cells])))
    with pytest.raises(BarValidationError, match=r"X\.csv, row 3: X 2020-01-03: .*missing"):
        fetch(path)


@pytest.mark.parametrize(
    "digits",
    [
        "123.456789012345",
        "0.00000123456789012345",
        "1.23456789012345e-7",
        "0.30000000000000004",
        "2.1234567890123457",
        "9007199254740992",
        "000000000000000012.50000000000000000000",
    ],
)
def test_digits_that_a_float_gives_back_are_kept(tmp_path, digits):
    path = put(tmp_path, "X.csv", table(f"2020-01-02,{digits},1e17,1e-9,{digits},{digits}"))
    assert values(path) == (float(digits), 1e17, 1e-9, float(digits), float(digits))


@pytest.mark.parametrize(
    "digits", ["123.45678901234567890", "9007199254740993", "0.1000000000000000055"]
)
@pytest.mark.parametrize("column", range(5))
def test_digits_that_a_float_loses_are_refused_with_their_row(tmp_path, digits, column):
    cells = ["1", "1e17", "1e-9", "1", "1"]
    cells[column] = digits
    path = put(tmp_path, "X.csv", table(f"2020-01-02,{VALUES}", ",".join(["2020-01-03", *cells])))
    with pytest.raises(BarValidationError, match=rf"X\.csv, row 3: .*{digits} would be read as"):
        fetch(path)


def test_a_number_too_small_for_a_float_is_not_zero(tmp_path):
    with pytest.raises(BarValidationError, match="volume 1e-400 would be read as"):
        fetch(put(tmp_path, "X.csv", days("2020-01-02", values="10,12,9,11,1e-400")))


@pytest.mark.parametrize("values_", ["10,12,9,11,0", "10,12,9,11,0.0", "1e-5,1e-5,1e-5,1e-5,1e13"])
def test_small_and_large_values_survive(tmp_path, values_):
    path = put(tmp_path, "X.csv", days("2020-01-02", values=values_))
    assert values(path) == tuple(map(float, values_.split(",")))


@pytest.mark.parametrize(
    ("values_", "reason"),
    [
        ("10,8,9,9,100", "open or close lies outside low..high"),
        ("10,12,11,11,100", "open or close lies outside low..high"),
        ("0,12,0,11,100", "a price is zero or negative"),
        ("-10,12,-11,11,100", "a price is zero or negative"),
        ("10,inf,9,11,100", "not a number"),
        ("10,12,9,11,-1", "volume is missing or negative"),
        ("10,12,9,11,1e999", "volume is missing or negative"),
    ],
)
def test_a_bar_that_cannot_be_true_is_an_error_with_its_row(tmp_path, values_, reason):
    text = table(f"2020-01-06,{VALUES}", f"2020-01-03,{values_}", f"2020-01-02,{VALUES}")
    with pytest.raises(BarValidationError, match=rf"X\.csv, row 3: X 2020-01-03: .*{reason}"):
        fetch(put(tmp_path, "X.csv", text))


def test_bars_that_stand_there_twice_are_all_named(tmp_path):
    path = put(tmp_path, "X.csv", days("2020-01-03", "2020-01-02", "2020-01-03"))
    with pytest.raises(BarValidationError) as caught:
        fetch(path)
    assert caught.value.findings["row"].to_list() == [2, 4]
    assert caught.value.findings["rule"].unique().to_list() == ["duplicate"]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    rows = [
        f"2020-01-02,{VALUES}",
        f"2020-02-30,{VALUES}",
        "2020-01-06,10,x,9,11,100",
        "2020-01-07,10,12,9,11,-1",
        f"2020-01-02,{VALUES}",
    ]
    with pytest.raises(BarValidationError) as caught:
        fetch(put(tmp_path, "X.csv", table(*rows)))
    assert caught.value.findings["row"].to_list() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("ragged", "cells"), [("2020-01-03,10,12", 3), (f"2020-01-03,{VALUES},1", 7), ("junk", 1)]
)
def test_a_row_of_another_length_is_an_error_with_its_row(tmp_path, ragged, cells):
    path = put(tmp_path, "X.csv", table(f"2020-01-02,{VALUES}", "", ragged))
    with pytest.raises(BarValidationError, match=f"X.csv, row 4: has {cells} cells .* has 6"):
        fetch(path)


def test_rows_are_counted_as_an_editor_counts_lines(tmp_path):
    rows = [f'2020-01-02,{VALUES},"two\nlines"', "", f"2020-01-03,{VALUES},", ",,,,,,",
            "2020-01-06,10,12,9,x,100,"]  # fmt: skip
    text = "\n" + table(*rows, header="Date,Open,High,Low,Close,Volume,Note") + "\n\n  \n\x1a"
    lines = text.split("\n")
    with pytest.raises(BarValidationError) as caught:
        fetch(put(tmp_path, "X.csv", text))
    (row,) = caught.value.findings["row"]
    assert lines[row - 1].startswith("2020-01-06")


def test_a_row_without_a_symbol_is_refused(tmp_path):
    text = table(f"AAA,2020-01-02,{VALUES}", f" ,2020-01-03,{VALUES}", header=f"Symbol,{GERMAN}")
    with pytest.raises(BarValidationError, match=r"bars\.csv, row 3: 2020-01-03: the symbol is"):
        fetch(put(tmp_path, "bars.csv", text.replace(";", ",")), ["AAA"])


def test_rows_that_are_not_asked_for_are_not_judged(tmp_path):
    text = table(f"2020-01-02,{VALUES}", "2020-01-03,10,x,9,11,1", "2020-01-06,10,1,9,11,1")
    path = put(tmp_path, "X.csv", text)
    assert len(fetch(path, None, "2020-01-01", "2020-01-02")) == 1
    with pytest.raises(BarValidationError, match="1 row refused"):
        fetch(path, None, "2020-01-01", "2020-01-03")


def test_an_unclosed_quote_is_an_error_with_its_row(tmp_path):
    path = put(tmp_path, "X.csv", table(f'"2020-01-02,{VALUES}', f"2020-01-03,{VALUES}"))
    with pytest.raises(BarValidationError, match=r"X\.csv, row 2: has 1 cells"):
        fetch(path)
