"""Plain files, many read at once, give what each gives by itself; others are left alone."""

import asyncio

import pytest

from rustybt.data.bars import DAILY, Frequency
from rustybt.data.sources import _csv_plain
from rustybt.data.sources._csv_bars import BarFile, CsvOptions
from rustybt.data.sources.csv import CSVDataSource

HEADER = "date,open,high,low,close,volume,split,dividend"
ROWS = [
    "2020-01-02,10.5,11,10,10.75,1000,1.0,0.0",
    "2020-01-03,10.75,12.25,10.5,12,0,1.0,0.55",
    "2020-01-06,6,6.5,5.75,6.25,3e3,2.0,0.0",
]


def folder_of(path, files):
    path.mkdir()
    for symbol, lines in files.items():
        (path / f"{symbol}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def plain(folder, frequency=DAILY, **options):
    files = [BarFile(path, path.name, path.stem) for path in sorted(folder.iterdir())]
    return _csv_plain.read_plain(files, frequency, CsvOptions(**options))


def delivered(folder, **options):
    async def all_of():
        source = CSVDataSource(folder, **options)
        return [each async for each in source.deliver(["A", "B"], None, None, ["1d"])]

    return asyncio.run(all_of())


@pytest.mark.parametrize("options", [{}, {"adjustment": "split"}], ids=["raw", "adjusted"])
@pytest.mark.parametrize("empty", [[], ["2020-01-07,,,,,,4.0,", "2020-01-08,,,,,0,,0.25"]])
def test_they_are_what_the_careful_reader_makes_of_them(tmp_path, options, empty):
    files = {"A": [*ROWS, *empty], "B": ROWS[:2]}
    quoted = {**files, "A": [row.replace("2020-01-02", '"2020-01-02"') for row in files["A"]]}
    one = delivered(folder_of(tmp_path / "one", files), **options)
    other = delivered(folder_of(tmp_path / "other", quoted), **options)
    assert plain(tmp_path / "one") is not None
    assert plain(tmp_path / "other") is None
    [[first], [second]] = one, other
    assert first.bars["1d"].bars.equals(second.bars["1d"].bars)
    for kind, frame in first.events.items():
        assert frame.equals(dict(second.events.items())[kind])


def test_files_without_columns_of_events_have_none(tmp_path):
    folder = tmp_path / "bars"
    folder.mkdir()
    for symbol in "AB":
        rows = [line.rsplit(",", 2)[0] for line in (HEADER, *ROWS)]
        (folder / f"{symbol}.csv").write_text("\n".join(rows) + "\n")
    assert plain(folder) is not None
    [[delivery]] = [delivered(folder)]
    assert len(delivery.bars["1d"].bars) == 2 * len(ROWS)
    assert all(frame.is_empty() for _, frame in delivery.events.items())


def test_a_range_is_a_range(tmp_path):
    folder = folder_of(tmp_path / "bars", {"A": ROWS, "B": ROWS})
    source = CSVDataSource(folder)
    found = asyncio.run(source.fetch(["A"], "2020-01-03", "2020-01-06", "1d"))
    assert found["close"].to_list() == [12.0, 6.25]


@pytest.mark.parametrize(
    "row",
    [
        "2020-1-7,6,6.5,5.75,6.25,3000,1.0,0.0",
        "2020-01-07,6,6.5,5.75,6.25,,1.0,0.0",
        "2020-01-07,6,6.5,,6.25,3000,1.0,0.0",
        "2020-01-03,,,,,,1.0,0.55",
        "2020-01-07,6,6.5,5.75,6.2500000000000001,3000,1.0,0.0",
        "2020-01-07,6,6.5,5.75,6.25,1e-400,1.0,0.0",
        "2020-01-07,6,6.5,5.75,6.25,3000,1.0",
        "07/01/2020,6,6.5,5.75,6.25,3000,1.0,0.0",
        "",
        "0000-01-07,6,6.5,5.75,6.25,3000,1.0,0.0",
        "0020-01-07,6,6.5,5.75,6.25,3000,1.0,0.0",
        "2020-01-07,six,6.5,5.75,6.25,3000,1.0,0.0",
    ],
)
def test_one_row_that_is_not_plain_is_for_the_careful_reader(tmp_path, row):
    folder = folder_of(tmp_path / "bars", {"A": ROWS, "B": [*ROWS[:2], row, ROWS[2]]})
    assert plain(folder) is None


def test_a_blank_line_is_not_made_up_for_by_an_odd_line_end_in_another_file(tmp_path):
    folder = folder_of(tmp_path / "bars", {"A": [ROWS[0], "", ROWS[1]], "B": ROWS})
    (folder / "B.csv").write_bytes(
        (folder / "B.csv").read_bytes().replace(b"\n2020-01-06", b"\r2020-01-06")
    )
    assert plain(folder) is None


@pytest.mark.parametrize("name", ["decimal", "date_format", "delimiter", "columns"])
def test_what_the_user_says_is_for_the_careful_reader(tmp_path, name):
    told = {"decimal": ".", "date_format": "%Y-%m-%d", "delimiter": ","}
    folder = folder_of(tmp_path / "bars", {"A": ROWS})
    assert plain(folder, **{name: told.get(name, HEADER.split(","))}) is None


@pytest.mark.parametrize(("mark", "ending"), [(" ", ":00"), ("T", "")])
def test_minutes_are_read_in_their_timezone(tmp_path, mark, ending):
    rows = [f"2020-07-01{mark}09:3{i}{ending},1,1,1,1,{i + 1},1.0,0.0" for i in (1, 2)]
    read = plain(folder_of(tmp_path / "bars", {"A": rows}), Frequency.parse("1m"),
                 timezone="America/New_York", label="start")  # fmt: skip
    assert [str(each)[11:16] for each in read.bars["timestamp"]] == ["13:32", "13:33"]
