"""Corporate actions through a cache. They are few, and are kept in the index itself."""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events, merge_events
from rustybt.data.sources._bar_request import fresh_at, series_of
from rustybt.data.sources._cache_plan import Plan, plan, spans_to_store
from rustybt.data.sources._cache_stats import Tally
from rustybt.data.sources._finality import Clock
from rustybt.data.sources._intervals import Interval
from rustybt.data.sources._single_flight import single_flight
from rustybt.data.sources._store import FRAGMENTS, Held, Store, microseconds, warn
from rustybt.data.sources._store_index import Series, Span
from rustybt.data.sources._store_segments import Part, joinable
from rustybt.data.sources._time_axis import Known, as_request, day_number, moment_at
from rustybt.data.sources.base import DataSource, DataSourceMetadata
from rustybt.data.sources.freshness import CacheFreshnessPolicy

#: The word that stands for a frequency in the index.
EVENTS = "events"
#: Providers report corporate actions late, and correct them.
_SETTLE = timedelta(days=30)
#: Announced events lie in the future: every date can have one.
_ANY_DAY = 10**9


@dataclass(frozen=True)
class EventRequest:
    """The corporate actions of some symbols with an ex-date in an interval of days."""

    series: Series
    symbols: list[str]
    asked: Interval
    policy: CacheFreshnessPolicy
    settle_lag: timedelta

    @classmethod
    def of(
        cls,
        metadata: DataSourceMetadata,
        symbols: Iterable[str],
        asked: Interval,
        policy: CacheFreshnessPolicy,
    ) -> "EventRequest":
        """A request to the source that says that of itself."""
        distinct = sorted(set(symbols))
        return cls(series_of(metadata, EVENTS), distinct, asked, policy, metadata.settle_lag)

    def keys(self, symbols: Iterable[str]) -> list[str]:
        """What is fetched, to `single_flight`."""
        return [f"{self.series.fingerprint}/{EVENTS}/{symbol}" for symbol in symbols]


class CachedEvents:
    """The corporate actions of one source, through a store.

    Parameters
    ----------
    adapter : DataSource
    store : Store
    clock : Clock
    tally : Tally
    """

    def __init__(self, adapter: DataSource, store: Store, clock: Clock, tally: Tally) -> None:
        self._adapter = adapter
        self._store = store
        self._clock = clock
        self._tally = tally

    async def fetch(self, request: EventRequest) -> Events:
        """What is covered from the store, the rest from the source."""
        chosen = await asyncio.to_thread(self._plan, request)
        if not chosen.fetch:
            return _of_spans(chosen.serve)
        keys = request.keys(chosen.symbols)
        async with single_flight(self._store.directory / "locks", keys):
            chosen = await asyncio.to_thread(self._plan, request)
            fetched = [
                await self._fetch(request, interval, lacking)
                for interval, lacking in chosen.fetch.items()
            ]
            await asyncio.to_thread(self._compact, request, chosen.serve)
        return merge_events([_of_spans(chosen.serve), *fetched])

    def _plan(self, request: EventRequest) -> Plan:
        try:
            held = self._store.lookup(request.series, request.symbols, request.asked)
        except (sqlite3.Error, OSError) as error:
            warn(f"the cache in {self._store.directory} cannot be read: {error}")
            held = Held([], set())
        fresh = fresh_at(request.policy, self._clock())
        return plan(held, request.symbols, request.asked, self._known(request), fresh, _any)

    def _known(self, request: EventRequest) -> Known:
        settled = self._clock() - max(_SETTLE, request.settle_lag)
        return Known(ended=_ANY_DAY, final=day_number(settled.date()))

    async def _fetch(self, request: EventRequest, interval: Interval, symbols: list[str]) -> Events:
        asked_at = self._clock()
        first, last = as_request(interval)
        self._tally.add({"fetches": 1})
        self._store.count({"fetches": 1})
        events = await self._adapter.fetch_events(symbols, first, last)
        await asyncio.to_thread(self._take, request, interval, symbols, events, asked_at)
        return events

    def _take(
        self,
        request: EventRequest,
        interval: Interval,
        symbols: Sequence[str],
        events: Events,
        asked_at: datetime,
    ) -> None:
        known = self._known(request)
        parts = [
            Part(replace(span, payload=_payload(events, span, symbols)))
            for symbol in symbols
            for span in spans_to_store(symbol, interval, known, microseconds(asked_at))
        ]
        self._keep(request, symbols, parts)

    def lacking(self, request: EventRequest) -> set[str]:
        """Symbols of which the store has nothing that may be served."""
        return set(self._plan(request).fetch.get(request.asked, []))

    def take(
        self, request: EventRequest, symbols: Sequence[str], events: Events, asked_at: datetime
    ) -> None:
        """Keep an answer to all of a request that the source gave otherwise than to `fetch`."""
        self._take(request, request.asked, symbols, events, asked_at)

    def _compact(self, request: EventRequest, spans: Sequence[Span]) -> None:
        """Put the many spans that a year of days leaves together."""
        groups = [group for group in joinable(spans) if len(group) >= FRAGMENTS]
        if not groups:
            return
        wholes = [replace(group[0], last=group[-1].last) for group in groups]
        parts = [
            Part(replace(whole, payload=_payload(_of_spans(group), whole, [whole.symbol])))
            for whole, group in zip(wholes, groups, strict=True)
        ]
        self._keep(request, [whole.symbol for whole in wholes], parts)

    def _keep(self, request: EventRequest, symbols: Sequence[str], parts: Sequence[Part]) -> None:
        try:
            self._store.write(request.series, symbols, parts)
        except (sqlite3.Error, OSError) as error:
            warn(f"the cache in {self._store.directory} cannot be written: {error}")


def _any(interval: Interval) -> bool:  # noqa: ARG001  every date may have an event
    return True


def _within(span: Span) -> pl.Expr:
    first, last = (moment_at(number, intraday=False) for number in span.interval)
    return (pl.col("symbol") == span.symbol) & pl.col("ex_date").is_between(first, last)


def _payload(events: Events, span: Span, symbols: Sequence[str]) -> str:
    """The events of one symbol within a span, as JSON; empty kinds are left out."""
    kinds = {kind: frame.filter(_within(span)) for kind, frame in events.items()}
    told = {
        kind: frame.cast(_stored(frame.schema)).rows()
        for kind, frame in kinds.items()
        if len(frame)
    }
    # A note is a sentence: it is kept with the symbols that it names, or with all.
    notes = [
        note
        for note in events.notes
        if span.symbol in note.split() or not set(symbols) & set(note.split())
    ]
    return json.dumps({**told, "notes": notes})


def _of_spans(spans: Sequence[Span]) -> Events:
    return merge_events(_events(span) for span in spans)


def _events(span: Span) -> Events:
    told = json.loads(span.payload or "{}")
    frames = {
        kind: pl.DataFrame(told[kind], schema=_stored(schema), orient="row")
        .cast(schema)
        .filter(_within(span))
        for kind, schema in EVENT_SCHEMAS.items()
        if kind in told
    }
    return Events(**frames, notes=tuple(told.get("notes", ())))


def _stored(schema: pl.Schema) -> pl.Schema:
    """Dates as JSON has them: in days since 1970."""
    return pl.Schema(
        {name: pl.Int32() if kind == pl.Date else kind for name, kind in schema.items()}
    )
