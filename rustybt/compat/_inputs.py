"""What a run reads: refused when it is not good enough or not the same, recorded when it is."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from rustybt.data.bundles.bundle import Bundle
from rustybt.data.bundles.lock import DataLock
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.errors import OptionError, QualityError

#: Libraries whose versions are recorded with every result.
_LIBRARIES = ("rustybt", "zipline-reloaded", "exchange_calendars", "pandas", "numpy", "polars")


def require_quality(name: str, bundle: Bundle | None, wanted: float | None) -> None:
    """Raise `QualityError` if a bundle's score is below what is wanted, or it has none."""
    if wanted is None:
        return
    if bundle is None:
        raise QualityError(f"bundle {name!r} is in zipline's own format: it has no score")
    score = bundle.metadata.quality_score
    if score < wanted:
        raise QualityError(
            f"the quality of bundle {name!r} is {score}, below the {wanted} that the run requires; "
            f"see why with: rustybt quality {name}"
        )


def open_locked(lock: DataLock, name: str, environ: Mapping[str, str]) -> Bundle:
    """The very version that an earlier run read, every byte of which was compared.

    Raises
    ------
    OptionError
        If it is not there as it was.
    """
    if lock.bundle != name:
        raise OptionError(f"the locked run read bundle {lock.bundle!r}, not {name!r}")
    differ = lock.differences(environ)
    if differ:
        raise OptionError(f"the inputs of the locked run are not at hand: {'; '.join(differ)}")
    found = lock.find(environ)
    return Bundle(found, BundleMetadata.of(found))


def libraries() -> dict[str, str]:
    """The versions of the libraries that a result depends on."""
    return {name: _version(name) for name in _LIBRARIES}


@cache
def _version(name: str) -> str:
    return version(name)  # reads and parses a file


def facts_of(bundle: Bundle | None, calendar: str) -> dict[str, Any]:
    """What is recorded of a run's data, with the lock by which it can be proved."""
    if bundle is None:
        return {"format": "bcolz"}
    record = bundle.metadata
    return {
        "format": "rustybt",
        "version": bundle.version.path.name,
        "content_hash": record.content_hash,
        "source_type": record.source_type,
        "adjustment": record.adjustment,
        "precision": record.precision,
        "quality_score": record.quality_score,
        "missing_data_pct": record.missing_data_pct,
        "calendar_version": record.calendar_version,
        "data_start": record.start_date.date().isoformat(),
        "data_end": record.end_date.date().isoformat(),
        "symbols": list(record.symbols),
        "assumptions": list(record.notes),
        "lock": DataLock.of(bundle, calendar, libraries()).to_dict(),
    }
