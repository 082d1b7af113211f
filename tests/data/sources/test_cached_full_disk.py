"""A disk that is full: the answers stay right, the cache stays whole, and it is said."""

import asyncio
import os
import resource
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from rustybt.data.errors import CacheWarning
from rustybt.data.sources.cached_source import CachedDataSource
from tests.fakes import CountingSource
from tests.frames import sessions, walk

SYMBOLS = tuple(f"S{number:02d}" for number in range(30))
DAYS = sessions("2020-01-02", "2023-12-29")
BARS = walk(SYMBOLS, DAYS)


def fetch(cached, symbol):
    return asyncio.run(cached.fetch([symbol], DAYS[0], DAYS[-1], "1d"))


def own(symbol):
    return BARS.filter(BARS["symbol"] == symbol)


def until_full(cached) -> list[str]:
    """Fetch symbols until one cannot be written; the answers are right all the while."""
    for symbol in SYMBOLS:
        with warnings.catch_warnings(record=True, action="always") as caught:
            assert_frame_equal(fetch(cached, symbol), own(symbol))
        said = [str(each.message) for each in caught if each.category is CacheWarning]
        if said:
            return said
    raise AssertionError("the disk never became full")


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond a size; the system then says "file too large"."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", ["300k", "420k"])
def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path, size):
    source = CountingSource(BARS)
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, size):
        cached = CachedDataSource(source, disk / "cache")
        said = until_full(cached)
        assert all("cannot be" in text for text in said)
        assert not list(disk.rglob(".tmp-*"))
        cached.close()
        # What was cached before is still there, and read without the source.
        source.requests.clear()
        assert_frame_equal(fetch(CachedDataSource(source, disk / "cache"), "S00"), own("S00"))
        assert source.requests == []


def test_a_file_that_may_not_grow_is_said_and_nothing_is_lost(tmp_path):
    source = CountingSource(BARS)
    cached = CachedDataSource(source, tmp_path)
    fetch(cached, "S00")
    with largest_file(8_000), pytest.warns(CacheWarning, match="cannot be written"):
        assert_frame_equal(fetch(cached, "S01"), own("S01"))
    assert not list(tmp_path.rglob(".tmp-*"))
    source.requests.clear()
    assert_frame_equal(fetch(cached, "S00"), own("S00"))
    assert source.requests == []
    assert_frame_equal(fetch(cached, "S01"), own("S01"))  # and it can be written again
    assert_frame_equal(fetch(cached, "S01"), own("S01"))
    assert len(source.requests) == 1


def test_a_directory_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    source = CountingSource(BARS)
    (tmp_path / "cache").write_text("a file where the cache should be")
    cached = CachedDataSource(source, tmp_path / "cache")
    with pytest.warns(CacheWarning, match="cannot be"):
        assert_frame_equal(fetch(cached, "S00"), own("S00"))
