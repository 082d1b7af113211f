"""A cache directory from outside: what is in it, is it whole, and what may go."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rustybt.data.bars import Frequency
from rustybt.data.sources import _store_index as sql
from rustybt.data.sources._cache_stats import CacheStats
from rustybt.data.sources._cached_events import EVENTS
from rustybt.data.sources._restatements import Restatement
from rustybt.data.sources._store import INDEX, Store
from rustybt.data.sources._store_segments import LostSegmentError
from rustybt.data.sources._time_axis import moment_at
from rustybt.data.sources.cached_source import cache_directory

_EVERYTHING = 1 << 62
#: A file this old, in seconds, that the index does not know, was left by a killed process.
_ABANDONED = 3600.0


@dataclass(frozen=True)
class CacheSummary:
    """A directory in numbers.

    Attributes
    ----------
    path : pathlib.Path
    bytes, segments : int
        Of bars, and the files that they are in.
    series, spans : int
        Symbols by source and frequency, and the intervals that are covered.
    restatements : int
    stats : CacheStats
        Of all processes that used it, since it was made or cleared.
    """

    path: Path
    bytes: int
    segments: int
    series: int
    spans: int
    restatements: int
    stats: CacheStats


@dataclass(frozen=True)
class CachedSeries:
    """What is cached of one symbol of one source at one frequency.

    Attributes
    ----------
    source, adjustment, feed, fingerprint, symbol : str
    frequency : str
        ``events`` for corporate actions.
    first, last : date or datetime or None
        The first and the last label that is covered.
    spans : int
        Intervals that are covered.
    rows, bytes : int
        Bars, and their share of the files that they are in.
    provisional : bool
        Whether some of it may still be revised.
    fetched : datetime or None
        When the source was asked last.
    """

    source: str
    adjustment: str
    feed: str
    fingerprint: str
    symbol: str
    frequency: str
    first: Any
    last: Any
    spans: int
    rows: int
    bytes: int
    provisional: bool
    fetched: datetime | None


class CacheDirectory:
    """A cache directory, whoever uses it.

    Parameters
    ----------
    path : path, optional
        As for `CachedDataSource`.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = cache_directory(path)
        self._store = Store(self.path, _EVERYTHING)

    @property
    def exists(self) -> bool:
        """Whether anything was ever cached there."""
        return (self.path / INDEX).exists()

    def summary(self) -> CacheSummary:
        """The directory in numbers."""
        if not self.exists:
            return CacheSummary(self.path, 0, 0, 0, 0, 0, CacheStats())
        with self._store.index.reading() as connection:
            (row,) = sql.rows_of(connection, sql.SUMMARY)
            stats = CacheStats.of(sql.counters(connection))
        return CacheSummary(self.path, **row, stats=stats)

    def series(self) -> list[CachedSeries]:
        """Everything that is cached, by source, symbol and frequency."""
        if not self.exists:
            return []
        with self._store.index.reading() as connection:
            rows = sql.rows_of(connection, sql.SERIES)
        return [CachedSeries(**_labelled(row)) for row in rows]

    def restatements(self, fingerprint: str | None = None) -> list[Restatement]:
        """Final bars that sources changed, the oldest first; of one source, if it is given."""
        if not self.exists:
            return []
        with self._store.index.reading() as connection:
            rows = sql.rows_of(connection, sql.RESTATEMENTS)
        return [_restatement(row) for row in rows if fingerprint in (None, row["fingerprint"])]

    def verify(self) -> list[str]:
        """Read every file; what is missing or damaged is forgotten, and fetched when it is needed.

        Returns
        -------
        list of str
            What was found, a sentence each.
        """
        found = []
        for segment, file in self._files():
            try:
                self._store.segments.check(segment, file)
            except LostSegmentError as error:
                found.append(f"{error}: what it held will be fetched again")
                with self._store.index.writing() as connection:
                    names = sql.drop_segments(connection, [segment])
                self._store.segments.remove(names)
        return found

    def prune(self, max_size: int | None = None, before: datetime | None = None) -> int:
        """Make room: the least recently used bars, old ones, and what killed processes left.

        Parameters
        ----------
        max_size : int, optional
            Bytes of bars to keep.
        before : datetime, optional
            Drop files that were written before.

        Returns
        -------
        int
            Bytes that were freed.
        """
        if not self.exists:
            return 0
        size = self._size()
        with self._store.uses.evicting() as is_free:
            with self._store.index.writing() as connection:
                names = sql.drop_segments(connection, _written_before(connection, before))
                least = _EVERYTHING if max_size is None else max_size
                leaving = sql.least_used(connection, least, is_free)
                names += sql.drop_segments(connection, leaving)
            self._store.segments.remove(names)
        for path in self._abandoned():
            path.unlink(missing_ok=True)
        return size - self._size()

    def clear(self, source: str | None = None, symbols: Sequence[str] | None = None) -> int:
        """Forget everything, or what is cached of a source or of symbols; bytes that were freed.

        Records of restatements stay.
        """
        if not self.exists:
            return 0
        size = self._size()
        listed = None if symbols is None else json.dumps(list(symbols))
        with self._store.index.writing() as connection:
            names = sql.drop_series(connection, source, listed)
            if source is None and symbols is None:
                sql.clear_counters(connection)
        self._store.segments.remove(names)
        return size - self._size()

    def _files(self) -> list[tuple[int, sql.SegmentFile]]:
        if not self.exists:
            return []
        with self._store.index.reading() as connection:
            rows = connection.execute("SELECT id, name, bytes, sha256 FROM segments").fetchall()
        return [(row[0], sql.SegmentFile(*row[1:])) for row in rows]

    def _abandoned(self) -> Iterator[Path]:
        known = {file.name for _, file in self._files()}
        for path in self._store.segments.files():
            if path.name not in known and time.time() - path.stat().st_mtime > _ABANDONED:
                yield path

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self._store.segments.files())


def _written_before(connection: Any, before: datetime | None) -> list[int]:
    if before is None:
        return []
    limit = round(before.timestamp() * 1_000_000)
    found = connection.execute("SELECT id FROM segments WHERE created < ?", (limit,))
    return [segment for (segment,) in found]


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC)


def _is_intraday(frequency: str) -> bool:
    return frequency != EVENTS and Frequency.parse(frequency).intraday


def _labelled(row: dict[str, Any]) -> dict[str, Any]:
    """A row of series with labels as moments."""
    intraday = _is_intraday(row["frequency"])
    labels = {
        name: None if row[name] is None else moment_at(row[name], intraday)
        for name in ("first", "last")
    }
    facts = {"provisional": bool(row["provisional"]), "fetched": _moment(row["fetched"])}
    return {**row, **labels, **facts, "bytes": round(row["bytes"])}


def _restatement(row: dict[str, Any]) -> Restatement:
    noticed = _moment(row["noticed"])
    assert noticed is not None  # noqa: S101  the column is NOT NULL
    return Restatement(
        row["source"],
        row["symbol"],
        row["frequency"],
        moment_at(row["label"], _is_intraday(row["frequency"])),
        noticed,
        *(None if row[name] is None else json.loads(row[name]) for name in ("old", "new")),
    )
