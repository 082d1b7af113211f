"""The source that a bundle was made from, made again of the bundle's record; and what it mends."""

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rustybt.data.bundles import storage
from rustybt.data.bundles.ingest import ingest
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.bundles.repair import Repair, repair
from rustybt.data.errors import CorruptVersionError, RustyBTError, SourceError
from rustybt.data.sources.base import DataSource
from rustybt.data.sources.composite import CompositeDataSource, Supplier
from rustybt.data.sources.registry import DataSourceRegistry


@dataclass(frozen=True)
class Mended:
    """What came of mending a bundle.

    Attributes
    ----------
    repair : Repair
    new_version : str or None
        The version that was made because the newest one stayed damaged.
    obstacle : str or None
        Why the source could not be asked, or gave no new version.
    """

    repair: Repair
    new_version: str | None = None
    obstacle: str | None = None


def source_of(record: BundleMetadata) -> DataSource:
    """The source of a record, with its configuration; keys come from the environment.

    Raises
    ------
    SourceError
        If it cannot be made of what is recorded.
    UnknownSourceError, MissingExtraError
        If there is no such source, or a package is missing.
    """
    try:
        facts = {"feed": record.feed, "adjustment": record.adjustment}
        return _made(record.source_type, record.source_config, facts)
    except (TypeError, KeyError) as error:
        raise SourceError(
            f"source {record.source_type} cannot be made of what bundle {record.bundle_name!r} "
            f"records of it: {error}"
        ) from error


def _made(name: str, config: Mapping[str, Any], facts: Mapping[str, str]) -> DataSource:
    source_class = DataSourceRegistry.get_class(name)
    recorded = {**facts, **config}
    if issubclass(source_class, CompositeDataSource):
        recorded["suppliers"] = [_supplier(rule) for rule in config["suppliers"]]
    taken = inspect.signature(source_class).parameters
    return source_class(
        **{key: recorded[key] for key in taken if recorded.get(key) not in (None, "")}
    )


def _supplier(rule: Mapping[str, Any]) -> Supplier:
    facts = {name: rule[name] for name in ("feed", "adjustment")}
    source = _made(rule["source_type"], rule["config"], facts)
    return Supplier(source, rule["name"], rule["symbols"], rule["start"], rule["end"])


def mend(name: str, environ: Mapping[str, str] = os.environ) -> Mended:
    """Repair the versions of a bundle, and update it if its newest one stays damaged.

    Raises
    ------
    UnknownBundleError
        If there is no such bundle.
    BundleLockedError
        If it is being written.
    """
    try:
        source, obstacle = source_of(_newest_record(name, environ)), None
    except RustyBTError as error:
        source, obstacle = None, str(error)
    outcome = repair(name, source, environ)
    newest = storage.versions(name, environ)[0].path.name
    if source is None or not any(newest in each.versions for each in outcome.left):
        return Mended(outcome, obstacle=obstacle)
    try:
        made = ingest(source, name, update=True, allow_partial=True, environ=environ)
    except RustyBTError as error:
        return Mended(outcome, obstacle=str(error))
    return Mended(outcome, made.path.name)


def _newest_record(name: str, environ: Mapping[str, str]) -> BundleMetadata:
    for version in storage.versions(name, environ):
        try:
            return BundleMetadata.of(version)
        except CorruptVersionError:
            continue
    raise SourceError(f"no version of bundle {name!r} tells its source")
