"""The index's schema: older ones are brought forward with what they hold, newer ones refused."""

import asyncio
import sqlite3
from datetime import date

import pytest

from rustybt.data.errors import CacheError
from rustybt.data.sources._store_database import MIGRATIONS
from rustybt.data.sources.cache_directory import CacheDirectory
from rustybt.data.sources.cached_source import CachedDataSource
from tests.fakes import CountingSource
from tests.frames import sessions, walk

BARS = walk(["AAA"], sessions("2024-01-02", "2024-01-31"))
REQUEST = (["AAA"], date(2024, 1, 2), date(2024, 1, 31), "1d")


def cached(directory):
    return CachedDataSource(CountingSource(BARS), directory)


@pytest.fixture
def directory(tmp_path):
    source = cached(tmp_path)
    asyncio.run(source.fetch(*REQUEST))
    source.close()
    return tmp_path


def change(directory, *statements):
    with sqlite3.connect(directory / "index.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_an_index_of_the_first_schema_is_brought_forward(directory):
    change(directory, "DROP TABLE restatements", "PRAGMA user_version = 1")
    source = cached(directory)
    asyncio.run(source.fetch(*REQUEST))
    assert source.stats.hits == 1
    assert CacheDirectory(directory).restatements() == []


def test_an_index_of_a_newer_rustybt_is_refused_and_left_alone(directory):
    newer = len(MIGRATIONS) + 1
    change(directory, f"PRAGMA user_version = {newer}")
    before = (directory / "index.sqlite").read_bytes()
    with pytest.raises(CacheError, match="newer rustybt"):
        asyncio.run(cached(directory).fetch(*REQUEST))
    assert (directory / "index.sqlite").read_bytes() == before
