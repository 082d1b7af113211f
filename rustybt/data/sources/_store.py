"""The store of a cache: one directory, shared by threads and processes.

::

    cache/
      index.sqlite         what is covered (`_store_index`)
      segments/ab/....parquet   bars (`_store_segments`)
      locks/               one fetch in flight a series (`_single_flight`)

A segment is published when the index commits it: a process that is killed at any time leaves at
most a file that nothing refers to, which `prune` removes.
"""

import json
import sqlite3
import threading
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from filelock import FileLock

from rustybt.data.bars import Frequency, empty_bars
from rustybt.data.errors import CacheWarning
from rustybt.data.sources import _store_index as sql
from rustybt.data.sources._cached_provenance import joined
from rustybt.data.sources._intervals import Interval, overlap
from rustybt.data.sources._store_database import Index, file_id
from rustybt.data.sources._store_index import Series, Span
from rustybt.data.sources._store_segments import (
    SEGMENT_ROWS,
    LostSegmentError,
    Part,
    Segments,
    assembled,
    joinable,
    packed,
)
from rustybt.data.sources._store_uses import Uses
from rustybt.data.sources._time_axis import within

T = TypeVar("T")
INDEX = "index.sqlite"
#: Seconds between two writes of counters and last uses, which are worth no transaction each.
_PACE = 1.0
#: Small pieces of a symbol that are too many, and how many rows are small.
FRAGMENTS = 24
_SMALL = SEGMENT_ROWS // 4
#: What SQLite says of a file that is no database, or no longer one.
_DAMAGED_INDEX = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@dataclass(frozen=True)
class Held:
    """What the store has for a request.

    Attributes
    ----------
    spans : list of Span
        Clipped to the request, by symbol and time.
    known : set of str
        Symbols that the source has answered for at any time.
    """

    spans: list[Span]
    known: set[str]


class Store:
    """Spans and segments below one directory.

    Parameters
    ----------
    directory : pathlib.Path
    max_size : int
        Bytes of segments to keep.
    """

    def __init__(self, directory: Path, max_size: int) -> None:
        self.directory = directory
        self.index = Index(directory / INDEX)
        self.segments = Segments(directory / "segments")
        self._max_size = max_size
        self.uses = Uses(directory / "uses.lock")
        self._notes = _Notes(self.index)
        weakref.finalize(self, self._notes.flush)

    def lookup(self, series: Series, symbols: Sequence[str], interval: Interval) -> Held:
        """What is covered of an interval, fresh or not."""
        listed = json.dumps(list(symbols))

        def read() -> Held:
            with self.index.reading() as connection:
                spans = sql.spans_of(connection, series, listed, interval)
                return Held(spans, sql.known_symbols(connection, series, listed))

        held = self._on_index(read)
        return replace(held, spans=[_clipped(span, interval) for span in held.spans])

    def read(self, spans: Sequence[Span], frequency: Frequency) -> pl.DataFrame:
        """The bars of spans, in the bar schema.

        Raises
        ------
        LostSegmentError
            If a segment was evicted meanwhile, or is damaged (with a `CacheWarning`): what it held
            has to be fetched again.
        """
        wanted = {span.segment for span in spans if span.segment is not None}
        with self.uses.reading(wanted):
            frames = self._frames(wanted)
        self._notes.used(wanted)
        return assembled(spans, frames, frequency)

    def _frames(self, wanted: set[int]) -> dict[int, pl.DataFrame]:
        if not wanted:
            return {}

        def find() -> dict[int, sql.SegmentFile]:
            with self.index.reading() as connection:
                return sql.segment_files(connection, wanted)

        files = self._on_index(find)
        for segment in wanted - set(files):
            raise LostSegmentError(segment, "it was evicted")
        frames = {}
        for segment, file in files.items():
            try:
                frames[segment] = self.segments.read(segment, file)
            except LostSegmentError as error:
                self.forget(error)
                raise
        return frames

    def forget(self, lost: LostSegmentError) -> None:
        """Forget a damaged segment, with a `CacheWarning`."""
        try:
            with self.index.writing() as connection:
                names = sql.drop_segments(connection, [lost.segment])
        except sqlite3.Error as error:
            warn(f"{lost}; it cannot be removed from the index: {error}")
            return
        if names:  # else another process evicted it, or found the damage first
            self.segments.remove(names)
            warn(f"{lost}: what it held is fetched again")

    def write(self, series: Series, symbols: Sequence[str], parts: Iterable[Part]) -> int:
        """Publish what a source answered, all of it or nothing, and evict what is then too much.

        Parameters
        ----------
        series : Series
        symbols : sequence of str
            That the source answered for, also with nothing that can be kept.
        parts : iterable of Part

        Returns
        -------
        int
            Segments that were evicted.

        Raises
        ------
        OSError, sqlite3.Error
            If it cannot be written: no space, no permission. Nothing is changed then.
        """
        listed = list(parts)
        spans = [part.span for part in listed if part.bars is None]
        written = []
        try:
            for frame, places in packed(part for part in listed if part.bars is not None):
                written.append((self.segments.write(frame), places))
            with self.uses.evicting() as is_free:
                unused, evicted = self._on_index(
                    lambda: self._publish(series, symbols, spans, written, is_free)
                )
                self.segments.remove(unused + evicted)
        except BaseException:
            self.segments.remove(file.name for file, _ in written)
            raise
        self._notes.count({"evictions": len(evicted)})
        return len(evicted)

    def _publish(
        self,
        series: Series,
        symbols: Sequence[str],
        spans: Sequence[Span],
        written: Sequence[tuple[sql.SegmentFile, list[Span]]],
        is_free: Callable[[int], bool],
    ) -> tuple[list[str], list[str]]:
        self._notes.flush()  # so that the last uses are known before something is evicted
        with self.index.writing() as connection:
            placed = list(spans)
            keep = set()
            for file, places in written:
                segment = sql.put_segment(connection, file, max(span.fetched for span in places))
                keep.add(segment)
                placed += [replace(span, segment=segment) for span in places]
            sql.put_symbols(connection, series, symbols)
            unused = sql.put_spans(connection, series, placed)
            leaving = sql.least_used(
                connection, self._max_size, lambda each: each not in keep and is_free(each)
            )
            return unused, sql.drop_segments(connection, leaving)

    def compact(self, series: Series, symbols: Sequence[str], frequency: Frequency) -> None:
        """Put the many small segments of some symbols together.

        The old ones are forgotten in the transaction that publishes the new one.
        """
        listed = json.dumps(list(symbols))
        with self.index.reading() as connection:
            many = sql.fragmented(connection, series, listed, _SMALL, FRAGMENTS)
            spans = sql.spans_of(connection, series, json.dumps(many), sql.EVERYTHING)
        if not many:
            return
        small = [span for span in spans if span.final and span.rows < _SMALL]
        bars = self.read(small, frequency).partition_by("symbol", as_dict=True)
        nothing = empty_bars(frequency)
        parts = [_joined(g, bars.get((g[0].symbol,), nothing)) for g in joinable(small)]
        self.write(series, many, parts)

    def record(self, series: Series, noticed: datetime, changes: Sequence[dict[str, Any]]) -> None:
        """Keep restatements: rows of ``symbol``, ``label``, ``old`` and ``new``."""
        with self.index.writing() as connection:
            sql.put_restatements(connection, series, microseconds(noticed), changes)

    def count(self, counts: Mapping[str, int]) -> None:
        """Add to the directory's counters, soon."""
        self._notes.count(counts)

    def close(self) -> None:
        """Write counters and last uses, and close the index until it is needed again."""
        self._notes.flush()
        self.index.close()

    def _on_index(self, work: Callable[[], T]) -> T:
        """Do something with the index; if it is damaged, with a new one."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in _DAMAGED_INDEX:
                raise
            self._start_again(error)
        return work()

    def _start_again(self, error: sqlite3.DatabaseError) -> None:
        path = self.directory / INDEX
        self.index.close()
        with FileLock(self.directory / "damaged.lock"):
            if self.index.file != file_id(path):
                return  # another process was first
            # The log goes first: a new index must not take it for its own.
            for suffix in ("-wal", "-shm", ""):
                damaged = path.with_name(f"{INDEX}{suffix}")
                if damaged.exists():
                    damaged.replace(path.with_name(f"damaged-{INDEX}{suffix}"))
        warn(f"{path} is damaged ({error}): it is kept beside a new one, and the cache is empty")


class _Notes:
    """Counters and last uses, kept in memory and written together."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._used: set[int] = set()
        self._written = time.monotonic()

    def count(self, counts: Mapping[str, int]) -> None:
        with self._lock:
            self._counts.update(counts)
        self._flush_sometimes()

    def used(self, segments: set[int]) -> None:
        with self._lock:
            self._used |= segments

    def _flush_sometimes(self) -> None:
        if time.monotonic() - self._written >= _PACE:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            counts, used = self._counts, self._used
            self._counts, self._used = Counter(), set()
            self._written = time.monotonic()
        if not counts and not used:
            return
        try:
            with self._index.writing() as connection:
                sql.touch(connection, used)
                sql.count(connection, {name: value for name, value in counts.items() if value})
        except (sqlite3.Error, OSError):
            return  # statistics are worth no failure; the next write of bars says what is wrong


def _joined(group: Sequence[Span], bars: pl.DataFrame) -> Part:
    """Neighbouring spans as one."""
    span = replace(
        group[0],
        last=group[-1].last,
        fetched=min(each.fetched for each in group),
        segment=None,
        reason="",
        payload=joined(each.payload for each in group),
    )
    inside = bars.filter(within(bars["timestamp"], span.interval))
    if inside.is_empty():
        return Part(replace(span, reason=group[0].reason))
    return Part(span, inside)


def _clipped(span: Span, interval: Interval) -> Span:
    inside = overlap(span.interval, interval)
    assert inside is not None  # noqa: S101  the index was asked for spans that touch it
    return replace(span, first=inside.first, last=inside.last)


def microseconds(moment: datetime) -> int:
    """A time in microseconds since 1970, as the index keeps it."""
    return round(moment.timestamp() * 1_000_000)


def warn(text: str) -> None:
    """Say what is wrong with a cache."""
    warnings.warn(text, CacheWarning, stacklevel=2)
