"""The index of a cache: what is covered, and in which segment the bars are. SQLite, in WAL mode.

A *series* is one symbol of one source at one frequency. A *span* is an interval of a series that
was asked for at one time, with the rows that hold its bars in a segment, or the reason why there
are none. Spans of a series never overlap. A *segment* is an immutable file of bars.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rustybt.data.errors import CacheError
from rustybt.data.sources._intervals import Interval

#: Statements that bring an index from each version of the schema to the next one.
MIGRATIONS = (
    """
    CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL, symbol TEXT NOT NULL, frequency TEXT NOT NULL,
        source TEXT NOT NULL, adjustment TEXT NOT NULL, feed TEXT NOT NULL,
        UNIQUE (fingerprint, frequency, symbol)
    );
    CREATE TABLE segments (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
        created INTEGER NOT NULL, used INTEGER NOT NULL
    );
    CREATE INDEX segments_by_use ON segments (used);
    CREATE TABLE spans (
        series INTEGER NOT NULL REFERENCES series (id),
        first INTEGER NOT NULL, last INTEGER NOT NULL,
        fetched INTEGER NOT NULL, final INTEGER NOT NULL,
        segment INTEGER REFERENCES segments (id),
        offset INTEGER NOT NULL, rows INTEGER NOT NULL,
        reason TEXT NOT NULL, payload TEXT,
        PRIMARY KEY (series, first)
    ) WITHOUT ROWID;
    CREATE INDEX spans_by_segment ON spans (segment);
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    """,
)

_LOOKUP = """
    SELECT symbol, first, last, fetched, final, segment, offset, rows, reason, payload
    FROM series JOIN spans ON spans.series = series.id
    WHERE fingerprint = ? AND frequency = ? AND symbol IN (SELECT value FROM json_each(?))
        AND last >= ? AND first <= ?
    ORDER BY symbol, first
"""
_KNOWN = """
    SELECT symbol FROM series WHERE fingerprint = ? AND frequency = ?
        AND symbol IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True)
class Series:
    """Which bars: those of one source at one frequency, without the symbol."""

    fingerprint: str
    frequency: str
    source: str = ""
    adjustment: str = ""
    feed: str = ""


@dataclass(frozen=True)
class Span:
    """An interval of one symbol that was asked for, and what came.

    Attributes
    ----------
    symbol : str
    first, last : int
        Labels on the time axis, both included.
    fetched : int
        When the source was asked, in microseconds since 1970.
    final : bool
    segment : int or None
        The segment that has its bars; None if there are none.
    offset, rows : int
        Where in the segment. After a part of the interval was asked for again, the rows are more
        than the interval's.
    reason : str
        Why there are no bars, where there are none.
    payload : str or None
        What is kept in the index itself: events, as JSON.
    """

    symbol: str
    first: int
    last: int
    fetched: int
    final: bool
    segment: int | None = None
    offset: int = 0
    rows: int = 0
    reason: str = ""
    payload: str | None = None

    @property
    def interval(self) -> Interval:
        """What it covers."""
        return Interval(self.first, self.last)


@dataclass(frozen=True)
class SegmentFile:
    """A file of bars that was written and is to be published."""

    name: str
    size: int
    sha256: str


class Index:
    """The index in one file, shared by threads and processes.

    Parameters
    ----------
    path : pathlib.Path
        Made, with its directory, if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()

    def _connected(self) -> sqlite3.Connection:
        # A connection must not be used on the other side of a fork.
        if self._connection is None or self._process != os.getpid():
            self._process = os.getpid()
            self._connection = _open(self._path)
        return self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent state of the index."""
        with self._lock:
            connection = self._connected()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing; other writers wait."""
        with self._lock:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection; it opens again when it is needed."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # In WAL mode a crash of the machine may lose the last transactions, and never the index.
    connection.execute("PRAGMA synchronous = NORMAL")
    _migrate(connection, path)
    return connection


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")  # one process migrates, the others wait
    version = _version(connection)
    if version > len(MIGRATIONS):
        connection.execute("ROLLBACK")
        raise CacheError(
            f"the cache index {path} was written by a newer rustybt (its schema is {version}, this "
            f"one knows {len(MIGRATIONS)}): upgrade, or use another cache directory"
        )
    for script in MIGRATIONS[version:]:
        for statement in script.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def spans_of(
    connection: sqlite3.Connection, series: Series, symbols: str, interval: Interval
) -> list[Span]:
    """Spans that touch an interval, by symbol and time; `symbols` is a JSON list."""
    found = connection.execute(_LOOKUP, (series.fingerprint, series.frequency, symbols, *interval))
    return [_span(*row) for row in found]


def known_symbols(connection: sqlite3.Connection, series: Series, symbols: str) -> set[str]:
    """Those of some symbols (a JSON list) that the source has answered for."""
    found = connection.execute(_KNOWN, (series.fingerprint, series.frequency, symbols))
    return {symbol for (symbol,) in found}


def put_segment(connection: sqlite3.Connection, file: SegmentFile, created: int) -> int:
    """Publish a segment, the most recently used of all; its id."""
    cursor = connection.execute(
        "INSERT INTO segments (name, bytes, sha256, created, used) "
        "VALUES (?, ?, ?, ?, (SELECT coalesce(max(used), 0) + 1 FROM segments))",
        (file.name, file.size, file.sha256, created),
    )
    assert cursor.lastrowid is not None  # noqa: S101  a row was inserted
    return cursor.lastrowid


def put_spans(connection: sqlite3.Connection, series: Series, spans: Iterable[Span]) -> list[str]:
    """Publish spans of symbols that were put; what they cover of older ones is theirs from now on.

    Returns the names of the files that nothing refers to any more.
    """
    replaced: set[int] = set()
    for span in spans:
        owner = _series_id(connection, series, span.symbol)
        for old in _overlapping(connection, owner, span):
            replaced |= {old.segment} if old.segment is not None else set()
            connection.execute(
                "DELETE FROM spans WHERE series = ? AND first = ?", (owner, old.first)
            )
            if old.first < span.first:
                _insert(connection, owner, replace(old, last=span.first - 1))
            if old.last > span.last:
                _insert(connection, owner, replace(old, first=span.last + 1))
        _insert(connection, owner, span)
    return _drop_unused(connection, replaced)


def _drop_unused(connection: sqlite3.Connection, segments: Iterable[int]) -> list[str]:
    """Forget those of some segments that no span refers to; the names of their files."""
    unused = "SELECT ? WHERE NOT EXISTS (SELECT 1 FROM spans WHERE segment = ?)"
    return drop_segments(
        connection,
        [each for each in segments if connection.execute(unused, (each, each)).fetchone()],
    )


def put_symbols(connection: sqlite3.Connection, series: Series, symbols: Iterable[str]) -> None:
    """Remember that the source answered for symbols."""
    facts = (series.source, series.adjustment, series.feed)
    connection.executemany(
        "INSERT OR IGNORE INTO series (fingerprint, frequency, symbol, source, adjustment, feed) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [(series.fingerprint, series.frequency, symbol, *facts) for symbol in symbols],
    )


def _series_id(connection: sqlite3.Connection, series: Series, symbol: str) -> int:
    found = connection.execute(
        "SELECT id FROM series WHERE fingerprint = ? AND frequency = ? AND symbol = ?",
        (series.fingerprint, series.frequency, symbol),
    ).fetchone()
    return int(found[0])


def _overlapping(connection: sqlite3.Connection, owner: int, span: Span) -> list[Span]:
    rows = connection.execute(
        "SELECT first, last, fetched, final, segment, offset, rows, reason, payload FROM spans "
        "WHERE series = ? AND last >= ? AND first <= ?",
        (owner, span.first, span.last),
    ).fetchall()
    return [_span(span.symbol, *row) for row in rows]


def _span(symbol: str, first: int, last: int, fetched: int, final: int, *rest: Any) -> Span:
    return Span(symbol, first, last, fetched, bool(final), *rest)


def _insert(connection: sqlite3.Connection, owner: int, span: Span) -> None:
    connection.execute(
        "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            owner, span.first, span.last, span.fetched, span.final, span.segment, span.offset,
            span.rows, span.reason, span.payload,
        ),
    )  # fmt: skip


def segment_files(
    connection: sqlite3.Connection, segments: Iterable[int]
) -> dict[int, SegmentFile]:
    """The files of some segments; those that are gone are left out."""
    found = {}
    for segment in set(segments):
        row = connection.execute(
            "SELECT name, bytes, sha256 FROM segments WHERE id = ?", (segment,)
        ).fetchone()
        if row is not None:
            found[segment] = SegmentFile(*row)
    return found


def touch(connection: sqlite3.Connection, segments: Iterable[int]) -> None:
    """Make segments the most recently used ones."""
    (newest,) = connection.execute("SELECT coalesce(max(used), 0) FROM segments").fetchone()
    connection.executemany(
        "UPDATE segments SET used = ? WHERE id = ?", [(newest + 1, each) for each in segments]
    )


def drop_segments(connection: sqlite3.Connection, segments: Iterable[int]) -> list[str]:
    """Forget segments and what they covered; the names of the files that nothing refers to now."""
    names = []
    for segment in segments:
        found = connection.execute("SELECT name FROM segments WHERE id = ?", (segment,)).fetchone()
        if found is not None:
            connection.execute("DELETE FROM spans WHERE segment = ?", (segment,))
            connection.execute("DELETE FROM segments WHERE id = ?", (segment,))
            names.append(found[0])
    return names


def least_used(connection: sqlite3.Connection, most: int, keep: set[int]) -> list[int]:
    """Segments to leave out so that the others have at most `most` bytes, by last use."""
    (total,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM segments").fetchone()
    chosen = []
    if total > most:
        for segment, size in connection.execute("SELECT id, bytes FROM segments ORDER BY used, id"):
            if total <= most:
                break
            if segment not in keep:
                chosen.append(segment)
                total -= size
    return chosen


def count(connection: sqlite3.Connection, counts: Mapping[str, int]) -> None:
    """Add to the counters."""
    connection.executemany(
        "INSERT INTO counters VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        list(counts.items()),
    )


def counters(connection: sqlite3.Connection) -> dict[str, int]:
    """All counters."""
    return dict(connection.execute("SELECT name, value FROM counters"))


def rows_of(connection: sqlite3.Connection, query: str, *values: Any) -> list[dict[str, Any]]:
    """The rows of a query, by the names of their columns."""
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
