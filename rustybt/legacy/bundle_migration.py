"""`BundleMigrator` of the releases up to 0.3, over the conversion that compares every bit."""

import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from rustybt.compat import convert as conversion
from rustybt.data.bundles.metadata import FILE, BundleMetadata
from rustybt.legacy._deprecated import deprecated, deprecated_class
from rustybt.legacy.migration import MigrationError, _classic

__all__ = ["BundleMigrator", "MigrationError", "migrate_bundle"]

SourceFormat = Literal["hdf5", "bcolz"]
_INSTEAD = "rustybt.compat.convert.convert, or the command 'rustybt convert',"


class MigratorBase:
    """What `BundleMigrator` does, without its warning.

    Parameters
    ----------
    bundle_path : str
        Directory of an ingestion in zipline's own format, ``<root>/data/<bundle>/<time>``.
    """

    def __init__(self, bundle_path: str) -> None:
        self.bundle_path = Path(bundle_path)

    def migrate_daily_bars(
        self,
        source_format: SourceFormat = "hdf5",
        compression: str | None = "zstd",
        validate: bool = True,  # noqa: ARG002  every bit is compared
        batch_size: int = 100,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Make a version of the ingestion and say what daily bars it has.

        Raises
        ------
        MigrationError
            If it is HDF5, or cannot be converted.
        """
        return self._migrated(source_format, "daily", compression)

    def migrate_minute_bars(
        self,
        source_format: SourceFormat = "bcolz",
        compression: str | None = "zstd",
        validate: bool = True,  # noqa: ARG002
        start_date: date | None = None,  # noqa: ARG002  a version is whole
        end_date: date | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Make a version of the ingestion and say what minute bars it has.

        Raises
        ------
        MigrationError
            If it is HDF5, or cannot be converted.
        """
        return self._migrated(source_format, "minute", compression)

    def _migrated(self, source_format: str, kind: str, compression: str | None) -> dict[str, Any]:
        if source_format != "bcolz":
            raise MigrationError(
                f"{source_format} cannot be converted: zipline's ingests write bcolz; name it with "
                "source_format='bcolz', or ingest the bundle again"
            )
        if not self.bundle_path.is_dir():
            raise MigrationError(f"{self.bundle_path} is no directory of an ingestion")
        name = self.bundle_path.parent.name
        environ = {"ZIPLINE_ROOT": str(self.bundle_path.parents[2])}
        begun = time.monotonic()
        result = _convert(name, self.bundle_path, environ)
        record = BundleMetadata.read(Path(result.version or "") / FILE)
        return {
            "success": True,
            "source_format": source_format,
            "data_type": f"{kind}_bars",
            "row_count": record.row_count,
            "asset_count": len(record.symbols),
            "dataset_id": 1,  # a version is one
            "output_path": str(result.version),
            "compression": compression,
            "duration_seconds": time.monotonic() - begun,
            "symbols": record.symbols,
            "values_compared": result.values,
        }


def _convert(name: str, path: Path, environ: Mapping[str, str]) -> conversion.Converted:
    try:
        with _classic.staged(path) as ingestion:
            result = conversion.convert_ingestion(name, ingestion, environ)
    except _classic.UNREADABLE as error:
        raise MigrationError(f"{path} cannot be converted: {error}") from error
    if result.version is None:
        raise MigrationError(f"{path} cannot be converted: {result.reason}")
    return result


@deprecated_class(_INSTEAD)
class BundleMigrator(MigratorBase):
    """Makes new versions of old ingestions, as releases up to 0.3 did.

    Parameters
    ----------
    bundle_path : str
    """


@deprecated(_INSTEAD)
def migrate_bundle(
    bundle_path: str,
    source_format: SourceFormat = "hdf5",
    compression: str | None = "zstd",
    migrate_daily: bool = True,
    migrate_minute: bool = False,
    validate: bool = True,
) -> dict[str, Any]:
    """Make a version of an ingestion; ``daily`` and ``minute`` of `BundleMigrator`'s results."""
    migrator = MigratorBase(bundle_path)
    results: dict[str, Any] = {}
    if migrate_daily:
        results["daily"] = migrator.migrate_daily_bars(source_format, compression, validate)
    if migrate_minute:
        results["minute"] = migrator.migrate_minute_bars(source_format, compression, validate)
    return results
