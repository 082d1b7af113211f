"""Exporting versions for other programs."""

import json
import math
import re
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from zipline.data.bundles import core
from zipline.data.bundles.csvdir import csvdir_equities

from rustybt.compat._export_rows import batches
from rustybt.compat.bundles import bundle_data
from rustybt.compat.convert import convert
from rustybt.compat.export import FORMATS, ExportError, ExportTargetError, export
from rustybt.data.adjustments import MERGERS, STOCK_DIVIDENDS, Events
from rustybt.data.bundles import open_bundle
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import CorruptVersionError
from rustybt.data.sources.csv import CSVDataSource
from tests import frames
from tests.compat.bcolz_root import Content, daily, fingerprint, load, minute
from tests.fakes import FrameSource
from tests.frames import VALUES

DAYS = frames.sessions("2020-11-16", "2020-12-04")
INSTANTS = frames.minutes("2020-11-25", "2020-11-27")
EVENTS = Events(
    splits=frames.splits(("A", "2020-11-20", 0.25), ("B", "2020-11-24", 1 / 49)).splits,
    dividends=frames.dividends(
        ("A", "2020-11-23", 0.375, "2020-12-01"), ("B", "2020-11-18", 1.5, None)
    ).dividends,
)


def bundle_of(bars, events=None, frequency=("1d", "1m"), **options):
    """The newest version of a bundle with these bars."""
    ingest(FrameSource(bars, events), "b", frequency=frequency, timestamp="2024-01-02", **options)
    return open_bundle("b")


@pytest.fixture
def bundle(zipline_root):
    """Bars of three symbols, C with gaps, and minutes of A; the values have two decimals."""
    walked = frames.walk(["A", "B", "C"], DAYS)
    gaps = (pl.col("symbol") == "C") & pl.col("timestamp").is_in(DAYS[3:5] + DAYS[8:9])
    bars = {"1d": walked.filter(~gaps), "1m": frames.walk(["A"], INSTANTS, seed=1)}
    return bundle_of(bars, EVENTS)


def values(reader, sids, *span):
    """All fields of some sids, NaN for a price that is not there."""
    return np.stack(reader.load_raw_arrays(list(VALUES), *span, sids))


def test_zipline_loads_the_ingestion(bundle, tmp_path):
    done = export(bundle, "bcolz", tmp_path / "out")
    assert done.path == tmp_path / "out" / "2024-01-02T00;00;00"
    days = [pd.Timestamp(DAYS[0]), pd.Timestamp(DAYS[-1])]
    span = [pd.Timestamp(INSTANTS[0]), pd.Timestamp(INSTANTS[-1])]
    with load(done.path) as theirs, bundle_data(bundle) as ours:
        for kind, sids, bounds in (("daily", [0, 1, 2], days), ("minute", [0], span)):
            pair = [getattr(each, f"equity_{kind}_bar_reader") for each in (theirs, ours)]
            stock, version = (values(reader, sids, *bounds) for reader in pair)
            assert np.array_equal(np.isnan(stock), np.isnan(version))
            assert np.array_equal(np.round(stock, 3), version, equal_nan=True)
        for name, table in theirs.adjustment_reader.unpack_db_to_component_dfs().items():
            assert table.equals(ours.adjustment_reader.unpack_db_to_component_dfs()[name])
        symbols = [each.symbol for each in theirs.asset_finder.retrieve_all([0, 1, 2])]
    assert symbols == ["A", "B", "C"]


def test_zipline_lists_and_loads_an_export_beside_its_own_ingestions(bundle, zipline_root):
    content = Content(daily(0))
    content.ingest(zipline_root, "mine", "2023-01-01")
    export(bundle, "bcolz", zipline_root / "data" / "mine")
    family = core._make_bundle_core()
    family.register("mine", None)
    assert [str(day.date()) for day in core.ingestions_for_bundle("mine")] == [
        "2024-01-02", "2023-01-01",
    ]  # fmt: skip
    with family.load("mine") as newest:
        assert [asset.symbol for asset in newest.asset_finder.retrieve_all([0])] == ["A"]


WRONG = {
    "bar with a price of more than three decimals": {"close": 11.2345},
    "bar with a price of more than three decimals, though small": {"low": 0.00012},
    "bar too large for 32 bits": {"high": 4294967.296},
    "bar too large for 32 bits, by volume": {"volume": 4294967296.0},
    "bar with a volume that is not whole": {"volume": 0.7},
}


def with_row(**wrong):
    """Bars of one symbol of which the one of 17 November cannot be held by zipline's format."""
    plain = {"open": 11.0, "high": 12.0, "low": 10.0, "close": 11.0, "volume": 100.0}
    rows = {str(day): list(plain.values()) for day in DAYS[:4]}
    rows["2020-11-17"] = list({**plain, **wrong}.values())
    return frames.bars({"A": rows})


@pytest.mark.parametrize("rule", WRONG)
def test_what_zipline_cannot_hold_is_refused_and_nothing_is_written(tmp_path, rule):
    bundle = bundle_of(with_row(**WRONG[rule]), frequency="1d")
    with pytest.raises(ExportError, match=r"A 2020-11-17: .*\n.*lossy=True") as error:
        export(bundle, "bcolz", tmp_path / "deep" / "out")
    assert error.value.counts == {rule.split(",")[0]: 1}
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    ("wrong", "read"),
    [
        ({"close": 11.2345}, [11.0, 12.0, 10.0, 11.234, 100]),
        ({"low": 0.00012}, [11.0, 12.0, np.nan, 11.0, 100]),
        ({"high": 4294967.296}, [np.nan, np.nan, np.nan, np.nan, 0]),
        ({"volume": 0.7}, [11.0, 12.0, 10.0, 11.0, 0]),
        ({"volume": 77.7}, [11.0, 12.0, 10.0, 11.0, 77]),
        ({"high": 4294967.295, "volume": 4294967295.0}, [11.0, 4294967.295, 10.0, 11.0, 2**32 - 1]),
    ],
    ids=str,
)
def test_what_may_be_lost_is_reported(tmp_path, wrong, read):
    bundle = bundle_of(with_row(**wrong), frequency="1d")
    done = export(bundle, "bcolz", tmp_path, lossy=True)
    lossless = wrong.get("high") == 4294967.295
    assert sum(done.losses.values()) == len(done.examples) == (0 if lossless else 1)
    day = pd.Timestamp("2020-11-17")
    with load(done.path) as theirs:
        found = values(theirs.equity_daily_bar_reader, [0], day, day).ravel()
    assert np.array_equal(np.round(found, 3), read, equal_nan=True)


def test_many_rows_are_counted_and_a_few_are_named(tmp_path):
    bars = frames.walk(["A", "B"], INSTANTS, decimals=5)
    with pytest.raises(ExportError, match=r"B|A") as error:
        export(bundle_of(bars, frequency="1m"), "bcolz", tmp_path)
    (count,) = error.value.counts.values()
    assert count > 1000
    assert len(error.value.examples) == 20
    assert f"and {count - 5:,} more" in str(error.value)


# zipline says so of rows without prices, which stand for sessions without a bar.
@pytest.mark.filterwarnings("ignore:Ignoring .* values:UserWarning")
def test_zipline_csvdir_reads_the_files_back(zipline_root, tmp_path):
    content = Content(daily(0, 1, 2), splits=None)
    directory = content.ingest(zipline_root)
    convert("b")
    export(open_bundle("b"), "csvdir", tmp_path / "csv")
    family = core._make_bundle_core()
    bounds = [pd.Timestamp(edge) for edge in (content.start, content.end)]
    family.register("c", csvdir_equities(["daily"], str(tmp_path / "csv")), "XNYS", *bounds)
    family.ingest("c")
    with load(directory) as theirs, family.load("c") as again:
        pair = [each.equity_daily_bar_reader for each in (theirs, again)]
        days = pair[0].sessions[[0, -1]]
        stock, found = (values(reader, [0, 1, 2], *days) for reader in pair)
    assert np.array_equal(stock, found, equal_nan=True)


def test_our_csv_source_reads_the_files_back(bundle, tmp_path):
    done = export(bundle, "csvdir", tmp_path / "csv")
    source = CSVDataSource(done.path)
    again = bundle_of_source(source)
    for kind in ("daily", "minute"):
        assert again.bars(kind).equals(bundle.bars(kind))
    kept = ["symbol", "ex_date"]
    assert again.events.splits.equals(bundle.events.splits)
    dividends = again.events.dividends.select(*kept, "amount")
    assert dividends.equals(bundle.events.dividends.select(*kept, "amount").sort("symbol"))
    assert done.notes == [
        "1 dividends have no declared, record and pay dates in csvdir: zipline does not pay them."
    ]


def bundle_of_source(source):
    ingest(source, "again", frequency=("1d", "1m"))
    return open_bundle("again")


def test_csvdir_has_a_row_for_every_session_and_the_events_beside_it(bundle, tmp_path):
    export(bundle, "csvdir", tmp_path / "csv")
    lines = (tmp_path / "csv" / "daily" / "C.csv").read_text().splitlines()
    assert lines[0] == "date,open,high,low,close,volume,dividend,split"
    assert [line[:10] for line in lines[1:]] == [str(day) for day in DAYS]
    assert lines[4] == f"{DAYS[3]},,,,,0,0.0,1.0"
    table = pl.read_csv(tmp_path / "csv" / "daily" / "A.csv").filter(pl.col("split") != 1)
    assert table.select("date", "dividend", "split").rows() == [("2020-11-20", 0.0, 4.0)]
    minutes = (tmp_path / "csv" / "minute" / "A.csv").read_text().splitlines()
    assert minutes[0] == "date,open,high,low,close,volume"
    assert minutes[1].startswith("2020-11-25 14:31:00,")


def test_csvdir_says_where_events_went(tmp_path):
    dividends = [
        ("A", "2020-11-18", 0.5, None), ("A", "2020-11-18", 0.25, None),
        ("A", "2020-11-22", 1.0, None), ("A", "2021-02-01", 1.0, None),
    ]  # fmt: skip
    bars = frames.walk(["A", "BRK.B"], DAYS)
    bundle = bundle_of(bars, frames.dividends(*dividends), frequency="1d")
    done = export(bundle, "csvdir", tmp_path / "csv")
    assert [note[:45] for note in done.notes] == [
        "1 events before the first bar of their symbol",
        "1 events stand on the next session, because t",
        "1 dividends are added to another one of the s",
        "zipline's csvdir cannot read symbols with a d",
    ]
    table = pl.read_csv(tmp_path / "csv" / "daily" / "A.csv").filter(pl.col("dividend") != 0)
    assert table["date"].to_list() == ["2020-11-18", "2020-11-23"]
    assert table["dividend"].to_list() == [0.75, 1.0]


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ({"mergers": [("A", date(2020, 11, 18), 0.5)]}, "merger, for which csvdir has no column"),
        (
            {"stock_dividends": [("A", date(2020, 11, 18), "A", 0.5, None, None, None)]},
            "stock dividend, for which csvdir has no column",
        ),
    ],
)
def test_events_without_a_place_in_csvdir_are_refused(tmp_path, events, rule):
    schemas = {"mergers": MERGERS, "stock_dividends": STOCK_DIVIDENDS}
    given = {k: pl.DataFrame(rows, schemas[k], orient="row") for k, rows in events.items()}
    bundle = bundle_of(frames.walk(["A"], DAYS), Events(**given), frequency="1d")
    with pytest.raises(ExportError, match=rule):
        export(bundle, "csvdir", tmp_path / "csv")
    assert sum(export(bundle, "csvdir", tmp_path / "csv", lossy=True).losses.values()) == 1


def test_splits_of_minutes_alone_have_no_place_in_csvdir(zipline_root, tmp_path):
    effective = {"effective_date": [pd.Timestamp("2020-11-27")], "ratio": [0.5], "sid": [0]}
    Content(minute=minute(0), splits=pd.DataFrame(effective)).ingest(zipline_root)
    convert("b")
    with pytest.raises(ExportError, match="split without daily bars to stand beside"):
        export(open_bundle("b"), "csvdir", tmp_path / "csv")


def test_a_symbol_that_cannot_name_a_file_is_refused(tmp_path):
    bundle = bundle_of(frames.walk(["EUR/USD", "A"], DAYS), frequency="1d")
    with pytest.raises(ExportError, match="EUR/USD cannot name a file"):
        export(bundle, "csvdir", tmp_path / "csv")
    assert not (tmp_path / "csv").exists()


def read_table(path):
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ipc(path)


@pytest.mark.parametrize("to", ["parquet", "arrow"])
def test_tables_hold_the_bars_the_assets_and_the_events(bundle, tmp_path, to):
    done = export(bundle, to, tmp_path / "out")
    found = {path.stem: read_table(path) for path in done.path.iterdir()}
    assert sorted(found) == sorted([
        "daily", "minute", "assets", "splits", "dividends", "mergers", "stock_dividends",
    ])  # fmt: skip
    assert found["daily"].equals(bundle.bars("daily"))
    assert found["minute"].equals(bundle.bars("minute"))
    assert found["assets"].equals(bundle.assets)
    for kind, events in bundle.events.items():
        assert found[kind].equals(events)
    assert done.bars == {"daily": len(found["daily"]), "minute": len(found["minute"])}


def test_tables_have_types_that_any_engine_knows(bundle, tmp_path):
    export(bundle, "parquet", tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "minute.parquet")
    assert schema.field("symbol").type == pa.string()
    assert schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
    assert {schema.field(name).type for name in VALUES} == {pa.float64()}
    daily_schema = pq.read_schema(tmp_path / "out" / "daily.parquet")
    assert daily_schema.field("timestamp").type == pa.date32()


def test_rows_of_zeros_are_no_bars_in_tables(zipline_root, tmp_path):
    content = daily(0)
    content[0].iloc[0, 0] = 0  # a bar without an open
    Content(content).ingest(zipline_root)
    convert("b")
    done = export(open_bundle("b"), "parquet", tmp_path / "out")
    table = pl.read_parquet(tmp_path / "out" / "daily.parquet")
    traded = content[0][content[0].to_numpy().any(axis=1)]
    assert table["timestamp"].to_list() == list(traded.index.date)
    assert table["close"].to_list() == traded["close"].replace(0, None).to_list()
    assert table["open"].null_count() == (traded["open"] == 0).sum() >= 1
    left_out = len(content[0]) - len(traded)
    assert done.notes == [f"{left_out} rows without a price and a volume stand for no trade."]


def test_batches_of_any_size_hold_every_bar(bundle):
    for rows in (1, 30, 10**6):
        parts = list(batches(bundle, "daily", rows))
        assert pl.concat(parts).drop("sid").equals(bundle.bars("daily"))
    assert [part["symbol"].unique().to_list() for part in batches(bundle, "daily", 1)] == [
        ["A"], ["B"], ["C"],
    ]  # fmt: skip


@pytest.mark.parametrize("to", FORMATS)
def test_a_target_that_is_not_empty_is_refused(bundle, tmp_path, to):
    target = tmp_path / "out"
    beneath = target / bundle.version.path.name if to == "bcolz" else target
    beneath.mkdir(parents=True)
    export(bundle, to, target)
    before = fingerprint(target)
    with pytest.raises(ExportTargetError, match="is there already and not empty"):
        export(bundle, to, target)
    assert fingerprint(target) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_target_that_another_process_writes_is_refused(bundle, tmp_path):
    (tmp_path / ".tmp-out").mkdir()
    with (
        FileLock(tmp_path / ".tmp-out" / "lock"),
        pytest.raises(ExportTargetError, match="another process is exporting"),
    ):
        export(bundle, "parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_version_is_not_exported(bundle, tmp_path):
    path = bundle.files("daily")[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for to in FORMATS:
        with pytest.raises(CorruptVersionError, match="damaged"):
            export(bundle, to, tmp_path / to)
    assert list(tmp_path.glob("*")) == [tmp_path / "zipline"]


KILLED = """
import os, signal, sys
from rustybt.compat.export import FORMATS, export
from rustybt.data.bundles.bundle import open_bundle

target = sys.argv[1]
for to in FORMATS:
    child = os.fork()
    if child == 0:
        export(open_bundle("b"), to, f"{target}/{to}", progress=lambda done, total, label:
               os.kill(os.getpid(), signal.SIGKILL) if done == total else None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, to
"""


def test_a_killed_export_leaves_nothing_half(bundle, tmp_path):
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, str(out)], check=True)
    assert sorted(path.name for path in out.iterdir()) == [
        ".tmp-arrow", ".tmp-csvdir", ".tmp-parquet", "bcolz",
    ]  # fmt: skip
    assert [path.name[:5] for path in (out / "bcolz").iterdir()] == [".tmp-"]
    for to in FORMATS:
        export(bundle, to, out / to)
    assert sorted(path.name for path in out.iterdir()) == sorted(FORMATS)


def test_progress_counts_symbols_to_the_end(bundle, tmp_path):
    for to in FORMATS:
        seen = []
        export(bundle, to, tmp_path / to, progress=lambda *step, seen=seen: seen.append(step))
        assert [(done, total) for done, total, _ in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_result_can_be_printed_and_is_plain_json(tmp_path):
    bundle = bundle_of(with_row(volume=0.7), frequency="1d")
    done = export(bundle, "bcolz", tmp_path, lossy=True)
    assert json.loads(json.dumps(done.to_dict()))["losses"] == {
        "bar with a volume that is not whole": 1
    }
    assert re.search(r"^b: 4 bars as bcolz in .*\n  lost: 1 x bar with a volume", str(done))


def test_a_format_that_is_none_is_refused(bundle, tmp_path):
    with pytest.raises(ExportError, match="'hdf5' is none of bcolz, csvdir, parquet, arrow"):
        export(bundle, "hdf5", tmp_path / "out")


numbers = st.one_of(
    st.integers(1, 2**32 + 9).map(lambda units: units / 1000),
    st.floats(1e-6, 1e7),
    st.sampled_from([0.0004, 0.0005, 0.0015, 42000.1234, 4294967.295, 4294967.296]),
)
amounts = st.one_of(st.integers(0, 2**33).map(float), st.floats(0, 1e13))


@settings(max_examples=8)
@given(st.lists(st.tuples(numbers, amounts), min_size=1, max_size=len(DAYS)))
def test_zipline_reads_what_it_can_hold_and_the_rest_is_counted(rows):
    held = [
        1000 * price < 2**32 - 0.5 and volume < 2**32 and round(price * 1000) / 1000 == price
        and volume == math.floor(volume)
        for price, volume in rows
    ]  # fmt: skip
    spelled = {str(day): (p, p, p, p, v) for day, (p, v) in zip(DAYS, rows, strict=False)}
    with tempfile.TemporaryDirectory() as name:
        environ = {"ZIPLINE_ROOT": name}
        source = FrameSource(frames.bars({"A": spelled}))
        ingest(source, "b", environ=environ)
        bundle = open_bundle("b", environ=environ)
        if not all(held):
            with pytest.raises(ExportError):
                export(bundle, "bcolz", Path(name) / "refused")
        done = export(bundle, "bcolz", Path(name) / "out", lossy=True)
        assert bool(done.losses) == (not all(held))
        with load(done.path) as theirs:
            reader = theirs.equity_daily_bar_reader
            found = values(reader, [0], *reader.sessions[[0, -1]])[[3, 4], :, 0].T
    for kept, (price, volume), (close, whole) in zip(held, rows, found, strict=True):
        if kept:
            assert (round(close, 3), whole) == (price, volume)
