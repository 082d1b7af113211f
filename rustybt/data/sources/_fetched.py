"""What a source answers: bars, and why the rest is not there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import Frequency, empty_bars
from rustybt.data.errors import RustyBTError, joined
from rustybt.data.provenance import Provenance, merge_provenance


@dataclass(frozen=True)
class Fetched:
    """What a source could give, and why the rest is not there.

    Attributes
    ----------
    bars : polars.DataFrame
        As `DataSource.fetch` returns them, of the symbols that could be had.
    failures : mapping of str to RustyBTError
        Symbols that could not be fetched (`SourceError`), or whose bars cannot be true
        (`BarValidationError`); none of their bars is in `bars`.
    absences : mapping of str to str
        Symbols that the source answered for with no bars, each with the reason it gave.
    stale : mapping of str to datetime
        Symbols whose last bars are older than they should be, because the source could not be
        reached and the caller allowed that (`CachedDataSource`): when they were fetched.
    provenance : Provenance or None
        Who supplied the bars, of a source of several providers (`CompositeDataSource`).
    """

    bars: pl.DataFrame
    failures: Mapping[str, RustyBTError] = field(default_factory=dict)
    absences: Mapping[str, str] = field(default_factory=dict)
    stale: Mapping[str, datetime] = field(default_factory=dict)
    provenance: Provenance | None = None

    def complete(self) -> pl.DataFrame:
        """The bars, if no symbol failed.

        Raises
        ------
        RustyBTError
            The error itself if there is one, a single `UnknownSymbolError` if all are that,
            else `PartialFetchError`.
        """
        if self.failures:
            raise joined(self.failures)
        return self.bars


def merge_fetched(parts: Sequence[Fetched], frequency: Frequency) -> Fetched:
    """Several answers, each for symbols of its own, as one."""
    return Fetched(
        _sorted([part.bars for part in parts], frequency),
        {symbol: error for part in parts for symbol, error in part.failures.items()},
        {symbol: reason for part in parts for symbol, reason in part.absences.items()},
        {symbol: moment for part in parts for symbol, moment in part.stale.items()},
        merge_provenance(part.provenance for part in parts),
    )


def _sorted(parts: Sequence[pl.DataFrame], frequency: Frequency) -> pl.DataFrame:
    """Sorted frames as one; those of symbols that follow each other are not sorted again."""
    full = sorted((part for part in parts if len(part)), key=lambda part: str(part["symbol"][0]))
    bars = pl.concat([empty_bars(frequency), *full])
    if all(one["symbol"][-1] < other["symbol"][0] for one, other in pairwise(full)):
        return bars
    return bars.sort("symbol", "timestamp", maintain_order=True)


@dataclass(frozen=True)
class Delivery:
    """All that a source has of a few symbols.

    Attributes
    ----------
    symbols : tuple of str
    bars : mapping of str to Fetched
        By frequency, as they were asked for.
    events : Events
        Of those that did not fail.
    event_failures : mapping of str to RustyBTError
        Symbols whose events could not be had: their bars cannot be read rightly without.
    """

    symbols: tuple[str, ...]
    bars: Mapping[str, Fetched]
    events: Events
    event_failures: Mapping[str, RustyBTError] = field(default_factory=dict)

    @property
    def failures(self) -> dict[str, RustyBTError]:
        """Symbols that failed in anything, each with the first reason."""
        found = dict(self.event_failures)
        for fetched in reversed(list(self.bars.values())):
            found.update(fetched.failures)
        return found
