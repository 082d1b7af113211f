"""Any requests at any times: the answers of the source itself, and no request too many.

What is known, fresh and missing is kept here a second time, day by day, in sets. Examples are not
shrunk: each is a directory on the disk.
"""

import asyncio
import tempfile
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rustybt.data.sources.cached_source import CachedDataSource
from rustybt.data.sources.freshness import TTLFreshnessPolicy
from tests.fakes import MarketSource
from tests.frames import minutes, sessions, walk

SYMBOLS = ("AAA", "BBB", "CCC")
SESSIONS = sessions("2024-01-02", "2024-02-09")
DAYS = [date(2024, 1, 1) + timedelta(days=n) for n in range(45)]
BARS = walk(SYMBOLS, SESSIONS)
LAG, TTL = timedelta(hours=30), timedelta(hours=10)


class Clock:
    now = datetime(2024, 1, 2, tzinfo=UTC)

    def __call__(self):
        return self.now


def closed(day):
    """When a day is over in New York, in winter."""
    return datetime(day.year, day.month, day.day, 21, tzinfo=UTC)


def runs(days):
    """Sorted days as maximal runs without a gap."""
    parts = [[day] for day in days[:1]]
    for before, day in pairwise(days):
        if day - before > timedelta(days=1):
            parts.append([])
        parts[-1].append(day)
    return parts


class Model:
    """When each day of each symbol was fetched, and whether it was final then."""

    def __init__(self):
        self.fetched = {}

    def expected_requests(self, symbols, first, last, now):
        asked = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        wanted = {}
        for symbol in symbols:
            if symbol not in self.fetched:
                wanted.setdefault((first, last), []).append(symbol)
                continue
            for run in runs([day for day in asked if self._is_missing(symbol, day, now)]):
                if set(run) & set(SESSIONS) or len(run) > 15:
                    wanted.setdefault((run[0], run[-1]), []).append(symbol)
        for (begin, end), names in wanted.items():
            for symbol in names:
                own = self.fetched.setdefault(symbol, {})
                for day in asked:
                    if begin <= day <= end and self._has_ended(day, now):
                        own[day] = (now, self._has_ended(day, now - LAG))
        return {(tuple(sorted(names)), *span) for span, names in wanted.items()}

    def _has_ended(self, day, now):
        later = [session for session in SESSIONS if session >= day]
        # A day without a session ends before the next session does, with the one before it.
        return closed(day) <= now if day in later else self._rests(day, now)

    def _rests(self, day, now):
        before = [session for session in SESSIONS if session < day]
        return not before or closed(before[-1]) <= now

    def _is_missing(self, symbol, day, now):
        if not self._has_ended(day, now):
            return False
        when, is_final = self.fetched[symbol].get(day, (None, False))
        return when is None or not (is_final or now - when < TTL)


requests = st.lists(
    st.tuples(
        st.sets(st.sampled_from(SYMBOLS), min_size=1),
        st.integers(0, 40),
        st.integers(0, 25),
        st.integers(0, 40).map(lambda hours: timedelta(hours=hours)),
    ),
    min_size=1,
    max_size=12,
)


@given(requests, st.sets(st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(SESSIONS))))
@settings(max_examples=25, phases=[Phase.generate])
def test_answers_are_the_sources_and_requests_the_missing_intervals(wanted, holes):
    gone = pl.DataFrame(
        list(holes), schema={"symbol": pl.String, "timestamp": pl.Date}, orient="row"
    )
    bars = BARS.join(gone, on=["symbol", "timestamp"], how="anti")
    clock, model = Clock(), Model()
    facts = {"calendar": "XNYS", "settle_lag": LAG, "symbols": SYMBOLS}
    source, plain = (MarketSource(bars, clock, "XNYS", **facts) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        policy = TTLFreshnessPolicy(TTL)
        for symbols, first, length, later in wanted:
            # A new object each time: nothing is remembered but on the disk.
            cached = CachedDataSource(source, folder, policy, clock=clock)
            clock.now += later
            request = (sorted(symbols), DAYS[first], DAYS[min(first + length, 44)], "1d")
            source.requests.clear()
            got = asyncio.run(cached.fetch(*request))
            assert_frame_equal(got, asyncio.run(plain.fetch(*request)))
            assert set(source.requests) == model.expected_requests(*request[:3], clock.now)
            cached.close()


@given(requests, st.integers(1, 12_000))
@settings(max_examples=12, phases=[Phase.generate])
def test_answers_are_the_sources_whatever_is_evicted(wanted, room):
    clock = Clock()
    source = MarketSource(BARS, clock, "XNYS", symbols=SYMBOLS)
    with tempfile.TemporaryDirectory() as folder:
        for symbols, first, length, later in wanted:
            cached = CachedDataSource(source, folder, max_size=room, calendar="XNYS", clock=clock)
            clock.now += later
            request = (sorted(symbols), DAYS[first], DAYS[min(first + length, 44)], "1d")
            got = asyncio.run(cached.fetch(*request))
            assert_frame_equal(got, asyncio.run(source.fetch(*request)))
            cached.close()


MINUTES = minutes("2024-01-05", "2024-01-08", "24/7")
MINUTE_BARS = walk(SYMBOLS[:2], [moment for moment in MINUTES if moment.minute % 10 == 0])


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=8))
@settings(max_examples=20, phases=[Phase.generate])
def test_no_minute_is_fetched_twice(wanted):
    clock = Clock()
    clock.now = datetime(2024, 2, 1, tzinfo=UTC)
    source = MarketSource(MINUTE_BARS, clock, "24/7", calendar="24/7")
    begin, seen = datetime(2024, 1, 5, tzinfo=UTC), set()
    with tempfile.TemporaryDirectory() as folder:
        cached = CachedDataSource(source, folder, clock=clock)
        for one, other in wanted:
            # Steps of a quarter of an hour, some of them midnights, some an off-label second.
            first, last = (begin + timedelta(minutes=15 * n) for n in sorted((one, other)))
            request = (["AAA", "BBB"], first + timedelta(seconds=7), last, "1m")
            if request[1] > last:
                continue
            got = asyncio.run(cached.fetch(*request))
            fetched = source.requests[:]
            assert_frame_equal(got, asyncio.run(source.fetch(*request)))
            for _, low, high in fetched:
                asked = {moment for moment in MINUTES if low <= moment <= high}
                assert not asked & seen
                seen |= asked
            source.requests.clear()
        cached.close()
