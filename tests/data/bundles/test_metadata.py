"""The record of a version: every field, saved and loaded."""

import json
import shutil
from dataclasses import fields, replace
from datetime import UTC, datetime

import pandas as pd
import polars as pl
import pytest

from rustybt.data.adjustments import Events
from rustybt.data.bundles import BundleMetadata, open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.errors import CorruptVersionError, UnknownBundleError
from tests.fakes import FrameSource
from tests.frames import dividends, sessions, walk

NOON = datetime(2021, 5, 1, 12, tzinfo=UTC)
DAYS = sessions("2020-01-02", "2020-03-31")
BARS = walk(["B", "A"], DAYS)

DOCUMENTED = {
    "bundle_name": str,
    "symbols": list,
    "start_date": pd.Timestamp,
    "end_date": pd.Timestamp,
    "frequency": str,
    "source_type": str,
    "ingestion_time": pd.Timestamp,
    "row_count": int,
    "size_bytes": int,
    "quality_score": float,
    "missing_data_pct": float,
    "schema_version": str,
}


def record(**changes):
    whole = BundleMetadata(
        bundle_name="my data",
        symbols=["A", "日経"],
        start_date=pd.Timestamp("2000-01-03"),
        end_date=pd.Timestamp("2020-12-31"),
        frequency="1d,1m",
        source_type="csv",
        ingestion_time=pd.Timestamp("2021-05-01 12:00:00.123456", tz="UTC"),
        row_count=5_000_000_000,
        size_bytes=2**40,
        quality_score=0.987654,
        missing_data_pct=1.25,
        calendar="XNYS",
        calendar_version="4.13.2",
        adjustment="split",
        feed="sip",
        precision="bcolz",
        source_config={"path": "data", "columns": {"close": "Last"}, "n": 3},
        content_hash="ab" * 32,
        parent_version="2021-04-30T00;00;00",
        price_decimals=4,
        volume_decimals=0,
        notes=["One.", "Two."],
    )
    return replace(whole, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"price_decimals": None, "volume_decimals": None, "parent_version": None},
        {"symbols": [], "notes": [], "source_config": {}},
        {"provenance": {"claims": [{"row_count": 9999, "source_url": None}]}},
        {"ingestion_time": pd.Timestamp("2021-05-01", tz="UTC")},
    ],
)
def test_a_record_comes_back_as_it_was_saved(tmp_path, changes):
    saved = record(**changes)
    path = saved.save(tmp_path)
    loaded = BundleMetadata.read(path)
    assert loaded == saved
    assert loaded.ingestion_time.utcoffset().total_seconds() == 0
    assert loaded.start_date.tz is None


def test_a_record_without_known_dates_says_so(tmp_path):
    nowhere = record(start_date=pd.NaT, end_date=pd.NaT)
    loaded = BundleMetadata.read(nowhere.save(tmp_path))
    assert pd.isna(loaded.start_date)
    assert loaded.span == "unknown"
    assert loaded.to_dict()["end_date"] is None


def test_a_version_without_the_record_as_text_is_read_from_its_table(tmp_path):
    whole = ingest(FrameSource(BARS), "b")
    with storage.new_version("older") as draft:
        shutil.copy(whole.path / "metadata.parquet", draft.path)
    assert BundleMetadata.of(draft.version) == whole.metadata


@pytest.mark.parametrize("changes", [{}, {"provenance": {"a": None}}, {"quality_score": 0.1 + 0.2}])
def test_a_record_is_the_same_as_a_table_and_as_text(changes):
    with storage.new_version("b") as draft:
        record(**changes).save(draft.path)
    table, text = (
        BundleMetadata.read(draft.version.path / "metadata.parquet"),
        BundleMetadata.of(draft.version),
    )
    assert table == text == record(**changes)
    assert repr(table) == repr(text)


def test_a_record_can_be_saved_under_any_name(tmp_path):
    path = record().save(tmp_path / "other.parquet")
    assert path == tmp_path / "other.parquet"
    assert BundleMetadata.read(path) == record()


def test_a_record_is_one_row_that_any_reader_of_parquet_understands(tmp_path):
    rows = pl.read_parquet(record().save(tmp_path)).to_dicts()
    assert len(rows) == 1
    assert rows[0]["symbols"] == ["A", "日経"]
    assert rows[0]["start_date"].isoformat() == "2000-01-03"
    assert json.loads(rows[0]["source_config"])["columns"] == {"close": "Last"}
    assert set(rows[0]) == {each.name for each in fields(BundleMetadata)}


def test_records_of_one_file_are_apart(tmp_path):
    path = record().save(tmp_path)
    changed = BundleMetadata.read(path)
    changed.symbols.append("changed")
    assert BundleMetadata.read(path) == record()


def test_a_record_that_was_written_anew_is_read_anew(tmp_path):
    for rows in (5, 6):
        assert BundleMetadata.read(record(row_count=rows).save(tmp_path)).row_count == rows


def test_a_record_of_a_later_schema_still_loads(tmp_path):
    path = record(schema_version="1.7").save(tmp_path)
    later = pl.read_parquet(path).with_columns(pl.lit("x").alias("added_in_1_7"))
    later.select(sorted(later.columns)).write_parquet(path)
    assert BundleMetadata.read(path) == record(schema_version="1.7")


def test_a_record_of_an_earlier_schema_loads_with_defaults(tmp_path):
    path = record().save(tmp_path)
    pl.read_parquet(path).drop("feed", "notes", "price_decimals").write_parquet(path)
    assert BundleMetadata.read(path) == record(feed="", notes=[], price_decimals=None)


@pytest.mark.parametrize("lost", ["row_count", "symbols"])
def test_a_record_without_a_field_that_must_be_there_is_corrupt(tmp_path, lost):
    path = record().save(tmp_path)
    pl.read_parquet(path).drop(lost).write_parquet(path)
    with pytest.raises(CorruptVersionError, match=rf"metadata\.parquet.*{lost}"):
        BundleMetadata.read(path)


def test_a_record_without_a_row_is_corrupt(tmp_path):
    path = record().save(tmp_path)
    pl.read_parquet(path).clear().write_parquet(path)
    with pytest.raises(CorruptVersionError, match=r"metadata\.parquet"):
        BundleMetadata.read(path)


def test_a_record_as_plain_values_is_json():
    plain = json.loads(json.dumps(record().to_dict()))
    assert plain["start_date"] == "2000-01-03"
    assert plain["ingestion_time"] == "2021-05-01T12:00:00.123456+00:00"
    assert plain["symbols"] == ["A", "日経"]
    assert set(plain) == {each.name for each in fields(BundleMetadata)}


def test_every_documented_field_is_there_and_of_its_type():
    ingest(FrameSource(BARS), "b")
    loaded = BundleMetadata.load("b")
    assert {name: type(getattr(loaded, name)) for name in DOCUMENTED} == DOCUMENTED


def test_an_ingest_records_what_it_wrote():
    source = FrameSource(
        BARS,
        dividends(("A", "2020-02-03", 0.5, None), ("A", "2020-03-03", 0.5, "2020-03-20")),
        source_type="csv",
        adjustment="raw",
        feed="sip",
        config={"path": "here"},
    )
    result = ingest(source, "b", symbols=["B", "A"], timestamp=NOON)
    loaded = BundleMetadata.load("b")
    assert loaded == result.metadata
    assert loaded.bundle_name == "b"
    assert loaded.symbols == ["A", "B"]
    assert loaded.start_date == pd.Timestamp("2020-01-02")
    assert loaded.end_date == pd.Timestamp("2020-03-31")
    assert loaded.ingestion_time == pd.Timestamp(NOON)
    assert (loaded.frequency, loaded.source_type, loaded.feed) == ("1d", "csv", "sip")
    assert loaded.row_count == 2 * len(DAYS)
    assert (loaded.quality_score, loaded.missing_data_pct) == (1.0, 0.0)
    assert (loaded.calendar, loaded.precision, loaded.adjustment) == ("XNYS", "full", "raw")
    assert loaded.source_config == {"path": "here"}
    assert (loaded.price_decimals, loaded.volume_decimals) == (2, 0)
    assert loaded.parent_version is None
    assert loaded.notes == ["1 of 2 dividends have no pay date: a run pays them on the ex-date."]


def test_what_the_source_could_not_hold_as_events_is_recorded():
    note = "X spun off Y on 2020-02-03: not represented."
    assert ingest(FrameSource(BARS, Events(notes=(note,))), "b").metadata.notes == [note]


def test_the_size_is_that_of_the_parquet_files_without_what_is_derived():
    result = ingest(FrameSource(BARS), "b")
    open_bundle("b").panel("daily")
    files = [
        path
        for path in result.path.rglob("*.parquet")
        if path.name != "metadata.parquet" and "panel" not in path.parts
    ]
    assert result.metadata.size_bytes == sum(path.stat().st_size for path in files)


def test_a_timestamp_picks_the_record_of_its_version():
    for day, bars in ((1, BARS), (2, walk(["C"], DAYS))):
        ingest(FrameSource(bars), "b", timestamp=NOON.replace(day=day))
    assert BundleMetadata.load("b").symbols == ["C"]
    assert BundleMetadata.load("b", "2021-05-01T23:00").symbols == ["A", "B"]


def test_an_unknown_bundle_lists_the_known_ones():
    ingest(FrameSource(BARS), "mine")
    with pytest.raises(UnknownBundleError, match="there are: mine"):
        BundleMetadata.load("yours")


def test_the_root_is_looked_up_in_the_environment_that_is_given(tmp_path):
    elsewhere = {"ZIPLINE_ROOT": str(tmp_path / "elsewhere")}
    ingest(FrameSource(BARS), "b", environ=elsewhere)
    assert BundleMetadata.load("b", environ=elsewhere).bundle_name == "b"
    with pytest.raises(UnknownBundleError):
        BundleMetadata.load("b")
