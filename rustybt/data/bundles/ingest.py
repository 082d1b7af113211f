"""Ingest: from a source to a new version of a bundle, or to nothing at all.

The source delivers a few symbols at a time; the bars are checked against the calendar, judged, and
kept on disk while the next are fetched; then Parquet files, panels, assets, events, coverage and
metadata are written aside and published in one rename.

Symbols that fail, or that validation refuses, are left out and recorded in the coverage ledger with
the reason; the version of the others is written all the same. Because something that was asked for
is then missing, the ingest ends with `IncompleteIngestError`, unless ``allow_partial``.
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from rustybt.data import _sync
from rustybt.data.adjustments import Events
from rustybt.data.bars import Frequency
from rustybt.data.bundles import _batch, _write, identity, storage
from rustybt.data.bundles._gather import Delivery, Gathered, Progress, gather
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.bundles.panel import Precision
from rustybt.data.bundles.plan import Ask, Plan, plan_of
from rustybt.data.calendars import DEFAULT_CALENDAR, resolve_name
from rustybt.data.errors import (
    BarSchemaError,
    IncompleteIngestError,
    OptionError,
    RustyBTError,
    joined,
)


class Source(Protocol):
    """What ingest needs of a `rustybt.data.sources.DataSource`."""

    def deliver(
        self, symbols: list[str], start: Any, end: Any, frequencies: Sequence[str]
    ) -> AsyncIterator[Delivery]:
        """See `DataSource.deliver`."""

    async def list_symbols(self) -> list[str]:
        """See `DataSource.list_symbols`."""

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_needed`."""

    def get_metadata(self) -> Any:
        """See `DataSource.get_metadata`."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Options:
    """How an ingest goes about it.

    Attributes
    ----------
    calendar : str or None
        Name of the market's calendar; None for the source's own, else XNYS.
    precision : {"full", "bcolz"}
        ``full`` reads back the very floats that were stored; ``bcolz`` what zipline's own
        format would return (thousandths, whole volumes).
    off_calendar : {"raise", "drop"}
        What to do with bars outside the calendar's sessions and minutes: refuse the symbol, or
        leave those bars out. Either is recorded in the coverage ledger.
    allow_partial : bool
        Whether it is all right when some of what was asked for is not there. The version of the
        rest is written in any case.
    environ : mapping
        Where ``ZIPLINE_ROOT`` is looked up.
    timestamp : datetime or None
        Ingest time; now if None.
    progress : callable or None
    clock : callable
        What tells the time, an aware datetime.
    """

    calendar: str | None = None
    precision: Precision = "full"
    off_calendar: Literal["raise", "drop"] = "raise"
    allow_partial: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    timestamp: object = None
    progress: Progress | None = None
    clock: Callable[[], datetime] = _utc_now

    def __post_init__(self) -> None:
        choices = {"precision": ("full", "bcolz"), "off_calendar": ("raise", "drop")}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise OptionError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")


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
    """

    version: storage.Version
    metadata: BundleMetadata
    coverage: pl.DataFrame
    events: Events
    failures: Mapping[str, RustyBTError] = field(default_factory=dict)
    absences: Mapping[str, str] = field(default_factory=dict)

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
    frequency: str | Sequence[str] = "1d",
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
    frequency: str | Sequence[str] = "1d",
    **options: Any,
) -> IngestResult:
    """Write a new version of a bundle from a source.

    Parameters
    ----------
    source : DataSource
    bundle_name : str
    symbols : sequence of str, optional
        All that the source lists, if None.
    start, end : optional
        Dates or instants, both included; all that the source has, if None and it allows that.
    frequency : str or sequence of str
        ``"1d"``, ``"1m"``, or ``("1d", "1m")`` for a bundle with both.
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
    metadata = source.get_metadata()
    calendar = resolve_name(how.calendar or metadata.calendar or DEFAULT_CALENDAR)
    frequencies = _frequencies(frequency)
    wanted = sorted(set(symbols)) if symbols is not None else await source.list_symbols()
    asks = [Ask(tuple(wanted), start, end)]
    with storage.new_version(bundle_name, how.timestamp, how.environ) as draft:
        ledger = identity.extend(identity.load(draft.parent), wanted)
        collector = _batch.Collector(
            draft.path / ".spill",
            frequencies,
            calendar,
            how.off_calendar,
            identity.sids_of(ledger),
            precision=how.precision,
        )
        deliveries = _deliveries(source, asks, frequencies)
        gathered = await gather(deliveries, collector, wanted, how.progress)
        _require_bars(
            collector,
            gathered,
            f"source {metadata.source_type} has no bars of "
            f"{', '.join(wanted[:8]) or 'any'} from {start or 'its beginning'} to "
            f"{end or 'its end'}",
        )
        collector.coverage.append(gathered.ledger())
        events = gathered.merged_events()
        written = _write.write_version(draft, collector, events, ledger, how.precision)
        shutil.rmtree(draft.path / ".spill")
        record = BundleMetadata(
            bundle_name=bundle_name,
            symbols=written.assets["symbol"].to_list(),
            start_date=written.first_session,
            end_date=written.last_session,
            frequency=",".join(str(each) for each in frequencies),
            source_type=metadata.source_type,
            ingestion_time=_write.as_timestamp(draft.version.timestamp),
            row_count=collector.rows,
            size_bytes=written.size_bytes,
            quality_score=written.quality.score,
            missing_data_pct=round(written.quality.missing_data_pct, 6),
            calendar=calendar,
            calendar_version=written.calendar_version,
            adjustment=metadata.adjustment,
            feed=metadata.feed,
            precision=how.precision,
            source_config=dict(metadata.config),
            content_hash=written.content_hash,
            parent_version=draft.parent.path.name if draft.parent else None,
            price_decimals=written.price_decimals,
            volume_decimals=written.volume_decimals,
            notes=collector.notes(events),
        )
        record.save(draft.path)
    absences = gathered.without_any() if symbols is not None else {}
    result = IngestResult(
        draft.version, record, written.coverage, events, gathered.failures, absences
    )
    if (result.failures or result.absences) and not how.allow_partial:
        raise IncompleteIngestError(result)
    return result


async def _deliveries(
    source: Source, asks: Sequence[Ask], frequencies: Sequence[Frequency]
) -> AsyncIterator[Delivery]:
    names = [str(frequency) for frequency in frequencies]
    for ask in asks:
        async for delivery in source.deliver(list(ask.symbols), ask.start, ask.end, names):
            yield delivery


async def plan_async(
    source: Source,
    *,
    symbols: Sequence[str] | None = None,
    start: Any = None,
    end: Any = None,
    frequency: str | Sequence[str] = "1d",
    **options: Any,
) -> Plan:
    """What `ingest_async` would take with these arguments; nothing is asked of a provider.

    Raises
    ------
    OptionError
        If the symbols, or the first date, are not said and only the provider knows them.
    """
    how = Options(**options)
    metadata = source.get_metadata()
    calendar = resolve_name(how.calendar or metadata.calendar or DEFAULT_CALENDAR)
    frequencies = _frequencies(frequency)
    if symbols is None and source.calls_needed(1, 1, str(frequencies[0])):
        raise OptionError(
            f"how much {metadata.source_type} would be asked for depends on the symbols: name them "
            "(symbols, --symbols)"
        )
    wanted = sorted(set(symbols)) if symbols is not None else await source.list_symbols()
    return plan_of(source, [Ask(tuple(wanted), start, end)], frequencies, calendar, how.clock())


def plan(source: Source, **request: Any) -> Plan:
    """`plan_async` for synchronous code."""
    return _sync.run(plan_async(source, **request))


def _require_bars(collector: "_batch.Collector", gathered: Gathered, message: str) -> None:
    if collector.rows:
        return
    if gathered.failures:
        raise joined(gathered.failures)
    raise BarSchemaError(message)


def _frequencies(frequency: str | Sequence[str]) -> tuple[Frequency, ...]:
    names = [frequency] if isinstance(frequency, str) else list(frequency)
    return tuple(dict.fromkeys(Frequency.parse(name) for name in names))
