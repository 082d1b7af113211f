"""Catalogs that old releases really wrote, where the checkout has them beside it."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from rustybt.data.bundles import BundleMetadata, open_bundle
from rustybt.data.catalog import DataCatalog
from rustybt.legacy.migration import apply, revert
from tests.legacy.old_root import tree

PLACES = [
    parent / "shared" / "old-catalogs" / "samples.tar.gz" for parent in Path(__file__).parents[3:]
]
ARCHIVE = next((path for path in PLACES if path.is_file()), None)

pytestmark = pytest.mark.skipif(ARCHIVE is None, reason="there are no samples here")


def names() -> list[str]:
    if ARCHIVE is None:
        return []
    with tarfile.open(ARCHIVE) as archive:
        return sorted({name.removeprefix("./").split("/")[0] for name in archive.getnames()})


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("samples")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="tar")
    return directory


@pytest.fixture
def sample(unpacked, tmp_path, monkeypatch):
    """A function that copies a sample and migrates it; (directory, manifest, what was done)."""

    def migrated(name: str):
        directory = tmp_path / name
        shutil.copytree(unpacked / name, directory)
        monkeypatch.setenv("ZIPLINE_ROOT", str(directory / "root"))
        manifest = json.loads((directory / "manifest.json").read_text())
        before = tree(directory)
        applied = apply(directory / "root", directory / "home" / ".rustybt" / "cache")
        return directory, manifest["expect"], applied, before

    return migrated


SAMPLES = [name for name in names() if name[:2].isdigit()]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_migrates_twice_alike_and_reverts_to_the_very_tree(sample, name):
    directory, _, applied, before = sample(name)
    again = apply(directory / "root", directory / "home" / ".rustybt" / "cache")
    assert {each.status for each in again.outcomes} <= {"present"}
    if applied.manifest is not None:
        assert json.loads(applied.manifest.read_text())["written"]
    revert(directory / "root")
    assert tree(directory) == before


@pytest.mark.parametrize("name", [n for n in SAMPLES if "datacatalog" in n])
def test_the_facts_of_a_data_catalog_are_kept(sample, name):
    _, expect, applied, _ = sample(name)
    assert applied.ok
    for bundle, facts in expect["get_bundle_metadata"].items():
        record = BundleMetadata.load(bundle)
        (claim,) = record.provenance["migrated_from"]["claims"]
        known = {key for key, value in facts.items() if value is not None} - {"bundle_name"}
        assert {key: claim["facts"].get(key) for key in known} == {key: facts[key] for key in known}
        assert record.source_type == facts["source_type"]
        quality = expect["get_quality_metrics"][bundle] or {}
        for key in ("row_count", "outlier_count", "ohlcv_violations", "validation_timestamp"):
            assert claim["facts"].get(key) == quality.get(key)


@pytest.mark.filterwarnings("ignore::deprecation.DeprecatedWarning")
@pytest.mark.parametrize("name", [n for n in SAMPLES if "datacatalog" in n])
def test_the_old_api_says_after_the_migration_what_it_said_before(sample, name):
    _, expect, _, _ = sample(name)
    catalog = DataCatalog()
    assert catalog.count_bundles() == len(expect["get_bundle_metadata"])
    for bundle, facts in expect["get_bundle_metadata"].items():
        found = catalog.get_bundle_metadata(bundle)
        assert {key: found[key] for key in facts} == facts
    for bundle, facts in expect["get_quality_metrics"].items():
        found = catalog.get_quality_metrics(bundle)
        skipped = {"missing_days_list"}  # text in the oldest release, a list in all later ones
        assert (found is None) == (facts is None)
        assert all(found[key] == facts[key] for key in set(facts or ()) - skipped)
    if "cache_size" in expect:
        assert catalog.get_cache_size() == expect["cache_size"]
        assert [row["cache_key"] for row in catalog.get_lru_cache_entries()] == expect["lru"]
    if "backtests_quandl" in expect:
        assert catalog.get_backtests_using_bundle("quandl") == expect["backtests_quandl"]


def test_daily_and_minute_bars_of_a_parquet_catalog(sample):
    _, _, applied, _ = sample("05_pmc_daily_minute")
    assert applied.ok
    bundle = open_bundle("us-equities")
    assert bundle.metadata.symbols == ["AAPL", "BRK.B", "MSFT"]
    assert bundle.metadata.span == "2023-01-03 to 2023-07-11"
    assert (len(bundle.bars("daily")), len(bundle.bars("minute"))) == (147, 780)


def test_a_range_that_tokyo_wrote(sample):
    _, expect, _, _ = sample("07_pmc_tz_tokyo")
    record = BundleMetadata.load("tzdemo")
    assert record.span == f"{expect['true_start']} to {expect['true_end']}"


def test_every_conflict_of_two_catalogs_and_the_files(sample):
    _, expect, applied, _ = sample("09_both_conflict")
    truth = expect["files_truth"]
    record = BundleMetadata.load("quandl")
    assert record.row_count == truth["rows"]
    assert record.span == f"{truth['start']} to {truth['end']}"
    (item,) = applied.plan.items
    facts = {conflict.fact for conflict in item.conflicts}
    assert facts >= {
        *("source_type", "row_count", "checksum", "start_date", "end_date", "timezone"),
        *("asset_type of AAPL", "exchange of AAPL", "symbol GOOG", "symbol MSFT"),
        "checksum of daily_bars/year=2023/month=4/data.parquet",
    }


def test_missing_files_are_named_and_the_rest_is_migrated(sample):
    directory, _, applied, _ = sample("11_missing_parquet")
    assert not applied.ok
    missing = {str(problem.path.relative_to(directory)) for problem in applied.plan.problems}
    place = "root/data/bundles/{}/daily_bars/year=2023/month={}/data.parquet"
    assert missing == {
        place.format(*each) for each in (("half-gone", 2), ("all-gone", 1), ("all-gone", 2))
    }
    assert BundleMetadata.load("all-there").row_count == 39
    assert BundleMetadata.load("half-gone").row_count == 20
    assert BundleMetadata.load("dir-gone").row_count == 0


def test_empty_catalogs_give_nothing(sample):
    _, _, applied, _ = sample("13_empty")
    assert applied.ok
    assert applied.outcomes == ()


def test_what_real_ingests_left(sample):
    _, expect, applied, _ = sample("17_real_ingest_pypi033")
    assert applied.ok
    for name in ("csv-one", "csv-three"):
        bundle, facts = open_bundle(name), expect[name]
        assert bundle.metadata.row_count == facts["rows"]
        first = bundle.bars().group_by("symbol").first()
        assert dict(zip(first["symbol"], first["close"], strict=True)) == facts["first_close"]
    assert open_bundle("csv-three").events.splits.rows()[0][2] == 0.25
    assert BundleMetadata.load("csvdir").source_type == expect["csvdir"]["source_type"]
    assert BundleMetadata.load("csvdir").row_count == 372


def test_a_bundle_of_the_old_bridge_is_migrated_and_untrusted(sample):
    _, expect, applied, _ = sample("19_bridge_yfinance_pypi033")
    assert applied.ok
    bundle = open_bundle("yfinance-profiling")
    assert bundle.metadata.row_count == expect["catalog"]["row_count"]
    doubts = [note for note in bundle.metadata.notes if note.startswith("UNTRUSTED")]
    assert len(doubts) == 2
    assert "Ingest it again" in doubts[0]
