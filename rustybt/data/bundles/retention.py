"""Which versions stay: pins, and what a clean removes."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rustybt.data.bundles import storage
from rustybt.data.bundles.storage import Version
from rustybt.data.calendars import to_instant
from rustybt.data.errors import OptionError, UnknownBundleError


def pin(version: Version, why: str = "") -> None:
    """Keep a version from being cleaned, until `unpin`. The version itself does not change."""
    path = storage.pin_of(version)
    path.parent.mkdir(exist_ok=True)
    path.write_text(why)


def unpin(version: Version) -> None:
    """Let a version be cleaned again."""
    storage.pin_of(version).unlink(missing_ok=True)


def pins(name: str, environ: Mapping[str, str] = os.environ) -> dict[Version, str]:
    """The pinned versions of a bundle, and why."""
    present = storage.versions(name, environ)
    return {
        version: storage.pin_of(version).read_text()
        for version in present
        if storage.is_pinned(version)
    }


def doomed(
    versions: Sequence[Version],
    before: object = None,
    after: object = None,
    keep_last: int | None = None,
) -> list[Version]:
    """The versions that a clean would remove, with zipline's meanings; never a pinned one.

    Parameters
    ----------
    versions : sequence of Version
        The newest first.
    before, after : optional
        Remove what was ingested before, or after.
    keep_last : int, optional
        Remove all but so many of the newest.

    Raises
    ------
    OptionError
        If neither dates nor a number are given, or both.
    """
    by_date = before is not None or after is not None
    if by_date == (keep_last is not None) or (keep_last is not None and keep_last < 0):
        raise OptionError(
            "say which versions to remove: before or after a date, or how many to keep "
            "(--before, --after, --keep-last); not both"
        )
    chosen = (
        list(versions)[keep_last:]
        if keep_last is not None
        else [version for version in versions if _is_outside(version, before, after)]
    )
    return [version for version in chosen if not storage.is_pinned(version)]


def _is_outside(version: Version, before: object, after: object) -> bool:
    moment: datetime = version.timestamp
    return (before is not None and moment < to_instant(before)) or (
        after is not None and moment > to_instant(after)
    )


def clean(
    name: str,
    before: object = None,
    after: object = None,
    keep_last: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Path]:
    """Remove versions of a bundle; see `doomed` for which.

    Returns
    -------
    list of pathlib.Path
        The directories that were removed.

    Raises
    ------
    UnknownBundleError
        If the bundle has no version.
    BundleLockedError
        If the bundle is being written.
    """
    present = storage.versions(name, environ)
    if not present:
        raise UnknownBundleError(f"there is no bundle {name!r} in {storage.bundles_root(environ)}")
    chosen = doomed(present, before, after, keep_last)
    with storage.writing(name, environ):
        for version in chosen:
            storage.remove(version)
    return [version.path for version in chosen]
