"""The database of a cache's index: its schema, its connections, its transactions. SQLite, WAL."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rustybt.data.errors import CacheError

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
    """
    CREATE TABLE restatements (
        id INTEGER PRIMARY KEY,
        series INTEGER NOT NULL REFERENCES series (id),
        label INTEGER NOT NULL, noticed INTEGER NOT NULL, old TEXT, new TEXT
    )
    """,
)


#: Device and number of a file: another one of the same name has others.
FileId = tuple[int, int]


def file_id(path: Path) -> FileId | None:
    """Which file has a name; None if none has."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
        self._file: FileId | None = None

    def _connected(self) -> sqlite3.Connection:
        # A connection must not be used on the other side of a fork, nor for a file that somebody
        # has deleted or replaced: what is written there is lost.
        if self._connection is not None and self._file != file_id(self._path):
            self.close()
        if self._connection is None or self._process != os.getpid():
            self._process = os.getpid()
            self._file = file_id(self._path)  # also of one that turns out to be damaged
            self._connection = _open(self._path)
            self._file = file_id(self._path)
        return self._connection

    @property
    def file(self) -> FileId | None:
        """The file that was opened last."""
        return self._file

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
