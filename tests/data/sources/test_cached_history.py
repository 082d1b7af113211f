"""What happens to a cache over time: revisions, many small answers, other resolutions, guesses."""

import asyncio
from datetime import date, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rustybt.data.errors import UnknownSymbolError
from rustybt.data.sources.cache_directory import CacheDirectory
from rustybt.data.sources.cached_source import CachedDataSource
from tests.fakes import CountingSource, FrozenClock, MarketSource
from tests.frames import minutes, sessions, splits, walk

SYMBOLS = ("AAA", "BBB")
BARS = walk(SYMBOLS, sessions("2024-01-02", "2024-06-28"))


def day(text):
    return date.fromisoformat(f"2024-{text}")


def fetch(source, symbols, start, end, frequency="1d"):
    return asyncio.run(source.fetch(list(symbols), start, end, frequency))


@pytest.fixture
def clock():
    return FrozenClock("2024-07-01T12:00")


@pytest.fixture
def market(clock):
    return MarketSource(BARS, clock, "XNYS", calendar="XNYS")


@pytest.fixture
def cached(market, clock, tmp_path):
    return CachedDataSource(market, tmp_path, clock=clock)


# --- restatements -------------------------------------------------------------------------------


def bar(symbol, session):
    return BARS.filter((pl.col("symbol") == symbol) & (pl.col("timestamp") == session))


def test_a_final_bar_that_changed_is_recorded_and_the_newer_one_served(market, cached):
    span = (day("02-01"), day("02-29"))
    fetch(cached, SYMBOLS, *span)
    old = bar("AAA", day("02-15"))
    new = old.with_columns(volume=pl.col("volume") + 1)
    market.revise(new)
    assert fetch(cached, ["AAA"], day("02-15"), day("02-15"))["volume"].item() == old["volume"][0]
    (change,) = asyncio.run(cached.revalidate(list(SYMBOLS), *span))
    assert (change.symbol, change.timestamp) == ("AAA", day("02-15"))
    assert (change.old["volume"], change.new["volume"]) == (old["volume"][0], new["volume"][0])
    assert_frame_equal(fetch(cached, ["AAA"], day("02-15"), day("02-15")), new)
    assert len(market.requests) == 2
    assert [each.new for each in CacheDirectory(cached.cache_dir).restatements()] == [change.new]
    assert asyncio.run(cached.revalidate(list(SYMBOLS), *span)) == []


def test_bars_that_appear_or_go_are_restatements_too(market, clock, tmp_path):
    source = MarketSource(
        BARS.filter(pl.col("timestamp") != day("02-15")), clock, "XNYS", calendar="XNYS"
    )
    before = CachedDataSource(source, tmp_path, clock=clock)
    fetch(before, ["AAA"], day("02-01"), day("02-29"))
    after = CachedDataSource(market, tmp_path, clock=clock)
    (change,) = asyncio.run(after.revalidate(["AAA"], day("02-01"), day("02-29")))
    assert (change.old, change.new["close"]) == (None, bar("AAA", day("02-15"))["close"][0])
    gone = CachedDataSource(source, tmp_path, clock=clock)
    (change,) = asyncio.run(gone.revalidate(["AAA"], day("02-01"), day("02-29")))
    assert change.new is None


def test_the_noise_of_unadjusting_is_no_restatement(market, cached):
    fetch(cached, ["AAA"], day("02-01"), day("02-29"))
    market.revise(BARS.with_columns(pl.col("open", "high", "low", "close") * (1 + 1e-9)))
    assert asyncio.run(cached.revalidate(["AAA"], day("02-01"), day("02-29"))) == []


def test_a_provisional_bar_that_changed_is_no_restatement(clock, tmp_path):
    facts = {"calendar": "XNYS", "settle_lag": timedelta(days=3)}
    market = MarketSource(BARS, clock, "XNYS", **facts)
    cached = CachedDataSource(market, tmp_path, clock=clock)
    fetch(cached, ["AAA"], day("06-03"), day("06-28"))
    market.revise(bar("AAA", day("06-28")).with_columns(volume=pl.lit(1.0)))
    assert asyncio.run(cached.revalidate(["AAA"], day("06-03"), day("06-28"))) == []
    assert fetch(cached, ["AAA"], day("06-28"), day("06-28"))["volume"].item() == 1.0


def test_a_new_split_does_not_touch_raw_history(clock, tmp_path):
    source = CountingSource(BARS, calendar="XNYS")
    cached = CachedDataSource(source, tmp_path, clock=clock)
    before = fetch(cached, ["AAA"], day("01-02"), day("06-28"))
    assert not len(asyncio.run(cached.fetch_events(["AAA"], day("01-02"), day("07-31"))))
    clock.set("2024-07-03T12:00")
    events = splits(("AAA", "2024-07-02", 0.25))
    after = CachedDataSource(CountingSource(BARS, events, calendar="XNYS"), tmp_path, clock=clock)
    found = asyncio.run(after.fetch_events(["AAA"], day("01-02"), day("07-31")))
    assert_frame_equal(found.splits, events.splits)
    assert_frame_equal(fetch(after, ["AAA"], day("01-02"), day("06-28")), before)


def test_a_symbol_that_fails_does_not_hide_the_others_restatements(market, cached):
    fetch(cached, ["AAA"], day("02-01"), day("02-29"))
    market.revise(bar("AAA", day("02-15")).with_columns(volume=pl.lit(1.0)))
    with pytest.raises(UnknownSymbolError):
        asyncio.run(cached.revalidate(["AAA", "NONE"], day("02-01"), day("02-29")))
    assert len(CacheDirectory(cached.cache_dir).restatements()) == 1


# --- compaction ---------------------------------------------------------------------------------


def test_a_year_of_daily_requests_is_not_a_year_of_files(market, cached, tmp_path):
    days = sessions("2024-01-02", "2024-02-16")
    for session in days:
        fetch(cached, SYMBOLS, session, session)
    assert len(list(tmp_path.rglob("*.parquet"))) <= 25 < len(days)
    market.requests.clear()
    assert_frame_equal(
        fetch(cached, SYMBOLS, days[0], days[-1]), BARS.filter(pl.col("timestamp") <= days[-1])
    )
    assert market.requests == []  # the weekends have no sessions, and are not asked for


def test_many_days_of_events_are_put_together(clock, tmp_path):
    events = splits(("AAA", "2024-02-12", 0.5))
    source = CountingSource(BARS, events, calendar="XNYS")
    cached = CachedDataSource(source, tmp_path, clock=clock)
    for session in sessions("2024-03-01", "2024-04-30"):
        clock.set(f"{session}T21:00")
        found = asyncio.run(cached.fetch_events(["AAA"], day("01-02"), session))
        assert_frame_equal(found.splits, events.splits)
    (series,) = CacheDirectory(tmp_path).series()
    assert (series.frequency, series.spans) < ("events", 26)


# --- other resolutions --------------------------------------------------------------------------

HOURS = minutes("2024-06-26", "2024-06-28")
MINUTES = walk(["AAA"], HOURS)
ROUND = walk(["AAA"], minutes("2024-06-26", "2024-06-28", "24/7"))


def rolled(bars, key):
    grouped = bars.sort("timestamp").group_by("symbol", key.alias("at"), maintain_order=True)
    values = grouped.agg(
        pl.first("open"), pl.max("high"), pl.min("low"), pl.last("close"), pl.sum("volume")
    )
    return values.rename({"at": "timestamp"})


def both(bars, clock, market, tmp_path, **facts):
    source = MarketSource({"1m": bars, "5m": bars, "1h": bars, "1d": BARS}, clock, market, **facts)
    return source, CachedDataSource(source, tmp_path, clock=clock)


def test_days_are_made_of_cached_minutes(clock, tmp_path):
    source, cached = both(MINUTES, clock, "XNYS", tmp_path, calendar="XNYS", additive=True)
    fetch(cached, ["AAA"], day("06-26"), day("06-28"), "1m")
    days = fetch(cached, ["AAA"], day("06-26"), day("06-28"))
    assert_frame_equal(days, rolled(MINUTES, pl.col("timestamp").dt.date()))
    assert len(source.requests) == 1
    assert_frame_equal(fetch(cached, ["AAA"], day("06-27"), day("06-27")), days[1:2])
    assert cached.stats.hits == 2


@pytest.mark.parametrize("frequency", ["5m", "1h"])
def test_longer_bars_are_made_of_shorter_ones_round_the_clock(clock, tmp_path, frequency):
    source, cached = both(ROUND, clock, "24/7", tmp_path, calendar="24/7", additive=True)
    fetch(cached, ["AAA"], day("06-26"), day("06-28"), "1m")
    bars = fetch(cached, ["AAA"], day("06-26"), day("06-28"), frequency)
    step = timedelta(minutes=5 if frequency == "5m" else 60)
    every = ROUND.with_columns(
        at=pl.col("timestamp").map_elements(
            lambda t: t + (datetime(1970, 1, 1, tzinfo=t.tzinfo) - t) % step,
            pl.Datetime("us", "UTC"),
        )
    )
    assert_frame_equal(bars, rolled(every, pl.col("at")))
    assert len(source.requests) == 1


@pytest.mark.parametrize(
    ("facts", "first", "frequency"),
    [
        ({"calendar": "XNYS"}, "06-26", "1d"),  # the source does not say that it may be done
        ({"calendar": "XNYS", "additive": True}, "06-25", "1d"),  # not all minutes are there
        ({"calendar": "XNYS", "additive": True}, "06-26", "1h"),  # 09:30 is no whole hour
        ({"additive": True}, "06-26", "1d"),  # whose sessions?
    ],
)
def test_what_cannot_be_made_rightly_is_fetched(clock, tmp_path, facts, first, frequency):
    source, cached = both(MINUTES, clock, "XNYS", tmp_path, **facts)
    fetch(cached, ["AAA"], day("06-26"), day("06-28"), "1m")
    fetch(cached, ["AAA"], day(first), day("06-28"), frequency)
    assert len(source.requests) == 2


# --- warming and guessing -----------------------------------------------------------------------


def test_what_was_warmed_is_found(market, cached):
    failures = asyncio.run(cached.warm(["AAA", "NONE"], day("01-02"), day("06-28")))
    assert list(failures) == ["NONE"]
    market.requests.clear()
    fetch(cached, ["AAA"], day("03-01"), day("03-08"))
    asyncio.run(cached.fetch_events(["AAA"], day("03-01"), day("03-08")))
    assert market.requests == []
    assert len(market.event_requests) == 1


def loop_over_days(source):
    for session in sessions("2024-01-16", "2024-02-29"):
        bars = fetch(source, SYMBOLS, session - timedelta(days=14), session)
        assert_frame_equal(
            bars,
            BARS.filter(pl.col("timestamp").is_between(session - timedelta(days=14), session)),
        )


@pytest.mark.parametrize(("predict", "least", "most"), [(True, 1, 6), (False, 32, 32)])
def test_windows_that_move_forward_are_fetched_ahead_when_asked_for(
    market, clock, tmp_path, predict, least, most
):
    cached = CachedDataSource(market, tmp_path, clock=clock, predict=predict)
    loop_over_days(cached)
    assert least <= len(market.requests) <= most


def test_nothing_that_is_not_final_is_fetched_ahead(clock, tmp_path):
    market = MarketSource(BARS, clock, "XNYS", calendar="XNYS")
    cached = CachedDataSource(market, tmp_path, clock=clock, predict=True)
    clock.set("2024-03-08T18:00")
    for session in sessions("2024-03-01", "2024-03-07"):
        fetch(cached, ["AAA"], session, session)
    assert max(last for _, _, last in market.requests) <= day("03-07")
