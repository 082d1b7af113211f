"""What is known of a version: where its bars came from, what they are, how good they are."""

import json
import os
from collections.abc import Mapping
from copy import copy
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from rustybt.data.bundles import _files, _records, storage
from rustybt.data.bundles.panel import Precision
from rustybt.data.errors import CorruptVersionError

FILE = "metadata.parquet"
#: The same for whoever has not imported Polars; versions of the first days have none.
TEXT_FILE = "metadata.json"
#: Version of the layout of a bundle's directory; the first number changes when old readers break.
SCHEMA_VERSION = "1.0"

#: Decimal places to which zipline rounds adjusted prices, the fewest that anything here keeps.
ZIPLINE_DECIMALS = 3

#: Values of `BundleMetadata.survivorship`.
SURVIVORS = "survivors only"
WITH_ENDED = "ended assets are in it"

_SESSIONS = ("start_date", "end_date", "start_session", "end_session")


@dataclass(frozen=True)
class BundleMetadata:
    """The record of one version of a bundle.

    Attributes
    ----------
    bundle_name : str
    symbols : list of str
        Symbols with bars in this version, sorted.
    start_date, end_date : pandas.Timestamp
        First and last session of the bundle, naive; NaT where nobody knows, as with a record that
        was migrated from an old catalog whose data files are gone.
    frequency : str
        ``1d``, ``1m``, ..., or both as ``1d,1m``.
    source_type : str
        Name of the source: ``csv``, ``yfinance``, ...
    ingestion_time : pandas.Timestamp
        UTC.
    row_count : int
        Bars as they came from the source.
    size_bytes : int
        Of the Parquet files; what is derived from them is not counted.
    quality_score : float
        0.0 to 1.0; see `rustybt.data.bundles.quality`.
    missing_data_pct : float
        Percent of the sessions in the assets' lives that have no bar.
    schema_version : str
    calendar, calendar_version : str
        Name, and the exchange_calendars release that gave its sessions.
    adjustment : str
        ``raw``, ``split`` or ``split_dividend``: what the bars are adjusted for.
    feed : str
    precision : str
        ``full``, or ``bcolz`` for bars that read back as zipline's own format would.
    source_config : dict
        Configuration of the source without secrets.
    content_hash : str
        SHA-256 over bars, assets and events; equal for equal data, however it was ingested.
    parent_version : str or None
        Directory name of the version before.
    price_decimals : int or None
        Decimal places that hold every price exactly; None if there is no such number.
    volume_decimals : int or None
        The same for the volumes.
    notes : list of str
        Assumptions that were made, in sentences.
    universe : list of str
        Symbols that the bundle is meant to have, sorted; some may have no bars.
    survivorship : str
        ``ended assets are in it`` if an asset ends before the bundle does, else
        ``survivors only``: then a backtest may profit from knowing who survived.
    start_session, end_session : pandas.Timestamp or None
        The sessions that a run may ask for, where they reach further than the bars.
    minutes_per_day : int or None
        Minutes of an ordinary session, where the bundle's registration says so.
    ohlc_ratios : mapping of int to float
        Under ``bcolz``, by sid: what minute prices are multiplied by to become the integers of
        zipline's format, where that is not 1000.
    provenance : mapping
        What is claimed of the version and not vouched for, as JSON values: what an old catalog
        said of the bundle that this one was migrated from.
    """

    bundle_name: str
    symbols: list[str]
    start_date: pd.Timestamp
    end_date: pd.Timestamp
    frequency: str
    source_type: str
    ingestion_time: pd.Timestamp
    row_count: int
    size_bytes: int
    quality_score: float
    missing_data_pct: float
    schema_version: str = SCHEMA_VERSION
    calendar: str = ""
    calendar_version: str = ""
    adjustment: str = "raw"
    feed: str = ""
    precision: Precision = "full"
    source_config: Mapping[str, Any] = field(default_factory=dict)
    content_hash: str = ""
    parent_version: str | None = None
    price_decimals: int | None = None
    volume_decimals: int | None = None
    notes: list[str] = field(default_factory=list)
    universe: list[str] = field(default_factory=list)
    survivorship: str = ""
    start_session: pd.Timestamp | None = None
    end_session: pd.Timestamp | None = None
    minutes_per_day: int | None = None
    ohlc_ratios: Mapping[int, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def adjusted_decimals(self) -> int | None:
        """Places to round adjusted prices to: as many as are stored, or zipline's; None for none.

        Under precision ``bcolz`` always zipline's.
        """
        if self.precision == "bcolz":
            return ZIPLINE_DECIMALS
        stored = self.price_decimals
        return None if stored is None else max(stored, ZIPLINE_DECIMALS)

    @property
    def bounds(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """First and last session that a run may ask for."""
        return self.start_session or self.start_date, self.end_session or self.end_date

    @property
    def span(self) -> str:
        """First and last session as text."""
        if pd.isna(self.start_date):
            return "unknown"
        return f"{self.start_date.date()} to {self.end_date.date()}"

    @classmethod
    def load(
        cls,
        name: str,
        timestamp: object = None,
        environ: Mapping[str, str] = os.environ,
    ) -> "BundleMetadata":
        """The record of a bundle's newest version, or of the newest one as of `timestamp`.

        Raises
        ------
        UnknownBundleError
            If there is no such version.
        CorruptVersionError
            If the version is damaged.
        """
        return cls.of(storage.find_version(name, timestamp, environ))

    @classmethod
    def of(cls, version: storage.Version) -> "BundleMetadata":
        """The record of a version."""
        table = storage.read_file(version, FILE)
        if TEXT_FILE not in _files.names(version.path):
            return cls.read(table)
        return cls.read(storage.read_file(version, TEXT_FILE))

    @classmethod
    def read(cls, path: Path) -> "BundleMetadata":
        """Read a record from a Parquet file, or a JSON file that was checked.

        Fields of a later schema are left out; those that an earlier one had not get defaults.

        Raises
        ------
        CorruptVersionError
            If the file cannot be read, or lacks a field that every schema has.
        """
        is_text = path.suffix == ".json"
        row = _records.read_text(path) if is_text else _records.read_table(path)
        values = {each.name: copy(row[each.name]) for each in fields(cls) if each.name in row}
        missing = [name for name in _required() if name not in values]
        if missing:
            raise CorruptVersionError(f"{path} has no {', '.join(missing)}")
        for name in (*_SESSIONS, "ingestion_time"):
            if values.get(name) is not None:
                values[name] = pd.Timestamp(values[name])
        for name in ("start_date", "end_date"):
            values[name] = pd.NaT if values[name] is None else values[name]
        for name in ("source_config", "provenance"):
            if name in values:
                values[name] = json.loads(values[name])
        if "ohlc_ratios" in values:
            ratios = json.loads(values["ohlc_ratios"])
            values["ohlc_ratios"] = {int(sid): ratio for sid, ratio in ratios.items()}
        return cls(**values)

    def save(self, path: Path) -> Path:
        """Write the record as a Parquet file of one row.

        Parameters
        ----------
        path : pathlib.Path
            A directory, which gets it as JSON too, or the file itself.
        """
        row = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in _SESSIONS:
            row[name] = row[name].date() if pd.notna(row[name]) else None
        row["ingestion_time"] = row["ingestion_time"].to_pydatetime(warn=False)
        for name in ("source_config", "provenance"):
            row[name] = json.dumps(dict(row[name]), sort_keys=True, default=str)
        row["ohlc_ratios"] = json.dumps(dict(self.ohlc_ratios), sort_keys=True)
        target, text = (path / FILE, path / TEXT_FILE) if path.is_dir() else (path, None)
        _records.write(row, target, text)
        return target

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values, dates in ISO 8601."""
        row = asdict(self)
        for name in _SESSIONS:
            row[name] = row[name].date().isoformat() if pd.notna(row[name]) else None
        row["ingestion_time"] = row["ingestion_time"].isoformat()
        return row


def _required() -> list[str]:
    return [
        each.name
        for each in fields(BundleMetadata)
        if each.default is MISSING and each.default_factory is MISSING
    ]
