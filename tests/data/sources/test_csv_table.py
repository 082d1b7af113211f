"""Numbers that are read without a string in between are those that the careful reader keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rustybt.data.bars import DAILY, VALUE_COLUMNS
from rustybt.data.sources._csv_bars import BarFile, CsvOptions, read_bars, read_cells
from rustybt.data.sources._csv_plain import read_plain
from rustybt.data.sources._csv_table import OddError, TableReader

HEADER = "date,open,high,low,close,volume,note"


def written(folder, cells, note="x"):
    """A file of one column of volumes, each beside a note."""
    rows = [f"20{20 + i // 300}-{1 + i // 25 % 12:02}-{1 + i % 25:02},1,1,1,1,{cell},{note}"
            for i, cell in enumerate(cells)]  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "A.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return BarFile(folder / "A.csv", "A.csv", "A")


def places(header):
    names = header.decode().split(",")
    return {name: names.index(name) for name in ("date", *VALUE_COLUMNS)}


def table(file):
    return TableReader().read([file.path], places)


DIGITS = st.text("0123456789", max_size=20)
EXPONENT = st.sampled_from(["", "e3", "E+2", "e-5", "e-320", "e-400", "e+400"])
CELL = st.tuples(
    st.sampled_from(["", "-", " "]), DIGITS, st.sampled_from(["", "."]), DIGITS, EXPONENT
).map("".join)


@settings(max_examples=300, deadline=None)
@given(cells=st.lists(CELL, min_size=1, max_size=6), note=st.text("abe0. -", max_size=25))
def test_what_is_plain_is_what_the_careful_reader_reads(tmp_path_factory, cells, note):
    file = written(tmp_path_factory.mktemp("csv") / "bars", cells, note)
    plain = read_plain([file], DAILY, CsvOptions())
    if plain is not None:
        careful = read_bars(read_cells(file, CsvOptions()), DAILY, CsvOptions())
        assert careful.refused.is_empty()
        assert plain.bars.equals(careful.bars.select(plain.bars.columns))


@settings(max_examples=100, deadline=None)
@given(
    volumes=st.lists(st.integers(1, 10**15 - 1), min_size=1, max_size=400),
    scale=st.integers(0, 14),
    note=st.sampled_from(["x", "1.2345678901234567", "e", "two words"]),
)
def test_numbers_of_fifteen_digits_are_plain_whatever_else_is_in_the_file(
    tmp_path_factory, volumes, scale, note
):
    texts = [f"{volume}e-{scale}" for volume in volumes]
    texts = [str(float(text)) if len(text) > 15 else text for text in texts]
    texts = [text for text in texts if len(text.split("e")[0]) <= 15]
    if texts:
        found = table(written(tmp_path_factory.mktemp("csv") / "bars", texts, note))
        assert found.numbers["volume"].to_pylist() == list(map(float, texts))


@pytest.mark.parametrize("before", range(12))
@pytest.mark.parametrize(("digits", "is_plain"), [(15, True), (16, False), (24, False)])
def test_a_number_is_too_long_wherever_it_stands_in_the_text(tmp_path, before, digits, is_plain):
    file = written(tmp_path / "bars", ["1" * (1 + before % 4), "12" * (before // 4), "9" * digits])
    if is_plain:
        assert table(file).numbers["volume"][2].as_py() == float("9" * digits)
    else:
        with pytest.raises(OddError):
            table(file)


@pytest.mark.parametrize("cell", ["1e-400", "1.2345e-310", "0e-3", "nan", "x", "1e", "0x10"])
def test_what_may_have_lost_digits_is_not_plain(tmp_path, cell):
    with pytest.raises(OddError):
        table(written(tmp_path / "bars", ["5", cell]))


def test_zeros_and_exponents_may_stand_in_one_column(tmp_path):
    found = table(written(tmp_path / "bars", ["0", "3e5", "0.00", "2E-3"], "e"))
    assert found.numbers["volume"].to_pylist() == [0.0, 3e5, 0.0, 2e-3]


def test_files_lie_behind_one_another_and_the_buffer_serves_again(tmp_path):
    reader = TableReader()
    for count in (5, 2, 400):
        files = [written(tmp_path / name, ["7"] * count) for name in "ab"]
        files[0].path.write_bytes(files[0].path.read_bytes().rstrip(b"\n"))
        found = reader.read([each.path for each in files], places)
        assert found.counts.tolist() == [count, count]
        assert found.starts.tolist() == [0, count]
        assert (found.steps > 0).sum() == 2 * (count - 1)
        assert np.asarray(found.numbers["volume"]).tolist() == [7.0] * 2 * count


def test_another_header_is_another_kind_of_file(tmp_path):
    files = [written(tmp_path / name, ["7"]) for name in "ab"]
    text = files[1].path.read_text()
    files[1].path.write_text(text.replace("note", "Note"))
    with pytest.raises(OddError):
        TableReader().read([each.path for each in files], places)
