"""Ingest: from a source to a new version of a bundle, or to nothing at all.

The source is asked for a batch of symbols at a time; the bars are checked against the calendar,
judged, and kept on disk; then Parquet files, panels, assets, events, coverage and metadata are
written aside and published in one rename.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from rustybt.data import _sync
from rustybt.data.adjustments import Events, merge_events
from rustybt.data.bars import Frequency
from rustybt.data.bundles import _batch, _write, identity, storage
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.bundles.panel import Precision
from rustybt.data.calendars import DEFAULT_CALENDAR, resolve_name
from rustybt.data.errors import BarSchemaError, OptionError

#: Called with (symbols done, symbols in all, what is being done).
Progress = Callable[[int, int, str], None]


class Source(Protocol):
    """What ingest needs of a `rustybt.data.sources.DataSource`."""

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        """See `DataSource.fetch`."""

    async def fetch_events(self, symbols: list[str], start: Any, end: Any) -> Events:
        """See `DataSource.fetch_events`."""

    async def list_symbols(self) -> list[str]:
        """See `DataSource.list_symbols`."""

    def get_metadata(self) -> Any:
        """See `DataSource.get_metadata`."""


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
        What to do with bars outside the calendar's sessions and minutes. Dropped ones are
        recorded in the coverage ledger.
    environ : mapping
        Where ``ZIPLINE_ROOT`` is looked up.
    timestamp : datetime or None
        Ingest time; now if None.
    progress : callable or None
    """

    calendar: str | None = None
    precision: Precision = "full"
    off_calendar: Literal["raise", "drop"] = "raise"
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    timestamp: object = None
    progress: Progress | None = None

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
    """

    version: storage.Version
    metadata: BundleMetadata
    coverage: pl.DataFrame
    events: Events

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
    BarValidationError
        If a bar cannot be true or lies off the calendar. Nothing is written then.
    BarSchemaError
        If there are no bars at all.
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
        events = await _collect(source, collector, wanted, (start, end), how.progress)
        if not collector.rows:
            raise BarSchemaError(
                f"source {metadata.source_type} has no bars of {', '.join(wanted[:8]) or 'any'} "
                f"from {start or 'its beginning'} to {end or 'its end'}"
            )
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
    return IngestResult(draft.version, record, written.coverage, events)


def _frequencies(frequency: str | Sequence[str]) -> tuple[Frequency, ...]:
    names = [frequency] if isinstance(frequency, str) else list(frequency)
    return tuple(dict.fromkeys(Frequency.parse(name) for name in names))


async def _collect(
    source: Source,
    collector: "_batch.Collector",
    symbols: list[str],
    dates: tuple[Any, Any],
    progress: Progress | None,
) -> Events:
    start, end = dates
    parts = []
    done = 0
    for batch in collector.batches(symbols):
        part = await source.fetch_events(batch, start, end)
        for frequency in collector.frequencies:
            bars = await source.fetch(batch, start, end, str(frequency))
            collector.add(bars, frequency, part, batch)
        parts.append(part)
        done += len(batch)
        if progress is not None:
            progress(done, len(symbols), batch[-1])
    return merge_events(parts)
