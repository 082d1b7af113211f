"""Streaming ingestion: a bundle that grows while the market is open.

Final bars go to the bundle's journal (`rustybt.data.bundles.journal`) as they come. From time to
time, at each close and at the end they are confirmed: an ingest joins them to what the bundle has,
and they leave the journal. Whatever is killed when, a bar is in the journal, in a version, or was
never given; the next stream fetches what was missed and goes on.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from rustybt.data.bars import Bar, Frequency
from rustybt.data.bundles import storage
from rustybt.data.bundles._batch import kind_of
from rustybt.data.bundles.bundle import Bundle, open_bundle
from rustybt.data.bundles.ingest import IngestResult, ingest
from rustybt.data.bundles.journal import Head, Journal, Label, open_journal
from rustybt.data.calendars import DEFAULT_CALENDAR, resolve_name
from rustybt.data.errors import BundleError, BundleLockedError, OptionError
from rustybt.data.sources._confirming import ConfirmingSource
from rustybt.data.sources._stream import Pace, StreamStatus, batches, hang_up, status_of
from rustybt.data.sources._stream_grid import SessionGrid, grid_of
from rustybt.data.sources.base import DataSource

#: How long after the close the last bars of a session are waited for.
_AFTER_CLOSE = timedelta(minutes=2)
#: How often what is shown of forming bars is renewed.
_SHOWN = timedelta(seconds=1)


@dataclass(frozen=True)
class LiveOptions:
    """How a bundle is streamed into.

    Attributes
    ----------
    calendar : str or None
        The market's; None for that of the bundle, else the source's, else XNYS.
    off_calendar : {"drop", "raise"}
        What to do with bars outside the calendar, when they are confirmed; see
        `rustybt.data.bundles.ingest.Options`.
    every : timedelta
        How often bars are confirmed, besides at each close and at the end.
    environ : mapping
        Where ``ZIPLINE_ROOT`` is looked up.
    pace : Pace
    """

    calendar: str | None = None
    off_calendar: Literal["drop", "raise"] = "drop"
    every: timedelta = timedelta(hours=1)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    pace: Pace = field(default_factory=Pace)


class LiveIngest:
    """A stream on its way into a bundle; see `live_ingest`."""

    def __init__(
        self, source: DataSource, journal: Journal, target: "_Target", options: LiveOptions
    ) -> None:
        self._source = source
        self._journal = journal
        self._target = target
        self._options = options
        self._forming: dict[str, Bar] = {}
        self._shown_at: datetime | None = None
        self._work: asyncio.Task[IngestResult] | None = None
        self._confirmed = dict(target.last)
        since = {
            symbol: _behind(last, journal.head.confirmed.get(symbol), target.last.get(symbol))
            for symbol, last in journal.last().items()
        }
        self._stream = source.stream(list(target.symbols), str(target.frequency), since=since)
        #: Why bars could not be confirmed the last time that was tried.
        self.trouble = ""

    @property
    def status(self) -> StreamStatus | None:
        """How the stream is doing; None if its source does not say."""
        return status_of(self._stream)

    @property
    def unconfirmed(self) -> int:
        """Final bars that no version has yet."""
        return len(self._journal.finals())

    async def run(self, show: Callable[[Sequence[Bar]], None]) -> None:
        """Write down what comes, until cancelled.

        Parameters
        ----------
        show : callable
            Called with the bars of each batch, when the final ones are written down.
        """
        async with asyncio.TaskGroup() as group:
            confirming = group.create_task(self._keep_confirming())
            async for bars in batches(self._stream):
                self._write_down(bars)
                show(bars)
            confirming.cancel()

    def _write_down(self, bars: Sequence[Bar]) -> None:
        finals = [bar for bar in bars if bar.final]
        if finals:
            self._journal.append(finals)
        self._forming |= {bar.symbol: bar for bar in bars if not bar.final}
        now = self._options.pace.clock()
        if self._shown_at is None or now - self._shown_at >= _SHOWN:
            self._journal.show(self._forming.values())
            self._shown_at = now

    async def _keep_confirming(self) -> None:
        pace, grid = self._options.pace, SessionGrid(self._target.calendar)
        due = pace.clock() + self._options.every
        while True:
            now = pace.clock()
            closed = grid.end(grid.after(grid.last_ended(now - _AFTER_CLOSE))) + _AFTER_CLOSE
            await pace.sleep((min(due, closed) - now).total_seconds())
            try:
                await self.confirm()
                self.trouble = ""
            except BundleLockedError as error:
                self.trouble = str(error)
            while due <= pace.clock():
                due += self._options.every

    async def confirm(self) -> IngestResult | None:
        """Put the bars of the journal into a new version; None if there are none.

        Raises
        ------
        BundleLockedError
            If another process writes the bundle just now. The journal keeps the bars.
        BundleError
            If the newest version ends too early to be continued. The journal keeps the bars.
        """
        if self._work is not None and not self._work.done():
            await asyncio.wait([self._work])
        pending = self._journal.finals()
        if pending.is_empty():
            return None
        before = storage.versions(self._target.bundle, self._options.environ)
        if before:
            self._require_continued()
        # A thread, so that the stream goes on; one that was begun is not given up half way.
        self._work = asyncio.create_task(asyncio.to_thread(self._ingest, pending))
        result = await asyncio.shield(self._work)
        is_new = result.version not in before
        self._confirmed = self._last_bars()
        self._journal.forget(pending if is_new else self._found(pending), self._confirmed)
        return result

    def _require_continued(self) -> None:
        """Raise if the newest version ends before one that bars were confirmed in."""
        last = self._last_bars()
        short = sorted(
            symbol
            for symbol, confirmed in self._confirmed.items()
            if symbol not in last or last[symbol] < confirmed
        )
        if short:
            raise BundleError(
                f"the newest version of bundle {self._target.bundle!r} ends before the bars that "
                f"are streamed, for {', '.join(short[:8])}: somebody has ingested it anew. Start "
                "the stream again, and it fetches what lies between; the journal keeps the bars"
            )

    def _last_bars(self) -> dict[str, Label]:
        target = self._target
        return _last_bars(open_bundle(target.bundle, None, self._options.environ), target.frequency)

    def _ingest(self, pending: pl.DataFrame) -> IngestResult:
        target, environ = self._target, self._options.environ
        return ingest(
            ConfirmingSource(self._source, target.bundle, pending, environ),
            target.bundle,
            # An earlier stream may have left bars of other symbols.
            symbols=sorted({*target.symbols, *pending["symbol"]}),
            frequency=str(target.frequency),
            calendar=target.calendar,
            off_calendar=self._options.off_calendar,
            update=bool(storage.versions(target.bundle, environ)),
            allow_partial=True,
            environ=environ,
            clock=self._options.pace.clock,
        )

    def _found(self, pending: pl.DataFrame) -> pl.DataFrame:
        """Those of some bars that the bundle has."""
        target = self._target
        source = ConfirmingSource(self._source, target.bundle, pending, self._options.environ)
        since = pl.col("timestamp") >= pending["timestamp"].min()
        known = source.in_bundle(target.frequency, since)
        return pending.join(known, on=["symbol", "timestamp"], how="semi")

    async def _close(self) -> None:
        await hang_up(self._stream)
        if self._work is not None:
            await asyncio.wait([self._work])


@dataclass(frozen=True)
class _Target:
    """What is streamed into what."""

    bundle: str
    symbols: tuple[str, ...]
    frequency: Frequency
    calendar: str
    #: By symbol, the last bar that the bundle has.
    last: Mapping[str, Label]


@asynccontextmanager
async def live_ingest(
    source: DataSource,
    bundle: str,
    symbols: Sequence[str],
    frequency: str,
    options: LiveOptions | None = None,
) -> AsyncIterator[LiveIngest]:
    """Stream into a bundle, which is made if it does not exist.

    Parameters
    ----------
    source : DataSource
        One that `supports_live`.
    bundle : str
    symbols : sequence of str
        Those of a bundle that exists are in it.
    frequency : str
    options : LiveOptions

    Raises
    ------
    BundleLockedError
        If another process streams into it.
    OptionError
        If the bundle cannot be continued with these bars.
    SourceError
        If the source does not stream.
    """
    how = options or LiveOptions()
    target = _target(source, bundle, symbols, frequency, how)
    metadata = source.get_metadata()
    now = grid_of(target.frequency, target.calendar).last_ended(how.pace.clock())
    begun = {symbol: target.last.get(symbol, now) for symbol in target.symbols}
    head = Head(str(target.frequency), metadata.source_type, metadata.fingerprint, begun)
    with open_journal(bundle, head, how.environ) as journal:
        live = LiveIngest(source, journal, target, how)
        try:
            yield live
        finally:
            await live._close()


def _target(
    source: DataSource, bundle: str, symbols: Sequence[str], frequency: str, how: LiveOptions
) -> _Target:
    metadata = source.get_metadata()
    if metadata.adjustment != "raw":
        raise OptionError(
            f"{metadata.source_type} gives bars adjusted for {metadata.adjustment}: only raw bars "
            "can be added to a bundle"
        )
    wanted, distinct = Frequency.parse(frequency), tuple(sorted(set(symbols)))
    calendar = resolve_name(how.calendar or source.calendar_of(distinct) or DEFAULT_CALENDAR)
    if not storage.versions(bundle, how.environ):
        return _Target(bundle, distinct, wanted, calendar, {})
    present = open_bundle(bundle, None, how.environ)
    record = present.metadata
    absent = sorted(set(distinct) - set(record.universe))
    if record.frequency != str(wanted) or absent:
        has = f"{record.frequency} bars of {len(record.symbols)} symbols"
        wants = f"{', '.join(absent)}: ingest them first" if absent else f"bars of {wanted}"
        raise OptionError(f"bundle {bundle!r} has {has}, not {wants}")
    return _Target(bundle, distinct, wanted, record.calendar, _last_bars(present, wanted))


def _behind(given: Label, confirmed: Label | None, present: Label | None) -> Label:
    """The bar that a stream goes on behind.

    Parameters
    ----------
    given : datetime or date
        The last one that was streamed.
    confirmed, present : datetime, date or None
        The last one of the version that took them, and of the newest version.
    """
    if present is None:
        return given
    # Whoever ingests a bundle anew may have left out what was streamed.
    is_short = confirmed is not None and present < confirmed
    return present if is_short else max(given, present)


def _last_bars(bundle: Bundle, frequency: Frequency) -> dict[str, Label]:
    newest = bundle.scan(kind_of(frequency)).group_by("symbol").agg(pl.col("timestamp").max())
    return dict(newest.collect().iter_rows())
