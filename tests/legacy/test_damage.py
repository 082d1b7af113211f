"""Damage is reported with its path and skipped, the others go on, and the exit code says so."""

import sqlite3
from contextlib import closing
from decimal import Decimal

import polars as pl
import pytest

from rustybt.data.bundles import list_bundles, open_bundle
from rustybt.legacy.migration import apply, make_plan
from rustybt.legacy.migration.command import Request, run
from tests.frames import sessions
from tests.legacy.old_root import OldRoot, tree, walk

DAYS = sessions("2022-01-03", "2022-03-31")


@pytest.fixture
def old(zipline_root) -> OldRoot:
    """A root with one sound bundle, `sound`, and one to damage, `b`."""
    zipline_root.mkdir()
    made = OldRoot(zipline_root)
    for name in ("sound", "b"):
        made.bars(name, walk([1], DAYS))
        made.parquet_catalog(name, {"source": "x", "symbols": ["A"]})
    return made


def spoil(path, find: bytes = b"", replace: bytes = b"") -> None:
    raw = path.read_bytes()
    path.write_bytes(raw.replace(find, replace) if find else raw[: len(raw) // 2])


def corrupt_database(old):
    path = old.directory("b") / "metadata.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    return path


def text_for_a_database(old):
    path = old.path / "assets-9.db"
    path.write_text("this is no database at all, " * 100)
    return path


def missing_file(old):
    files = {"daily_bars/year=2022/month=7/data.parquet": "ee" * 32}
    old.parquet_catalog("c", {"source": "x", "symbols": ["A"], "files": files})
    return old.directory("c") / next(iter(files))


def file_cut_short(old):
    path = old.bars("b", walk([1], DAYS))
    spoil(path)
    return path


def file_without_prices(old):
    path = old.bars("b", walk([1], DAYS))
    pl.read_parquet(path, hive_partitioning=False).drop("open").write_parquet(path)
    return path


def file_of_words(old):
    path = old.bars("b", walk([1], DAYS))
    frame = pl.read_parquet(path, hive_partitioning=False)
    frame.with_columns(pl.lit("many").alias("volume")).write_parquet(path)
    return path


def bad_json(old):
    row = {"bundle_name": "b", "missing_days_list": '["2022-01-0'}
    return old.catalog(10, [row])


def times_that_are_none(old):
    return old.catalog(9, [{"bundle_name": "b", "fetch_timestamp": "yesterday"}])


def counts_that_are_none(old):
    return old.catalog(10, [{"bundle_name": "b", "row_count": b"\x00\xff"}])


def times_beyond_time(old):
    return old.catalog(10, [{"bundle_name": "b", "end_date": 10**17}])


def a_bundle_without_a_name_that_is_text(old):
    return old.catalog(10, [{"bundle_name": b"\x17"}])


def a_name_that_no_bundle_can_have(old):
    old.bars(".hidden", walk([1], DAYS))
    return old.directory(".hidden")


def a_name_with_a_slash(old):
    old.bars("binance/BTC", walk([1], DAYS))
    return old.directory("binance/BTC")


def a_price_that_cannot_be(old):
    low = pl.when(pl.col("timestamp") == DAYS[5]).then(Decimal(-1)).otherwise("low").alias("low")
    return old.bars("b", walk([1], DAYS).with_columns(low))


def an_event_that_cannot_be(old):
    events = {"splits": [{"sid": 1, "effective_date": 1_646_179_200, "ratio": 0.0}]}
    (old.directory("b") / "metadata.db").unlink()
    return old.parquet_catalog("b", {"source": "x", "symbols": ["A"]}, events=events)


def an_empty_ingestion(old):
    path = old.path / "data" / "classic" / "2024-01-02T03;04;05.678901"
    path.mkdir(parents=True)
    return path


def exit_codes(old) -> list[int]:
    actions = ("validate", "apply")
    return [run(Request(action, old.path), lambda line: None) for action in actions]


DAMAGES = [
    *(corrupt_database, text_for_a_database, missing_file, file_cut_short, file_without_prices),
    *(file_of_words, bad_json, times_that_are_none, counts_that_are_none, times_beyond_time),
    *(a_bundle_without_a_name_that_is_text, a_name_that_no_bundle_can_have, a_name_with_a_slash),
    *(a_price_that_cannot_be, an_event_that_cannot_be, an_empty_ingestion),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_reported_with_its_path_and_does_not_stop_the_others(old, damage):
    path = damage(old)
    before = tree(old.path / "data")
    found = make_plan(old.path, old.cache)
    assert path in [problem.path for problem in found.problems]
    applied = apply(old.path, old.cache)
    assert not applied.ok
    assert "sound" in list_bundles()
    assert len(open_bundle("sound").bars()) == len(DAYS)
    assert tree(old.path / "data") == before
    assert [
        run(Request(action, old.path), lambda line: None) for action in ("validate", "apply")
    ] == [
        1,
        1,
    ]


def test_a_sound_root_ends_with_zero(old):
    assert [
        run(Request(action, old.path), lambda line: None) for action in ("validate", "apply")
    ] == [
        0,
        0,
    ]


def test_a_row_that_cannot_be_true_is_in_the_coverage_ledger(old):
    path = a_price_that_cannot_be(old)
    applied = apply(old.path, old.cache)
    (problem,) = applied.plan.problems
    assert problem.path == path
    assert "1 row cannot be true" in problem.what
    bundle = open_bundle("b")
    assert len(bundle.bars()) == len(DAYS) - 1
    refused = bundle.coverage.filter(pl.col("reason").str.starts_with("refused"))
    assert refused["first"].to_list() == [DAYS[5]]


def test_a_value_that_no_float_holds_to_the_digit_is_refused(old):
    exact = Decimal("1234567890.12345678")
    volume = pl.when(pl.col("timestamp") == DAYS[3]).then(exact).otherwise("volume").alias("volume")
    old.bars("b", walk([1], DAYS).with_columns(volume))
    applied = apply(old.path, old.cache)
    assert "kept to the digit" in applied.plan.problems[0].what
    assert len(open_bundle("b").bars()) == len(DAYS) - 1


def test_a_journal_of_an_old_database_is_not_rolled_back_into_it(old):
    path = old.catalog(10, [{"bundle_name": "b", "data_version": "before"}])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("PRAGMA cache_spill = 1")
        connection.execute("UPDATE bundle_metadata SET data_version = 'never committed'")
        rows = [(f"x{number}", "y" * 500) for number in range(200)]
        connection.executemany(
            "INSERT INTO bundle_cache (cache_key, bundle_path) VALUES (?, ?)", rows
        )
        journal = path.with_name(path.name + "-journal")
        kept = path.read_bytes(), journal.read_bytes()
        connection.rollback()
    path.write_bytes(kept[0])
    journal.write_bytes(kept[1])
    (item, _) = make_plan(old.path, old.cache).items
    said = [c.facts["data_version"] for c in item.claims if c.kind == "DataCatalog"]
    assert said == ["before"]
    assert (path.read_bytes(), journal.read_bytes()) == kept
