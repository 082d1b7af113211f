"""`BundleMetadataTracker` of the releases up to 0.3, which measured what an ingest had written."""

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from rustybt.legacy._deprecated import deprecated, deprecated_class
from rustybt.legacy.catalog import CacheRows

_INSTEAD = "DataSource.ingest_to_bundle, which records all this,"
_PRICES = ("open", "high", "low", "close")


class TrackerBase:
    """What `BundleMetadataTracker` does, without its warning.

    Parameters
    ----------
    catalog : DataCatalog, optional
        Where to keep it; the root's, if not given.
    """

    def __init__(self, catalog: Any = None) -> None:
        self.catalog = catalog if catalog is not None else CacheRows()

    def record_bundle_ingestion(
        self,
        bundle_name: str,
        source_type: str,
        data_files: list[Path],
        data: Any = None,
        source_url: str | None = None,
        api_version: str | None = None,
        data_version: str | None = None,
        calendar: Any = None,
        timezone: str = "UTC",
    ) -> dict[str, Any]:
        """Keep where a bundle came from and how good it is.

        Parameters
        ----------
        data_files : list of pathlib.Path
        data : polars.DataFrame or pandas.DataFrame, optional
            Its bars, to be measured.
        calendar : exchange_calendars.ExchangeCalendar, optional
            Whose sessions are missed; without it none is.

        Returns
        -------
        dict
            ``metadata`` and ``quality_metrics``, the latter None without `data`.
        """
        files = [Path(path) for path in data_files]
        digest = _digest(files)
        metadata = {
            "bundle_name": bundle_name,
            "source_type": source_type,
            "source_url": source_url,
            "api_version": api_version,
            "data_version": data_version,
            "fetch_timestamp": int(time.time()),
            "checksum": digest,
            "file_checksum": digest,
            "file_size_bytes": sum(path.stat().st_size for path in files),
            "timezone": timezone,
        }
        self.catalog.store_metadata(metadata)
        metrics = None
        if data is not None:
            metrics = {"bundle_name": bundle_name, **_measured(data, calendar)}
            self.catalog.store_quality_metrics(metrics)
        return {"metadata": metadata, "quality_metrics": metrics}

    def record_csv_bundle(
        self, bundle_name: str, csv_dir: Path, data: Any = None, calendar: Any = None
    ) -> dict[str, Any]:
        """Keep it for a bundle of the CSV files below a directory; see `record_bundle_ingestion`.

        Raises
        ------
        FileNotFoundError
            If there is no such directory.
        """
        directory = Path(csv_dir)
        if not directory.is_dir():
            raise FileNotFoundError(f"there is no directory {directory}")
        files = sorted(directory.rglob("*.csv"))
        return self.record_bundle_ingestion(
            bundle_name, "csv", files, data, source_url=str(directory), calendar=calendar
        )

    def record_api_bundle(
        self,
        bundle_name: str,
        source_type: str,
        data_file: Path,
        data: Any = None,
        api_url: str | None = None,
        api_version: str | None = None,
        data_version: str | None = None,
        calendar: Any = None,
    ) -> dict[str, Any]:
        """Keep it for a bundle of one file from a provider; see `record_bundle_ingestion`."""
        return self.record_bundle_ingestion(
            bundle_name,
            source_type,
            [Path(data_file)],
            data,
            api_url,
            api_version,
            data_version,
            calendar,
        )


def _digest(files: Iterable[Path]) -> str:
    """SHA-256 of all files' bytes, in the order of their paths."""
    hasher = hashlib.sha256()
    for path in sorted(files):
        hasher.update(path.read_bytes())
    return hasher.hexdigest()


def _measured(data: Any, calendar: Any) -> dict[str, Any]:
    frame = pl.from_pandas(data.reset_index()) if isinstance(data, pd.DataFrame) else data
    named = frame.rename({name: name.lower() for name in frame.columns})
    when = next((n for n in ("timestamp", "date", "index", "datetime") if n in named.columns), None)
    days = named[when].cast(pl.Date).unique().sort() if when else pl.Series([], dtype=pl.Date)
    missing = _missing(days, calendar)
    broken = 0
    if set(_PRICES) <= set(named.columns):
        low, high = pl.min_horizontal(*_PRICES), pl.max_horizontal(*_PRICES)
        broken = len(named.filter((pl.col("low") > low) | (pl.col("high") < high)))
    return {
        "row_count": len(named),
        "start_date": _midnight(days.min()),
        "end_date": _midnight(days.max()),
        "missing_days_count": len(missing),
        "missing_days_list": missing,
        "outlier_count": 0,
        "ohlcv_violations": broken,
        "validation_passed": not broken,
        "validation_timestamp": int(time.time()),
    }


def _missing(days: pl.Series, calendar: Any) -> list[str]:
    if calendar is None or not len(days):
        return []
    sessions = calendar.sessions_in_range(pd.Timestamp(days[0]), pd.Timestamp(days[-1]))
    present = set(days)
    return [str(day) for day in sessions.date if day not in present]


def _midnight(day: Any) -> int | None:
    return None if day is None else int(pd.Timestamp(day).timestamp())


@deprecated_class(_INSTEAD)
class BundleMetadataTracker(TrackerBase):
    """Measures and records what an ingest wrote, as releases up to 0.3 did.

    Parameters
    ----------
    catalog : DataCatalog, optional
    """


@deprecated(_INSTEAD)
def track_csv_bundle_metadata(
    bundle_name: str, csv_dir: str, data: Any = None, calendar: Any = None
) -> dict[str, Any]:
    """See `BundleMetadataTracker.record_csv_bundle`."""
    return TrackerBase().record_csv_bundle(bundle_name, Path(csv_dir), data, calendar)


@deprecated(_INSTEAD)
def track_api_bundle_metadata(
    bundle_name: str,
    source_type: str,
    data_file: str,
    data: Any = None,
    api_url: str | None = None,
    api_version: str | None = None,
    data_version: str | None = None,
    calendar: Any = None,
) -> dict[str, Any]:
    """See `BundleMetadataTracker.record_api_bundle`."""
    return TrackerBase().record_api_bundle(
        bundle_name,
        source_type,
        Path(data_file),
        data,
        api_url,
        api_version,
        data_version,
        calendar,
    )
