"""Bars through a cache: look up, read, fetch at most the missing part, store, put together."""

import asyncio
import sqlite3
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import polars as pl

from rustybt.data.bars import Frequency, empty_bars
from rustybt.data.errors import (
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RustyBTError,
    StaleDataWarning,
)
from rustybt.data.sources._cache_plan import Plan, plan, reasons, spans_to_store
from rustybt.data.sources._cache_stats import Tally
from rustybt.data.sources._finality import Clock
from rustybt.data.sources._intervals import Interval, subtract
from rustybt.data.sources._single_flight import single_flight
from rustybt.data.sources._store import Held, Store, microseconds, warn
from rustybt.data.sources._store_index import Series, Span
from rustybt.data.sources._store_segments import LostSegmentError, Part
from rustybt.data.sources._time_axis import (
    Known,
    as_request,
    has_session,
    known_at,
    numbers,
    on_axis,
)
from rustybt.data.sources.base import DataSource, DataSourceMetadata, Fetched
from rustybt.data.sources.freshness import CacheFreshnessPolicy

#: Before every label: of bars that are rewritten by each new event, none is ever final.
_NEVER_FINAL = -(10**12)
_NO_BARS = "no bars in the range asked for"
#: Failures that older bars may stand in for, when the caller allows that.
_PASSING = (OutageError, RateLimitError, MalformedAnswerError)


@dataclass(frozen=True)
class BarRequest:
    """Some symbols of one series, and the labels asked for."""

    series: Series
    symbols: list[str]
    asked: Interval
    frequency: Frequency
    policy: CacheFreshnessPolicy
    calendar: str | None
    settle_lag: timedelta
    adjusted: bool

    def known(self, now: datetime) -> Known:
        """What has ended and what is final by now."""
        known = known_at(now, self.frequency, self.calendar, self.settle_lag)
        return replace(known, final=_NEVER_FINAL) if self.adjusted else known

    def may_have_bars(self, interval: Interval) -> bool:
        """Whether there is a session in an interval of days; minutes may always have bars."""
        return self.frequency.intraday or has_session(interval, self.calendar)


def series_of(metadata: DataSourceMetadata, frequency: str) -> Series:
    """The series of a source at a frequency."""
    return Series(
        metadata.fingerprint, frequency, metadata.source_type, metadata.adjustment, metadata.feed
    )


@dataclass
class _Answer:
    """What there is for a request so far."""

    plan: Plan
    held: Held
    bars: list[pl.DataFrame]
    failures: dict[str, RustyBTError] = field(default_factory=dict)
    absences: dict[str, str] = field(default_factory=dict)
    stale: dict[str, datetime] = field(default_factory=dict)
    rescued: list[pl.DataFrame] = field(default_factory=list)


class CachedBars:
    """The bars of one source, through a store.

    Parameters
    ----------
    adapter : DataSource
    store : Store
    clock : Clock
    stale_if_error : bool
    tally : Tally
    """

    def __init__(
        self, adapter: DataSource, store: Store, clock: Clock, stale_if_error: bool, tally: Tally
    ) -> None:
        self._adapter = adapter
        self._store = store
        self._clock = clock
        self._stale_if_error = stale_if_error
        self._tally = tally

    async def fetch(self, request: BarRequest) -> Fetched:
        """The bars of a request: what is covered from the store, the rest from the source."""
        answer = await asyncio.to_thread(self._held, request)
        if answer.plan.fetch:
            keys = [f"{request.series.fingerprint}/{each}" for each in answer.plan.symbols]
            async with single_flight(self._store.directory / "locks", keys):
                # Somebody else may have fetched it while this task waited.
                answer = await asyncio.to_thread(self._held, request)
                await self._fetch_missing(request, answer)
        return await asyncio.to_thread(self._put_together, request, answer)

    def _held(self, request: BarRequest) -> _Answer:
        """What the store has, read; segments that are lost on the way count as missing."""
        lost: set[int] = set()
        while True:
            held = self._lookup(request)
            held = replace(held, spans=[span for span in held.spans if span.segment not in lost])
            now = self._clock()  # after the lookup: nothing in it can be younger
            chosen = plan(
                held,
                request.symbols,
                request.asked,
                request.known(now),
                partial(is_fresh, request.policy, now),
                request.may_have_bars,
            )
            try:
                bars = self._store.read(chosen.serve, request.frequency)
            except LostSegmentError as error:
                lost.add(error.segment)
                continue
            return _Answer(chosen, held, [bars])

    def _lookup(self, request: BarRequest) -> Held:
        try:
            return self._store.lookup(request.series, request.symbols, request.asked)
        except (sqlite3.Error, OSError) as error:
            warn(f"the cache in {self._store.directory} cannot be read: {error}")
            return Held([], set())

    async def _fetch_missing(self, request: BarRequest, answer: _Answer) -> None:
        for interval, symbols in answer.plan.fetch.items():
            asked_at = self._clock()  # before the call: what ends during it may be missing
            got = await self._ask(request, interval, symbols)
            answer.bars.append(got.bars)
            answer.failures.update(got.failures)
            answer.absences.update(got.absences)
            answered = [symbol for symbol in symbols if symbol not in got.failures]
            await asyncio.to_thread(self._keep, request, interval, answered, got, asked_at)

    async def _ask(self, request: BarRequest, interval: Interval, symbols: list[str]) -> Fetched:
        start, end = as_request(interval, request.frequency)
        self._tally.add({"fetches": 1})
        try:
            return await self._adapter.fetch_available(symbols, start, end, str(request.frequency))
        except _PASSING as error:
            if not self._stale_if_error:
                raise
            return Fetched(empty_bars(request.frequency), dict.fromkeys(symbols, error))

    def _keep(
        self,
        request: BarRequest,
        interval: Interval,
        symbols: Sequence[str],
        got: Fetched,
        asked_at: datetime,
    ) -> None:
        """Store an answer for symbols that did not fail; nothing is lost if that cannot be done."""
        if not on_axis(got.bars["timestamp"]):
            warn("bars that do not end on a whole minute are not cached")
            return
        parts = _parts(request, interval, symbols, got, asked_at)
        try:
            evicted = self._store.write(request.series, symbols, parts, asked_at)
        except (sqlite3.Error, OSError) as error:
            warn(f"the cache in {self._store.directory} cannot be written: {error}")
            return
        self._tally.add({"evictions": evicted})

    def _put_together(self, request: BarRequest, answer: _Answer) -> Fetched:
        fetched = sum(len(frame) for frame in answer.bars[1:])
        failed = [*answer.failures]
        if failed and self._stale_if_error:
            self._rescue(request, answer)
        # Of a symbol that failed there are no bars, and of a rescued one those of the rescue.
        bars = pl.concat(answer.bars)
        if failed:
            bars = pl.concat([bars.filter(~pl.col("symbol").is_in(failed)), *answer.rescued])
        if len(answer.bars) > 1:
            bars = bars.sort("symbol", "timestamp")
        self._count(answer, fetched)
        return Fetched(bars, answer.failures, _absences(request, answer, bars), answer.stale)

    def _rescue(self, request: BarRequest, answer: _Answer) -> None:
        """Let bars that are not fresh stand in for those that cannot be had, and say so."""
        passing = [name for name, error in answer.failures.items() if isinstance(error, _PASSING)]
        held = self._lookup(replace(request, symbols=sorted(passing)))
        now = self._clock()
        past = Interval(request.asked.first, min(request.asked.last, request.known(now).ended))
        for symbol in passing:
            spans = [span for span in held.spans if span.symbol == symbol]
            if not spans or subtract(past, [span.interval for span in spans]):
                continue
            try:
                answer.rescued.append(self._store.read(spans, request.frequency))
            except LostSegmentError:
                continue
            oldest = min(span.fetched for span in spans if not span.final)
            answer.stale[symbol] = datetime.fromtimestamp(oldest / 1_000_000, UTC)
            error = answer.failures.pop(symbol)
            text = f"{symbol}: bars as of {answer.stale[symbol]} are served, because {error}"
            warnings.warn(text, StaleDataWarning, stacklevel=2)

    def _count(self, answer: _Answer, rows_fetched: int) -> None:
        counts = {
            "misses" if answer.plan.fetch else "hits": 1,
            "failures": len(answer.failures),
            "stale": len(answer.stale),
            "rows_fetched": rows_fetched,
            "rows_from_cache": len(answer.bars[0]),
        }
        self._tally.add(counts)
        self._store.count(counts)


def is_fresh(policy: CacheFreshnessPolicy, now: datetime, span: Span) -> bool:
    """Whether what was fetched for a span may be served now."""
    import pandas as pd

    cached = pd.Timestamp(span.fetched, unit="us", tz="UTC")
    return policy.is_fresh(cached, pd.Timestamp(now))


def _parts(
    request: BarRequest, asked: Interval, symbols: Sequence[str], got: Fetched, asked_at: datetime
) -> list[Part]:
    """An answer as it is stored."""
    known = request.known(asked_at)
    by_symbol = got.bars.partition_by("symbol", as_dict=True)
    parts = []
    for symbol in symbols:
        bars = by_symbol.get((symbol,), empty_bars(request.frequency))
        reason = got.absences.get(symbol, _NO_BARS)
        for span in spans_to_store(symbol, asked, known, microseconds(asked_at)):
            inside = bars if span.interval == asked else _inside(bars, span.interval)
            if inside.is_empty():
                parts.append(Part(replace(span, reason=reason)))
            else:
                parts.append(Part(span, inside))
    return parts


def _inside(bars: pl.DataFrame, interval: Interval) -> pl.DataFrame:
    labels = numbers(bars["timestamp"])
    return bars.filter(pl.Series((labels >= interval.first) & (labels <= interval.last)))


def _absences(request: BarRequest, answer: _Answer, bars: pl.DataFrame) -> dict[str, str]:
    """Why symbols that did not fail have no bars."""
    present = {*bars["symbol"].unique(), *answer.failures}
    told = reasons(answer.plan.serve)
    for symbol, reason in answer.absences.items():
        told[symbol].setdefault(reason)
    absent = [symbol for symbol in request.symbols if symbol not in present]
    return {symbol: "; ".join(told[symbol]) or _NO_BARS for symbol in absent}
