"""zipline's csvdir function writes the same whether it is recognised or called."""

import os
import sqlite3

import pandas as pd
import pytest
from zipline.data.bundles import core
from zipline.data.bundles.csvdir import csvdir_bundle, csvdir_equities

from rustybt.compat import bundles, csvdir
from rustybt.data.bundles import open_bundle

SESSIONS = ("2020-01-02", "2020-01-10")
FILES = {
    "AAA": ["2020-01-02,10.5,11,10,10.75,1000,1.0,0.0", "2020-01-03,11,12.125,10.5,12,0,1.0,0.55",
            "2020-01-06,6,6.5,5.75,6.25,3e3,2.0,0.0"],
    "BBB": ["2020-01-03,1,1,1,1,5,1.0,0.0", "2020-01-06,1,1.2,0.9,1.1,7,1.0,0.0"],
    "CCC": ["2020-01-02,0.333,0.334,0.332,0.333,12345678,4.0,0.0",
            "2020-01-03,100.07,100.07,100.07,100.07,1,1.0,1.25"],
}  # fmt: skip
HEADER = "date,open,high,low,close,volume,split,dividend"


def folder_of(path, files, header=HEADER, kind="daily"):
    (path / kind).mkdir(parents=True)
    for symbol, rows in files.items():
        (path / kind / f"{symbol}.csv").write_text("\n".join([header, *rows]) + "\n")
    return path


def ingested(name, ingest, precision):
    start, end = map(pd.Timestamp, SESSIONS)
    core.register(name, ingest, calendar_name="XNYS", start_session=start, end_session=end)
    try:
        bundles.ingest(name, {**os.environ, "RUSTYBT_PRECISION": precision})
    finally:
        core.unregister(name)
    version = open_bundle(name).version.path
    tables = {}
    for path in sorted(version.glob("*.sqlite")):
        with sqlite3.connect(path) as connection:
            tables[path.name] = list(connection.iterdump())
    return tables, open_bundle(name)


def both(folder, precision="full", kinds=("daily",)):
    function = csvdir_equities(list(kinds), str(folder))
    found = ingested("recognised", function, precision)
    called = ingested("called", lambda *handed: function(*handed), precision)
    return found, called


@pytest.mark.filterwarnings("ignore:Ignoring 9 values:UserWarning")  # zipline's, of bcolz
@pytest.mark.parametrize("precision", ["full", "bcolz"])
@pytest.mark.parametrize(
    "rows",
    [
        FILES,
        {"AAA": FILES["AAA"][::-1]},
        {**FILES, "BBB": ["2020-01-02,,,,,,1.0,0.0", *FILES["BBB"], "2020-01-07,,,,,0,1.0,0.2"]},
        {**FILES, "BBB": [*FILES["BBB"], "2020-01-07,1,1,1,1,1,,0.0"]},
    ],
    ids=["plain", "unsorted", "without prices", "without a split"],
)
def test_it_writes_what_the_function_writes(zipline_root, tmp_path, rows, precision):
    folder = folder_of(tmp_path / "csv", rows)
    (tables, bundle), (expected, other) = both(folder, precision)
    assert tables == expected
    assert bundle.bars("daily").equals(other.bars("daily"))
    assert bundle.metadata.content_hash == other.metadata.content_hash
    assert bundle.metadata.quality_score == other.metadata.quality_score


def test_rows_without_prices_are_read_all_the_same(tmp_path):
    rows = {**FILES, "BBB": [*FILES["BBB"], "2020-01-07,,,,,0,1.0,0.2"]}
    folder = folder_of(tmp_path / "csv", rows)
    directory = csvdir.recognised(csvdir_equities(["daily"], str(folder)), {})
    sid, times, values = list(directory._bars(directory.paths))[1]
    assert (sid, len(times)) == (1, 3)
    assert pd.isna(values[:, -1]).tolist() == [True] * 4 + [False]


def test_it_writes_minutes_too(zipline_root, tmp_path):
    rows = [f"2020-01-03 15:3{i}:00,1,2,1,1.5,{i}" for i in range(1, 9)]
    folder = folder_of(tmp_path / "csv", {"AAA": rows}, "date,open,high,low,close,volume", "minute")
    (tables, bundle), (expected, other) = both(folder, kinds=["minute"])
    assert tables == expected
    assert bundle.bars("minute").equals(other.bars("minute"))


def test_files_without_events_have_none(zipline_root, tmp_path):
    rows = {name: [row.rsplit(",", 2)[0] for row in rows] for name, rows in FILES.items()}
    folder = folder_of(tmp_path / "csv", rows, HEADER.rsplit(",", 2)[0])
    (tables, _), (expected, _) = both(folder)
    assert tables == expected


def test_what_is_no_plain_file_is_read_by_the_function_itself(zipline_root, tmp_path):
    rows = {**FILES, "BBB": [row.replace("1.1", '"1.1"') for row in FILES["BBB"]]}
    (tables, bundle), (expected, other) = both(folder_of(tmp_path / "csv", rows))
    assert tables == expected
    assert bundle.bars("daily").equals(other.bars("daily"))


def test_it_is_recognised_by_being_zipline_s_own(tmp_path):
    folder = folder_of(tmp_path / "csv", FILES)
    environ = {"CSVDIR": str(folder)}
    own = csvdir_equities(["daily"], str(folder))
    assert csvdir.recognised(own, {}).kind == "daily"
    assert csvdir.recognised(csvdir_bundle, environ).paths == sorted((folder / "daily").iterdir())
    assert csvdir.recognised(csvdir_bundle, {}) is None
    assert csvdir.recognised(lambda *handed: own(*handed), environ) is None
    (folder / "daily" / "DDD.csv.gz").touch()
    assert csvdir.recognised(own, {}) is None
