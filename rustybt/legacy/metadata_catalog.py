"""`ParquetMetadataCatalog` of the releases up to 0.3: one database about one bundle's files."""

import re
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rustybt.data.bundles._files import sha256
from rustybt.legacy._deprecated import deprecated, deprecated_class
from rustybt.legacy._rows import PARQUET, Row, Tables
from rustybt.legacy.migration._claims import utc_day, utc_offset

_DAY = 86_400
_INSTEAD = "rustybt.data.bundles.BundleMetadata, which every version has,"


@deprecated_class(_INSTEAD)
class ParquetMetadataCatalog:
    """Datasets, symbols, ranges and checksums of one bundle's Parquet files.

    Parameters
    ----------
    db_path : str
        The database, in the layout of release 0.3; made when it is first written to.
    """

    def __init__(self, db_path: str) -> None:
        self.db_path = str(db_path)
        self._tables = Tables(Path(self.db_path), PARQUET)

    def create_dataset(self, source: str, resolution: str, schema_version: int = 1) -> int:
        """Add a dataset; its number."""
        now = int(time.time())
        named = {"source": source, "resolution": resolution, "schema_version": schema_version}
        return self._tables.insert("datasets", {**named, "created_at": now, "updated_at": now})

    def add_symbol(
        self,
        dataset_id: int,
        symbol: str,
        asset_type: str | None = None,
        exchange: str | None = None,
    ) -> int:
        """Add a symbol to a dataset; its number."""
        row = {"dataset_id": dataset_id, "symbol": symbol}
        return self._tables.insert(
            "symbols", {**row, "asset_type": asset_type, "exchange": exchange}
        )

    def update_date_range(
        self, dataset_id: int, start_date: date | str, end_date: date | str
    ) -> None:
        """Set the first and last date of a dataset."""
        start, end = (_midnight(day) for day in (start_date, end_date))
        self._tables.change("DELETE FROM date_ranges WHERE dataset_id = ?", dataset_id)
        row = {"dataset_id": dataset_id, "start_date": start, "end_date": end + _DAY - 1}
        self._tables.insert("date_ranges", row)

    def add_checksum(self, dataset_id: int, parquet_path: str, checksum: str) -> int:
        """Keep the checksum of a file; its number."""
        delete = "DELETE FROM checksums WHERE dataset_id = ? AND parquet_path = ?"
        self._tables.change(delete, dataset_id, parquet_path)
        row = {"dataset_id": dataset_id, "parquet_path": parquet_path, "checksum": checksum}
        return self._tables.insert("checksums", {**row, "last_updated": int(time.time())})

    def get_dataset_info(self, dataset_id: int) -> dict[str, Any] | None:
        """A dataset; None if there is none of that number."""
        return next(iter(self._of("datasets", dataset_id)), None)

    def get_symbols(self, dataset_id: int) -> list[dict[str, Any]]:
        """The symbols of a dataset."""
        return self._of("symbols", dataset_id)

    def get_all_symbols(self) -> list[dict[str, Any]]:
        """The symbols of all datasets."""
        return self._tables.rows("SELECT * FROM symbols")

    def get_date_range(self, dataset_id: int) -> dict[str, Any] | None:
        """First and last date of a dataset, as `datetime.date`; None if they were never set."""
        for row in self._of("date_ranges", dataset_id):
            # Release 0.3 wrote local midnights; what is written here is in UTC.
            start, end = row["start_date"], row["end_date"]
            days = [utc_day(start + utc_offset(start)), utc_day(end + utc_offset(end + 1))]
            return {
                "dataset_id": dataset_id,
                "start_date": days[0],
                "end_date": days[1],
            }
        return None

    def find_parquet_files(
        self,
        dataset_id: int,
        start_date: date | None = None,
        end_date: date | None = None,
    ) -> list[str]:
        """Paths of a dataset's files, sorted; those whose partition lies between two dates."""
        paths = sorted(str(row["parquet_path"]) for row in self._of("checksums", dataset_id))
        return [path for path in paths if _is_between(path, start_date, end_date)]

    def verify_checksum(self, parquet_path: str, actual_checksum: str) -> bool:
        """Whether a checksum is the one that was kept for a file."""
        query = "SELECT checksum FROM checksums WHERE parquet_path = ?"
        found = self._tables.rows(query, parquet_path)
        return bool(found) and found[-1]["checksum"] == actual_checksum

    def get_cache_entries(self) -> list[dict[str, Any]]:
        """Frames that the old writer cached."""
        return self._tables.rows("SELECT * FROM cache_entries")

    def count_symbols(self) -> int:
        """How many symbols there are, in all datasets."""
        return len(self.get_all_symbols())

    def _of(self, table: str, dataset_id: int) -> list[Row]:
        query = f"SELECT * FROM {table} WHERE dataset_id = ?"  # noqa: S608  our own names
        return self._tables.rows(query, dataset_id)


def _midnight(day: date | str) -> int:
    plain = date.fromisoformat(day[:10]) if isinstance(day, str) else day
    return (date(plain.year, plain.month, plain.day) - date(1970, 1, 1)).days * _DAY


def _is_between(path: str, start: date | None, end: date | None) -> bool:
    """Whether the partition of a path reaches into a range; one that names no date does."""
    named = {name: int(number) for name, number in re.findall(r"(year|month|day)=(\d+)", path)}
    if "year" not in named:
        return True
    first = date(named["year"], named.get("month", 1), named.get("day", 1))
    if "day" in named:
        last = first
    elif "month" in named:
        last = (first.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    else:
        last = date(first.year, 12, 31)
    starts = _day(start)
    ends = _day(end)
    return (starts is None or last >= starts) and (ends is None or first <= ends)


def _day(moment: date | None) -> date | None:
    return moment.date() if isinstance(moment, datetime) else moment


@deprecated("rustybt.data.bundles.storage.Version.check, which checks every file,")
def calculate_file_checksum(file_path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return sha256(Path(file_path))
