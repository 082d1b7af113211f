"""Files and folders: packings, encodings, names, layouts."""

import asyncio
import os
import sys
import zipfile

import pytest

from rustybt.data.errors import (
    BarSchemaError,
    FrequencyError,
    RustyBTError,
    SourceFileError,
    UnknownSymbolError,
)
from rustybt.data.sources.csv import CSVDataSource
from tests.data.sources.files import HEADER, VALUES, days, fetch, packed, put, table

ONE_DAY = days("2020-01-02")


def listed(path, **options):
    return asyncio.run(CSVDataSource(path, **options).list_symbols())


@pytest.mark.parametrize("packing", ["", ".gz", ".bz2", ".xz", ".zst", ".zip"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
def test_a_packed_file_is_read_whatever_its_name_ends_in(tmp_path, packing, named):
    path = put(tmp_path, "X.csv" + (packing if named else ""), packed(ONE_DAY, packing))
    assert fetch(path).rows()[0][0] == "X"
    assert fetch(path)["close"].to_list() == [11.0]


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz", ".zst"])
def test_a_file_packed_in_parts_is_read_to_its_end(tmp_path, packing):
    parts = [packed(text, packing) for text in (ONE_DAY, f"2020-01-03,{VALUES}\n")]
    assert len(fetch(put(tmp_path, "X.csv", b"".join(parts)))) == 2


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz", ".zst", ".zip"])
def test_a_packed_file_that_is_cut_is_an_error_with_its_name(tmp_path, packing):
    data = packed(days(*(f"2020-01-{day:02}" for day in range(1, 32))), packing)
    path = put(tmp_path, "X.csv" + packing, data[: len(data) * 2 // 3])
    with pytest.raises(SourceFileError, match=r"X\.csv.* cannot be read"):
        fetch(path, ["X"])


def test_a_zip_of_two_files_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "X.zip", "w") as archive:
        archive.writestr("a.csv", ONE_DAY)
        archive.writestr("b.csv", ONE_DAY)
    with pytest.raises(SourceFileError, match="zip of 2 files"):
        fetch(tmp_path / "X.zip", ["X"])


def test_what_macos_adds_to_a_zip_is_not_bars(tmp_path):
    with zipfile.ZipFile(tmp_path / "X.zip", "w") as archive:
        archive.writestr("X.csv", ONE_DAY)
        archive.writestr("__MACOSX/._X.csv", b"\0\5")
    assert len(fetch(tmp_path / "X.zip")) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, line_end):
    text = table(f"2020-01-02,{VALUES},Société", header=f"{HEADER},Note")
    path = put(tmp_path, "X.csv", text.replace("\n", line_end).encode(encoding))
    assert fetch(path)["close"].to_list() == [11.0]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (table(f"2020-01-02,{VALUES},caf\xe9", header=f"{HEADER},Note").encode("latin-1"), "row 2"),
        (ONE_DAY.encode() + bytes(range(256)), "row 3"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "row 1"),
    ],
    ids=["latin-1", "binary tail", "image"],
)
def test_what_is_no_text_is_an_error_with_its_row(tmp_path, data, where):
    with pytest.raises(BarSchemaError, match=rf"X\.csv is not text in UTF-8 \({where}"):
        fetch(put(tmp_path, "X.csv", data), ["X"])


@pytest.mark.parametrize("text", ["", "\n\n", " \r\n", "\ufeff", HEADER, HEADER + "\n\n"])
def test_a_file_without_rows_is_an_error_with_its_name(tmp_path, text):
    with pytest.raises(BarSchemaError, match=r"X\.csv (is empty|has a header and no rows)"):
        fetch(put(tmp_path, "X.csv", text), ["X"])


def test_a_file_of_empty_cells_is_an_error_with_its_name(tmp_path):
    with pytest.raises(BarSchemaError, match=r"X\.csv has no rows"):
        fetch(put(tmp_path, "X.csv", table(",,,,,", ",,,,,")), ["X"])


def test_a_missing_path_is_an_error_at_once(tmp_path):
    with pytest.raises(SourceFileError, match=r"no file or folder .*nowhere"):
        CSVDataSource(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("AAPL.csv", "AAPL"),
        ("AAPL.csv.gz", "AAPL"),
        ("BRK.B.csv", "BRK.B"),
        ("spy.US.txt", "spy.US"),
        ("BTC-USD.tsv.xz", "BTC-USD"),
        ("X.CSV", "X"),
        ("^GSPC.csv", "^GSPC"),
        ("IBM.zip", "IBM"),
    ],
)
def test_a_file_is_named_after_its_symbol(tmp_path, name, symbol):
    packing = name[name.rfind(".") :].lower()
    data = packed(ONE_DAY, packing if packing in (".gz", ".xz", ".zip") else "")
    path = put(tmp_path, name, data)
    assert listed(tmp_path) == listed(path) == [symbol]
    assert fetch(tmp_path, [symbol])["symbol"].to_list() == [symbol]


def test_what_is_no_table_in_a_folder_is_left_alone(tmp_path):
    for name in ("AAA.csv", "README.md", ".hidden.csv", "~$AAA.csv", "x.json", "sub/BBB.csv"):
        put(tmp_path, name, ONE_DAY)
    assert listed(tmp_path) == ["AAA"]


def test_a_folder_without_a_table_is_an_error(tmp_path):
    put(tmp_path, "README.md", "no bars")
    with pytest.raises(SourceFileError, match=r"has no bars: there is no \*\.csv"):
        fetch(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_no_text_is_an_error(tmp_path):
    put(tmp_path, "AAA.csv", ONE_DAY)
    put(tmp_path, os.fsdecode(b"caf\xe9.csv"), ONE_DAY)
    with pytest.raises(SourceFileError, match=r"caf\\xe9\.csv' is not UTF-8"):
        listed(tmp_path)


def test_two_files_of_one_symbol_are_an_error(tmp_path):
    put(tmp_path, "AAA.csv", ONE_DAY)
    put(tmp_path, "AAA.csv.gz", packed(ONE_DAY, ".gz"))
    with pytest.raises(SourceFileError, match=r"AAA\.csv and AAA\.csv\.gz both hold AAA"):
        fetch(tmp_path, ["AAA"])


def test_only_the_files_asked_for_are_read(tmp_path):
    put(tmp_path, "AAA.csv", b"\0 no text")
    put(tmp_path, "BBB.csv", ONE_DAY)
    put(tmp_path, "CCC.csv", b"")
    assert len(fetch(tmp_path, ["BBB"])) == 1
    with pytest.raises(RustyBTError, match=r"CCC\.csv is empty"):
        fetch(tmp_path, ["BBB", "CCC"])


@pytest.mark.parametrize("symbols", [["aapl"], ["AAPL", "aapl"], ["APL"]])
def test_an_unknown_symbol_comes_with_those_that_look_alike(tmp_path, symbols):
    for name in ("AAPL", "MSFT", "XOM"):
        put(tmp_path, f"{name}.csv", ONE_DAY)
    with pytest.raises(UnknownSymbolError, match=r"It has: AAPL\.$") as caught:
        fetch(tmp_path, symbols)
    assert caught.value.symbols == (symbols[-1],)


def test_files_by_session_with_a_column_of_symbols_are_one_table(tmp_path):
    header = f"Ticker,{HEADER}"
    for day in ("2020-01-02", "2020-01-03"):
        rows = [f"{symbol},{day},{VALUES}" for symbol in ("NA", "TRUE", "nan", "1E5")]
        put(tmp_path, f"{day}.csv", table(*rows, header=header))
    assert listed(tmp_path) == ["1E5", "NA", "TRUE", "nan"]
    assert fetch(tmp_path, ["nan", "NA"])["symbol"].to_list() == ["NA", "NA", "nan", "nan"]


def test_a_column_of_symbols_in_some_files_only_is_an_error(tmp_path):
    put(tmp_path, "AAA.csv", ONE_DAY)
    put(tmp_path, "BBB.csv", table(f"BBB,2020-01-02,{VALUES}", header=f"Symbol,{HEADER}"))
    with pytest.raises(BarSchemaError, match=r"BBB\.csv has a column of symbols"):
        fetch(tmp_path, ["AAA", "BBB"])
    assert len(fetch(tmp_path, ["AAA", "BBB"], columns={"Symbol": None})) == 2


def test_csvdir_goes_by_the_frequency(tmp_path):
    put(tmp_path, "daily/AAA.csv", ONE_DAY)
    put(tmp_path, "daily/BBB.csv", ONE_DAY)
    put(tmp_path, "minute/AAA.csv", days("2020-01-02 14:31", "2020-01-02 14:33"))
    assert listed(tmp_path) == ["AAA", "BBB"]
    assert fetch(tmp_path, frequency="daily")["symbol"].to_list() == ["AAA", "BBB"]
    assert len(fetch(tmp_path, ["AAA"], frequency="minute")) == 2
    assert CSVDataSource(tmp_path).get_metadata().frequencies == ("1d", "1m")


def test_a_symbol_with_daily_bars_only_has_no_minutes(tmp_path):
    put(tmp_path, "daily/BBB.csv", ONE_DAY)
    put(tmp_path, "minute/AAA.csv", days("2020-01-02 14:31", "2020-01-02 14:32"))
    assert fetch(tmp_path, ["AAA", "BBB"], frequency="1m")["symbol"].unique().to_list() == ["AAA"]


def test_csvdir_without_the_folder_is_an_error(tmp_path):
    put(tmp_path, "daily/AAA.csv", ONE_DAY)
    with pytest.raises(FrequencyError, match=r"no bars of 1m; it has 1d in daily/"):
        fetch(tmp_path, ["AAA"], frequency="1m")


def test_bars_beside_the_folders_of_csvdir_are_an_error(tmp_path):
    put(tmp_path, "daily/AAA.csv", ONE_DAY)
    put(tmp_path, "BBB.csv", ONE_DAY)
    with pytest.raises(SourceFileError, match=r"daily/ and bars beside them \(BBB\.csv\)"):
        fetch(tmp_path)


def test_the_fingerprint_moves_with_the_files_and_the_options(tmp_path):
    path = put(tmp_path, "X.csv", ONE_DAY)
    before = CSVDataSource(path).get_metadata().fingerprint
    assert CSVDataSource(path, timezone="Asia/Tokyo").get_metadata().fingerprint != before
    put(tmp_path, "X.csv", days("2020-01-02", "2020-01-03"))
    assert CSVDataSource(path).get_metadata().fingerprint != before
