"""Several providers as one source: in order, by symbol and range, and a record of who gave what."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from rustybt.data.adjustments import Events, merge_events
from rustybt.data.bars import DAILY, Bar, Frequency, empty_bars, listed
from rustybt.data.errors import (
    FrequencyError,
    OptionError,
    RefusedRequestError,
    RustyBTError,
    SourceError,
    UnknownSymbolError,
    joined,
)
from rustybt.data.listings import Listings, merge_listings
from rustybt.data.provenance import SUPPLIED, Provenance, merge_provenance
from rustybt.data.sources._composite_file import read_rules
from rustybt.data.sources._composite_rules import Span, Supplier, assign, requested_span
from rustybt.data.sources._composite_supply import FALLBACKS, Policy, Round
from rustybt.data.sources._fetched import Delivery, Fetched, merge_fetched
from rustybt.data.sources.base import Adjustment, DataSource, DataSourceMetadata

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CompositeDataSource", "Supplier"]

T = TypeVar("T")


class CompositeDataSource(DataSource):
    """Several providers as one source.

    Each symbol and each part of a range is supplied by the first provider whose rules cover it.
    The next one is asked only for the reasons in `fallback`. No bar is a mixture, and no bar is
    made up: where ranges meet, each side has its provider's bars as they are.

    Parameters
    ----------
    suppliers : sequence of Supplier or DataSource
        In order. A source alone may be asked for everything.
    fallback : sequence of str, optional
        Why the next provider is asked: ``outage``, ``rate_limit``, ``unauthorised``,
        ``malformed``, ``refused``, ``invalid`` (its bars cannot be true), ``unadjustable``,
        ``unknown``, ``delisted``, and ``absence`` (it has no bars of the symbol in the range).
    tolerance : float, optional
        Ask all providers of a range, and report values that differ by more than this, relative to
        the larger one. Nothing is compared if it is None.
    adjustment : {"raw", "split", "split_dividend"}, optional
        What to say of the bars where providers adjust them differently, which is refused otherwise.
        Bars of a provider that adjusts come without events.

    Raises
    ------
    OptionError
        If a provider could never be asked, two have one name, or adjustments differ.
    """

    def __init__(
        self,
        suppliers: Sequence[Supplier | DataSource],
        *,
        fallback: Sequence[str] = (),
        tolerance: float | None = None,
        adjustment: Adjustment | None = None,
    ) -> None:
        given = [each if isinstance(each, Supplier) else Supplier(each) for each in suppliers]
        self.suppliers = tuple(given)
        self._policy = Policy(tuple(fallback), tolerance)
        self._adjustment = adjustment
        self._require_sense()

    @classmethod
    def from_file(cls, path: str | Path) -> "CompositeDataSource":
        """Read providers and rules from a TOML file; ``docs/composite.md`` shows one.

        Raises
        ------
        SourceFileError
            If it cannot be read.
        OptionError
            If it says what cannot be.
        """
        suppliers, options = read_rules(Path(path))
        return cls(suppliers, **options)

    def _require_sense(self) -> None:
        names = [each.name for each in self.suppliers]
        if len(set(names)) < len(names) or not names:
            raise OptionError(
                f"the providers of a composite are {', '.join(names) or 'none'}: give each a name"
            )
        unknown = sorted(set(self._policy.fallback) - FALLBACKS.keys())
        if unknown:
            raise OptionError(
                f"fallback is {', '.join(unknown)}; it must be of {', '.join(FALLBACKS)}"
            )
        for row, each in enumerate(self.suppliers):
            hiding = [before.name for before in self.suppliers[:row] if before.hides(each)]
            if hiding and not self._policy.fallback and self._policy.tolerance is None:
                raise OptionError(
                    f"{each.name} would never be asked, because {hiding[0]} stands before it: say "
                    "for which reasons it is (fallback), or give them symbols or ranges"
                )
        found = {each.name: each.source.get_metadata().adjustment for each in self.suppliers}
        if len(set(found.values())) > 1 and self._adjustment is None:
            told = ", ".join(f"{name} {adjusted}" for name, adjusted in found.items())
            raise OptionError(
                f"the providers adjust their bars differently ({told}): a series of both would "
                "jump where they meet. Choose others, or say what it is to be called (adjustment)"
            )

    async def fetch(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp", frequency: str
    ) -> pl.DataFrame:
        """See `DataSource.fetch`."""
        return (await self.fetch_available(symbols, start, end, frequency)).complete()

    async def fetch_available(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp", frequency: str
    ) -> Fetched:
        """See `DataSource.fetch_available`; `Fetched.provenance` says who supplied what."""
        wanted, symbols = Frequency.parse(frequency), listed(symbols)
        if not any(each.has_frequency(wanted) for each in self.suppliers):
            raise FrequencyError(
                f"no provider of the composite has bars of {wanted}; there are "
                f"{', '.join(self.get_metadata().frequencies)}"
            )
        asked = requested_span(start, end, wanted)
        groups: dict[tuple[Supplier, ...], list[str]] = {}
        for symbol in sorted(set(symbols)):
            groups.setdefault(self._suppliers_of(symbol, wanted), []).append(symbol)
        parts = [
            await self._of_group(group, suppliers, asked, wanted)
            for suppliers, group in groups.items()
        ]
        return merge_fetched(parts, wanted)

    def _suppliers_of(self, symbol: str, frequency: Frequency) -> tuple[Supplier, ...]:
        able = [each for each in self.suppliers if each.has_symbol(symbol)]
        return tuple(each for each in able if each.has_frequency(frequency))

    async def _of_group(
        self, symbols: list[str], suppliers: Sequence[Supplier], asked: Span, frequency: Frequency
    ) -> Fetched:
        """The bars of symbols that have the same suppliers."""
        if not suppliers:
            errors = {each: UnknownSymbolError([each], "the composite") for each in symbols}
            return Fetched(empty_bars(frequency), errors)
        parts = []
        for span, able in assign(asked, suppliers):
            if not able:
                return _uncovered(symbols, span, frequency)
            parts.append(await Round(symbols, span, frequency, self._policy).run(able))
        return _stitched(symbols, parts)

    async def fetch_events(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp"
    ) -> Events:
        """The corporate actions, each from the provider that supplies the bars around it.

        Which that is shows when bars are asked for, so they are: daily ones if there are any.
        """
        frequencies = self.get_metadata().frequencies
        chosen = str(DAILY) if str(DAILY) in frequencies else frequencies[0]
        fetched = await self.fetch_available(symbols, start, end, chosen)
        events, failures = await self._events_around(fetched.provenance)
        if failures:
            raise joined(failures)
        return events

    async def deliver(
        self,
        symbols: list[str],
        start: "pd.Timestamp",
        end: "pd.Timestamp",
        frequencies: Sequence[str],
    ) -> AsyncIterator[Delivery]:
        """See `DataSource.deliver`."""
        distinct = sorted(set(symbols))
        daily = [each for each in frequencies if not Frequency.parse(each).intraday]
        for first in range(0, len(distinct), self.batch_size):
            batch = distinct[first : first + self.batch_size]
            bars = {
                each: await self.fetch_available(batch, start, end, each) for each in frequencies
            }
            told = bars[(daily or frequencies)[0]].provenance
            events, failures = await self._events_around(told)
            yield Delivery(tuple(batch), bars, events, failures)

    async def _events_around(
        self, provenance: Provenance | None
    ) -> tuple[Events, dict[str, RustyBTError]]:
        """The events of the providers in the ranges that they supplied bars of."""
        if provenance is None:
            return Events(), {}
        sources = {each.name: each.source for each in self.suppliers}
        parts, failures = [], {}
        supplied = provenance.suppliers.filter(pl.col("outcome") == SUPPLIED)
        for key, rows in supplied.group_by("provider", "first", "last", maintain_order=True):
            name, first, last = key
            events, failed = await sources[str(name)]._events_available(
                rows["symbol"].to_list(), first, last
            )
            parts.append(events)
            failures.update(failed)
        return merge_events(parts), failures

    async def list_symbols(self) -> list[str]:
        """All symbols that a provider lists and may be asked for, sorted.

        Raises
        ------
        SourceError
            If a provider cannot list them.
        """
        listed = {
            symbol
            for each in self.suppliers
            for symbol in await each.source.list_symbols()
            if each.has_symbol(symbol)
        }
        return sorted(listed)

    def get_metadata(self) -> DataSourceMetadata:
        """See `DataSource.get_metadata`; the configuration has that of every provider."""
        told = [each.source.get_metadata() for each in self.suppliers]
        paces = [each.requests_per_minute for each in told if each.requests_per_minute]
        rules = {
            "fallback": list(self._policy.fallback),
            "tolerance": self._policy.tolerance,
            "suppliers": [_rule(*each) for each in zip(self.suppliers, told, strict=True)],
        }
        return DataSourceMetadata(
            source_type="composite",
            frequencies=tuple(dict.fromkeys(name for each in told for name in each.frequencies)),
            adjustment=self._adjustment or told[0].adjustment,
            settle_lag=max(each.settle_lag for each in told),
            calendar=_common([each.calendar for each in told]),
            currency=_common([each.currency for each in told]),
            feed="+".join(each.name for each in self.suppliers),
            requests_per_minute=min(paces, default=None),
            config=rules,
        )

    def supports_live(self) -> bool:
        """Whether a provider that may be asked without an end streams."""
        return bool(self._live())

    def _live(self) -> list[Supplier]:
        return [each for each in self.suppliers if each.end is None and each.source.supports_live()]

    def stream(
        self,
        symbols: list[str],
        frequency: str,
        *,
        since: Mapping[str, datetime | date] | None = None,
    ) -> AsyncIterator[Bar]:
        """The stream of the first provider that streams all of these symbols.

        Raises
        ------
        SourceError
            If there is none.
        """
        for each in self._live():
            if all(map(each.has_symbol, symbols)):
                return each.source.stream(symbols, frequency, since=since)
        raise SourceError(f"no provider of the composite streams {', '.join(symbols)}")

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """What the costliest provider takes, or all of them together where they are compared."""
        calls = [each.source.calls_needed(symbols, bars, frequency) for each in self.suppliers]
        return max(calls) if self._policy.tolerance is None else sum(calls)

    async def fetch_listings(self, symbols: list[str]) -> Listings:
        """Of each symbol what the first of its providers tells that tells something."""
        told = Listings()
        for each in self.suppliers:
            wanted = [symbol for symbol in symbols if each.has_symbol(symbol)]
            left = sorted(set(wanted) - set(told.dates["symbol"]))
            if left:
                told = merge_listings([told, await each.source.fetch_listings(left)])
        return told

    def listing_calls(self, symbols: int) -> int:
        """See `DataSource.listing_calls`: of all providers."""
        return sum(each.source.listing_calls(symbols) for each in self.suppliers)

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_shared`; of the providers that `calls_needed` counts."""
        asked = (symbols, bars, frequency)
        sources = [each.source for each in self.suppliers]
        if self._policy.tolerance is None:
            sources = [max(sources, key=lambda source: source.calls_needed(*asked))]
        return sum(source.calls_shared(*asked) for source in sources)


def _rule(supplier: Supplier, metadata: DataSourceMetadata) -> dict[str, Any]:
    """A supplier as plain JSON: what its bars depend on."""
    return {
        "name": supplier.name,
        "source_type": metadata.source_type,
        "adjustment": metadata.adjustment,
        "feed": metadata.feed,
        "symbols": list(supplier.symbols),
        "start": supplier.start and supplier.start.isoformat(),
        "end": supplier.end and supplier.end.isoformat(),
        "config": dict(metadata.config),
    }


def _common(values: Sequence[T | None]) -> T | None:
    """The value that all share, if they do."""
    return values[0] if all(each == values[0] for each in values) else None


def _uncovered(symbols: Sequence[str], span: Span, frequency: Frequency) -> Fetched:
    first, last = span.days()
    error = RefusedRequestError(
        f"no provider of the composite covers {frequency} bars from {first or 'the beginning'} to "
        f"{last or 'now'}: add one, widen a rule, or ask for another range"
    )
    return Fetched(empty_bars(frequency), dict.fromkeys(symbols, error))


def _stitched(symbols: Sequence[str], parts: Sequence[Fetched]) -> Fetched:
    """The spans of the same symbols one after the other; one that fails in a span has no bars."""
    failures: dict[str, RustyBTError] = {}
    for part in reversed(parts):
        failures.update(part.failures)
    bars = pl.concat([part.bars for part in parts]).filter(~pl.col("symbol").is_in(list(failures)))
    absent = set(symbols) - failures.keys() - set(bars["symbol"].unique())
    reasons = {symbol: why for part in parts for symbol, why in part.absences.items()}
    return Fetched(
        bars.sort("symbol", "timestamp", maintain_order=True),
        failures,
        {symbol: reasons[symbol] for symbol in sorted(absent)},
        provenance=merge_provenance(part.provenance for part in parts),
    )
