"""Daily bars lie in a file a year, those of the last year in a file a month, however they came."""

from datetime import timedelta

import polars as pl
import pytest

from rustybt.data.bundles import _contents, _files, open_bundle, storage
from rustybt.data.bundles._encoding import read_bars, write_bars
from rustybt.data.bundles._screening import SUMMARY
from rustybt.data.bundles.ingest import ingest
from tests.data.bundles.test_update import assert_same, at
from tests.fakes import FrameSource
from tests.frames import sessions, splits, walk

DAYS = sessions("2018-10-01", "2020-02-14")
ALL = walk(["A", "B", "C"], DAYS)
EVENTS = splits(("B", "2019-12-30", 0.5), ("B", "2020-01-02", 0.5))
SOURCE = FrameSource(ALL, EVENTS)


def last_of(year, month=12):
    return max(day for day in DAYS if (day.year, day.month) == (year, month))


def known_on(day):
    return FrameSource(ALL.filter(pl.col("timestamp") <= day), EVENTS)


def files(version):
    return [path.stem for path in sorted(version.path.glob("daily/*"))]


def write_as_before(version):
    """Put a version into the files and the table that releases before wrote."""
    months = sorted(version.path.glob("daily/*-*.parquet"))
    year = months[0].stem[:4]
    table = pl.read_parquet(version.path / _contents.FILE)
    names = table.select("sid", "symbol").unique()
    bars = pl.concat(map(read_bars, months)).sort("sid", "timestamp").join(names, on="sid")
    write_bars(version.path / f"daily/{year}.parquet", bars)
    described = _contents.describe(
        "daily", year, bars.with_columns(pl.col("timestamp").alias("session"))
    )
    kept = table.filter(~pl.col("period").str.contains("-"))
    for path in months:
        path.unlink()
    new = ["price_decimals", "volume_decimals", *SUMMARY]
    pl.concat([kept, described]).drop(new).write_parquet(version.path / _contents.FILE)
    _files.seal(version.path, leave_out=storage.DERIVED)


def test_the_year_of_the_last_bar_is_kept_by_month():
    version = ingest(known_on(last_of(2019, 3)), "b", **at(last_of(2019, 3))).version
    assert files(version) == ["2018", "2019-01", "2019-02", "2019-03"]
    assert open_bundle("b").bars().equals(ALL.filter(pl.col("timestamp") <= last_of(2019, 3)))


@pytest.mark.parametrize("stop", [last_of(2018), last_of(2019, 3), last_of(2019)], ids=str)
def test_an_update_into_another_year_puts_the_months_together(stop):
    first = ingest(known_on(stop), "b", start=DAYS[0], end=stop, **at(stop)).version
    open_bundle("b").panel("daily")
    version = ingest(SOURCE, "b", update=True, **at(DAYS[-1])).version
    assert files(version) == ["2018", "2019", "2020-01", "2020-02"]
    ingest(SOURCE, "full", start=DAYS[0], end=DAYS[-1], **at(DAYS[-1]))
    assert_same("b", "full")
    first.check(every_byte=True)


@pytest.mark.parametrize("stop", [last_of(2019), DAYS[-3]], ids=str)
def test_a_version_of_a_release_before_is_read_and_updated(stop):
    before = ingest(known_on(stop), "b", start=DAYS[0], end=stop, **at(stop)).version
    write_as_before(before)
    assert files(before)[-1] == str(stop.year)
    assert open_bundle("b").bars().equals(ALL.filter(pl.col("timestamp") <= stop))
    ingest(SOURCE, "b", update=True, **at(DAYS[-1]))
    ingest(SOURCE, "full", start=DAYS[0], end=DAYS[-1], **at(DAYS[-1]))
    assert_same("b", "full")


def test_bars_that_are_gone_from_the_last_year_make_the_year_before_the_last():
    lag = {"settle_lag": timedelta(days=60)}
    ends = max(day for day in DAYS if day.year == 2020 and day.month == 1)
    early = ALL.filter(pl.col("timestamp") <= ends)
    gone = ALL.filter(pl.col("timestamp") <= last_of(2019))
    ingest(FrameSource(early, **lag), "b", start=DAYS[0], end=ends, **at(ends))
    version = ingest(FrameSource(gone, **lag), "b", update=True, end=DAYS[-1], **at(DAYS[-1]))
    ingest(FrameSource(gone, **lag), "full", start=DAYS[0], end=DAYS[-1], **at(DAYS[-1]))
    assert files(version.version) == files(storage.versions("full")[0])
    assert open_bundle("b").bars().equals(gone)
    assert open_bundle("b").metadata.content_hash == open_bundle("full").metadata.content_hash
