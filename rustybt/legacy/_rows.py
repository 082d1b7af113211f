"""Tables of the old catalogs that wrappers write, in the layout of release 0.3."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]

#: The catalog of a root, as `assets-10.db` had it, and names that were deleted from older ones.
CATALOG = """
CREATE TABLE IF NOT EXISTS bundle_metadata (id INTEGER PRIMARY KEY, bundle_name TEXT UNIQUE,
    source_type TEXT, source_url TEXT, api_version TEXT, fetch_timestamp INTEGER,
    data_version TEXT, timezone TEXT DEFAULT 'UTC', row_count INTEGER, start_date INTEGER,
    end_date INTEGER, missing_days_count INTEGER DEFAULT 0, missing_days_list TEXT DEFAULT '[]',
    outlier_count INTEGER DEFAULT 0, ohlcv_violations INTEGER DEFAULT 0,
    validation_passed BOOLEAN DEFAULT 1, validation_timestamp INTEGER, file_checksum TEXT,
    file_size_bytes INTEGER, checksum TEXT, created_at INTEGER, updated_at INTEGER);
CREATE TABLE IF NOT EXISTS bundle_cache (id INTEGER PRIMARY KEY, cache_key TEXT UNIQUE,
    bundle_name TEXT, bundle_path TEXT, symbols TEXT, start TEXT, "end" TEXT, frequency TEXT,
    fetch_timestamp INTEGER, size_bytes INTEGER, row_count INTEGER, last_accessed INTEGER);
CREATE TABLE IF NOT EXISTS cache_statistics (stat_date INTEGER PRIMARY KEY,
    hit_count INTEGER DEFAULT 0, miss_count INTEGER DEFAULT 0, total_size_mb REAL DEFAULT 0,
    avg_fetch_latency_ms REAL DEFAULT 0);
CREATE TABLE IF NOT EXISTS bundle_symbols (id INTEGER PRIMARY KEY, bundle_name TEXT, symbol TEXT,
    asset_type TEXT, exchange TEXT, UNIQUE (bundle_name, symbol));
CREATE TABLE IF NOT EXISTS backtest_data_links (id INTEGER PRIMARY KEY, backtest_id TEXT,
    bundle_name TEXT, accessed_at INTEGER);
CREATE TABLE IF NOT EXISTS forgotten (bundle_name TEXT PRIMARY KEY);
"""

#: The catalog of one bundle's Parquet files, as `metadata.db` had it.
PARQUET = """
CREATE TABLE IF NOT EXISTS datasets (dataset_id INTEGER PRIMARY KEY, source TEXT, resolution TEXT,
    schema_version INTEGER, created_at INTEGER, updated_at INTEGER);
CREATE TABLE IF NOT EXISTS symbols (symbol_id INTEGER PRIMARY KEY, dataset_id INTEGER,
    symbol TEXT, asset_type TEXT, exchange TEXT);
CREATE TABLE IF NOT EXISTS date_ranges (id INTEGER PRIMARY KEY, dataset_id INTEGER,
    start_date INTEGER, end_date INTEGER);
CREATE TABLE IF NOT EXISTS checksums (id INTEGER PRIMARY KEY, dataset_id INTEGER,
    parquet_path TEXT, checksum TEXT, last_updated INTEGER);
CREATE TABLE IF NOT EXISTS cache_entries (cache_key TEXT PRIMARY KEY, dataset_id INTEGER,
    parquet_path TEXT, checksum TEXT, created_at INTEGER, last_accessed INTEGER,
    access_count INTEGER, size_bytes INTEGER);
"""


class Tables:
    """A database that is made when it is first written to.

    Parameters
    ----------
    path : pathlib.Path
    schema : str
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self._schema = schema

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Rows of a query; none where there is no database yet."""
        if not self.path.is_file():
            return []
        with self._open() as connection:
            return [dict(row) for row in connection.execute(query, values)]

    def change(self, statement: str, *values: Any) -> int:
        """Run a statement; how many rows it changed."""
        with self._open() as connection:
            return connection.execute(statement, values).rowcount

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """Add a row; its number."""
        plain = {k: json.dumps(v) if isinstance(v, list | tuple) else v for k, v in row.items()}
        columns = ", ".join(f'"{name}"' for name in plain)
        marks = ", ".join("?" for _ in plain)
        insert = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608  our own names
        with self._open() as connection:
            return int(connection.execute(insert, list(plain.values())).lastrowid or 0)

    def columns(self, table: str) -> set[str]:
        """Names of a table's columns."""
        return {str(row["name"]) for row in self.rows(f"PRAGMA table_info({table})")}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.row_factory = sqlite3.Row
            connection.executescript(self._schema)
            yield connection
