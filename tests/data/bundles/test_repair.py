"""Damage is repaired with the very bytes that were written, in every version that shares it."""

import os
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rustybt.data.bundles import open_bundle, storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.bundles.repair import repair
from rustybt.data.bundles.verify import verify
from rustybt.data.errors import CorruptVersionError
from tests.fakes import FrameSource
from tests.frames import minutes, sessions, splits, walk

DAYS = sessions("2018-11-01", "2020-02-28")
BARS = walk(["A", "B"], DAYS)
EVENTS = splits(("A", "2019-02-01", 0.5))
SHARED = "daily/2018.parquet"


def flip(path):
    """As a failing disk does: the size and the time of the file stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def known_on(day):
    return BARS.filter(pl.col("timestamp") <= day)


def ingest_on(day, bars=None, **options):
    evening = datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
    source = FrameSource(known_on(day) if bars is None else bars, EVENTS)
    return ingest(source, "b", clock=lambda: evening, **options)


@pytest.fixture
def two():
    """A bundle with two versions, the newer one first, which share the years that have ended."""
    ingest_on(DAYS[-9])
    ingest_on(DAYS[-5], update=True)
    newer, older = storage.versions("b")
    assert (newer.path / SHARED).samefile(older.path / SHARED)
    return newer, older


def test_verify_says_which_versions_share_the_damage(two):
    newer, older = two
    flip(newer.path / SHARED)
    (newer.path / "assets.parquet").unlink()
    reports = verify("b")
    assert [report.shared for report in reports] == [
        {SHARED: (older.path.name,)},
        {SHARED: (newer.path.name,)},
    ]
    assert f"(the same file in {newer.path.name})" in reports[1].damage[0]


def test_a_file_that_versions_share_is_fetched_again_and_put_back_in_all(two):
    was = two[0].path.joinpath(SHARED).read_bytes()
    flip(two[0].path / SHARED)
    found = repair("b", FrameSource(BARS))  # the source has gone on meanwhile
    assert [(each.file, each.origin) for each in found.restored] == [(SHARED, "source frame")]
    assert found.left == ()
    for version in two:
        version.check(every_byte=True)
        assert (version.path / SHARED).read_bytes() == was
    assert (two[0].path / SHARED).samefile(two[1].path / SHARED)


def test_a_version_that_was_written_anew_gives_its_copy_without_a_source(two):
    flip(two[0].path / SHARED)
    whole = ingest_on(DAYS[-5])
    found = repair("b")
    assert str(whole.path / SHARED) in found.restored[0].origin
    assert not any(report.damaged for report in verify("b"))


def test_nothing_is_put_back_that_was_not_written(two):
    flip(two[0].path / SHARED)
    revised = BARS.with_columns(pl.col("volume") + 1)
    (left,) = repair("b", FrameSource(revised)).left
    assert "delivers other bars now" in left.why
    assert left.versions == tuple(version.path.name for version in two)
    assert all(SHARED in report.damaged for report in verify("b"))


@pytest.mark.parametrize("name", ["manifest.json", "contents.parquet"])
def test_what_no_other_version_has_is_named(two, name):
    flip(two[0].path / name)
    (left,) = repair("b", FrameSource(BARS)).left
    assert (left.file, left.versions) == (name, (two[0].path.name,))


RECORDS = ["metadata.parquet", "metadata.json"]


@pytest.mark.parametrize(("name", "other"), [RECORDS, RECORDS[::-1]])
def test_a_record_is_made_of_its_other_form(two, name, other):
    was = (two[0].path / name).read_bytes()
    flip(two[0].path / name)
    assert [each.origin for each in repair("b").restored] == [other]
    assert (two[0].path / name).read_bytes() == was
    assert open_bundle("b").metadata.bundle_name == "b"


def test_a_record_is_lost_with_both_its_forms(two):
    for name in RECORDS:
        flip(two[0].path / name)
    assert {each.file for each in repair("b").left} == set(RECORDS)


def test_a_table_that_two_versions_have_alike_is_copied(two):
    assert not (two[0].path / "splits.parquet").samefile(two[1].path / "splits.parquet")
    (two[0].path / "splits.parquet").unlink()
    assert len(repair("b").restored) == 1
    two[0].check(every_byte=True)


def test_whoever_reads_the_damaged_file_keeps_it(two):
    flip(two[0].path / SHARED)
    with (two[0].path / SHARED).open("rb") as reading:
        damaged = (two[0].path / SHARED).read_bytes()
        repair("b", FrameSource(BARS))
        assert reading.read() == damaged


def test_minutes_are_put_back_too():
    source = FrameSource({"1m": walk(["A", "B"], minutes("2020-01-30", "2020-02-04"))})
    version = ingest(source, "b", frequency="1m").version
    for name in ("minute/2020-01.parquet", "daily/2020-01.parquet"):
        flip(version.path / name)
    assert len(repair("b", source).restored) == 2
    version.check(every_byte=True)


@pytest.mark.parametrize("work", [{}, {"update": True}])
def test_an_ingest_after_damage_that_all_versions_share_writes_whole_files(two, work):
    flip(two[0].path / SHARED)
    result = ingest_on(DAYS[-1], **work)
    result.version.check(every_byte=True)
    assert open_bundle("b").bars().equals(BARS)
    assert result.damaged == ((SHARED,) if work else ())
    assert [bool(report.damaged) for report in verify("b")] == [False, True, True]
    assert len(repair("b").restored) == 1  # the new version has the bytes
    assert not any(report.damaged for report in verify("b"))


def test_an_update_with_nothing_new_still_replaces_what_is_damaged(two):
    flip(two[0].path / SHARED)
    assert ingest_on(DAYS[-5], update=True).is_new
    assert open_bundle("b").bars().equals(known_on(DAYS[-5]))


def test_an_update_of_damage_equals_a_full_ingest_of_revised_bars(two):
    revised = BARS.with_columns(pl.col("volume") + (pl.col("timestamp") < DAYS[20]))
    flip(two[0].path / SHARED)
    updated = ingest_on(DAYS[-1], revised, update=True)
    whole = ingest_on(DAYS[-1], revised)
    assert updated.metadata.content_hash == whole.metadata.content_hash


def test_an_update_takes_an_undamaged_copy_before_it_asks_the_source(two):
    ingest_on(DAYS[-5])  # no links: the copies of the versions before are files of their own
    flip(storage.versions("b")[0].path / SHARED)
    late = BARS.filter(pl.col("timestamp") > DAYS[-9])
    ingest_on(DAYS[-1], late, update=True).version.check(every_byte=True)
    assert open_bundle("b").bars().equals(BARS)


def test_an_update_loses_no_bars_that_the_source_does_not_give_any_more(two):
    flip(two[0].path / SHARED)
    late = BARS.filter(pl.col("timestamp") > DAYS[-9])
    with pytest.raises(CorruptVersionError, match=r"2018\.parquet is damaged.*A, B no more"):
        ingest_on(DAYS[-1], late, update=True)
    assert len(storage.versions("b")) == 2


def test_when_a_year_ends_no_month_is_lost_that_the_source_does_not_give():
    march = pl.col("timestamp").dt.strftime("%Y-%m") == "2019-03"
    rest = BARS.filter(~(march & (pl.col("symbol") == "B")))
    version = ingest_on(max(day for day in DAYS if day.year == 2019)).version
    for month in ("03", "12"):  # of the other one the source gives all bars
        flip(version.path / f"daily/2019-{month}.parquet")
    with pytest.raises(CorruptVersionError, match=r"2019-03\.parquet .* bars of B no more"):
        ingest_on(DAYS[-1], rest, update=True)
    ingest_on(DAYS[-1], update=True)  # the answers that were not enough are not taken again
    assert open_bundle("b").bars().equals(BARS)


@settings(max_examples=15)
@given(data=st.data())
def test_an_update_after_any_damage_equals_a_full_ingest_and_a_repair_mends_bars(
    data, tmp_path_factory
):
    """Random days of work, and one to three files of any versions flipped, cut or removed."""
    root = {"ZIPLINE_ROOT": str(tmp_path_factory.mktemp("root"))}
    days = sorted(data.draw(st.sets(st.sampled_from(DAYS[45:-1]), min_size=1, max_size=3)))
    for number, day in enumerate(days):
        ingest_on(day, update=number > 0, environ=root)
    present = storage.versions("b", root)
    files = sorted(path for version in present for path in version.path.rglob("*.parquet"))
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)):
        data.draw(st.sampled_from([flip, lambda path: os.truncate(path, 9), type(path).unlink]))(
            path
        )
    try:
        ingest_on(DAYS[-1], update=True, environ=root)
    except CorruptVersionError:  # tables of every version are damaged
        ingest_on(DAYS[-1], environ=root)
    updated = open_bundle("b", environ=root)
    updated.version.check(every_byte=True)
    whole = ingest_on(DAYS[-1], environ={"ZIPLINE_ROOT": str(tmp_path_factory.mktemp("whole"))})
    assert updated.metadata.content_hash == whole.metadata.content_hash
    repair("b", FrameSource(BARS, EVENTS), root)
    left = [name for report in verify("b", environ=root) for name in report.damaged]
    tables = [path.name for path in files if path.parent.name != "daily"]
    assert set(left) <= set(tables)
