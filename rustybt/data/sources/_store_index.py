"""The index of a cache: what is covered, and in which segment the bars are; its statements.

A *series* is one symbol of one source at one frequency. A *span* is an interval of a series that
was asked for at one time, with the rows that hold its bars in a segment, or the reason why there
are none. Spans of a series never overlap. A *segment* is an immutable file of bars.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rustybt.data.sources._intervals import Interval

#: An interval that every span touches.
EVERYTHING = Interval(-(10**15), 10**15)

#: A directory in numbers.
SUMMARY = """
    SELECT (SELECT coalesce(sum(bytes), 0) FROM segments) AS bytes,
        (SELECT count(*) FROM segments) AS segments,
        (SELECT count(*) FROM series) AS series,
        (SELECT count(*) FROM spans) AS spans,
        (SELECT count(*) FROM restatements) AS restatements
"""
#: Every series; the bytes of a segment are shared out by rows.
SERIES = """
    WITH shares AS (
        SELECT segment, 1.0 * segments.bytes / sum(rows) AS row_bytes
        FROM spans JOIN segments ON segments.id = segment GROUP BY segment
    )
    SELECT source, adjustment, feed, fingerprint, symbol, frequency,
        min(first) AS first, max(last) AS last, count(first) AS spans,
        coalesce(sum(rows), 0) AS rows, coalesce(sum(rows * row_bytes), 0) AS bytes,
        coalesce(min(final), 1) = 0 AS provisional, max(fetched) AS fetched
    FROM series LEFT JOIN spans ON spans.series = series.id
        LEFT JOIN shares ON shares.segment = spans.segment
    GROUP BY series.id ORDER BY source, symbol, frequency, fingerprint
"""
RESTATEMENTS = """
    SELECT source, fingerprint, symbol, frequency, label, noticed, old, new
    FROM restatements JOIN series ON series.id = series ORDER BY restatements.id
"""

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


def drop_series(
    connection: sqlite3.Connection, source: str | None, symbols: str | None
) -> list[str]:
    """Forget what is covered of a source or of symbols (a JSON list), or of all; unused files."""
    chosen = (
        "FROM spans WHERE series IN (SELECT id FROM series WHERE source = coalesce(?, source) "
        "AND (? IS NULL OR symbol IN (SELECT value FROM json_each(?))))"
    )
    values = (source, symbols, symbols)
    found = connection.execute(f"SELECT DISTINCT segment {chosen}", values)
    segments = [segment for (segment,) in found if segment is not None]
    connection.execute(f"DELETE {chosen}", values)
    return _drop_unused(connection, segments)


def clear_counters(connection: sqlite3.Connection) -> None:
    """Count from zero."""
    connection.execute("DELETE FROM counters")


def least_used(
    connection: sqlite3.Connection, most: int, may_leave: Callable[[int], bool]
) -> list[int]:
    """Segments to leave out so that the others have at most `most` bytes, by last use."""
    (total,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM segments").fetchone()
    chosen = []
    if total > most:
        for segment, size in connection.execute("SELECT id, bytes FROM segments ORDER BY used, id"):
            if total <= most:
                break
            if may_leave(segment):
                chosen.append(segment)
                total -= size
    return chosen


def fragmented(
    connection: sqlite3.Connection, series: Series, symbols: str, small: int, most: int
) -> list[str]:
    """Those of some symbols (a JSON list) whose bars lie in more than `most` small pieces."""
    found = connection.execute(
        "SELECT symbol FROM series JOIN spans ON spans.series = series.id "
        "WHERE fingerprint = ? AND frequency = ? AND symbol IN (SELECT value FROM json_each(?)) "
        "AND final AND rows < ? GROUP BY series HAVING count(DISTINCT segment) > ?",
        (series.fingerprint, series.frequency, symbols, small, most),
    )
    return sorted(symbol for (symbol,) in found)


def put_restatements(
    connection: sqlite3.Connection,
    series: Series,
    noticed: int,
    changes: Iterable[Mapping[str, Any]],
) -> None:
    """Record changed bars: ``symbol``, ``label``, and ``old`` and ``new`` values or None."""
    connection.executemany(
        "INSERT INTO restatements (series, label, noticed, old, new) VALUES (?, ?, ?, ?, ?)",
        [
            (
                _series_id(connection, series, change["symbol"]),
                change["label"],
                noticed,
                *(change[name] and json.dumps(change[name]) for name in ("old", "new")),
            )
            for change in changes
        ],
    )


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
