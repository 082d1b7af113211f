"""`DataCatalog` of the releases up to 0.3, over new bundles, old databases and a store of its own.

What it is told goes to a database of its own below the new bundles, so that the old ones stay as
they are; what it is asked is answered by that, by the old databases, and by the bundles there are.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from rustybt.data.bundles import _files, metadata, storage
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.errors import BundleError, CorruptVersionError
from rustybt.legacy._deprecated import deprecated_class
from rustybt.legacy._old_databases import OldDatabases
from rustybt.legacy._rows import CATALOG, Row, Tables
from rustybt.legacy.migration._claims import OF_NOTHING

_DAY = 86_400
_METADATA = (
    *("bundle_name", "source_type", "source_url", "api_version", "fetch_timestamp"),
    *("data_version", "checksum", "file_checksum", "file_size_bytes", "timezone"),
    *("created_at", "updated_at"),
)
_QUALITY = (
    *("bundle_name", "row_count", "start_date", "end_date", "missing_days_count"),
    *("missing_days_list", "outlier_count", "ohlcv_violations", "validation_passed"),
    "validation_timestamp",
)
_LISTED = (
    *("bundle_name", "source_type", "source_url", "fetch_timestamp", "checksum", "file_checksum"),
    *("file_size_bytes", "row_count", "start_date", "end_date", "validation_passed"),
)
_CACHED = (
    *("cache_key", "bundle_name", "bundle_path", "symbols", "start", "end", "frequency"),
    *("fetch_timestamp", "size_bytes", "row_count", "last_accessed"),
)


class CatalogBase:
    """What `DataCatalog` does, without its warning.

    Parameters
    ----------
    db_path : str, optional
        A database of one's own, in the layout of release 0.3, instead of the root's catalog.
    """

    def __init__(self, db_path: str | None = None) -> None:
        root = storage.bundles_root().parent
        default = storage.bundles_root() / ".catalog" / "catalog.db"
        self.db_path = str(db_path or default)
        self._tables = Tables(Path(self.db_path), CATALOG)
        self._old = OldDatabases(None if db_path else root)

    def store_metadata(self, metadata: dict[str, Any]) -> None:
        """Keep facts about a bundle; what was known and is not named stays.

        Raises
        ------
        ValueError
            If the bundle's name or its source is not among them.
        """
        missing = [name for name in ("bundle_name", "source_type") if not metadata.get(name)]
        if missing:
            raise ValueError(f"metadata has no {', '.join(missing)}")
        self._keep(metadata["bundle_name"], metadata)

    def store_quality_metrics(self, metrics: dict[str, Any]) -> None:
        """Keep the measures of a bundle.

        Raises
        ------
        ValueError
            If the bundle's name is not among them.
        """
        if not metrics.get("bundle_name"):
            raise ValueError("metrics has no bundle_name")
        self._keep(metrics["bundle_name"], metrics)

    def _keep(self, name: str, facts: Mapping[str, Any]) -> None:
        now = int(time.time())
        known = self._row(name) or {"created_at": now, "fetch_timestamp": now}
        columns = {*_METADATA, *_QUALITY}
        row = {**known, **facts, "updated_at": now}
        self._tables.change("DELETE FROM forgotten WHERE bundle_name = ?", name)
        self._tables.change("DELETE FROM bundle_metadata WHERE bundle_name = ?", name)
        kept = {key: _seconds(value) for key, value in row.items() if key in columns}
        self._tables.insert("bundle_metadata", kept)

    def get_bundle_metadata(self, bundle_name: str) -> dict[str, Any] | None:
        """What is known of where a bundle came from; None if there is no such bundle."""
        row = self._row(bundle_name)
        return None if row is None else {name: row.get(name) for name in _METADATA}

    def get_quality_metrics(self, bundle_name: str) -> dict[str, Any] | None:
        """The measures of a bundle; None if there is no such bundle, or it was never measured."""
        row = self._row(bundle_name)
        if row is None or not row.get("is_measured", True):
            return None
        return {name: row.get(name) for name in _QUALITY}

    def list_bundles(
        self,
        source_type: str | None = None,
        start_date: int | None = None,
        end_date: int | None = None,
    ) -> list[dict[str, Any]]:
        """All bundles, or those of a source of which all bars lie between two unix times."""
        rows = [row for name in self._names() if (row := self._row(name)) is not None]
        return [
            {name: row.get(name) for name in _LISTED}
            for row in rows
            if source_type in (None, row.get("source_type")) and _within(row, start_date, end_date)
        ]

    def delete_bundle_metadata(self, bundle_name: str) -> bool:
        """Forget what is known of a bundle; its data stays. Whether anything was known."""
        known = self._row(bundle_name) is not None
        self._tables.change("DELETE FROM bundle_metadata WHERE bundle_name = ?", bundle_name)
        if known:
            insert = "INSERT OR IGNORE INTO forgotten (bundle_name) VALUES (?)"
            self._tables.change(insert, bundle_name)
        return known

    def register_bundle(self, name: str, path: str | os.PathLike[str]) -> Path:
        """Make a version of a bundle out of a version of another one, by linking its files.

        Parameters
        ----------
        name : str
        path : path-like
            The directory of a version, as an ingest returns it.

        Returns
        -------
        pathlib.Path
            The directory of the new version.

        Raises
        ------
        BundleError
            If there is no version at that path.
        """
        source = Path(path)
        try:
            _files.check(source)
            record = BundleMetadata.read(source / metadata.FILE)
        except CorruptVersionError as error:
            raise BundleError(f"{source} is not the directory of a version: {error}") from error
        with storage.new_version(name, record.ingestion_time) as draft:
            for each in _files.names(source):
                target = draft.path / each
                target.parent.mkdir(parents=True, exist_ok=True)
                if each not in (metadata.FILE, metadata.TEXT_FILE):
                    _link(source / each, target)
            parent = draft.parent.path.name if draft.parent else None
            replace(record, bundle_name=name, parent_version=parent).save(draft.path)
        return draft.version.path

    def count_bundles(self) -> int:
        """How many bundles there are."""
        return len(self.list_bundles())

    def count_quality_metrics(self) -> int:
        """How many bundles were measured."""
        found = (self._row(name) or {} for name in self._names())
        return sum(row.get("validation_timestamp") is not None for row in found)

    def get_bundle_name(self) -> str:
        """The bundle that was fetched last; empty if there is none."""
        rows = [row for name in self._names() if (row := self._row(name)) is not None]
        newest = max(rows, key=lambda row: row.get("fetch_timestamp") or 0, default={})
        return str(newest.get("bundle_name", ""))

    def link_backtest_to_bundles(self, backtest_id: str, bundle_names: list[str]) -> None:
        """Keep which bundles a backtest read."""
        for name in bundle_names:
            row = {"backtest_id": backtest_id, "bundle_name": name, "accessed_at": int(time.time())}
            self._tables.insert("backtest_data_links", row)

    def get_bundles_for_backtest(self, backtest_id: str) -> list[str]:
        """Bundles that a backtest read, sorted."""
        return self._links("backtest_id", backtest_id, "bundle_name")

    def get_backtests_using_bundle(self, bundle_name: str) -> list[str]:
        """Backtests that read a bundle, sorted."""
        return self._links("bundle_name", bundle_name, "backtest_id")

    def _links(self, given: str, value: str, wanted: str) -> list[str]:
        own = self._tables.rows("SELECT * FROM backtest_data_links")
        rows = [*own, *self._old.rows("backtest_data_links")]
        return sorted({str(row[wanted]) for row in rows if row[given] == value})

    def _names(self) -> list[str]:
        own = self._tables.rows("SELECT bundle_name FROM bundle_metadata")
        named = {str(row["bundle_name"]) for row in own}
        if self._old.root is not None:
            named |= {*self._old.bundles(), *storage.list_bundles()}
        gone = self._tables.rows("SELECT bundle_name FROM forgotten")
        return sorted(named - {row["bundle_name"] for row in gone})

    def _row(self, name: str) -> Row | None:
        """What is known of a bundle: as it was stored here, else of its last fetch."""
        own = self._tables.rows("SELECT * FROM bundle_metadata WHERE bundle_name = ?", name)
        if own:
            return _plain(own[0])
        if self._old.root is None or name not in self._names():
            return None
        known = [row for row in (self._old.bundle(name), _of_version(name)) if row is not None]
        return max(known, key=lambda row: row.get("fetch_timestamp") or 0, default=None)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _seconds(value: Any) -> Any:
    """Dates as the old tables hold them."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, date):
        return (value - date(1970, 1, 1)).days * _DAY
    return value


def _plain(row: Row) -> Row:
    days = _listed(row.get("missing_days_list"))
    return {**row, "missing_days_list": days, "validation_passed": bool(row["validation_passed"])}


def _within(row: Row, start: int | None, end: int | None) -> bool:
    """Whether the bars of a row lie between two times; bars of unknown dates lie in no range."""
    first, last = row.get("start_date"), row.get("end_date")
    starts = start is None or (first is not None and first >= start)
    return starts and (end is None or (last is not None and last <= end))


def _listed(value: Any) -> list[Any]:
    """A list that the old tables hold as JSON."""
    found = json.loads(value) if isinstance(value, str) else value
    return list(found or [])


def _of_version(name: str) -> Row | None:
    """A row of the old catalog, about the newest version of a bundle."""
    present = storage.versions(name)
    if not present:
        return None
    record = BundleMetadata.of(present[0])
    moment = int(record.ingestion_time.timestamp())
    known = record.start_date == record.start_date  # NaT is not
    digest = record.content_hash or OF_NOTHING
    claims = record.provenance.get("migrated_from", {}).get("claims", [])
    claimed = next((c["facts"] for c in reversed(claims) if c["kind"] == "DataCatalog"), {})
    texts = ("source_url", "api_version", "data_version")
    return {
        **{text: claimed.get(text) for text in texts},
        "bundle_name": name,
        "source_type": record.source_type,
        "fetch_timestamp": moment,
        "checksum": digest,
        "file_checksum": digest,
        "file_size_bytes": record.size_bytes,
        "timezone": "UTC",
        "created_at": moment,
        "updated_at": moment,
        "row_count": record.row_count,
        "start_date": _seconds(record.start_date.date()) if known else None,
        "end_date": _seconds(record.end_date.date()) if known else None,
        "missing_days_count": 0,
        "missing_days_list": [],
        "outlier_count": 0,
        "ohlcv_violations": 0,
        "validation_passed": True,
        "validation_timestamp": moment,
    }


class CacheRows(CatalogBase):
    """The part of `DataCatalog` that kept the books of the old cache."""

    def store_cache_metadata(self, metadata: dict[str, Any]) -> None:
        """Keep facts about a cached frame, by its ``cache_key``."""
        now = int(time.time())
        row = {"fetch_timestamp": now, "last_accessed": now, "size_bytes": 0, **metadata}
        self.delete_cache_entry(row["cache_key"])
        columns = self._tables.columns("bundle_cache")
        kept = {key: _seconds(value) for key, value in row.items() if key in columns or not columns}
        self._tables.insert("bundle_cache", kept)

    def find_cached_bundle(self, cache_key: str) -> dict[str, Any] | None:
        """Facts about a cached frame; None if there is none of that key."""
        row = next((row for row in self._cached() if row["cache_key"] == cache_key), None)
        return row and {**dict.fromkeys(_CACHED), **row, "symbols": _listed(row.get("symbols"))}

    def update_cache_access(self, cache_key: str) -> None:
        """Say that a cached frame was read now."""
        row = self.find_cached_bundle(cache_key)
        if row is not None:
            self.store_cache_metadata({**row, "last_accessed": int(time.time())})

    def get_cache_size(self) -> int:
        """Bytes of all cached frames."""
        return sum(int(row["size_bytes"] or 0) for row in self._cached())

    def get_lru_cache_entries(self) -> list[dict[str, Any]]:
        """Facts about all cached frames, the one that was not read for longest first."""
        return sorted(self._cached(), key=lambda row: row["last_accessed"] or 0)

    def delete_cache_entry(self, cache_key: str) -> bool:
        """Forget a cached frame. Whether it was known here."""
        return self._tables.change("DELETE FROM bundle_cache WHERE cache_key = ?", cache_key) > 0

    def _cached(self) -> list[Row]:
        rows = [*self._old.rows("bundle_cache"), *self._tables.rows("SELECT * FROM bundle_cache")]
        known = {row["cache_key"]: {k: v for k, v in row.items() if k != "id"} for row in rows}
        return list(known.values())

    def increment_cache_hits(self) -> None:
        """Count a request that the cache answered."""
        self._count("hit_count")

    def increment_cache_misses(self) -> None:
        """Count a request that the cache could not answer."""
        self._count("miss_count")

    def _count(self, column: str) -> None:
        today = int(time.time()) // _DAY * _DAY
        insert = "INSERT OR IGNORE INTO cache_statistics (stat_date) VALUES (?)"
        self._tables.change(insert, today)
        update = f"UPDATE cache_statistics SET {column} = {column} + 1 WHERE stat_date = ?"  # noqa: S608
        self._tables.change(update, today)

    def get_cache_stats(self, days: int = 7) -> list[dict[str, Any]]:
        """Hits and misses of the last days, the newest first; ``hit_rate`` is in percent."""
        since = int(time.time()) - days * _DAY
        rows = self._tables.rows(
            "SELECT * FROM cache_statistics WHERE stat_date > ? ORDER BY stat_date DESC", since
        )
        for row in rows:
            asked = row["hit_count"] + row["miss_count"]
            row["hit_rate"] = 100.0 * row["hit_count"] / asked if asked else 0.0
        return rows


@deprecated_class("rustybt.data.bundles.BundleMetadata")
class DataCatalog(CacheRows):
    """The catalog of a root, as releases up to 0.3 had it; `BundleMetadata` replaces it.

    Parameters
    ----------
    db_path : str, optional
        A database of one's own instead of the root's.
    """
