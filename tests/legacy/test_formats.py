"""Every format that old releases wrote, migrated: what the files hold is what a version holds."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from rustybt.compat.bundles import ingestions_for_bundle
from rustybt.data.bundles import BundleMetadata, list_bundles, open_bundle
from rustybt.legacy.migration import apply, make_plan, revert
from tests.frames import VALUES, sessions
from tests.legacy.old_root import OF_NOTHING, OldRoot, checksum, seconds, tree, walk

DAYS = sessions("2022-01-03", "2022-06-30")
COLUMNS = ["sid", "timestamp", *VALUES]
EXCHANGED = (3 - pl.col("sid")).alias("sid")
QUALITY = {
    "row_count": 1004,
    "start_date": seconds("2014-01-02"),
    "end_date": seconds("2018-03-27"),
    "missing_days_list": [],
    "validation_passed": 1,
}


@pytest.fixture
def old(zipline_root) -> OldRoot:
    zipline_root.mkdir()
    return OldRoot(zipline_root)


def migrate(old: OldRoot):
    return apply(old.path, old.cache)


def plan(old: OldRoot):
    return make_plan(old.path, old.cache)


def decimals(bundle: str, kind: str = "daily") -> list[tuple]:
    """Bars of a version, values as the decimals of eight places that they stand for."""
    rows = open_bundle(bundle).bars(kind).rows()
    return [
        (symbol, when, *(round(Decimal(v), 8) for v in values)) for symbol, when, *values in rows
    ]


def expected(frame: pl.DataFrame, names: dict[int, str]) -> list[tuple]:
    return sorted((names[sid], *rest) for sid, *rest in frame.select(COLUMNS).rows())


@pytest.mark.parametrize("version", [8, 8.5, 9, 10])
def test_a_catalog_without_data_becomes_a_record_without_bars(old, version):
    row = {"bundle_name": "quandl", "source_type": "quandl", "fetch_timestamp": 1_759_320_000}
    runs = [QUALITY | {"row_count": 1000, "validation_timestamp": 5}]
    runs += [QUALITY | {"validation_timestamp": 9}]
    if version < 9:
        measures = [{"bundle_name": "quandl", **run} for run in reversed(runs)]
        old.catalog(version, [row], data_quality_metrics=measures)
    else:
        old.catalog(version, [row | runs[-1]])
    assert migrate(old).ok
    record = BundleMetadata.load("quandl")
    assert (record.source_type, record.span) == ("quandl", "2014-01-02 to 2018-03-27")
    assert (record.row_count, open_bundle("quandl").has("daily")) == (0, False)
    claim = record.provenance["migrated_from"]["claims"][0]
    assert claim["facts"]["row_count"] == 1004
    assert record.ingestion_time.timestamp() == 1_759_320_000


def test_an_empty_database_of_each_version_is_said_and_nothing_is_migrated(old):
    for version in (8, 9, 10):
        (old.path / f"assets-{version}.db").touch()
    found = plan(old)
    assert found.ok
    assert len(found.notes) == 3
    assert found.items == ()


def test_one_bundle_in_catalogs_of_all_versions_is_one_with_its_conflicts_listed(old):
    for version, rows in ((8, 10), (9, 20), (10, 30)):
        old.catalog(version, [{"bundle_name": "b", "updated_at": 1_700_000_000 + rows}])
    (item,) = plan(old).items
    assert [claim.catalog for claim in item.claims] == [
        "assets-8.db",
        "assets-9.db",
        "assets-10.db",
    ]


def test_wrong_partitions_and_eighth_decimals_come_through(old):
    frame = walk([1, 2], DAYS)
    path = old.bars("b", frame)
    assert path.parts[-3:] == ("year=2022", "month=1", "data.parquet")
    old.catalog(
        10,
        [{"bundle_name": "b", "row_count": 5, "file_checksum": checksum(path)}],
        bundle_symbols=[{"bundle_name": "b", "symbol": symbol} for symbol in ("ZZ", "AA")],
    )
    assert migrate(old).ok
    assert decimals("b") == expected(frame, {1: "ZZ", 2: "AA"})
    record = BundleMetadata.load("b")
    assert (record.row_count, record.calendar, record.frequency) == (len(frame), "XNYS", "1d")
    facts = [conflict["fact"] for conflict in record.provenance["migrated_from"]["conflicts"]]
    assert facts == ["row_count"]
    assert any("partition of another time" in note for note in record.notes)


@pytest.mark.parametrize("place", ["data/bundles", "data"])
def test_both_places_of_a_parquet_catalog_are_read(old, place):
    path = old.bars("b", walk([1], DAYS), place=place)
    files = {str(path.relative_to(old.directory("b", place))): checksum(path)}
    old.parquet_catalog("b", {"source": "x", "symbols": ["A"], "files": files}, place=place)
    assert migrate(old).ok
    assert BundleMetadata.load("b").symbols == ["A"]


def test_duplicate_datasets_and_symbols_are_one_bundle(old):
    old.bars("b", walk([1, 2], DAYS))
    names = [{"symbol": "A"}, {"symbol": "B"}, {"symbol": "A", "exchange": "NYSE"}]
    once = {"source": "yfinance", "resolution": "1d", "symbols": names}
    old.parquet_catalog("b", once, once | {"symbols": []}, once)
    (item,) = plan(old).items
    assert item.symbols == {"daily": {1: "A", 2: "B"}}
    assert item.untrusted == item.conflicts == ()


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("Tokyo", 9),
        ("New York", -5),
        ("UTC", 0),
        ("Kolkata", 5.5),
        ("Auckland", 13),
        ("Hawaii", -10),
    ],
)
def test_a_range_in_local_time_gives_the_writers_offset_back(old, zone, hours):
    start = seconds("2023-01-03") - int(hours * 3600)
    end = seconds("2023-01-31") + 86_399 - int(hours * 3600)
    old.parquet_catalog("b", {"source": "csv", "symbols": ["A"], "range": (start, end)})
    (item,) = plan(old).items
    assert (str(item.facts.start), str(item.facts.end)) == ("2023-01-03", "2023-01-31")
    assert item.claims[0].facts["utc_offset"] == hours * 3600
    assert any("was written where" in note for note in item.notes) == bool(hours)


@pytest.mark.parametrize("version", [8, 10])
@pytest.mark.parametrize(("zone", "hours"), [("Asia/Tokyo", 9), ("America/New_York", -5)])
def test_midnights_of_a_catalogs_own_zone_are_its_dates(old, version, zone, hours):
    edges = {
        "start_date": seconds("2023-01-03") - hours * 3600,
        "end_date": seconds("2023-01-31") - hours * 3600,
    }
    row = {"bundle_name": "b", "timezone": zone}
    if version == 8:
        measures = [{"bundle_name": "b", "validation_timestamp": 1, **edges}]
        old.catalog(8, [row], data_quality_metrics=measures)
    else:
        old.catalog(10, [row | edges])
    (item,) = plan(old).items
    assert (str(item.facts.start), str(item.facts.end)) == ("2023-01-03", "2023-01-31")


def test_swapped_sids_are_put_right_where_shared_dates_prove_it(old):
    first = walk([1, 2], DAYS[:100])
    again = first.filter(pl.col("timestamp") >= DAYS[70])
    more = walk([1, 2], DAYS[100:], seed=3)
    swapped = pl.concat([again, more]).with_columns(EXCHANGED)
    swapped = swapped.sort("timestamp", "sid")
    old.bars("b", first)
    old.bars("b", swapped)
    old.parquet_catalog("b", {"source": "x", "symbols": ["A", "B"]})
    applied = migrate(old)
    assert applied.ok
    whole = pl.concat([first, more])
    assert decimals("b") == expected(whole, {1: "A", 2: "B"})
    (item,) = applied.plan.items
    assert "prove" in item.untrusted[0]
    assert any(note.startswith("UNTRUSTED") for note in BundleMetadata.load("b").notes)


def test_sids_that_may_be_swapped_are_doubted_and_left(old):
    old.bars("b", walk([1, 2], DAYS[:100]))
    old.bars("b", walk([1, 2], DAYS[100:]).with_columns(EXCHANGED))
    old.parquet_catalog("b", {"source": "x", "symbols": ["A", "B"]})
    (item,) = plan(old).items
    assert "only if they are exchanged" in item.untrusted[0]


def test_a_bundle_that_was_ingested_again_may_have_its_symbols_exchanged(old):
    old.bars("b", walk([1, 2], DAYS))
    again = {"created_at": 1_700_000_000, "fetch_timestamp": 1_700_009_000}
    old.catalog(
        10,
        [{"bundle_name": "b", **again, "updated_at": 1_700_009_001}],
        bundle_symbols=[{"bundle_name": "b", "symbol": symbol} for symbol in "AB"],
    )
    (item,) = plan(old).items
    assert "ingested more than once" in item.untrusted[0]


def test_old_parquet_files_are_no_ingestion_of_ziplines(old):
    old.bars("b", walk([1], DAYS), place="data")
    old.parquet_catalog("b", {"source": "x", "symbols": ["A"]}, place="data")
    assert migrate(old).ok
    assert len(ingestions_for_bundle("b")) == 1


def test_the_newer_of_two_files_wins_and_the_conflict_is_listed(old):
    older, newer = walk([1], DAYS[:60]), walk([1], DAYS[30:90], seed=1)
    old.bars("b", older)
    old.bars("b", newer)
    old.parquet_catalog("b", {"source": "x", "symbols": ["A"]})
    applied = migrate(old)
    whole = pl.concat([older[:30], newer])
    assert decimals("b") == expected(whole, {1: "A"})
    assert "30 daily bars" in applied.plan.items[0].conflicts[0].fact


@pytest.mark.parametrize(("label", "shift"), [("start", 1), ("end", 0)])
def test_minutes_are_labelled_at_their_end_whatever_the_old_label(old, label, shift):
    opened = datetime(2022, 1, 3, 14, 30) + timedelta(minutes=label == "end")
    times = [opened + timedelta(minutes=number) for number in range(390)]
    frame = walk([1], times)
    old.bars("b", frame)
    old.parquet_catalog("b", {"source": "x", "resolution": "1m", "symbols": ["A"]})
    assert migrate(old).ok
    bundle = open_bundle("b")
    moved = [moment + timedelta(minutes=shift) for moment in times]
    assert [t.replace(tzinfo=None) for t in bundle.bars("minute")["timestamp"]] == moved
    assert (bundle.metadata.frequency, bundle.metadata.calendar) == ("1m", "XNYS")
    assert any(f"read as {label}s" in note for note in bundle.metadata.notes)


def test_hours_around_the_clock_are_of_a_market_that_never_closes(old):
    start = datetime(2022, 1, 1)
    old.bars("btc", walk([1], [start + timedelta(hours=number) for number in range(100)]))
    old.catalog(
        10,
        [{"bundle_name": "btc", "source_type": "ccxt"}],
        bundle_symbols=[{"bundle_name": "btc", "symbol": "BTC/USDT", "asset_type": "crypto"}],
    )
    assert migrate(old).ok
    record = BundleMetadata.load("btc")
    assert (record.frequency, record.calendar, record.symbols) == ("1h", "24/7", ["BTC/USDT"])


def test_another_market_is_told_by_its_sessions(old):
    old.bars("london", walk([1], sessions("2022-01-04", "2022-06-30", "XLON")))
    old.parquet_catalog("london", {"source": "x", "symbols": ["VOD"]})
    assert migrate(old).ok
    assert BundleMetadata.load("london").calendar == "XLON"


def test_events_beside_the_bars_come_along(old):
    old.bars("b", walk([1, 2], DAYS))
    paid = {"sid": 2, "ex_date": seconds("2022-03-30"), "pay_date": seconds("2022-04-15")}
    events = {
        "splits": [{"sid": 1, "effective_date": seconds("2022-03-02"), "ratio": 0.25}],
        "dividend_payouts": [paid | {"amount": 0.23, "declared_date": -(2**63)}],
    }
    old.parquet_catalog("b", {"source": "x", "symbols": ["A", "B"]}, events=events)
    assert migrate(old).ok
    found = open_bundle("b").events
    assert found.splits.rows() == [("A", date(2022, 3, 2), 0.25)]
    assert found.dividends.select("symbol", "amount", "pay_date").rows() == [
        ("B", 0.23, date(2022, 4, 15))
    ]


def test_a_checksum_of_nothing_is_no_conflict_and_one_of_all_files_is_right(old):
    paths = [old.bars("b", walk([1], DAYS[:20])), old.bars("b", walk([1], DAYS[30:]))]
    old.parquet_catalog("b", {"source": "csv", "symbols": ["A"]})
    for version, value in ((9, OF_NOTHING), (10, checksum(*sorted(paths)))):
        old.catalog(version, [{"bundle_name": "b", "checksum": value, "file_checksum": value}])
    (item,) = plan(old).items
    assert item.conflicts == ()


def test_symbols_that_nobody_recorded_are_named_by_sid_and_untrusted(old):
    old.bars("b", walk([1, 2], DAYS))
    old.parquet_catalog("b", {"source": "x", "symbols": []})
    (item,) = plan(old).items
    assert item.symbols == {"daily": {1: "sid 1", 2: "sid 2"}}
    assert "No catalog names" in item.untrusted[0]


@pytest.mark.parametrize("name", ["what?now", "日経 225", "a%b", "it's", '100% "sure"'])
def test_strange_names_come_through(old, name):
    frame = walk([1], DAYS)
    old.bars(name, frame)
    old.parquet_catalog(name, {"source": "x", "symbols": ["Ä"]})
    applied = migrate(old)
    assert applied.ok
    assert list_bundles() == [name]
    assert decimals(name) == expected(frame, {1: "Ä"})


def test_the_old_cache_is_found_counted_and_left_alone(old):
    frame = walk([1], DAYS).with_columns(pl.lit("A").alias("symbol")).drop("sid")
    old.cached("0123456789abcdef", frame)
    before = tree(old.cache)
    found = plan(old)
    assert "1 files of the old cache" in found.notes[0]
    migrate(old)
    assert tree(old.cache) == before


def test_a_second_apply_changes_nothing_and_a_revert_leaves_the_very_tree(old):
    old.bars("b", walk([1], DAYS))
    old.parquet_catalog("b", {"source": "x", "symbols": ["A"]})
    old.catalog(10, [{"bundle_name": "gone"}])
    before = tree(old.path)
    first = migrate(old)
    manifest = first.manifest.read_bytes()
    digest = BundleMetadata.load("b").content_hash
    second = migrate(old)
    assert [each.status for each in second.outcomes] == ["present", "present"]
    assert second.manifest.read_bytes() == manifest
    assert revert(old.path).removed == ("b", "gone")
    assert tree(old.path) == before
    migrate(old)
    assert BundleMetadata.load("b").content_hash == digest


def test_a_split_stored_the_wrong_way_round_is_doubted(old):
    old.bars("b", walk([1], DAYS))
    events = {"splits": [{"sid": 1, "effective_date": seconds("2022-03-02"), "ratio": 4.0}]}
    old.parquet_catalog("b", {"source": "x", "symbols": ["A"]}, events=events)
    (item,) = plan(old).items
    assert "A has a split of 4.0 on 2022-03-02" in item.untrusted[0]


def test_a_name_that_begins_with_a_question_mark_stops_nothing(old):
    old.bars("?b", walk([1], DAYS))
    assert migrate(old).ok
    assert list_bundles() == ["?b"]


def test_files_recorded_below_another_root_are_those_of_the_bundle(old):
    path = old.bars("b", walk([1], DAYS))
    known = f"/elsewhere/data/bundles/b/{path.relative_to(old.directory('b'))}"
    old.parquet_catalog("b", {"source": "x", "symbols": ["A"], "files": {known: checksum(path)}})
    found = plan(old)
    assert (found.ok, found.items[0].conflicts) == (True, ())


def test_symbols_that_outlived_their_row_still_name_the_sids(old):
    old.bars("b", walk([1, 2], DAYS))
    old.catalog(10, bundle_symbols=[{"bundle_name": "b", "symbol": each} for each in ("Z", "A")])
    (item,) = plan(old).items
    assert item.symbols == {"daily": {1: "Z", 2: "A"}}


def test_a_partition_that_is_a_link_is_read(old):
    path = old.bars("b", walk([1], DAYS))
    elsewhere = old.path.parent / "elsewhere"
    path.parent.rename(elsewhere)
    path.parent.symlink_to(elsewhere)
    assert plan(old).items[0].facts.rows == len(DAYS)
