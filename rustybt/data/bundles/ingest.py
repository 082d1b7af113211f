"""Ingest: from a source to a new version of a bundle, or to nothing at all.

The source delivers a few symbols at a time; the bars are checked against the calendar, judged, and
kept on disk while the next are fetched; then Parquet files, panels, assets, events, coverage and
metadata are written aside and published in one rename.

Symbols that fail, or that validation refuses, are left out and recorded in the coverage ledger with
the reason; the version of the others is written all the same. Because something that was asked for
is then missing, the ingest ends with `IncompleteIngestError`, unless ``allow_partial``.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from rustybt.data import _sync
from rustybt.data._garbage import set_aside
from rustybt.data.adjustments import Events
from rustybt.data.bars import listed
from rustybt.data.bundles import _batch, _files, _merge, _progress, _write, identity, storage
from rustybt.data.bundles._asked import Asked, Deliveries, frequencies_of
from rustybt.data.bundles._base import Base
from rustybt.data.bundles._gather import Gathered, gather
from rustybt.data.bundles._options import Options
from rustybt.data.bundles._options import Source as Source
from rustybt.data.bundles._request import Answers, Request
from rustybt.data.bundles.metadata import SURVIVORS, WITH_ENDED, BundleMetadata
from rustybt.data.bundles.plan import Plan, plan_of
from rustybt.data.errors import (
    BarSchemaError,
    CorruptVersionError,
    IncompleteIngestError,
    OptionError,
    RustyBTError,
    SourceError,
    joined,
)
from rustybt.data.listings import Listings


@dataclass(frozen=True)
class IngestResult:
    """What an ingest wrote.

    Attributes
    ----------
    version : storage.Version
    metadata : BundleMetadata
    coverage : polars.DataFrame
        What is not there and why; see `rustybt.data.bundles.coverage`.
    events : Events
    failures : mapping of str to RustyBTError
        Symbols that the source could not give, or that validation refused.
    absences : mapping of str to str
        Symbols that were asked for by name, of which the source has no bars, and why.
    resumed : int
        Symbols that an earlier ingest had fetched already before it was interrupted.
    is_new : bool
        Whether a version was written; not by an update that found nothing to add.
    damaged : tuple of str
        Files of bars that were found damaged in the version that was updated. This version has
        them whole, from another version or from the source; `rustybt.data.bundles.repair` mends
        that one.
    """

    version: storage.Version
    metadata: BundleMetadata
    coverage: pl.DataFrame
    events: Events
    failures: Mapping[str, RustyBTError] = field(default_factory=dict)
    absences: Mapping[str, str] = field(default_factory=dict)
    resumed: int = 0
    is_new: bool = True
    damaged: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Directory of the version."""
        return self.version.path


def ingest(
    source: Source,
    bundle_name: str,
    *,
    symbols: Sequence[str] | None = None,
    start: Any = None,
    end: Any = None,
    frequency: str | Sequence[str] | None = None,
    **options: Any,
) -> IngestResult:
    """Write a new version of a bundle from a source; `ingest_async` for synchronous code."""
    work = ingest_async(
        source,
        bundle_name,
        symbols=symbols,
        start=start,
        end=end,
        frequency=frequency,
        **options,
    )
    return _sync.run(work)


async def ingest_async(
    source: Source,
    bundle_name: str,
    *,
    symbols: Sequence[str] | None = None,
    start: Any = None,
    end: Any = None,
    frequency: str | Sequence[str] | None = None,
    **options: Any,
) -> IngestResult:
    """Write a new version of a bundle from a source.

    Parameters
    ----------
    source : DataSource
    bundle_name : str
    symbols : sequence of str, optional
        All that the source lists, if None; for an update all that the bundle is meant to have.
    start, end : optional
        Dates or instants, both included; all that the source has, if None and it allows that. An
        update ends today, if None.
    frequency : str or sequence of str, optional
        ``"1d"``, ``"1m"``, or ``("1d", "1m")`` for a bundle with both; daily, or that of the bundle
        that is updated, if None.
    **options
        Fields of `Options`.

    Raises
    ------
    IncompleteIngestError
        If some of the symbols could not be had, or were refused because a bar cannot be true or
        lies off the calendar. The version of the others is written; ``error.result`` has it.
    RustyBTError
        The error of the symbols, if there is no bar of any because all failed. Nothing is written.
    BarSchemaError
        If there are no bars at all for any other reason.
    OptionError
        If an option has a value that it cannot have.
    BundleLockedError
        If another process writes this bundle.
    """
    how = Options(**options)
    named = None if symbols is None else listed(symbols)
    asked = Asked(source, bundle_name, named, start, end, frequency, how)
    try:
        with (
            set_aside(),
            storage.new_version(bundle_name, how.timestamp, how.environ) as draft,
        ):
            result = await _write_draft(asked, draft)
    except _NothingNewError as nothing:
        result = nothing.result
    _progress.forget(bundle_name, how.environ)
    if (result.failures or result.absences) and not how.allow_partial:
        raise IncompleteIngestError(result)
    return result


class _NothingNewError(Exception):
    """Everything that was asked for is there: no version is written."""

    def __init__(self, result: IngestResult) -> None:
        super().__init__("nothing new")
        self.result = result


async def _write_draft(asked: Asked, draft: storage.Draft) -> IngestResult:
    how, source, name = asked.how, asked.source, asked.bundle_name
    now = how.clock()
    request = await asked.request(now)
    if request.base is not None and not request.asks and not how.renames:
        raise _NothingNewError(_as_it_is(request.base))
    present = storage.versions(name, how.environ)
    known, damaged = identity.newest(present)
    ledger = identity.extend(identity.rename(known, how.renames), request.universe)
    past = identity.with_renamed(identity.renamed(present), known, how.renames)
    collector = _batch.Collector(
        draft.path / ".spill",
        request.frequencies,
        request.calendar,
        how.off_calendar,
        identity.sids_of(ledger),
        precision=how.precision if request.base is None else request.base.metadata.precision,
    )
    collector.asked_for = frozenset(request.symbols)
    progress = _progress.progress_of(
        _progress.directory_of(name, how.environ), asked.facts(request), request.asks, now
    )
    delivered = Deliveries(source, request, progress)
    try:
        gathered = await gather(delivered.each(), collector, request.symbols, how.progress)
        _require_bars(asked, request, collector, gathered)
    except (BarSchemaError, _NothingNewError):
        _progress.forget(name, how.environ)
        raise
    request = request.without(gathered.failures)
    listings, notes_of_listings = await _listings(asked, request)
    told = _merge.listings(request.base, listings).dates
    answers = Answers(request, gathered.failures, asked.metadata.settle_lag, now, told)
    past, notes_of_names = identity.with_former(past, ledger, listings.former)
    events = _merge.events(request, gathered.merged_events())
    collector.coverage.append(gathered.ledger(request.asks, _merge.symbols(request.base)))
    collector.refused += gathered.findings()
    _files.write_table(past, draft.path / identity.RENAMED_FILE)
    try:
        written = _write.write_version(
            draft, collector, events, ledger, collector.precision, answers
        )
    except CorruptVersionError:  # the source gave less than was damaged: it is to be asked again
        _progress.forget(name, how.environ)
        raise
    shutil.rmtree(draft.path / ".spill")
    notes = [*collector.notes(events, written.assets["symbol"]), *notes_of_listings]
    notes += notes_of_names
    provenance = _merge.provenance(request.base, gathered.provenance)
    if provenance is not None:
        for table, frame in provenance.tables().items():
            _files.write_table(frame, draft.path / table)
        notes += provenance.notes()
    if damaged:
        notes.append(_DAMAGED if len(known) else _LOST)
    record = _record(asked, request, written, draft)
    record = replace(record, notes=[*_merge.notes(request.base, notes), *notes])
    record.save(draft.path)
    absences = gathered.without_any() if asked.symbols is not None else {}
    return IngestResult(
        draft.version,
        record,
        written.coverage,
        events,
        gathered.failures,
        {symbol: why for symbol, why in absences.items() if symbol not in record.symbols},
        delivered.resumed,
        damaged=tuple(request.base.stand_ins) if request.base is not None else (),
    )


_DAMAGED = "An earlier version is damaged; its sids were taken from where they could be read."
_LOST = "No earlier version could be read, so sids were given anew."


async def _listings(asked: Asked, request: Request) -> tuple[Listings, list[str]]:
    """What the source tells of all assets that the bundle is meant to have, if that is wanted."""
    if not asked.how.listings:
        return Listings(), []
    try:
        told = await asked.source.fetch_listings(list(request.universe))
    except SourceError as error:
        return Listings(), [f"When assets were listed and delisted could not be had: {error}"]
    missing = len(set(request.universe) - set(told.dates["symbol"]))
    if not missing:
        return told, []
    number = f"{missing} of {len(request.universe)} assets"
    return told, [f"The source does not tell when {number} were listed and delisted."]


def _as_it_is(base: Base) -> IngestResult:
    return IngestResult(base.version, base.metadata, base.coverage, base.events, is_new=False)


def _require_bars(
    asked: Asked, request: Request, collector: _batch.Collector, gathered: Gathered
) -> None:
    if collector.rows:
        return
    if gathered.failures:
        raise joined(gathered.failures)
    base = request.base
    if base is None:
        raise BarSchemaError(
            f"source {asked.metadata.source_type} has no bars of "
            f"{', '.join(request.symbols[:8]) or 'any'} from {asked.start or 'its beginning'} to "
            f"{asked.end or 'its end'}"
        )
    if not asked.how.renames and not any(base.loses_bars(kind) for kind in collector.spills):
        raise _NothingNewError(_as_it_is(base))


def _record(
    asked: Asked, request: Request, written: _write.Written, draft: storage.Draft
) -> BundleMetadata:
    metadata, base = asked.metadata, request.base
    parent = base.version if base is not None else draft.parent
    ends = written.assets["end_date"]
    return BundleMetadata(
        bundle_name=asked.bundle_name,
        symbols=sorted(written.assets["symbol"]),
        start_date=written.first_session,
        end_date=written.last_session,
        frequency=",".join(str(each) for each in request.frequencies),
        source_type=metadata.source_type,
        ingestion_time=_write.as_timestamp(draft.version.timestamp),
        row_count=written.row_count,
        size_bytes=written.size_bytes,
        quality_score=written.quality.score,
        missing_data_pct=round(written.quality.missing_data_pct, 6),
        calendar=request.calendar,
        calendar_version=written.calendar_version,
        adjustment=metadata.adjustment,
        feed=metadata.feed,
        precision=asked.how.precision if base is None else base.metadata.precision,
        source_config=dict(metadata.config),
        content_hash=written.content_hash,
        parent_version=parent.path.name if parent else None,
        price_decimals=written.price_decimals,
        volume_decimals=written.volume_decimals,
        universe=list(request.universe),
        survivorship=SURVIVORS if (ends == ends.max()).all() else WITH_ENDED,
    )


async def plan_async(
    source: Source,
    bundle_name: str | None = None,
    *,
    symbols: Sequence[str] | None = None,
    start: Any = None,
    end: Any = None,
    frequency: str | Sequence[str] | None = None,
    **options: Any,
) -> Plan:
    """What `ingest_async` would take with these arguments; nothing is asked of a provider.

    Raises
    ------
    OptionError
        If the symbols, or the first date, are not said and only the provider knows them.
    """
    how = Options(**options)
    if symbols is None and not (how.update or how.prepend):
        _require_listed(source, frequency)
    asked = Asked(source, bundle_name or "", symbols, start, end, frequency, how)
    request = await asked.request(how.clock())
    listings = len(request.universe) if how.listings else 0
    return plan_of(
        source, request.asks, request.frequencies, request.calendar, how.clock(), listings
    )


def _require_listed(source: Source, frequency: str | Sequence[str] | None) -> None:
    if source.calls_needed(1, 1, str(frequencies_of(frequency or "1d")[0])):
        raise OptionError(
            f"how much {source.get_metadata().source_type} would be asked for depends on the "
            "symbols: name them (symbols, --symbols)"
        )


def plan(source: Source, bundle_name: str | None = None, **request: Any) -> Plan:
    """`plan_async` for synchronous code."""
    return _sync.run(plan_async(source, bundle_name, **request))
