"""One item of a plan becomes a version, read back and compared before it is published."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import polars as pl

from rustybt.compat._bcolz_ingestion import UNREADABLE
from rustybt.compat.convert import convert_ingestion
from rustybt.data.adjustments import Events
from rustybt.data.bars import VALUE_COLUMNS, Frequency
from rustybt.data.bundles import (
    _batch,
    _contents,
    _files,
    _write,
    coverage,
    identity,
    quality,
    storage,
)
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.errors import BundleError
from rustybt.legacy.migration._classic import staged
from rustybt.legacy.migration._facts import Item
from rustybt.legacy.migration._load import Loaded

#: Reason, in the coverage ledger, of rows that a version cannot hold.
REFUSED = "refused: a row of the old bundle cannot be true"
NO_DATA = "no data file of the old bundle is left"

Environ = Mapping[str, str]


class MigrationError(BundleError, ValueError):
    """Something old cannot be migrated, or cannot be reverted."""


@dataclass(frozen=True)
class Made:
    """A version that was made.

    Attributes
    ----------
    path : pathlib.Path
    rows : int
        Bars that were read from both sides and found equal.
    """

    path: Path
    rows: int


def find_made(item: Item, environ: Environ) -> storage.Version | None:
    """The version that an earlier run made of an item, if there is one."""
    for version in storage.versions(item.bundle, environ):
        if identity_of(version) == item.identity:
            return version
    return None


def identity_of(version: storage.Version) -> str | None:
    """The identity of the item that a version was made of; None if it was made otherwise."""
    version.check()
    migrated = BundleMetadata.of(version).provenance.get("migrated_from", {})
    found: str | None = migrated.get("identity")
    return found


def from_parquet(item: Item, loaded: Loaded, environ: Environ) -> Made:
    """Write the bars and events of an old Parquet bundle.

    Raises
    ------
    MigrationError
        If what was written does not read back as the very rows of the old files.
    """
    with storage.new_version(item.bundle, item.timestamp, environ) as draft:
        symbols = sorted({s for each in loaded.bars.values() for s in each["symbol"].unique()})
        ledger = identity.extend(identity.load(draft.parent), symbols)
        frequencies = tuple(Frequency.parse(name) for name in loaded.bars)
        collector = _batch.Collector(
            draft.path / ".spill",
            frequencies,
            loaded.facts.calendar,
            "raise",
            identity.sids_of(ledger),
        )
        bars = {frequency: loaded.bars[str(frequency)] for frequency in frequencies}
        for error in collector.add(bars).values():
            raise error
        collector.coverage.append(_refused(loaded.refused))
        written = _write.write_version(draft, collector, loaded.events, ledger, "full")
        shutil.rmtree(draft.path / ".spill")
        record = BundleMetadata(
            bundle_name=item.bundle,
            symbols=written.assets["symbol"].to_list(),
            start_date=written.first_session,
            end_date=written.last_session,
            frequency=",".join(loaded.bars),
            source_type=item.source_type,
            ingestion_time=_write.as_timestamp(draft.version.timestamp),
            row_count=written.row_count,
            size_bytes=written.size_bytes,
            quality_score=written.quality.score,
            missing_data_pct=round(written.quality.missing_data_pct, 6),
            calendar=loaded.facts.calendar,
            calendar_version=written.calendar_version,
            content_hash=written.content_hash,
            parent_version=draft.parent.path.name if draft.parent else None,
            price_decimals=written.price_decimals,
            volume_decimals=written.volume_decimals,
            notes=collector.notes(loaded.events, written.assets["symbol"]),
        )
        _described(item, record).save(draft.path)
        rows = _verify(draft.path, loaded.bars, ledger)
    return Made(draft.version.path, rows)


def _described(item: Item, record: BundleMetadata) -> BundleMetadata:
    """A record that says as well what its version was migrated from."""
    doubts = [f"UNTRUSTED: {reason}" for reason in item.untrusted]
    return replace(
        record,
        source_type=item.source_type,
        notes=[*doubts, *record.notes, *item.notes],
        provenance=item.provenance(),
    )


def _refused(rows: pl.DataFrame) -> pl.DataFrame:
    counted = rows.group_by("symbol", "frequency", "day").len()
    return counted.select(
        "symbol",
        "frequency",
        pl.col("day").alias("first"),
        pl.col("day").alias("last"),
        pl.lit(1, pl.Int64).alias("sessions"),
        pl.lit(REFUSED).alias("reason"),
        pl.format("rows: {}", "len").alias("detail"),
    )


def _verify(directory: Path, bars: Mapping[str, pl.DataFrame], ledger: pl.DataFrame) -> int:
    """Compare every row of a draft with the old files'; the number of rows."""
    compared = 0
    for name, old in bars.items():
        kind = _batch.kind_of(Frequency.parse(name))
        files = sorted((directory / kind).glob("*.parquet"))
        new = pl.concat([read_bars(path) for path in files]).join(ledger, on="sid")
        new = new.select("symbol", "timestamp", *VALUE_COLUMNS).sort("symbol", "timestamp")
        moment = old["timestamp"].cast(new.schema["timestamp"])
        if not new.equals(old.with_columns(moment), null_equal=False):
            raise MigrationError(
                f"the {name} bars read back differently from the old files: {len(old)} rows there, "
                f"{len(new)} here; nothing was published"
            )
        compared += len(new)
    return compared


def from_bcolz(item: Item, environ: Environ) -> Made:
    """Convert an ingestion in zipline's own format.

    Raises
    ------
    MigrationError, BundleError
        If it cannot be converted, or would not read back to the same bits.
    """
    try:
        with staged(item.paths[0]) as ingestion:
            result = convert_ingestion(
                item.bundle, ingestion, environ, describe=lambda record: _described(item, record)
            )
    except UNREADABLE as error:
        raise MigrationError(f"it cannot be read: {type(error).__name__}: {error}") from error
    if result.version is None:
        raise MigrationError(result.reason)
    return Made(result.version, result.bars)


_ASSETS = pl.Schema(
    {
        "sid": pl.Int64(),
        "symbol": pl.String(),
        "asset_name": pl.String(),
        "exchange": pl.String(),
        "start_date": pl.Date(),
        "end_date": pl.Date(),
        "auto_close_date": pl.Date(),
    }
)


def from_claims(item: Item, environ: Environ) -> Made:
    """Write a version without bars: the record of a bundle of which only catalogs are left."""
    symbols = sorted(item.symbols.get("daily", {}).values())
    with storage.new_version(item.bundle, item.timestamp, environ) as draft:
        gone = [(symbol, "", None, None, None, NO_DATA, None) for symbol in symbols]
        tables = {
            _write.ASSETS_FILE: pl.DataFrame(schema=_ASSETS),
            coverage.FILE: pl.DataFrame(gone, schema=coverage.LEDGER, orient="row"),
            quality.FILE: pl.DataFrame(schema=quality.FINDINGS),
            _contents.FILE: pl.DataFrame(schema=_contents.SCHEMA),
            **{f"{kind}.parquet": frame for kind, frame in Events().items()},
        }
        for name, table in tables.items():
            _files.write_table(table, draft.path / name)
        identity.save(identity.load(draft.parent), draft.path)
        record = BundleMetadata(
            bundle_name=item.bundle,
            symbols=symbols,
            start_date=_moment(item.facts.start),
            end_date=_moment(item.facts.end),
            frequency="",
            source_type=item.source_type,
            ingestion_time=_write.as_timestamp(draft.version.timestamp),
            row_count=0,
            size_bytes=0,
            quality_score=0.0,
            missing_data_pct=100.0,
        )
        _described(item, record).save(draft.path)
    return Made(draft.version.path, 0)


def _moment(day: object) -> pd.Timestamp:
    return pd.NaT if day is None else pd.Timestamp(day)  # type: ignore[arg-type, return-value]
