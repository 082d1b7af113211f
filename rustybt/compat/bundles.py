"""zipline's bundle functions on versions: register, ingest, load, clean.

Registration is zipline's own, so both see the same bundles. An ingest function gets the eleven
arguments that it expects; what it writes becomes a version, whole or not at all. Ingestions that
zipline wrote itself stay where they are and load beside the versions.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import zipline.utils.paths as zipline_paths
from zipline.assets import ASSET_DB_VERSION
from zipline.assets.asset_db_migrations import downgrade
from zipline.data.bundles import core as zipline_core
from zipline.data.bundles.core import BadClean, BundleCore, BundleData, UnknownBundle
from zipline.utils.cache import dataframe_cache

from rustybt.compat._layout import ASSETS
from rustybt.compat.calendars import ingest_calendar
from rustybt.compat.loading import bcolz_data, bundle_data
from rustybt.data._garbage import set_aside
from rustybt.data.bundles import metadata, storage
from rustybt.data.bundles.bundle import Bundle, open_version

# What an ingest needs is imported by one: `zipline run` imports this module too.
if TYPE_CHECKING:
    from rustybt.compat._door import Writers
    from rustybt.data.bundles.ingest import Source

Environ = Mapping[str, str]

_zipline_ingestions = zipline_core.ingestions_for_bundle
_make_zipline_core = zipline_core._make_bundle_core


def _bcolz_ingestions(name: str, environ: Environ) -> dict[Path, pd.Timestamp]:
    """Directories that zipline itself ingested, and when (UTC, naive)."""
    directory = Path(zipline_paths.data_path([name], environ=environ))
    if not directory.is_dir() or directory == storage.bundle_path(name, environ):
        return {}
    return {path: moment for path in directory.iterdir() if (moment := _ingest_time(path))}


def _ingest_time(path: Path) -> pd.Timestamp | None:
    """The time (UTC, naive) that names a directory; None for one that is no ingestion."""
    try:
        moment: pd.Timestamp = zipline_core.from_bundle_ingest_dirname(path.name)
    except ValueError:
        return None
    return moment


def _ingestions(name: str, environ: Environ) -> dict[pd.Timestamp, list[Path]]:
    """Every ingestion of a bundle, the newest first.

    One that was converted has two directories, the version before zipline's own.
    """
    return _with_bcolz(storage.versions(name, environ), name, environ)


def _with_bcolz(
    versions: list[storage.Version], name: str, environ: Environ
) -> dict[pd.Timestamp, list[Path]]:
    found: dict[pd.Timestamp, list[Path]] = {}
    for version in versions:
        found.setdefault(pd.Timestamp(version.timestamp).tz_localize(None), []).append(version.path)
    for path, moment in _bcolz_ingestions(name, environ).items():
        found.setdefault(moment, []).append(path)
    return dict(sorted(found.items(), reverse=True))


def ingestions_for_bundle(bundle: str, environ: Environ = os.environ) -> list[pd.Timestamp]:
    """When a bundle was ingested (UTC, naive), the newest first.

    Raises
    ------
    FileNotFoundError
        If it never was.
    """
    found = list(_ingestions(bundle, environ or os.environ))
    return found or _zipline_ingestions(bundle, environ)


def _load(
    registered: Mapping[str, Any],
    name: str,
    environ: Environ = os.environ,
    timestamp: object = None,
) -> BundleData:
    """Load the newest ingestion of a bundle, or the newest one as of `timestamp`.

    Raises
    ------
    UnknownBundle
        If there is neither a registration nor a version of that name.
    ValueError
        If it was not ingested by then.
    """
    versions = storage.versions(name, environ)
    if name not in registered and not versions:
        raise UnknownBundle(name)
    if timestamp is None:
        timestamp = pd.Timestamp.now(tz="UTC")
    cutoff = _naive(timestamp)
    for moment, (path, *_) in _with_bcolz(versions, name, environ).items():
        if moment <= cutoff:
            if (path / metadata.FILE).exists():
                return bundle_data(open_version(storage.Version(name, path)))
            return bcolz_data(path)
    raise ValueError(
        f"no data for bundle {name!r} on or before {timestamp}; to ingest it: "
        f"zipline ingest -b {name}"
    )


def bcolz_twin(bundle: Bundle, environ: Environ = os.environ) -> BundleData | None:
    """zipline's own ingestion that a version was converted from; None if there is none."""
    moment = _naive(bundle.version.timestamp)
    for path, ingested in _bcolz_ingestions(bundle.version.bundle, environ).items():
        if ingested == moment:
            return bcolz_data(path)
    return None


def _ingest(
    registered: Mapping[str, Any],
    name: str,
    environ: Environ = os.environ,
    timestamp: Any = None,
    assets_versions: Iterable[int] = (),
    show_progress: bool = False,
) -> None:
    """Run a bundle's ingest function, and publish what it wrote as a version.

    If the function raises, or the process dies, the versions before stay as they are.

    Parameters
    ----------
    name : str
    environ : mapping
    timestamp : datetime, optional
        Ingest time; now if not given.
    assets_versions : iterable of int
        Versions of the asset database to write besides the current one.
    show_progress : bool

    Raises
    ------
    UnknownBundle
        If no bundle of that name is registered.
    ValueError
        If `assets_versions` are asked of a bundle that creates no writers.
    """
    try:
        bundle = registered[name]
    except KeyError:
        raise UnknownBundle(name) from None
    moment = timestamp if timestamp is not None else datetime.now(UTC)
    if isinstance(bundle.ingest, _SourceIngest):
        bundle.ingest.run(name, environ, moment)
        return
    cache = storage.bundles_root(environ) / ".cache" / storage.encode_name(name)
    cache.mkdir(parents=True, exist_ok=True)
    with (
        set_aside(),
        storage.new_version(name, moment, environ, in_place=True) as draft,
        dataframe_cache(str(cache), clean_on_failure=False) as frames,
    ):
        if not bundle.create_writers:
            if assets_versions:
                raise ValueError(
                    "Need to ingest a bundle that creates writers in order to downgrade the "
                    "assets db."
                )
            _call(bundle, None, environ, frames, show_progress, draft.path, _span(bundle))
            return
        from rustybt.compat._door import Registered, Writers
        from rustybt.compat.bar_writers import default_precision

        span = _span(bundle)
        precision = default_precision(environ)
        writers = Writers(draft, Registered(name, *span, bundle.minutes_per_day, precision))
        try:
            _call(bundle, writers, environ, frames, show_progress, draft.path, span)
        except BaseException:
            writers.close()
            raise
        writers.finish()
        for version in sorted(set(assets_versions), reverse=True):
            _downgraded(draft.path, version)


def _span(bundle: Any) -> tuple[Any, pd.Timestamp, pd.Timestamp]:
    """Calendar, first and last session of a registration, inside the calendar's bounds."""
    calendar = ingest_calendar(bundle.calendar_name)
    start, end = bundle.start_session, bundle.end_session
    if start is None or start < calendar.first_session:
        start = calendar.first_session
    if end is None or end > calendar.last_session:
        end = calendar.last_session
    return calendar, start, end


def _call(
    bundle: Any,
    writers: "Writers | None",
    environ: Environ,
    cache: Any,
    show_progress: bool,
    output_dir: Path,
    span: tuple[Any, pd.Timestamp, pd.Timestamp],
) -> None:
    from rustybt.compat import csvdir

    if writers is not None and csvdir.ingested(bundle.ingest, environ, writers, show_progress):
        return
    handed = (
        (writers.assets, writers.minute, writers.daily, writers.adjustments)
        if writers is not None
        else (None, None, None, None)
    )
    bundle.ingest(environ, *handed, *span, cache, show_progress, str(output_dir))


def _downgraded(directory: Path, version: int) -> None:
    path = directory / f"assets-{version}.sqlite"
    if version == ASSET_DB_VERSION:
        return
    shutil.copy2(directory / ASSETS, path)
    downgrade(str(path), version)


def _clean(
    name: str,
    before: Any = None,
    after: Any = None,
    keep_last: int | None = None,
    environ: Environ = os.environ,
) -> set[str]:
    """Remove ingestions of a bundle.

    Parameters
    ----------
    name : str
    before, after : datetime, optional
        Remove what was ingested before or after.
    keep_last : int, optional
        Remove all but the newest ones.
    environ : mapping

    Returns
    -------
    set of str
        The directories that were removed.

    Raises
    ------
    UnknownBundle
        If it was never ingested.
    BadClean
        If neither dates nor a number were given, or both.
    """
    by_date = before is not None or after is not None
    found = _ingestions(name, environ)
    if not found and not Path(zipline_paths.data_path([name], environ=environ)).is_dir():
        raise UnknownBundle(name)
    if by_date == (keep_last is not None) or (keep_last is not None and keep_last < 0):
        raise BadClean(before, after, keep_last)
    first, last = _naive(before), _naive(after)
    if keep_last is not None:
        doomed = list(found)[keep_last:]
    else:
        doomed = [
            moment
            for moment in found
            if (first is not None and moment < first) or (last is not None and moment > last)
        ]
    paths = [path for moment in doomed for path in found[moment]]
    found_versions = [storage.Version(name, path) for path in paths]
    removed = [version for version in found_versions if not storage.is_pinned(version)]
    for version in removed:
        storage.remove(version)
    return {str(version.path) for version in removed}


def _naive(moment: Any) -> pd.Timestamp | None:
    if moment is None:
        return None
    stamp = pd.Timestamp(moment)
    return stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo is not None else stamp


class _SourceIngest:
    """Stands for a `DataSource` among the ingest functions."""

    def __init__(self, source: "Source", options: Mapping[str, Any]) -> None:
        self._source = source
        self._options = options

    def run(self, name: str, environ: Environ, timestamp: object) -> None:
        from rustybt.data.bundles.ingest import ingest as ingest_source

        ingest_source(self._source, name, environ=environ, timestamp=timestamp, **self._options)


def make_bundle_core(zipline: BundleCore | None = None) -> BundleCore:
    """zipline's family of bundle functions, with versions under `ingest`, `load` and `clean`.

    Parameters
    ----------
    zipline : BundleCore, optional
        Whose registrations to share; a family of its own if not given.
    """
    base = zipline if zipline is not None else _make_zipline_core()
    return BundleCore(
        base.bundles,
        base.register,
        base.unregister,
        partial(_ingest, base.bundles),
        partial(_load, base.bundles),
        _clean,
    )


bundles, register, unregister, ingest, load, clean = make_bundle_core(
    BundleCore(
        zipline_core.bundles,
        zipline_core.register,
        zipline_core.unregister,
        zipline_core.ingest,
        zipline_core.load,
        zipline_core.clean,
    )
)


def register_source(
    name: str,
    source: "Source",
    symbols: Iterable[str] | None = None,
    frequency: str | tuple[str, ...] = "1d",
    **options: Any,
) -> None:
    """Make any data source a bundle that `zipline ingest` and `ingest` know.

    Parameters
    ----------
    name : str
    source : DataSource
    symbols : iterable of str, optional
        All that the source lists, if not given.
    frequency : str or tuple of str
    **options
        ``start``, ``end``, ``calendar``, ``precision``, ...; see
        `rustybt.data.bundles.ingest.ingest_async`.
    """
    wanted = list(symbols) if symbols is not None else None
    ingest_function = _SourceIngest(source, {"symbols": wanted, "frequency": frequency, **options})
    register(name, ingest_function, calendar_name=options.get("calendar") or "NYSE")
