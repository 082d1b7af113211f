"""Files that are read together mean what each of them means alone."""

import pytest
from polars.testing import assert_frame_equal

from rustybt.data.errors import BarSchemaError, BarValidationError, RustyBTError
from tests.data.sources.files import VALUES, days, fetch, put, table

PLAIN = days("2020-01-13", "2020-01-14")
FILES = {
    "plain": PLAIN,
    "other date": days("13.01.2020", "14.01.2020"),
    "day first": days("13/01/2020", "02/01/2020"),
    "month first": days("01/13/2020", "01/02/2020"),
    "doubtful date": days("03/01/2020", "02/01/2020"),
    "epoch": days("1578873600", "1578960000"),
    "other order": table("100,11,9,12,10,2020-01-13", header="Volume,Close,Low,High,Open,Date"),
    "more columns": table(f"2020-01-13,{VALUES},5", header="Date,Open,High,Low,Close,Volume,X"),
    "commas": "2020-01-13;10,5;12;9;11;100\n".join(["Date;Open;High;Low;Close;Volume\n", ""]),
    "thousands": table('2020-01-13,"1,010.5","1,012","1,009","1,011.5","1,000"'),
    "doubtful comma": table('2020-01-13,"1,010","1,012","1,009","1,011","1,000"'),
    "no trade": table(f"2020-01-13,{VALUES}", "2020-01-14,,,,,0"),
    "zero volume": days("2020-01-13", values="10,12,9,11,0"),
    "long numbers": days("2020-01-13", values="0.30000000000000004,1,0.1,0.2,1e-9"),
    "lost digits": days("2020-01-13", values="0.3000000000000000444,1,0.1,0.2,1"),
    "text": table(f"2020-01-13,{VALUES}", "2020-01-14,ten,12,9,11,100"),
    "bad date": days("2020-01-13", "2020-02-30"),
    "bad bar": days("2020-01-13", values="10,9,12,11,100"),
    "ragged": table(f"2020-01-13,{VALUES}", "2020-01-14,10"),
    "empty": "",
}


def outcome(path, symbols):
    """The bars, or the kind of error and the rows that it names."""
    try:
        return fetch(path, symbols)
    except BarValidationError as error:
        return type(error), error.findings.select("file", "row", "message").rows()
    except RustyBTError as error:
        return type(error), str(error)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("plain", ["AAA", "CCC"], ids=["behind plain files", "before plain files"])
def test_a_file_means_the_same_among_others_as_alone(tmp_path, kind, plain):
    for symbol in (plain, "B", f"{plain}2"):
        put(tmp_path, f"{symbol}.csv", FILES[kind] if symbol == "B" else PLAIN)
    alone = outcome(tmp_path / "B.csv", ["B"])
    together = outcome(tmp_path, ["B", plain, f"{plain}2"])
    if isinstance(alone, tuple):
        assert together == alone
    else:
        assert_frame_equal(together.filter(symbol="B"), alone)
        assert_frame_equal(together.filter(symbol=plain), fetch(tmp_path, [plain]))


def test_what_other_files_are_like_decides_nothing(tmp_path):
    put(tmp_path, "A.csv", days("13/01/2020"))
    put(tmp_path, "B.csv", days("02/01/2020"))
    with pytest.raises(BarSchemaError, match=r"B\.csv: in '02/01/2020' day and month"):
        fetch(tmp_path, ["A", "B"])


def test_bad_rows_of_several_files_are_told_at_once(tmp_path):
    for symbol, date in {"A": "2020-02-30", "B": "2020-02-28", "C": "2020-02-31"}.items():
        put(tmp_path, f"{symbol}.csv", days("2020-01-13", date))
    with pytest.raises(BarValidationError) as caught:
        fetch(tmp_path, ["A", "B", "C"])
    assert caught.value.findings.select("file", "row").rows() == [("A.csv", 3), ("C.csv", 3)]


def test_more_files_than_are_read_at_a_time(tmp_path):
    symbols = [f"S{number:03}" for number in range(150)]
    for number, symbol in enumerate(symbols):
        put(tmp_path, f"{symbol}.csv", days("2020-01-13", values=f"{number + 1}," * 4 + "7"))
    bars = fetch(tmp_path)
    assert bars["symbol"].to_list() == symbols
    assert bars["close"].to_list() == list(range(1, 151))
