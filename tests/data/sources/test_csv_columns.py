"""Which column is what: names, delimiters, mappings, headers."""

import pytest

from rustybt.data.errors import BarSchemaError, BarValidationError, OptionError
from tests.data.sources.files import HEADER, VALUES, days, fetch, put, table

BAR = (10.0, 12.0, 9.0, 11.0, 100.0)


def values(path, **options):
    return fetch(path, **options).row(0)[2:]


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Volume",
        "DATETIME,OPEN,HIGH,LOW,LAST,VOL",
        "timestamp,o,h,l,c,v",
        "day, open, high, low, close, volume",
        "time,Open,High,Low,Close/Last,Volume",
        ",1. open,2. high,3. low,4. close,5. volume",
        "Unnamed: 0,Open,High,Low,Close,Volume",
        '"Date","Open","High","Low","Close","Volume"',
    ],
)
def test_names_as_vendors_spell_them(tmp_path, header):
    assert values(put(tmp_path, "X.csv", table(f"2020-01-02,{VALUES}", header=header))) == BAR


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Volume,Close,Low,High,Open,Date", "100,11,9,12,10,2020-01-02"),
        ("Date,Open,High,Low,Close,Adj Close,Volume", "2020-01-02,10,12,9,11,5.5,100"),
        ("Date,Last,Open,High,Low,Close,Volume", "2020-01-02,77,10,12,9,11,100"),
        (",Date,Open,High,Low,Close,Volume", f"0,2020-01-02,{VALUES}"),
        (f"{HEADER},Note,Note", f"2020-01-02,{VALUES},,"),
        (f"{HEADER},", f"2020-01-02,{VALUES},"),
    ],
    ids=["any order", "adjusted left out", "close before last", "row numbers", "twice", "trailing"],
)
def test_columns_that_are_not_needed_are_left_out(tmp_path, header, row):
    assert values(put(tmp_path, "X.csv", table(row, header=header))) == BAR


@pytest.mark.parametrize("alias", ["Symbol", "TICKER", "instrument", "Name"])
def test_a_column_of_symbols(tmp_path, alias):
    text = table(f"2020-01-02,{VALUES}, AAA ", header=f"{HEADER},{alias}")
    assert fetch(put(tmp_path, "all.csv", text), ["AAA"]).row(0)[2:] == BAR


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    text = days("2020-01-02").replace(",", delimiter)
    assert values(put(tmp_path, "X.csv", text)) == BAR


def test_a_delimiter_may_be_given(tmp_path):
    path = put(tmp_path, "X.csv", days("2020-01-02").replace(",", "^"))
    with pytest.raises(BarSchemaError, match="delimiter="):
        values(path)
    assert values(path, delimiter="^") == BAR


def test_quoted_cells_hold_delimiters_quotes_and_line_ends(tmp_path):
    rows = [f'2020-01-02,{VALUES},"a, ""b""\nc"', f"2020-01-03,{VALUES},"]
    assert len(fetch(put(tmp_path, "X.csv", table(*rows, header=f"{HEADER},Note")))) == 2


def test_a_mapping_goes_before_every_guess(tmp_path):
    text = table("2020-01-02,10,12,9,1,11,100", header="when,Open,High,Low,Close,Settle,Volume")
    columns = {"when": "timestamp", "settle": "close"}
    assert values(put(tmp_path, "X.csv", text), columns=columns) == BAR


def test_files_without_a_header_take_the_names_given(tmp_path):
    path = put(tmp_path, "X.csv", f"20200102,{VALUES}\n20200103,{VALUES}\n")
    with pytest.raises(BarSchemaError, match=r"columns=\['date', 'open', \.\.\.\]"):
        fetch(path)
    names = ["date", "open", "high", "low", "close", "volume"]
    assert len(fetch(path, columns=names)) == 2
    bad = put(tmp_path, "Y.csv", f"20200102,{VALUES}\n20200103,10,12,nine,11,100\n")
    with pytest.raises(BarValidationError, match=r"row 2: .*nine"):
        fetch(bad, columns=names)


@pytest.mark.parametrize("missing", HEADER.split(","))
def test_a_missing_column_is_named_with_the_file_its_columns_and_the_way_out(tmp_path, missing):
    text = days("2020-01-02").replace(missing, "Foo")
    hint = f"columns={{'<its name>': '{missing.lower()}'}}"
    with pytest.raises(BarSchemaError) as caught:
        values(put(tmp_path, "X.csv", text))
    for part in (f"no column for {missing.lower()} in X.csv", "Foo", hint):
        assert part in str(caught.value)


def test_adjusted_closes_alone_must_be_said_to_be_adjusted(tmp_path):
    path = put(tmp_path, "X.csv", days("2020-01-02").replace("Close", "Adj Close"))
    with pytest.raises(BarSchemaError, match="adjustment='split_dividend'"):
        values(path)
    assert values(path, columns={"Adj Close": "close"}, adjustment="split_dividend") == BAR


@pytest.mark.parametrize(
    "header",
    [
        "Date,Timestamp,Open,High,Low,Close,Volume",
        "Datetime,Time,Open,High,Low,Close,Volume",
        "Date,Open,High,Low,Close,close,Volume",
    ],
)
def test_two_columns_for_one_role_must_be_told_apart(tmp_path, header):
    cells = f"2020-01-02,{VALUES},5" if header.endswith("close,Volume") else f"1,2,{VALUES}"
    with pytest.raises(BarSchemaError, match=r"could each be the (timestamp|close)"):
        values(put(tmp_path, "X.csv", table(cells, header=header)))


def test_the_one_that_is_mapped_is_taken(tmp_path):
    header = "Date,Timestamp,Open,High,Low,Close,Volume"
    path = put(tmp_path, "X.csv", table(f"x,2020-01-02,{VALUES}", header=header))
    assert values(path, columns={"Timestamp": "timestamp"}) == BAR


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"Settle": "close"}, BarSchemaError, "'Settle', which is not in X.csv"),
        ({"Close": "price"}, OptionError, "'price'; a column can be symbol, "),
        ({"Close": "open", "Open": "open"}, BarSchemaError, "two columns for open"),
    ],
)
def test_a_mapping_that_cannot_be_is_an_error(tmp_path, columns, error, message):
    path = put(tmp_path, "X.csv", days("2020-01-02"))
    with pytest.raises(error, match=message):
        values(path, columns=columns)


def test_leaving_out_what_is_not_there_is_no_error(tmp_path):
    assert values(put(tmp_path, "X.csv", days("2020-01-02")), columns={"Split": None}) == BAR


@pytest.mark.parametrize(
    "options",
    [
        {"label": "middle"},
        {"decimal": "'"},
        {"delimiter": "::"},
        {"delimiter": ""},
        {"adjustment": "some"},
        {"timezone": "Mars/Olympus"},
        {"timezone": ""},
        {"date_format": "%Y-%m-%d %z %H"},
    ],
    ids=str,
)
def test_an_option_that_has_no_meaning_is_an_error(tmp_path, options):
    path = put(tmp_path, "X.csv", days("2020-01-02"))
    with pytest.raises(OptionError, match=next(iter(options))):
        values(path, **options)
