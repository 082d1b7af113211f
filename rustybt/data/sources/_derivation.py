"""Fill a cache with coarser bars of the finer ones that it has, where that is right."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from rustybt.data.bars import Frequency, empty_bars
from rustybt.data.errors import CalendarError
from rustybt.data.sources._bar_request import BarRequest
from rustybt.data.sources._intervals import Interval, subtract
from rustybt.data.sources._resolutions import derived, needed
from rustybt.data.sources._store import Store, warn
from rustybt.data.sources._store_index import Span
from rustybt.data.sources._store_segments import LostSegmentError, Part


def derive(
    store: Store, request: BarRequest, interval: Interval, symbols: Sequence[str]
) -> tuple[list[str], pl.DataFrame]:
    """Derive, and store, the bars of those symbols whose finer bars are final and all there.

    Returns
    -------
    tuple of (list of str, polars.DataFrame)
        Those symbols, and their bars of the request's frequency.
    """
    for fine in request.finer:
        bars, parts = _made_of(store, request, interval, symbols, fine)
        if parts:
            _keep(store, request, parts)
            return [part.span.symbol for part in parts], bars
    return [], empty_bars(request.frequency)


def _made_of(
    store: Store, request: BarRequest, interval: Interval, symbols: Sequence[str], fine: Frequency
) -> tuple[pl.DataFrame, list[Part]]:
    nothing: tuple[pl.DataFrame, list[Part]] = (pl.DataFrame(), [])
    if request.calendar is None:
        return nothing
    try:
        minutes = needed(interval, request.frequency, fine, request.calendar)
        if minutes is None:
            return nothing
        series = replace(request.series, frequency=str(fine))
        held = store.lookup(series, symbols, minutes)
        spans = [span for span in held.spans if span.final]
        able = [each for each in symbols if not subtract(minutes, _of(each, spans))]
        bars = store.read([span for span in spans if span.symbol in able], fine)
    except (CalendarError, LostSegmentError, sqlite3.Error, OSError):
        return nothing  # then they are fetched, and what is wrong with the cache is said there
    coarse = derived(bars, request.frequency, request.calendar, interval)
    reason = f"no {fine} bars to derive them from"
    parts = []
    for symbol in able:
        own = coarse.filter(pl.col("symbol") == symbol)
        fetched = min(span.fetched for span in spans if span.symbol == symbol)
        span = Span(symbol, *interval, fetched, final=True, reason="" if len(own) else reason)
        parts.append(Part(span, own if len(own) else None))
    return coarse, parts


def _of(symbol: str, spans: Sequence[Span]) -> list[Interval]:
    return [span.interval for span in spans if span.symbol == symbol]


def _keep(store: Store, request: BarRequest, parts: Sequence[Part]) -> None:
    try:
        store.write(request.series, [part.span.symbol for part in parts], parts)
    except (sqlite3.Error, OSError) as error:
        warn(f"the cache in {store.directory} cannot be written: {error}")
