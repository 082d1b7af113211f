"""Who supplied bars is told of those from a cache as well."""

import asyncio

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.bundles.ingest import ingest
from rustybt.data.provenance import read_provenance
from rustybt.data.sources import CompositeDataSource, Supplier
from rustybt.data.sources.cached_source import CachedDataSource
from tests.fakes import CountingSource, FrameSource
from tests.frames import minutes, sessions, walk

DAYS = sessions("2020-02-03", "2020-02-28")
BARS = {
    "1d": (DAYS[0], DAYS[-1], walk(["A", "B"], DAYS)),
    "1m": ("2020-02-03", "2020-02-04", walk(["A", "B"], minutes("2020-02-03", "2020-02-04"))),
}


def compared(ours):
    """Two providers that disagree on one bar, and by a bar that only one has."""
    moments = ours["timestamp"].unique().sort()
    theirs = ours.filter(pl.col("timestamp") != moments[3]).with_columns(
        pl.when(pl.col("timestamp") == moments[5]).then(1e6).otherwise("volume").alias("volume")
    )
    given = [
        Supplier(source(frame, feed=name), name)
        for source, frame, name in ((CountingSource, ours, "one"), (FrameSource, theirs, "two"))
    ]
    return CompositeDataSource(given, tolerance=1e-9), given[0].source


def fetch(source, start, end, frequency):
    return asyncio.run(source.fetch_available(["A", "B"], start, end, frequency))


def tables(fetched):
    return [frame.sort(frame.columns) for frame in fetched.provenance.tables().values()]


@pytest.mark.parametrize("frequency", BARS)
def test_a_hit_tells_what_the_fetch_told(tmp_path, frequency):
    start, end, bars = BARS[frequency]
    source, counted = compared(bars)
    cached = CachedDataSource(source, tmp_path)
    first = fetch(cached, start, end, frequency)
    again = fetch(cached, start, end, frequency)
    assert len(counted.requests) == 1
    assert_frame_equal(first.bars, again.bars)
    own = fetch(source, start, end, frequency).provenance.disagreements
    for told, once_more in zip(tables(first), tables(again), strict=True):
        assert_frame_equal(told, once_more)
    assert_frame_equal(tables(again)[1], own.sort(own.columns))
    assert len(own) == 2 * 2


def test_what_is_fetched_and_what_is_held_are_told_together(tmp_path):
    _, _, bars = BARS["1d"]
    source, _ = compared(bars)
    cached = CachedDataSource(source, tmp_path)
    fetch(cached, DAYS[0], DAYS[9], "1d")
    found = fetch(cached, DAYS[0], DAYS[-1], "1d").provenance
    supplied = found.suppliers.filter(outcome="supplied", symbol="A")
    assert supplied["bars"].to_list() == [10, len(DAYS) - 10]
    whole = fetch(source, DAYS[0], DAYS[-1], "1d").provenance.disagreements
    assert_frame_equal(found.disagreements.sort(whole.columns), whole.sort(whole.columns))


def test_pieces_that_are_put_together_keep_what_is_told(tmp_path):
    days = sessions("2020-01-02", "2020-04-30")
    source, _ = compared(walk(["A", "B"], days))
    cached = CachedDataSource(source, tmp_path)
    own = [fetch(cached, *days[number : number + 2], "1d") for number in range(0, 60, 2)]
    found = fetch(cached, days[0], days[59], "1d").provenance
    told = pl.concat([each.provenance.disagreements for each in own])
    assert_frame_equal(found.disagreements, told, check_row_order=False)
    assert len(told) == 2
    supplied = found.suppliers.filter(outcome="supplied").group_by("symbol").agg(pl.sum("bars"))
    assert sorted(supplied.rows()) == [("A", 60), ("B", 60)]


def test_a_bundle_from_the_cache_records_who_supplied_it(tmp_path):
    start, end, bars = BARS["1d"]
    source, _ = compared(bars)
    cached = CachedDataSource(source, tmp_path / "cache")
    versions = [
        ingest(cached, "b", symbols=["A", "B"], start=start, end=end).path for _ in range(2)
    ]
    first, again = (read_provenance(path) for path in versions)
    for name, frame in first.tables().items():
        assert_frame_equal(again.tables()[name], frame, check_row_order=False)
