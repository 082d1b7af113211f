"""`DataCatalog` and `ParquetMetadataCatalog` answer as they promised, and never touch old files."""

from datetime import date

import pytest

from rustybt.data.bundles import BundleMetadata
from rustybt.data.bundles.ingest import ingest
from rustybt.data.catalog import DataCatalog
from rustybt.data.errors import BundleError
from rustybt.data.polars.metadata_catalog import ParquetMetadataCatalog
from tests.fakes import FrameSource
from tests.frames import sessions
from tests.frames import walk as new_walk
from tests.legacy.old_root import OldRoot, seconds, tree

pytestmark = pytest.mark.filterwarnings("ignore::deprecation.DeprecatedWarning")

DAYS = sessions("2022-01-03", "2022-03-31")
ROW = {"bundle_name": "q", "source_type": "quandl", "fetch_timestamp": 1_759_320_000}


@pytest.fixture
def catalog(zipline_root) -> DataCatalog:
    zipline_root.mkdir()
    return DataCatalog()


def test_an_empty_root_has_no_bundles(catalog, zipline_root):
    assert (catalog.list_bundles(), catalog.count_bundles(), catalog.get_bundle_name()) == (
        [],
        0,
        "",
    )
    assert catalog.get_bundle_metadata("q") is None
    assert list(zipline_root.iterdir()) == []


def test_what_is_stored_is_found_and_can_be_forgotten(catalog):
    catalog.store_metadata({**ROW, "checksum": "ab", "source_url": "http://x"})
    catalog.store_quality_metrics({"bundle_name": "q", "row_count": 7, "missing_days_list": ["x"]})
    found = DataCatalog().get_bundle_metadata("q")
    assert (found["source_url"], found["checksum"], found["timezone"]) == ("http://x", "ab", "UTC")
    assert catalog.get_quality_metrics("q")["missing_days_list"] == ["x"]
    assert catalog.delete_bundle_metadata("q")
    assert catalog.get_bundle_metadata("q") is None
    assert not catalog.delete_bundle_metadata("q")


def test_facts_without_a_source_are_refused(catalog):
    with pytest.raises(ValueError, match="source_type"):
        catalog.store_metadata({"bundle_name": "q"})


@pytest.mark.parametrize("version", [8, 9, 10])
def test_rows_of_the_old_databases_are_answered_and_the_databases_stay(zipline_root, version):
    old = OldRoot(zipline_root)
    facts = {"row_count": 5, "start_date": seconds("2020-01-02"), "end_date": seconds("2020-12-31")}
    measured = {**facts, "validation_timestamp": 9, "validation_passed": 1}
    if version == 8:
        old.catalog(8, [ROW], data_quality_metrics=[{"bundle_name": "q", **measured}])
    else:
        old.catalog(version, [{**ROW, **measured}])
    before = tree(zipline_root)
    catalog = DataCatalog()
    (row,) = catalog.list_bundles(source_type="quandl", start_date=seconds("2020-01-01"))
    assert {name: row[name] for name in facts} == facts
    assert catalog.get_quality_metrics("q")["validation_passed"] is True
    assert catalog.list_bundles(start_date=seconds("2020-06-01")) == []
    assert tree(zipline_root) == before
    catalog.store_metadata({**ROW, "source_type": "other"})
    assert catalog.get_bundle_metadata("q")["source_type"] == "other"
    after = tree(zipline_root)
    assert {name: after[name] for name in before if name != "."} == {
        name: each for name, each in before.items() if name != "."
    }


def test_a_new_bundle_is_known_without_being_told(catalog):
    ingest(FrameSource(new_walk(["A"], DAYS)), "fresh")
    found = catalog.get_bundle_metadata("fresh")
    assert found["source_type"] == "frame"
    assert catalog.get_quality_metrics("fresh")["start_date"] == seconds("2022-01-03")
    assert (catalog.get_bundle_name(), catalog.count_quality_metrics()) == ("fresh", 1)


def test_a_registered_bundle_is_a_version_of_its_own(catalog):
    path = ingest(FrameSource(new_walk(["A"], DAYS)), "first").path
    registered = catalog.register_bundle("second", path)
    assert registered.parent.name == "second"
    first, second = (BundleMetadata.load(name) for name in ("first", "second"))
    assert first.content_hash == second.content_hash
    assert second.bundle_name == "second"


def test_a_path_that_is_no_version_cannot_be_registered(catalog, tmp_path):
    with pytest.raises(BundleError, match="not the directory of a version"):
        catalog.register_bundle("x", tmp_path)


def test_the_books_of_the_old_cache(catalog):
    for key, size, used in (("a", 10, 2), ("b", 20, 1)):
        row = {"cache_key": key, "bundle_name": key, "bundle_path": "p", "size_bytes": size}
        row["symbols"] = [key]
        catalog.store_cache_metadata({**row, "last_accessed": used})
    assert catalog.get_cache_size() == 30
    assert [row["cache_key"] for row in catalog.get_lru_cache_entries()] == ["b", "a"]
    catalog.update_cache_access("b")
    assert [row["cache_key"] for row in catalog.get_lru_cache_entries()] == ["a", "b"]
    assert catalog.find_cached_bundle("a")["size_bytes"] == 10
    assert catalog.find_cached_bundle("a")["symbols"] == ["a"]
    assert catalog.delete_cache_entry("a")
    assert catalog.find_cached_bundle("a") is None
    catalog.increment_cache_hits()
    catalog.increment_cache_misses()
    (today,) = catalog.get_cache_stats()
    assert (today["hit_count"], today["miss_count"], today["hit_rate"]) == (1, 1, 50.0)


def test_which_backtest_read_what(catalog):
    catalog.link_backtest_to_bundles("run 1", ["b", "a"])
    catalog.link_backtest_to_bundles("run 2", ["a"])
    assert catalog.get_bundles_for_backtest("run 1") == ["a", "b"]
    assert catalog.get_backtests_using_bundle("a") == ["run 1", "run 2"]


def test_a_database_of_ones_own_knows_nothing_of_the_root(catalog, tmp_path):
    ingest(FrameSource(new_walk(["A"], DAYS)), "fresh")
    own = DataCatalog(str(tmp_path / "own.db"))
    assert own.list_bundles() == []
    own.store_metadata(ROW)
    assert own.count_bundles() == 1


def test_a_catalog_of_parquet_files(tmp_path):
    catalog = ParquetMetadataCatalog(str(tmp_path / "metadata.db"))
    number = catalog.create_dataset("yfinance", "1d")
    catalog.add_symbol(number, "AAPL", "equity", "NASDAQ")
    catalog.update_date_range(number, "2023-01-03", date(2023, 7, 11))
    for month in (1, 6):
        path = f"daily_bars/year=2023/month={month}/data.parquet"
        catalog.add_checksum(number, path, f"{month}" * 64)
    assert catalog.get_dataset_info(number)["source"] == "yfinance"
    assert catalog.get_date_range(number) == {
        "dataset_id": number, "start_date": date(2023, 1, 3), "end_date": date(2023, 7, 11),
    }  # fmt: skip
    assert [row["symbol"] for row in catalog.get_symbols(number)] == ["AAPL"]
    assert catalog.find_parquet_files(number, start_date=date(2023, 3, 1)) == [
        "daily_bars/year=2023/month=6/data.parquet"
    ]
    assert catalog.verify_checksum("daily_bars/year=2023/month=1/data.parquet", "1" * 64)
    assert not catalog.verify_checksum("daily_bars/year=2023/month=1/data.parquet", "2" * 64)
    assert (catalog.count_symbols(), catalog.get_cache_entries()) == (1, [])
    assert catalog.get_date_range(99) is None


def test_a_range_that_release_0_3_wrote_in_tokyo_reads_as_it_was_meant(tmp_path):
    old = OldRoot(tmp_path)
    start, end = seconds("2023-01-03") - 9 * 3600, seconds("2023-12-30") - 9 * 3600 - 1
    path = old.parquet_catalog("b", {"source": "csv", "range": (start, end)})
    found = ParquetMetadataCatalog(str(path)).get_date_range(1)
    assert (found["start_date"], found["end_date"]) == (date(2023, 1, 3), date(2023, 12, 29))
