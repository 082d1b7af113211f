"""What the old catalogs say of each bundle, read out of their rows.

Two kinds of catalog: `DataCatalog`, one database a root, in three versions of its tables; and
`ParquetMetadataCatalog`, one database a bundle, in which nothing is unique.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rustybt.legacy.migration._facts import Claim
from rustybt.legacy.migration._sqlite import Cells, Database

_DAY = 86_400
#: Offsets from UTC that are in use lie between -12 and +14 hours. Where a time of day could be
#: either, +13 (New Zealand in summer) is far commoner than -11, and -10 (Hawaii) than +14.
_AHEAD = 13 * 3600

_TEXTS = ("source_type", "source_url", "api_version", "data_version", "timezone")
_TIMES = ("fetch_timestamp", "created_at", "updated_at", "validation_timestamp")
_COUNTS = (
    *("row_count", "missing_days_count", "outlier_count", "ohlcv_violations"),
    *("validation_passed", "file_size_bytes"),
)
_CHECKSUMS = ("checksum", "file_checksum")
#: Where Parquet files of bars lie in a bundle's directory.
_FOLDERS = ("daily_bars", "minute_bars")
#: SHA-256 of nothing, which some ingests recorded because they had no file to hash.
OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass
class Catalogs:
    """What all catalogs of a root say.

    Attributes
    ----------
    claims : dict of str to list of Claim
        By bundle.
    cached : list of mapping
        Rows about the old cache.
    """

    claims: dict[str, list[Claim]] = field(default_factory=dict)
    cached: list[dict[str, Any]] = field(default_factory=list)

    def add(self, bundle: str, claim: Claim) -> None:
        """Keep what a catalog says of a bundle."""
        self.claims.setdefault(bundle, []).append(claim)


def read_data_catalog(database: Database, name: str, into: Catalogs) -> None:
    """Collect the rows of one ``assets-<N>.db``.

    Parameters
    ----------
    database : Database
    name : str
        The catalog as a claim names it.
    into : Catalogs
    """
    zones = {
        cells.row.get("bundle_name"): cells.row.get("timezone")
        for cells in database.rows("bundle_metadata")
    }
    measured = _quality_runs(database, zones)
    symbols = _by_bundle(database, "bundle_symbols", _symbol)
    links = _by_bundle(database, "backtest_data_links", lambda cells: dict(cells.row))
    for cells in database.rows("bundle_metadata"):
        bundle = cells.text("bundle_name")
        if bundle is None:
            continue
        runs = measured.get(bundle, [])
        facts = _catalog_facts(cells, zones.get(bundle)) | (runs[-1] if runs else {})
        history = [{"older_quality_run": run} for run in runs[:-1]]
        history += [{"used_by": link} for link in links.get(bundle, [])]
        named = tuple(_distinct(symbols.get(bundle, [])))
        claim = Claim(name, "DataCatalog", facts, named, history=tuple(history))
        into.add(bundle, claim)
    # Nothing kept these from outliving the row that they belong to.
    for bundle in sorted({*symbols, *measured} - {*zones}):
        runs = measured.get(bundle, [])
        named = tuple(_distinct(symbols.get(bundle, [])))
        into.add(bundle, Claim(name, "DataCatalog", runs[-1] if runs else {}, named))
    for cells in database.rows("bundle_cache"):
        _json_list(cells, "symbols")
        into.cached.append(dict(cells.row))


def _by_bundle(database: Database, table: str, read: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for cells in database.rows(table):
        bundle, value = cells.text("bundle_name"), read(cells)
        if bundle is not None and value is not None:
            found.setdefault(bundle, []).append(value)
    return found


def _symbol(cells: Cells) -> dict[str, Any] | None:
    symbol = cells.text("symbol")
    if symbol is None:
        return None
    kinds = {name: cells.text(name) for name in ("asset_type", "exchange")}
    return {"symbol": symbol, **kinds}


def _distinct(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each symbol once, where it was first named, with what any of its rows knows."""
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        known = merged.setdefault(row["symbol"], dict(row))
        known.update({key: row[key] for key in row if known[key] is None})
    return list(merged.values())


def _catalog_facts(cells: Cells, zone: object) -> dict[str, Any]:
    facts: dict[str, Any] = {name: cells.text(name) for name in (*_TEXTS, *_CHECKSUMS)}
    times = {name: cells.seconds(name) for name in _TIMES}
    return _known(facts | _quality_facts(cells, zone) | times)


def _quality_facts(cells: Cells, zone: object) -> dict[str, Any]:
    facts: dict[str, Any] = {name: cells.number(name) for name in _COUNTS}
    facts["missing_days_list"] = _json_list(cells, "missing_days_list")
    for edge in ("start", "end"):
        seconds = cells.seconds(f"{edge}_date")
        facts[f"{edge}_date"] = _day_in(seconds, zone)
        facts[f"{edge}_timestamp"] = seconds
    facts["validation_timestamp"] = cells.seconds("validation_timestamp")
    return _known(facts)


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _quality_runs(
    database: Database, zones: Mapping[Any, object]
) -> dict[str, list[dict[str, Any]]]:
    """Before version 9 each run was a row of its own; the newest is the last in the list."""

    def read(cells: Cells) -> dict[str, Any]:
        return _quality_facts(cells, zones.get(cells.row.get("bundle_name")))

    runs = _by_bundle(database, "data_quality_metrics", read)
    for rows in runs.values():
        rows.sort(key=lambda row: row.get("validation_timestamp", 0))
    return runs


def _day_in(seconds: int | None, zone: object) -> date | None:
    """The date of a time: that of its zone where it is midnight there, else that of UTC."""
    if seconds is None or not isinstance(zone, str) or not seconds % _DAY:
        return utc_day(seconds)
    try:
        local = datetime.fromtimestamp(seconds, ZoneInfo(zone))
    except (ValueError, ZoneInfoNotFoundError, OSError):
        return utc_day(seconds)
    whole = local.time() in (time(0), time(23, 59, 59))
    return local.date() if whole else utc_day(seconds)


def utc_day(seconds: int | None) -> date | None:
    """The date, in UTC, of a unix time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).date()


def _json_list(cells: Cells, name: str) -> list[Any] | None:
    text = cells.text(name)
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, list) else cells.refuse(name, text, "a JSON list")


def read_parquet_catalog(
    database: Database, name: str, directory: Path, bundle: str, into: Catalogs
) -> None:
    """Collect what one ``metadata.db`` says, a claim a dataset.

    Parameters
    ----------
    database : Database
    name : str
        The catalog as a claim names it.
    directory : pathlib.Path
        The bundle's, from which files may be named.
    bundle : str
    into : Catalogs
    """
    for cells in database.rows("datasets"):
        dataset = cells.number("dataset_id")
        facts: dict[str, Any] = {
            "source_type": cells.text("source"),
            "resolution": cells.text("resolution"),
            "dataset_id": dataset,
            "created_at": cells.seconds("created_at"),
            "updated_at": cells.seconds("updated_at"),
        }
        symbols = [_symbol(row) for row in _of(database, "symbols", dataset)]
        notes: list[str] = []
        for row in _of(database, "date_ranges", dataset):
            facts |= _range(row, name, notes)
        files = {
            _relative(path, directory): checksum
            for row in _of(database, "checksums", dataset)
            if (path := row.text("parquet_path")) and (checksum := row.text("checksum"))
        }
        history = [{"cached": dict(row.row)} for row in _of(database, "cache_entries", dataset)]
        claim = Claim(
            f"{name} (dataset {dataset})",
            "ParquetMetadataCatalog",
            _known(facts),
            tuple(_distinct(row for row in symbols if row is not None)),
            files,
            tuple(notes),
            tuple(history),
        )
        into.add(bundle, claim)


def _of(database: Database, table: str, dataset: int | None) -> Iterable[Cells]:
    return (cells for cells in database.rows(table) if cells.row.get("dataset_id") == dataset)


def _relative(path: str, directory: Path) -> str:
    """A path as recorded, from the bundle's directory on.

    Some were written from elsewhere, and the root may have been moved since.
    """
    whole = Path(path)
    if whole.is_relative_to(directory):
        return str(whole.relative_to(directory))
    folders = [place for place, part in enumerate(whole.parts) if part in _FOLDERS]
    return str(Path(*whole.parts[folders[-1] :])) if folders else path


def _range(cells: Cells, name: str, notes: list[str]) -> dict[str, Any]:
    """First and last date of a row that holds local midnight and the local end of a day."""
    start, end = cells.seconds("start_date"), cells.seconds("end_date")
    if start is None or end is None:
        return {}
    offsets = [utc_offset(start), utc_offset(end + 1)]
    first = utc_day(start + offsets[0])
    last = utc_day(end + offsets[1])
    if any(offsets):
        written = " and ".join(dict.fromkeys(_offset_text(each) for each in offsets))
        notes.append(f"{name} was written where the time was {written}.")
    return {"start_date": first, "end_date": last, "utc_offset": offsets[0]}


def utc_offset(midnight: int) -> int:
    """Seconds by which the clock was ahead of UTC where some unix time was midnight."""
    ahead = -midnight % _DAY
    return ahead if ahead <= _AHEAD else ahead - _DAY


def _offset_text(seconds: int) -> str:
    sign = "-" if seconds < 0 else "+"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"UTC{sign}{hours:02}:{minutes:02}"
