"""What a cache asks for when bars and events are wanted together, and when no dates are named."""

import asyncio
from contextlib import asynccontextmanager
from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.adjustments import Events
from rustybt.data.errors import UnknownSymbolError
from rustybt.data.sources._provider import Answered, ProviderSource
from rustybt.data.sources.base import DataSourceMetadata
from rustybt.data.sources.cached_source import CachedDataSource
from rustybt.data.sources.freshness import AlwaysStaleFreshnessPolicy
from tests.fakes import CountingSource, FrozenClock
from tests.frames import sessions, splits, walk

SYMBOLS = ["AAA", "BBB", "CCC"]
BARS = walk(SYMBOLS, sessions("2024-01-02", "2024-03-28"))
SPLITS = splits(("AAA", "2024-01-10", 0.5)).splits
JANUARY = (date(2024, 1, 2), date(2024, 1, 31))


class ListedSource(ProviderSource):
    """A provider of the bars above, and of one more symbol that it does not have.

    Attributes
    ----------
    requests : list of list of str
        The symbols that were asked for on each connection.
    """

    def __init__(self, clock):
        self.clock = clock
        self.requests = []

    @asynccontextmanager
    async def _connect(self):
        self.requests.append([])
        yield self.requests[-1]

    async def _bars_of(self, connection, symbol, asked, frequency):
        connection.append(symbol)
        if symbol not in SYMBOLS:
            raise UnknownSymbolError([symbol], "the list")
        ended = self.clock().date() - timedelta(days=1)
        within = pl.col("timestamp").is_between(asked.first, min(asked.last, ended))
        return Answered(BARS.filter(within, pl.col("symbol") == symbol))

    async def _events_of(self, connection, symbol, asked):
        own = (pl.col("symbol") == symbol) & pl.col("ex_date").is_between(asked.first, asked.last)
        return Events(splits=SPLITS.filter(own))

    def _whole(self, frequency):
        return date(2020, 1, 1), self.clock()

    def get_metadata(self):
        return DataSourceMetadata("listed", calendar="XNYS", settle_lag=timedelta(days=3))


@pytest.fixture
def clock():
    return FrozenClock("2024-03-08T12:00")


@pytest.fixture
def source(clock):
    return ListedSource(clock)


@pytest.fixture
def cached(source, clock, tmp_path):
    return CachedDataSource(source, tmp_path, AlwaysStaleFreshnessPolicy(), clock=clock)


def delivered(source, symbols, start, end):
    async def collected():
        return [each async for each in source.deliver(symbols, start, end, ["1d"])]

    found = asyncio.run(collected())
    bars = pl.concat([each.bars["1d"].bars for each in found]).sort("symbol", "timestamp")
    splits = pl.concat([each.events.splits for each in found])
    return bars, splits, {name: e for each in found for name, e in each.failures.items()}


def test_bars_and_events_come_together(source, cached):
    bars, split, failures = delivered(cached, [*SYMBOLS, "NONE"], *JANUARY)
    assert source.requests == [[*SYMBOLS, "NONE"]]
    assert_frame_equal(bars, BARS.filter(pl.col("timestamp").is_between(*JANUARY)))
    assert (len(split), list(failures)) == (1, ["NONE"])


def test_what_was_delivered_is_known(source, cached):
    first = delivered(cached, SYMBOLS, *JANUARY)
    again = delivered(cached, SYMBOLS, *JANUARY)
    alone = asyncio.run(cached.fetch(SYMBOLS, *JANUARY, "1d"))
    assert len(source.requests) == 1
    assert_frame_equal(again[0], first[0])
    assert_frame_equal(again[1], first[1])
    assert_frame_equal(alone, first[0])


def test_of_what_is_known_only_the_rest_is_asked_for(source, cached):
    delivered(cached, ["BBB"], *JANUARY)
    bars, _, _ = delivered(cached, SYMBOLS, *JANUARY)
    assert source.requests == [["BBB"], ["AAA", "CCC"]]
    assert_frame_equal(bars, BARS.filter(pl.col("timestamp").is_between(*JANUARY)))


def test_warming_asks_once(source, cached):
    assert asyncio.run(cached.warm(SYMBOLS, *JANUARY)) == {}
    delivered(cached, SYMBOLS, *JANUARY)
    assert source.requests == [SYMBOLS]


def test_without_dates_all_is_kept_and_only_what_is_new_is_asked_for(source, cached, clock):
    bars, split, _ = delivered(cached, SYMBOLS, None, None)
    assert_frame_equal(bars, BARS.filter(pl.col("timestamp") < date(2024, 3, 8)))
    clock.set("2024-03-20T12:00")
    later = asyncio.run(cached.fetch(SYMBOLS, None, None, "1d"))
    assert_frame_equal(later, BARS.filter(pl.col("timestamp") < date(2024, 3, 20)))
    old = asyncio.run(cached.fetch(SYMBOLS, None, date(2024, 2, 29), "1d"))
    assert_frame_equal(old, BARS.filter(pl.col("timestamp") <= date(2024, 2, 29)))
    assert (len(source.requests), len(split)) == (2, 1)


def test_a_cache_in_front_of_a_cache_does_not_wait_for_itself(tmp_path):
    source = CountingSource(BARS)
    outer = CachedDataSource(CachedDataSource(source, tmp_path), tmp_path)
    bars = asyncio.run(asyncio.wait_for(outer.fetch(SYMBOLS, *JANUARY, "1d"), 20))
    assert len(source.requests) == 1
    assert_frame_equal(bars, BARS.filter(pl.col("timestamp").is_between(*JANUARY)))


class RevisingSource(CountingSource):
    """A source that says that it has revised one symbol."""

    async def revised_since(self, symbols, since, frequency):
        return {"AAA": JANUARY}


def test_what_a_source_says_to_have_revised_is_asked_for_again(tmp_path):
    cached = CachedDataSource(RevisingSource(BARS), tmp_path)
    asyncio.run(cached.fetch(SYMBOLS, *JANUARY, "1d"))
    revised = BARS.with_columns(pl.col("volume") + 100)
    cached = CachedDataSource(RevisingSource(revised), tmp_path)
    asyncio.run(cached.revised_since(SYMBOLS, FrozenClock("2024-02-01")(), "1d"))
    bars = asyncio.run(cached.fetch(SYMBOLS, *JANUARY, "1d"))
    own = (pl.col("symbol") == "AAA") & pl.col("timestamp").is_between(*JANUARY)
    assert_frame_equal(bars.filter(symbol="AAA"), revised.filter(own))
