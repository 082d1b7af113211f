"""What a cache asks its source for, and what it answers."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.errors import CacheWarning, OptionError, OutageError, StaleDataWarning
from rustybt.data.sources.cached_source import CachedDataSource, cache_directory
from rustybt.data.sources.freshness import AlwaysStaleFreshnessPolicy, NeverStaleFreshnessPolicy
from tests.fakes import CountingSource, FrozenClock, MarketSource
from tests.frames import minutes, sessions, splits, walk

SYMBOLS = ("AAA", "BBB", "CCC")
BARS = walk(SYMBOLS, sessions("2024-01-02", "2024-03-28"))
MINUTES = walk(["AAA"], minutes("2024-03-07", "2024-03-08"))


def day(text):
    return date.fromisoformat(f"2024-{text}")


def fetch(source, symbols, start, end, frequency="1d"):
    return asyncio.run(source.fetch(list(symbols), start, end, frequency))


def inside(bars, symbols, start, end):
    chosen = pl.col("symbol").is_in(list(symbols)) & pl.col("timestamp").is_between(start, end)
    return bars.filter(chosen)


@pytest.fixture
def source():
    return CountingSource(BARS)


@pytest.fixture
def cached(source, tmp_path):
    return CachedDataSource(source, tmp_path)


def test_what_is_known_is_not_asked_for_again(source, cached):
    first = fetch(cached, SYMBOLS, day("01-02"), day("01-31"))
    again = fetch(cached, SYMBOLS, day("01-02"), day("01-31"))
    part = fetch(cached, ["BBB"], day("01-10"), day("01-12"))
    assert source.requests == [(SYMBOLS, day("01-02"), day("01-31"))]
    assert_frame_equal(again, first)
    assert_frame_equal(part, inside(BARS, ["BBB"], day("01-10"), day("01-12")))
    assert (cached.stats.hits, cached.stats.misses, cached.stats.hit_rate) == (2, 1, 2 / 3)


def test_only_what_is_missing_is_asked_for(source, cached):
    fetch(cached, SYMBOLS[:2], day("02-05"), day("02-09"))
    fetch(cached, SYMBOLS[:2], day("02-19"), day("02-23"))
    bars = fetch(cached, SYMBOLS, day("02-01"), day("02-29"))
    assert sorted(source.requests[2:]) == [
        (("AAA", "BBB"), day("02-01"), day("02-04")),
        (("AAA", "BBB"), day("02-10"), day("02-18")),
        (("AAA", "BBB"), day("02-24"), day("02-29")),
        (("CCC",), day("02-01"), day("02-29")),
    ]
    assert_frame_equal(bars, inside(BARS, SYMBOLS, day("02-01"), day("02-29")))


def test_a_range_without_bars_is_remembered_with_its_reason(tmp_path):
    source = CountingSource(BARS, symbols=("DDD",))
    cached = CachedDataSource(source, tmp_path)
    for _ in range(2):
        got = asyncio.run(cached.fetch_available(["DDD"], day("01-02"), day("01-31"), "1d"))
        assert got.bars.is_empty()
        assert got.absences == {"DDD": "no bars in the range asked for"}
    assert len(source.requests) == 1


def test_another_process_finds_what_was_cached(source, cached, tmp_path):
    fetch(cached, SYMBOLS, day("01-02"), day("01-31"))
    other = CachedDataSource(source, tmp_path)
    bars = fetch(other, SYMBOLS, day("01-02"), day("01-31"))
    assert_frame_equal(bars, inside(BARS, SYMBOLS, day("01-02"), day("01-31")))
    assert len(source.requests) == 1


def test_two_directories_know_nothing_of_each_other(source, tmp_path):
    for name in ("one", "two"):
        fetch(CachedDataSource(source, tmp_path / name), ["AAA"], day("01-02"), day("01-31"))
    assert len(source.requests) == 2


@pytest.mark.parametrize(
    "facts",
    [{"source_type": "other"}, {"feed": "sip"}, {"config": {"x": 1}}, {"adjustment": "split"}],
)
def test_sources_that_differ_share_nothing(source, cached, tmp_path, facts):
    other = CountingSource(BARS, **facts)
    fetch(cached, ["AAA"], day("01-02"), day("01-31"))
    fetch(CachedDataSource(other, tmp_path), ["AAA"], day("01-02"), day("01-31"))
    assert len(other.requests) == 1


def test_minutes_at_midnight_are_asked_for_exactly(tmp_path):
    bars = walk(["AAA"], minutes("2024-03-08", "2024-03-09", "24/7"))
    source = CountingSource(bars, calendar="24/7")
    cached = CachedDataSource(source, tmp_path)
    midnight = datetime(2024, 3, 9, tzinfo=UTC)
    hour = timedelta(hours=1)
    fetch(cached, ["AAA"], midnight - hour, midnight - timedelta(minutes=1), "1m")
    fetch(cached, ["AAA"], midnight + timedelta(minutes=1), midnight + hour, "1m")
    got = fetch(cached, ["AAA"], midnight - hour, midnight + hour, "1m")
    (_, first, last) = source.requests[-1]
    just = timedelta(microseconds=1)
    assert (first, last) == (midnight - just, midnight + just)
    assert_frame_equal(got, inside(bars, ["AAA"], midnight - hour, midnight + hour))


@pytest.mark.parametrize("symbols", [["NONE"], ["AAA", "NONE"]])
def test_a_symbol_that_fails_is_asked_for_again_and_the_others_are_not(source, cached, symbols):
    request = (symbols, day("01-02"), day("01-31"), "1d")
    first, again = (asyncio.run(cached.fetch_available(*request)) for _ in range(2))
    assert list(first.failures) == list(again.failures) == ["NONE"]
    assert_frame_equal(again.bars, inside(BARS, symbols, *request[1:3]))
    assert source.requests[-1] == (("NONE",), *request[1:3])


def test_many_tasks_fetch_once(source, cached):
    async def together():
        request = (list(SYMBOLS), day("01-02"), day("01-31"), "1d")
        return await asyncio.gather(*(cached.fetch(*request) for _ in range(20)))

    for bars in asyncio.run(together()):
        assert_frame_equal(bars, inside(BARS, SYMBOLS, day("01-02"), day("01-31")))
    assert len(source.requests) == 1


def test_many_threads_with_loops_of_their_own_fetch_once(source, cached):
    with ThreadPoolExecutor(8) as pool:
        request = (SYMBOLS, day("01-02"), day("01-31"))
        answers = list(pool.map(lambda _: fetch(cached, *request), range(24)))
    for bars in answers:
        assert_frame_equal(bars, inside(BARS, *request))
    assert len(source.requests) == 1


def test_a_waiting_task_does_not_hold_up_the_loop(source, cached):
    fetch(cached, ["AAA"], day("01-02"), day("01-31"))
    order = []

    class Slow(CountingSource):
        async def fetch(self, *request):
            await released.wait()
            order.append("fetched")
            return await super().fetch(*request)

    async def together():
        slow = CachedDataSource(Slow(BARS), cached.cache_dir)
        waiting = asyncio.create_task(slow.fetch(["BBB"], day("01-02"), day("01-31"), "1d"))
        await slow.fetch(["AAA"], day("01-02"), day("01-31"), "1d")
        order.append("served")
        released.set()
        await waiting

    released = asyncio.Event()
    asyncio.run(together())
    assert order == ["served", "fetched"]


def test_the_least_recently_used_bars_leave_first(source, tmp_path):
    whole = CachedDataSource(source, tmp_path / "one")
    fetch(whole, ["AAA"], day("01-02"), day("03-28"))
    (one,) = (path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    source.requests.clear()
    room = one * 5 // 2
    cached = CachedDataSource(source, tmp_path / "two", max_size=room)
    for symbol in SYMBOLS:
        fetch(cached, [symbol], day("01-02"), day("03-28"))
        fetch(cached, ["AAA"], day("01-02"), day("03-28"))
    assert [symbols for symbols, *_ in source.requests] == [("AAA",), ("BBB",), ("CCC",)]
    assert cached.stats.evictions == 1
    fetch(cached, ["BBB"], day("01-02"), day("03-28"))
    assert source.requests[-1][0] == ("BBB",)
    assert sum(path.stat().st_size for path in (tmp_path / "two").rglob("*.parquet")) <= room


def test_what_was_just_written_stays_however_large(source, tmp_path):
    cached = CachedDataSource(source, tmp_path, max_size=1)
    for _ in range(2):
        fetch(cached, ["AAA"], day("01-02"), day("01-31"))
    assert len(source.requests) == 1


DAMAGES = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "deleted": lambda path: path.unlink(),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
}


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_segment_is_a_miss_and_a_warning(source, cached, tmp_path, damage):
    request = (SYMBOLS, day("01-02"), day("01-31"))
    bars = fetch(cached, *request)
    (path,) = tmp_path.rglob("*.parquet")
    damage(path)
    with pytest.warns(CacheWarning, match=path.name):
        assert_frame_equal(fetch(cached, *request), bars)
    assert_frame_equal(fetch(cached, *request), bars)
    assert len(source.requests) == 2


@pytest.mark.parametrize("is_new", [False, True])
def test_a_damaged_index_is_set_aside(source, cached, tmp_path, is_new):
    request = (SYMBOLS, day("01-02"), day("01-31"))
    bars = fetch(cached, *request)
    cached.close()
    cached = CachedDataSource(source, tmp_path) if is_new else cached
    for path in tmp_path.glob("index.sqlite*"):
        path.write_bytes(b"no database" * 999)
    with pytest.warns(CacheWarning, match="damaged"):
        assert_frame_equal(fetch(cached, *request), bars)
    assert_frame_equal(fetch(cached, *request), bars)
    assert len(source.requests) == 2


# --- finality -----------------------------------------------------------------------------------

LAG = {"calendar": "XNYS", "settle_lag": timedelta(hours=24)}


@pytest.fixture
def clock():
    return FrozenClock("2024-03-08T18:00")  # Friday, an hour into the afternoon in New York


@pytest.fixture
def market(clock):
    return MarketSource(BARS, clock, "XNYS", **LAG)


def cache_of(market, clock, tmp_path, **options):
    return CachedDataSource(market, tmp_path, clock=clock, **options)


def last_close(source):
    bars = fetch(source, ["AAA"], day("03-01"), day("03-28"))
    return bars["timestamp"][-1], bars["close"][-1]


def test_a_forming_bar_is_never_there(market, clock, tmp_path):
    cached = cache_of(market, clock, tmp_path, freshness_policy=NeverStaleFreshnessPolicy())
    for now, last in [
        ("2024-03-08T18:00", "03-07"),  # mid-session
        ("2024-03-08T20:59:59", "03-07"),  # a second before the close
        ("2024-03-08T21:00", "03-08"),  # the close
        ("2024-03-10T12:00", "03-08"),  # Sunday
        ("2024-03-11T20:00", "03-11"),  # Monday's close, in summer time
    ]:
        clock.set(now)
        assert last_close(cached)[0] == day(last)
    # Nothing was asked for twice: each call went on where the one before ended.
    assert [(first, last) for _, first, last in market.requests] == [
        (day("03-01"), day("03-28")),
        (day("03-08"), day("03-10")),
        (day("03-11"), day("03-11")),
    ]


def test_a_provisional_bar_is_fetched_again_until_it_is_final(market, clock, tmp_path):
    cached = cache_of(market, clock, tmp_path)  # fresh until the close
    revised = BARS.filter((pl.col("symbol") == "AAA") & (pl.col("timestamp") == day("03-08")))
    clock.set("2024-03-08T21:00")
    before = last_close(cached)
    market.revise(revised.with_columns(pl.col("close").sub(0.01).clip(pl.col("low"))))
    assert last_close(cached) == before  # fresh: until Monday's close
    clock.set("2024-03-11T20:00")
    bars = fetch(cached, ["AAA"], day("03-08"), day("03-08"))
    assert bars["close"][0] != before[1]
    assert market.requests[-1][1:] == (day("03-08"), day("03-08"))


def test_a_final_bar_is_never_fetched_again(market, clock, tmp_path):
    cached = cache_of(market, clock, tmp_path, freshness_policy=AlwaysStaleFreshnessPolicy())
    for now in ("2024-03-08T21:00", "2024-03-09T20:59", "2024-03-09T21:00", "2024-06-01T00:00"):
        clock.set(now)
        fetch(cached, ["AAA"], day("03-04"), day("03-08"))
    assert [(first, last) for _, first, last in market.requests] == [
        (day("03-04"), day("03-08")),
        (day("03-08"), day("03-08")),  # still provisional
        (day("03-08"), day("03-08")),  # once more, as it is final now; the weekend lies beyond
    ]


def test_intraday_bars_settle_minute_by_minute(clock, tmp_path):
    market = MarketSource(MINUTES, clock, "XNYS", calendar="XNYS")
    cached = cache_of(market, clock, tmp_path, freshness_policy=AlwaysStaleFreshnessPolicy())
    start, end = day("03-08"), day("03-08")
    for now in ("2024-03-08T18:00:59", "2024-03-08T18:01", "2024-03-08T23:00"):
        clock.set(now)
        bars = fetch(cached, ["AAA"], start, end, "1m")
        assert bars["timestamp"].max() <= clock()
    wanted = [last.strftime("%H:%M") for _, last, _ in market.requests]
    assert wanted == ["00:01", "18:01", "18:02"]


def test_bars_that_a_new_event_rewrites_are_never_final(clock, tmp_path):
    market = MarketSource(BARS, clock, "XNYS", calendar="XNYS", adjustment="split")
    cached = cache_of(market, clock, tmp_path)
    clock.set("2024-06-03T12:00")
    fetch(cached, ["AAA"], day("01-02"), day("01-31"))
    market.revise(BARS.filter(pl.col("symbol") == "AAA").with_columns(pl.col("volume") * 2))
    clock.set("2024-06-03T20:00")
    bars = fetch(cached, ["AAA"], day("01-02"), day("01-31"))
    assert len(market.requests) == 2
    assert bars["volume"][0] == 2 * BARS["volume"][0]


def test_stale_bars_are_served_only_when_that_is_asked_for(market, clock, tmp_path):
    cached = cache_of(market, clock, tmp_path)
    allowing = cache_of(market, clock, tmp_path, stale_if_error=True)
    clock.set("2024-03-08T21:00")
    bars = fetch(cached, SYMBOLS, day("03-04"), day("03-08"))
    clock.set("2024-03-11T20:00")
    market.failure = OutageError("no route to the provider")
    with pytest.raises(OutageError):
        fetch(cached, ["AAA"], day("03-04"), day("03-08"))
    for _ in range(2):  # its time is not renewed by being served
        with pytest.warns(StaleDataWarning, match="AAA"):
            got = asyncio.run(allowing.fetch_available(["AAA"], day("03-04"), day("03-08"), "1d"))
        assert got.stale == {"AAA": datetime(2024, 3, 8, 21, tzinfo=UTC)}
        assert_frame_equal(got.complete(), bars.filter(pl.col("symbol") == "AAA"))
    market.failure = None
    assert not asyncio.run(
        allowing.fetch_available(["AAA"], day("03-04"), day("03-08"), "1d")
    ).stale


def test_what_was_never_cached_cannot_stand_in(market, clock, tmp_path):
    cached = cache_of(market, clock, tmp_path, stale_if_error=True)
    fetch(cached, ["AAA"], day("03-04"), day("03-06"))
    market.failure = OutageError("no route to the provider")
    with pytest.raises(OutageError):
        fetch(cached, ["AAA"], day("03-01"), day("03-06"))


# --- events -------------------------------------------------------------------------------------


def test_old_events_are_kept_and_young_ones_asked_for_again(clock, tmp_path):
    events = splits(("AAA", "2024-01-10", 0.5), ("AAA", "2024-03-20", 0.25))
    source = CountingSource(BARS, events, calendar="XNYS")
    cached = cache_of(source, clock, tmp_path)
    for now in ("2024-03-08T18:00", "2024-03-08T19:00", "2024-03-11T20:00"):
        clock.set(now)
        got = asyncio.run(cached.fetch_events(["AAA"], day("01-01"), day("03-28")))
        assert_frame_equal(got.splits, events.splits)
    assert [(first, last) for _, first, last in source.event_requests] == [
        (day("01-01"), day("03-28")),
        (day("02-08"), day("03-28")),
    ]


# --- keys ---------------------------------------------------------------------------------------


def test_equal_requests_have_one_key_however_spelled(cached):
    key = cached.cache_key(["AAA", "BBB"], day("01-02"), day("01-31"), "1d")
    for symbols, start, frequency in [
        (["BBB", "AAA", "AAA"], "2024-01-02", "daily"),
        (["AAA", "BBB"], datetime(2024, 1, 2, 15, 30), "1day"),
    ]:
        assert cached.cache_key(symbols, start, day("01-31"), frequency) == key


def test_different_requests_have_different_keys(cached, source, tmp_path):
    instant = datetime(2024, 1, 2, 15, 30, tzinfo=UTC)
    requests = [
        (["AAA", "BBB"], day("01-02"), day("01-31"), "1d"),
        (["AAA,BBB"], day("01-02"), day("01-31"), "1d"),
        (["AAA"], day("01-02"), day("01-31"), "1d"),
        (["AAA"], day("01-03"), day("01-31"), "1d"),
        (["AAA"], day("01-02"), day("01-31"), "1m"),
        (["AAA"], instant, day("01-31"), "1m"),
        (["AAA"], instant + timedelta(seconds=1), day("01-31"), "1m"),
        (["AAA"], None, None, "1d"),
        (["AAA"], None, day("01-31"), "1d"),
        (["AAA"], day("01-31"), None, "1d"),
        (["AAA"], None, None, "1m"),
    ]
    keys = {cached.cache_key(*request) for request in requests}
    other = CachedDataSource(CountingSource(BARS, config={"host": "x"}), tmp_path)
    keys.add(other.cache_key(*requests[0]))
    assert len(keys) == len(requests) + 1


def test_the_directory_is_the_one_given_or_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("RUSTYBT_CACHE", "/somewhere")
    assert str(cache_directory()) == "/somewhere"
    assert str(cache_directory("/else")) == "/else"
    monkeypatch.delenv("RUSTYBT_CACHE")
    assert cache_directory().parts[-2:] == (".rustybt", "cache")


def test_a_size_is_above_zero(source, tmp_path):
    with pytest.raises(OptionError):
        CachedDataSource(source, tmp_path, max_size=0)
