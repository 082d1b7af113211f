"""From a source to the collector: what arrives is written while the next is on its way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import polars as pl

from rustybt.data.adjustments import Events, merge_events
from rustybt.data.bars import Frequency
from rustybt.data.bundles import coverage, quality
from rustybt.data.bundles._batch import Collector
from rustybt.data.bundles._spill import run_starts
from rustybt.data.bundles.plan import Ask
from rustybt.data.errors import BarValidationError, RustyBTError
from rustybt.data.provenance import Provenance

#: Called with (symbols done, symbols in all, what is being done).
Progress = Callable[[int, int, str], None]

#: What is written at a time: as much again is under way meanwhile, so memory stays bounded.
_SYMBOLS = 512
_ROWS = 1 << 17


class Fetched(Protocol):
    """`rustybt.data.sources.base.Fetched`, as far as an ingest needs it."""

    @property
    def bars(self) -> pl.DataFrame:
        """Bars of the symbols that could be had."""

    @property
    def absences(self) -> Mapping[str, str]:
        """Why others have none."""

    @property
    def provenance(self) -> Provenance | None:
        """Who supplied the bars, if there was a choice."""


class Delivery(Protocol):
    """`rustybt.data.sources.base.Delivery`, as far as an ingest needs it."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Whose it is."""

    @property
    def bars(self) -> Mapping[str, Fetched]:
        """By frequency."""

    @property
    def events(self) -> Events:
        """Corporate actions."""

    @property
    def failures(self) -> Mapping[str, RustyBTError]:
        """Symbols that could not be had."""


@dataclass
class Gathered:
    """What came of asking a source.

    Attributes
    ----------
    events : list of Events
    failures : dict of str to RustyBTError
        Symbols that could not be had, or were refused.
    absences : dict of str to dict of str to str
        Frequency -> symbol without bars -> reason.
    provenance : list of Provenance or None
        In the order of the deliveries.
    """

    events: list[Events] = field(default_factory=list)
    failures: dict[str, RustyBTError] = field(default_factory=dict)
    absences: dict[str, dict[str, str]] = field(default_factory=dict)
    provenance: list[Provenance | None] = field(default_factory=list)

    def merged_events(self) -> Events:
        """The events of all symbols that did not fail."""
        gone = pl.col("symbol").is_in(list(self.failures))
        merged = merge_events(self.events)
        frames: dict[str, Any] = {kind: frame.filter(~gone) for kind, frame in merged.items()}
        return replace(merged, **frames)

    def without_any(self) -> dict[str, str]:
        """Symbols that have no bars at any frequency, and why."""
        first, *others = self.absences.values()
        return {
            symbol: reason
            for symbol, reason in sorted(first.items())
            if all(symbol in other for other in others)
        }

    def ledger(self, asks: Sequence[Ask], present: Collection[str]) -> pl.DataFrame:
        """The failures and absences, as rows of the coverage ledger.

        Parameters
        ----------
        present : collection of str
            Symbols that have bars all the same, from before: of those only what failed is missing.
        """
        spans = {symbol: (ask.start, ask.end) for ask in asks for symbol in ask.symbols}
        parts = []
        for frequency, absences in self.absences.items():
            none = {key: why for key, why in absences.items() if key not in present}
            failed = {key: why for key, why in self.failures.items() if key not in present}
            late = {key: why for key, why in self.failures.items() if key in present}
            parts.append(coverage.never_there(none, failed, frequency))
            parts.append(coverage.not_renewed(late, spans, frequency))
        return pl.concat([pl.DataFrame(schema=coverage.LEDGER), *parts])

    def findings(self) -> list[pl.DataFrame]:
        """Rows that were refused, by the source or here, as findings of `quality`."""
        return [
            quality.of_refused(error.findings)
            for error in self.failures.values()
            if isinstance(error, BarValidationError)
        ]


async def gather(
    deliveries: AsyncIterator[Delivery],
    collector: Collector,
    symbols: Sequence[str],
    progress: Progress | None = None,
) -> Gathered:
    """Write into the collector, in a thread of its own, what a source delivers.

    While one part is checked and written the next one is fetched; at most two parts are in memory.
    """
    gathered = Gathered(absences={str(each): {} for each in collector.frequencies})
    part: list[Delivery] = []
    writing: asyncio.Future[None] | None = None
    done = 0
    try:
        async for delivery in deliveries:
            part.append(delivery)
            done += len(delivery.symbols)
            if progress is not None:
                progress(done, len(symbols), delivery.symbols[-1])
            if _is_full(part):
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(asyncio.to_thread(_take, gathered, collector, part))
                part = []
        if writing is not None:
            await writing
        _take(gathered, collector, part)
    finally:
        if writing is not None:  # its thread cannot be stopped, and writes where we clear up
            await asyncio.wait([writing])
    return gathered


def _is_full(part: list[Delivery]) -> bool:
    rows = sum(len(fetched.bars) for each in part for fetched in each.bars.values())
    return rows >= _ROWS or sum(len(each.symbols) for each in part) >= _SYMBOLS


def _take(gathered: Gathered, collector: Collector, part: list[Delivery]) -> None:
    if not part:
        return
    for delivery in part:
        gathered.failures.update(delivery.failures)
    bars = {
        frequency: pl.concat([each.bars[str(frequency)].bars for each in part])
        for frequency in collector.frequencies
    }
    if gathered.failures:
        gone = pl.col("symbol").is_in(list(gathered.failures))
        bars = {frequency: frame.filter(~gone) for frequency, frame in bars.items()}
    gathered.failures.update(collector.add(bars))
    for delivery in part:
        gathered.events.append(delivery.events)
        gathered.provenance += [fetched.provenance for fetched in delivery.bars.values()]
    for name, absences in gathered.absences.items():
        symbols = bars[Frequency.parse(name)]["symbol"]
        present = set(symbols.gather(run_starts(symbols)))
        for delivery in part:
            why = delivery.bars[name].absences
            absent = set(delivery.symbols) - present - set(gathered.failures)
            absences.update({symbol: why.get(symbol, coverage.NO_BARS_AT_ALL) for symbol in absent})
