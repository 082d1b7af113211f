"""Bundles in zipline's own format, made into versions that read back to the same bits.

Every ingestion below ``$ZIPLINE_ROOT/data/<bundle>`` becomes a version of the same name and time.
Before it is published, both sides are read in full through both readers and compared. What
zipline wrote stays as it is.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import zipline.utils.paths as zipline_paths

from rustybt.compat._bcolz_checks import check
from rustybt.compat._bcolz_ingestion import UNREADABLE, ConversionError, Ingestion
from rustybt.compat._door import Registered, complete_version
from rustybt.compat._from_bcolz import fill, ratios_of, rewrite_minutes
from rustybt.compat._same_bits import (
    Comparison,
    DifferentBitsError,
    Step,
    daily_blocks,
    minute_blocks,
)
from rustybt.compat.bundles import bundle_data
from rustybt.data.bundles import metadata, storage
from rustybt.data.bundles.bundle import Bundle
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.calendars import to_instant
from rustybt.data.errors import CorruptVersionError, RustyBTError, UnknownBundleError

#: Called with (steps done, steps in all, what is being done).
Progress = Callable[[int, int, str], None]
Environ = Mapping[str, str]

#: Key, in `BundleMetadata.source_config`, of the ingestion that a version was made of.
ORIGIN = "converted_from"


@dataclass(frozen=True)
class Converted:
    """What became of one ingestion.

    Attributes
    ----------
    bundle : str
    ingestion : pathlib.Path
        What zipline wrote.
    status : {"converted", "present", "failed"}
        ``present``: it had its version already.
    version : pathlib.Path or None
    bars : int
        Daily and minute bars of the version.
    values : int
        Values that were read from both sides and found equal.
    reason : str
        Why it failed.
    notes : tuple of str
        What a version does not keep.
    """

    bundle: str
    ingestion: Path
    status: Literal["converted", "present", "failed"]
    version: Path | None = None
    bars: int = 0
    values: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is a version of it now."""
        return self.status != "failed"

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        paths = {"ingestion": str(self.ingestion), "version": self.version and str(self.version)}
        return {**asdict(self), **paths, "notes": list(self.notes)}

    def __str__(self) -> str:
        where = f"{self.bundle}, ingested {self.ingestion.name.replace(';', ':')}"
        if self.status == "converted":
            return f"{where}: {self.bars:,} bars converted, {self.values:,} values compared"
        return f"{where}: {'converted before' if self.ok else self.reason}"


class ConversionMismatchError(DifferentBitsError):
    """Versions would not have read back to the same bits. None of these was published.

    Attributes
    ----------
    results : list of Converted
        What became of every ingestion.
    """

    def __init__(self, results: list[Converted], differing: list[Converted]) -> None:
        super().__init__("\n".join(f"{each}; it was not converted" for each in differing))
        self.results = results


def bcolz_bundles(environ: Environ = os.environ) -> list[str]:
    """Names of the bundles that zipline itself ingested below a root, sorted."""
    root = Path(zipline_paths.data_root(environ))
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if p.is_dir() and _ingestions(p.name, environ))


def convert_all(
    environ: Environ = os.environ, *, progress: Progress | None = None
) -> list[Converted]:
    """Convert every bundle of a root; see `convert`."""
    found = [(n, p) for n in bcolz_bundles(environ) for p in _ingestions(n, environ)]
    return _convert_each(found, environ, progress)


def convert(
    name: str, environ: Environ = os.environ, *, progress: Progress | None = None
) -> list[Converted]:
    """Make a version of each ingestion of a bundle that zipline itself wrote.

    One that has its version already is left alone, and one that cannot be read or kept is
    reported; the others go on.

    Parameters
    ----------
    name : str
    environ : mapping
        Where ``ZIPLINE_ROOT`` is looked up.
    progress : callable, optional
        Called with (steps done, steps in all, what is being done), for each ingestion anew.

    Returns
    -------
    list of Converted
        One an ingestion, the oldest first.

    Raises
    ------
    UnknownBundleError
        If zipline never ingested such a bundle.
    ConversionMismatchError
        If a version would not have read back to the same bits, when all others are done.
    """
    paths = _ingestions(name, environ)
    if not paths:
        known = ", ".join(bcolz_bundles(environ)) or "none"
        root = zipline_paths.data_root(environ)
        raise UnknownBundleError(
            f"{root} has no bundle {name!r} in zipline's format; there are: {known}"
        )
    return _convert_each([(name, path) for path in paths], environ, progress)


def _ingestions(name: str, environ: Environ) -> list[Path]:
    directory = Path(zipline_paths.data_path([name], environ=environ))
    if zipline_paths.hidden(name) or not directory.is_dir():
        return []
    return sorted(p for p in directory.iterdir() if p.is_dir() and not zipline_paths.hidden(p.name))


def _convert_each(
    found: list[tuple[str, Path]], environ: Environ, progress: Progress | None
) -> list[Converted]:
    results, differing = [], []
    for name, path in found:
        try:
            result = _convert_one(name, path, environ, progress)
        except DifferentBitsError as error:
            result = Converted(name, path, "failed", reason=str(error))
            differing.append(result)
        except RustyBTError as error:
            result = Converted(name, path, "failed", reason=str(error))
        except UNREADABLE as error:
            reason = f"it cannot be read: {type(error).__name__}: {error}"
            result = Converted(name, path, "failed", reason=reason)
        results.append(result)
    if differing:
        raise ConversionMismatchError(results, differing)
    return results


def _convert_one(name: str, path: Path, environ: Environ, progress: Progress | None) -> Converted:
    return convert_ingestion(name, Ingestion(path), environ, progress)


def convert_ingestion(
    name: str,
    ingestion: Ingestion,
    environ: Environ = os.environ,
    progress: Progress | None = None,
    describe: Callable[[BundleMetadata], BundleMetadata] = lambda record: record,
) -> Converted:
    """Make a version of one ingestion.

    Parameters
    ----------
    name : str
    ingestion : Ingestion
    environ, progress
        As for `convert`.
    describe : callable
        Says more in the record of the version, before it is published.

    Raises
    ------
    ConversionError
        If it cannot be read or kept.
    DifferentBitsError
        If the version would not have read back to the same bits.
    """
    path = ingestion.path
    present = _version_of(ingestion, name, environ)
    if present is not None:
        return Converted(name, path, "present", version=present.path)
    check(ingestion)
    step = _steps(ingestion, progress)
    with storage.new_version(name, ingestion.timestamp, environ) as draft:
        if draft.version.path.name != storage.version_name(to_instant(ingestion.timestamp)):
            raise ConversionError("there is another ingestion of this very time")
        fill(draft, ingestion, step)
        step("write Parquet")
        complete_version(draft, _registered(name, ingestion))
        ratios = ratios_of(ingestion)
        if ratios:
            rewrite_minutes(draft, ratios)
        lost = _lost(ingestion)
        record = describe(
            _described(draft, ingestion, {"ohlc_ratios": ratios, "notes": lost}, environ)
        )
        record.save(draft.path)
        comparison = _compare(draft, record, ingestion, step)
    return Converted(
        name,
        path,
        "converted",
        version=draft.version.path,
        bars=record.row_count,
        values=comparison.values,
        notes=tuple(lost),
    )


def _origin(name: str, ingestion: Ingestion) -> str:
    return f"data/{name}/{ingestion.path.name}"


def _version_of(ingestion: Ingestion, name: str, environ: Environ) -> storage.Version | None:
    """The version that was made of an ingestion, if there is one.

    Raises
    ------
    ConversionError
        If it is damaged, or the version of that time is another's.
    """
    wanted = storage.version_name(to_instant(ingestion.timestamp))
    for version in storage.versions(name, environ):
        if version.path.name == wanted:
            try:
                version.check()
                origin = BundleMetadata.of(version).source_config.get(ORIGIN)
            except CorruptVersionError as error:
                raise ConversionError(
                    f"its version is damaged: {error}; remove {version.path} and convert again"
                ) from error
            if origin != _origin(name, ingestion):
                raise ConversionError(f"{version.path} has its time and was not made of it")
            return version
    return None


def _steps(ingestion: Ingestion, progress: Progress | None) -> Step:
    """Reports one step at a time: a sid read, the files written, a block compared."""
    blocks = [*daily_blocks(ingestion), *minute_blocks(ingestion)]
    total = len(ingestion.daily_lives) + len(ingestion.minute_sids) + 1 + len(blocks)
    done = 0

    def step(label: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, f"{ingestion.path.parent.name}: {label}")

    return step


def _registered(name: str, ingestion: Ingestion) -> Registered:
    bounds = ingestion.bounds
    return Registered(name, ingestion.calendar, *bounds, ingestion.minutes_per_day, "bcolz")


def _lost(ingestion: Ingestion) -> list[str]:
    """What a version does not keep, in sentences."""
    attributes = [str(sid) for sid in ingestion.sids_with_attributes()]
    if not attributes:
        return []
    named = ", ".join(attributes[:8]) + (", ..." if len(attributes) > 8 else "")
    text = "attributes of BcolzMinuteBarWriter.set_sid_attrs, which a version does not keep"
    return [f"{len(attributes)} sids ({named}) have {text}."]


def _described(
    draft: storage.Draft, ingestion: Ingestion, facts: dict[str, Any], environ: Environ
) -> BundleMetadata:
    """The record of a draft, which says what it was made of."""
    name, moment = draft.version.bundle, draft.version.timestamp
    before = [each for each in storage.versions(name, environ) if each.timestamp < moment]
    return replace(
        BundleMetadata.read(draft.path / metadata.FILE),
        source_config={ORIGIN: _origin(name, ingestion)},
        parent_version=before[0].path.name if before else None,
        **facts,
    )


def _compare(
    draft: storage.Draft, record: BundleMetadata, ingestion: Ingestion, step: Step
) -> Comparison:
    bundle = Bundle(storage.Version(record.bundle_name, draft.path), record)
    with bundle_data(bundle) as ours:
        comparison = Comparison(ingestion, ours, step)
        comparison.databases(draft.path)
        comparison.daily()
        comparison.minute()
    return comparison
