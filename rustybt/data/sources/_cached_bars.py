"""Bars through a cache: look up, read, fetch at most the missing part, store, put together."""

import asyncio
import sqlite3
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from rustybt.data.bars import empty_bars
from rustybt.data.errors import (
    MalformedAnswerError,
    OutageError,
    RateLimitError,
    RustyBTError,
    StaleDataWarning,
    joined,
)
from rustybt.data.provenance import Provenance, merge_provenance
from rustybt.data.sources._bar_request import NO_BARS, BarRequest, bar_parts, fresh_at, inside
from rustybt.data.sources._cache_plan import Plan, plan, reasons
from rustybt.data.sources._cache_stats import Tally
from rustybt.data.sources._cached_provenance import provenance_of
from rustybt.data.sources._derivation import derive
from rustybt.data.sources._fetched import Fetched
from rustybt.data.sources._finality import Clock
from rustybt.data.sources._intervals import Interval, subtract
from rustybt.data.sources._prediction import Patterns
from rustybt.data.sources._restatements import changed, final_bars
from rustybt.data.sources._single_flight import single_flight
from rustybt.data.sources._store import Held, Store, warn
from rustybt.data.sources._store_segments import LostSegmentError
from rustybt.data.sources._time_axis import as_request, label_number, on_axis
from rustybt.data.sources.base import DataSource

#: Failures that older bars may stand in for, when the caller allows that.
_PASSING = (OutageError, RateLimitError, MalformedAnswerError)


@dataclass
class _Answer:
    """What there is for a request so far."""

    plan: Plan
    bars: list[pl.DataFrame]
    failures: dict[str, RustyBTError] = field(default_factory=dict)
    absences: dict[str, str] = field(default_factory=dict)
    stale: dict[str, datetime] = field(default_factory=dict)
    rescued: list[pl.DataFrame] = field(default_factory=list)
    provenance: list[Provenance | None] = field(default_factory=list)
    asked: bool = False


class CachedBars:
    """The bars of one source, through a store.

    Parameters
    ----------
    adapter : DataSource
    store : Store
    clock : Clock
    tally : Tally
    stale_if_error, predict : bool
        See `CachedDataSource`.
    """

    def __init__(
        self,
        adapter: DataSource,
        store: Store,
        clock: Clock,
        tally: Tally,
        *,
        stale_if_error: bool,
        predict: bool,
    ) -> None:
        self._adapter = adapter
        self._store = store
        self._clock = clock
        self._stale_if_error = stale_if_error
        self._tally = tally
        self._patterns = Patterns() if predict else None

    async def fetch(self, request: BarRequest) -> Fetched:
        """The bars of a request: what is covered from the store, the rest from the source."""
        answer = await asyncio.to_thread(self._held, request)
        if answer.plan.fetch:
            keys = keys_of(request, answer.plan.symbols)
            async with single_flight(self._store.directory / "locks", keys):
                # Somebody else may have fetched it while this task waited.
                answer = await asyncio.to_thread(self._held, request)
                await self._fetch_missing(request, answer)
        return await asyncio.to_thread(self._put_together, request, answer)

    def lacking(self, request: BarRequest) -> set[str]:
        """Symbols of which the store has nothing that may be served."""
        past = Interval(request.asked.first, min(request.asked.last, self._ended(request)))
        fetch = self._plan(request, self._lookup(request)).fetch
        return {*fetch.get(request.asked, []), *fetch.get(past, [])}

    def take(
        self, request: BarRequest, symbols: Sequence[str], got: Fetched, asked_at: datetime
    ) -> Fetched:
        """Keep an answer to all of a request that the source gave otherwise than to `fetch`."""
        own = replace(got, bars=self._ended_of(request, request.asked, got.bars))
        answered = [symbol for symbol in symbols if symbol not in own.failures]
        self._keep(request, request.asked, answered, own, asked_at)
        counts = {"misses": 1, "failures": len(own.failures), "rows_fetched": len(own.bars)}
        self._tally.add(counts)
        self._store.count(counts)
        return own

    def count_fetches(self, number: int) -> None:
        """Count calls of the source."""
        self._tally.add({"fetches": number})
        self._store.count({"fetches": number})

    def _ended(self, request: BarRequest) -> int:
        return request.known(self._clock()).ended

    def _ended_of(
        self, request: BarRequest, interval: Interval, bars: pl.DataFrame
    ) -> pl.DataFrame:
        """Bars of an interval without one that is forming, should the source give it."""
        return inside(bars, Interval(interval.first, min(interval.last, self._ended(request))))

    async def revalidate(self, request: BarRequest) -> list[dict[str, Any]]:
        """Ask for all of a request again; the final bars that changed, which are recorded."""
        asked = Interval(request.asked.first, min(request.asked.last, self._ended(request)))
        if asked.first > asked.last:
            return []
        async with single_flight(
            self._store.directory / "locks", keys_of(request, request.symbols)
        ):
            answer = await asyncio.to_thread(self._held, request)
            asked_at = self._clock()
            got = await self._ask(request, asked, request.symbols)
            answered = [name for name in request.symbols if name not in got.failures]
            spans = [span for span in answer.plan.serve if span.symbol in answered]
            old, new = (final_bars(bars, spans) for bars in (answer.bars[0], got.bars))
            changes = changed(old, new)
            await asyncio.to_thread(self._record, request, changes, asked_at)
            await asyncio.to_thread(self._keep, request, asked, answered, got, asked_at)
        if got.failures:
            raise joined(got.failures)
        return changes

    def _record(
        self, request: BarRequest, changes: list[dict[str, Any]], noticed: datetime
    ) -> None:
        if not changes:
            return
        rows = [{**change, "label": label_number(change["timestamp"])} for change in changes]
        try:
            self._store.record(request.series, noticed, rows)
        except (sqlite3.Error, OSError) as error:
            warn(f"restatements cannot be recorded in {self._store.directory}: {error}")

    def _held(self, request: BarRequest) -> _Answer:
        """What the store has, read; segments that are lost on the way count as missing."""
        lost: set[int] = set()
        while True:
            held = self._lookup(request)
            held = replace(held, spans=[span for span in held.spans if span.segment not in lost])
            chosen = self._plan(request, held)
            try:
                bars = self._store.read(chosen.serve, request.frequency)
            except LostSegmentError as error:
                lost.add(error.segment)
                continue
            return _Answer(chosen, [bars])

    def _plan(self, request: BarRequest, held: Held) -> Plan:
        now = self._clock()  # after the lookup: nothing in it can be younger
        return plan(
            held,
            request.symbols,
            request.asked,
            request.known(now),
            fresh_at(request.policy, now),
            request.may_have_bars,
        )

    def _lookup(self, request: BarRequest) -> Held:
        try:
            return self._store.lookup(request.series, request.symbols, request.asked)
        except (sqlite3.Error, OSError) as error:
            warn(f"the cache in {self._store.directory} cannot be read: {error}")
            return Held([], set())

    async def _fetch_missing(self, request: BarRequest, answer: _Answer) -> None:
        for interval, lacking in answer.plan.fetch.items():
            symbols = await asyncio.to_thread(self._derive, request, interval, lacking, answer)
            if not symbols:
                continue
            reach = await asyncio.to_thread(self._predicted, request, interval, symbols)
            asked_at = self._clock()  # before the call: what ends during it may be missing
            answer.asked = True
            got = await self._ask(request, reach, symbols)
            answer.bars.append(self._ended_of(request, interval, got.bars))
            answer.failures.update(got.failures)
            answer.absences.update(got.absences)
            answer.provenance.append(got.provenance)
            answered = [symbol for symbol in symbols if symbol not in got.failures]
            await asyncio.to_thread(self._keep, request, reach, answered, got, asked_at)

    def _derive(
        self, request: BarRequest, interval: Interval, symbols: list[str], answer: _Answer
    ) -> list[str]:
        """Derive what can be; the symbols that remain to be fetched."""
        if not request.finer:
            return symbols
        done, bars = derive(self._store, request, interval, symbols)
        answer.bars.append(bars)
        return [symbol for symbol in symbols if symbol not in done]

    def _predicted(self, request: BarRequest, interval: Interval, symbols: list[str]) -> Interval:
        """The interval with what will be asked for next, as far as that is final and missing."""
        if self._patterns is None or interval.last != request.asked.last:
            return interval
        ahead = self._patterns.ahead((request.series, tuple(symbols)), interval.last)
        final = request.known(self._clock()).final
        beyond = Interval(interval.last + 1, min(interval.last + ahead, final))
        if beyond.first > beyond.last:
            return interval
        held = self._lookup(replace(request, symbols=symbols, asked=beyond))
        known = min((span.first for span in held.spans), default=beyond.last + 1)
        return Interval(interval.first, known - 1)

    async def _ask(self, request: BarRequest, interval: Interval, symbols: list[str]) -> Fetched:
        start, end = as_request(interval, request.frequency)
        self.count_fetches(1)
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
        parts = bar_parts(request, interval, symbols, got, asked_at)
        try:
            evicted = self._store.write(request.series, symbols, parts)
            self._store.compact(request.series, symbols, request.frequency)
        except LostSegmentError:
            return  # the next request that needs it fetches it again
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
        told = merge_provenance([provenance_of(answer.plan.serve), *answer.provenance])
        absences = _absences(request, answer, bars)
        return Fetched(bars, answer.failures, absences, answer.stale, told)

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
            error = answer.failures.pop(symbol)
            older = [span.fetched for span in spans if not span.final]
            if not older:
                continue  # another process had more luck, and they are final now
            answer.stale[symbol] = datetime.fromtimestamp(min(older) / 1_000_000, UTC)
            text = f"{symbol}: bars as of {answer.stale[symbol]} are served, because {error}"
            warnings.warn(text, StaleDataWarning, stacklevel=2)

    def _count(self, answer: _Answer, rows_fetched: int) -> None:
        counts = {
            "misses" if answer.asked else "hits": 1,
            "failures": len(answer.failures),
            "stale": len(answer.stale),
            "rows_fetched": rows_fetched,
            "rows_from_cache": len(answer.bars[0]),
        }
        self._tally.add(counts)
        self._store.count(counts)


def keys_of(request: BarRequest, symbols: Iterable[str]) -> list[str]:
    """What is fetched, to `single_flight`."""
    return [f"{request.series.fingerprint}/{symbol}" for symbol in symbols]


def _absences(request: BarRequest, answer: _Answer, bars: pl.DataFrame) -> dict[str, str]:
    """Why symbols that did not fail have no bars."""
    present = {*bars["symbol"].unique(), *answer.failures}
    told = reasons(answer.plan.serve)
    for symbol, reason in answer.absences.items():
        told[symbol].setdefault(reason)
    absent = [symbol for symbol in request.symbols if symbol not in present]
    return {symbol: "; ".join(told[symbol]) or NO_BARS for symbol in absent}
