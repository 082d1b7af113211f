"""What one process reads of a cache is not evicted by another."""

import asyncio
import sys
from datetime import date
from pathlib import Path

import pytest

from rustybt.data.sources._store_index import segment_files
from rustybt.data.sources._store_uses import Uses, _runs
from rustybt.data.sources.cache_directory import CacheDirectory
from rustybt.data.sources.cached_source import CachedDataSource
from tests.data.bundles.writer import start
from tests.fakes import CountingSource
from tests.frames import sessions, walk

SYMBOLS = ("AAA", "BBB", "CCC")
BARS = walk(SYMBOLS, sessions("2024-01-02", "2024-03-28"))
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the locks are those of Linux")


def fetch(source, symbol):
    asyncio.run(source.fetch([symbol], date(2024, 1, 2), date(2024, 3, 28), "1d"))


def read_on(directory, pipe, segment):
    """Another process, in the middle of reading a segment until it is told to end."""
    with Uses(Path(directory, "uses.lock")).reading([segment]):
        pipe.send("reading")
        pipe.recv()


def held(cached):
    """The segments that the index of a cache has."""
    with cached._store.index.reading() as connection:
        return set(segment_files(connection, range(10)))


@pytest.fixture
def cached(tmp_path):
    """A cache with room for two of its three symbols, and the first of them in it."""
    whole = CachedDataSource(CountingSource(BARS), tmp_path / "one")
    fetch(whole, "AAA")
    (one,) = (path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    cached = CachedDataSource(CountingSource(BARS), tmp_path / "two", max_size=one * 5 // 2)
    fetch(cached, "AAA")
    return cached


@pytest.mark.parametrize("end", ["told", "killed"])
def test_a_segment_that_another_process_reads_stays_until_it_ends(cached, end):
    process, pipe = start(read_on, cached.cache_dir, 1)
    assert pipe.recv() == "reading"
    for symbol in SYMBOLS[1:]:
        fetch(cached, symbol)
    assert held(cached) == {1, 3}  # the least used is 1, and 2 left for it
    if end == "told":
        pipe.send("end")
    else:
        process.kill()
    process.join(timeout=60)
    fetch(cached, "BBB")
    assert held(cached) == {3, 4}


def test_a_prune_leaves_what_is_read(cached):
    with cached._store.uses.reading([1]):
        CacheDirectory(cached.cache_dir).prune(max_size=0)
        assert held(cached) == {1}
    CacheDirectory(cached.cache_dir).prune(max_size=0)
    assert held(cached) == set()


def test_nobody_begins_to_read_what_is_leaving_and_others_do(tmp_path):
    uses = Uses(tmp_path / "uses.lock")
    with uses.evicting() as is_free:
        assert is_free(7)
        with uses.reading([6, 7, 8]), uses.evicting() as another:
            assert [another(segment) for segment in (6, 7, 8, 9)] == [False, False, False, True]


def test_a_directory_that_is_not_there_is_no_obstacle(tmp_path):
    uses = Uses(tmp_path / "gone" / "uses.lock")
    with uses.reading([1]), uses.evicting() as is_free:
        assert is_free(1)


def test_numbers_that_follow_each_other_are_one_run():
    assert list(_runs([])) == []
    assert list(_runs({5, 1, 2, 3, 9})) == [(1, 3), (5, 1), (9, 1)]
