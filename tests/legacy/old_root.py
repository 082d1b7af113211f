"""Roots as the releases 0.1 to 0.3 left them, written after their documented formats.

Nothing here comes from the code under test: tables, types, partitions and habits are those of the
old releases, also the wrong ones.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from tests.frames import VALUES

OF_NOTHING = hashlib.sha256(b"").hexdigest()

_COMMON = """bundle_name TEXT NOT NULL, source_type TEXT NOT NULL, source_url TEXT,
    api_version TEXT, fetch_timestamp INTEGER NOT NULL, data_version TEXT"""
_MEASURES = """row_count INTEGER, start_date INTEGER, end_date INTEGER, missing_days_count INTEGER,
    missing_days_list TEXT, outlier_count INTEGER, ohlcv_violations INTEGER"""
_V8 = f"""
CREATE TABLE bundle_metadata (id INTEGER PRIMARY KEY, {_COMMON}, checksum TEXT NOT NULL,
    timezone TEXT, created_at INTEGER, updated_at INTEGER, UNIQUE (bundle_name));
CREATE TABLE data_quality_metrics (id INTEGER PRIMARY KEY, bundle_name TEXT NOT NULL, {_MEASURES},
    validation_timestamp INTEGER, validation_passed BOOLEAN);
"""
_V9 = f"""
CREATE TABLE bundle_metadata (id INTEGER PRIMARY KEY, {_COMMON}, timezone TEXT DEFAULT 'UTC',
    {_MEASURES}, validation_passed BOOLEAN, validation_timestamp INTEGER, file_checksum TEXT,
    file_size_bytes INTEGER, checksum TEXT, created_at INTEGER, updated_at INTEGER,
    UNIQUE (bundle_name));
"""
_LATER = """
CREATE TABLE bundle_cache (id INTEGER PRIMARY KEY, cache_key TEXT NOT NULL, bundle_name TEXT,
    bundle_path TEXT, symbols TEXT, start TEXT, "end" TEXT, frequency TEXT,
    fetch_timestamp INTEGER, size_bytes INTEGER, row_count INTEGER, last_accessed INTEGER);
CREATE TABLE cache_statistics (stat_date INTEGER PRIMARY KEY, hit_count INTEGER,
    miss_count INTEGER, total_size_mb REAL, avg_fetch_latency_ms REAL);
CREATE TABLE bundle_symbols (id INTEGER PRIMARY KEY, bundle_name TEXT, symbol TEXT,
    asset_type TEXT, exchange TEXT, UNIQUE (bundle_name, symbol));
"""
_V10 = """
CREATE TABLE backtest_data_links (id INTEGER PRIMARY KEY, backtest_id TEXT, bundle_name TEXT,
    accessed_at INTEGER);
"""
#: Version of `assets-<N>.db` -> its tables; 8.5 is the later one of version 8.
SCHEMAS = {8: _V8, 8.5: _V8 + _LATER, 9: _V9 + _LATER, 10: _V9 + _LATER + _V10}

_PARQUET_CATALOG = """
CREATE TABLE datasets (dataset_id INTEGER PRIMARY KEY, source TEXT, resolution TEXT,
    schema_version INTEGER, created_at INTEGER, updated_at INTEGER);
CREATE TABLE symbols (symbol_id INTEGER PRIMARY KEY, dataset_id INTEGER, symbol TEXT,
    asset_type TEXT, exchange TEXT);
CREATE TABLE date_ranges (id INTEGER PRIMARY KEY, dataset_id INTEGER, start_date INTEGER,
    end_date INTEGER);
CREATE TABLE checksums (id INTEGER PRIMARY KEY, dataset_id INTEGER, parquet_path TEXT,
    checksum TEXT, last_updated INTEGER);
CREATE TABLE cache_entries (cache_key TEXT PRIMARY KEY, dataset_id INTEGER, parquet_path TEXT,
    checksum TEXT, created_at INTEGER, last_accessed INTEGER, access_count INTEGER,
    size_bytes INTEGER);
CREATE TABLE splits (sid INTEGER, effective_date INTEGER, ratio REAL);
CREATE TABLE mergers (sid INTEGER, effective_date INTEGER, ratio REAL);
CREATE TABLE dividends (sid INTEGER, effective_date INTEGER, ratio REAL);
CREATE TABLE dividend_payouts (sid INTEGER, ex_date INTEGER, declared_date INTEGER,
    record_date INTEGER, pay_date INTEGER, amount REAL);
CREATE TABLE stock_dividend_payouts (sid INTEGER, ex_date INTEGER, declared_date INTEGER,
    record_date INTEGER, pay_date INTEGER, payment_sid INTEGER, ratio REAL);
"""

Row = Mapping[str, Any]


def seconds(day: str | date) -> int:
    """Unix time of midnight UTC."""
    moment = datetime.fromisoformat(str(day)).replace(tzinfo=UTC)
    return int(moment.timestamp())


def checksum(*paths: Path) -> str:
    """SHA-256 of the bytes of some files, one after another."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


@dataclass(frozen=True)
class OldRoot:
    """A zipline root in the making.

    Attributes
    ----------
    path : pathlib.Path
    """

    path: Path

    @property
    def cache(self) -> Path:
        """Where its owner's old cache would be."""
        return self.path.parent / "home" / ".rustybt" / "cache"

    def directory(self, bundle: str, place: str = "data/bundles") -> Path:
        return self.path / place / bundle

    def catalog(self, version: float, bundles: Iterable[Row] = (), **tables: list[Row]) -> Path:
        """Write ``assets-<N>.db``; rows of v8's measures go to their own table."""
        path = self.path / f"assets-{int(version)}.db"
        _execute(path, SCHEMAS[version])
        for row in bundles:
            stamped = {"created_at": 1_700_000_000, "updated_at": 1_700_000_000, **row}
            whole = {"source_type": "csv", "fetch_timestamp": 1_700_000_000, **stamped}
            if version < 9:
                whole.setdefault("checksum", OF_NOTHING)
            _insert(path, "bundle_metadata", [whole])
        for name, rows in tables.items():
            _insert(path, name, rows)
        return path

    def bars(self, bundle: str, frame: pl.DataFrame, **where: Any) -> Path:
        """Write a file of bars into the partition of its first row, as the old writer did.

        Parameters
        ----------
        frame : polars.DataFrame
            ``sid``, ``timestamp`` (Date or naive Datetime) and values as text or numbers.
        """
        daily = frame.schema["timestamp"] == pl.Date
        first = frame["timestamp"][0]
        parts = [f"year={first.year}", f"month={first.month}"] + [f"day={first.day}"] * (not daily)
        place = self.directory(bundle, **where) / ("daily_bars" if daily else "minute_bars")
        path = place.joinpath(*parts) / "data.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        typed = frame.with_columns(pl.col(VALUES).cast(pl.Decimal(18, 8)))
        name = "date" if daily else "timestamp"
        year, month = pl.lit(first.year, pl.Int32), pl.lit(first.month, pl.Int8)
        typed.select(
            pl.col("timestamp").alias(name), "sid", *VALUES, year.alias("year"),
            month.alias("month"),
        ).write_parquet(path)  # fmt: skip
        return path

    def parquet_catalog(
        self, bundle: str, *datasets: Row, events: Mapping[str, Sequence[Row]] | None = None,
        place: str = "data/bundles",
    ) -> Path:  # fmt: skip
        """Write ``metadata.db``.

        Parameters
        ----------
        datasets : mapping
            ``source``, ``resolution``, ``symbols`` (text or rows), ``range`` (two unix times) and
            ``files`` (checksum by path).
        """
        directory = self.directory(bundle, place)
        directory.mkdir(parents=True, exist_ok=True)
        cut = str(directory / "metadata.db").partition("?")[0]
        path = Path(cut)
        _execute(path, _PARQUET_CATALOG)
        for number, dataset in enumerate(datasets, start=1):
            _dataset(path, number, dataset)
        for table, rows in (events or {}).items():
            _insert(path, table, rows)
        return path

    def cached(self, key: str, frame: pl.DataFrame) -> Path:
        """Write a file of the old cache."""
        path = self.cache / f"cache_{key}" / "data.parquet"
        path.parent.mkdir(parents=True)
        typed = pl.col(VALUES).cast(pl.Decimal(38, 8))
        moment = pl.col("timestamp").cast(pl.Datetime("us", "UTC"))
        frame.with_columns(typed, moment).write_parquet(path)
        return path


def _dataset(path: Path, number: int, dataset: Row) -> None:
    stamps = {"schema_version": 1, "created_at": 1_700_000_000, "updated_at": 1_700_000_000}
    named = {name: dataset.get(name) for name in ("source", "resolution")}
    _insert(path, "datasets", [{"dataset_id": number, **named, **stamps}])
    rows = [row if isinstance(row, dict) else {"symbol": row} for row in dataset.get("symbols", ())]
    _insert(path, "symbols", [{"dataset_id": number, **row} for row in rows])
    if "range" in dataset:
        start, end = dataset["range"]
        _insert(path, "date_ranges", [{"dataset_id": number, "start_date": start, "end_date": end}])
    files = dataset.get("files", {})
    _insert(
        path,
        "checksums",
        [{"dataset_id": number, "parquet_path": p, "checksum": c} for p, c in files.items()],
    )


def _execute(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)


def _insert(path: Path, table: str, rows: Iterable[Row]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for row in rows:
            values = [json.dumps(v) if isinstance(v, list) else v for v in row.values()]
            columns = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" for _ in row)
            insert = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608  our own
            connection.execute(insert, values)


def walk(
    sids: Iterable[int], times: Sequence[date | datetime], seed: int = 0, start: float = 50.0
) -> pl.DataFrame:
    """Bars of eight decimal places, as text, which a cast to Decimal(18,8) keeps.

    Each sid starts at another price, so that exchanged ones are seen.
    """
    rows = []
    for sid in sids:
        units = int(start * sid * 10**8) + seed * 12_345
        for number, moment in enumerate(times):
            step = (units * (number * 7919 + sid * 104_729 + seed) % 2_000_003) - 1_000_000
            opened, close = units, units + step
            values = (opened, max(opened, close) + 777, min(opened, close) - 777, close)
            volume = Decimal(1000 + (number * 31 + sid) % 9000)
            rows.append((sid, moment, *(Decimal(each).scaleb(-8) for each in values), volume))
            units = close
    schema = {"sid": pl.Int64, "timestamp": None, **dict.fromkeys(VALUES, pl.Decimal(38, 8))}
    return pl.DataFrame(rows, schema=schema, orient="row")  # type: ignore[arg-type]


def tree(directory: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of everything below a directory, and of itself."""
    return {
        str(path.relative_to(directory)): (
            "directory" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in [directory, *sorted(directory.rglob("*"))]
    }
