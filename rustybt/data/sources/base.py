"""What every data source is: one interface for files, providers, caches and composites."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import polars as pl

from rustybt.data.adjustments import Events, merge_events
from rustybt.data.bars import Bar, Frequency, conform, empty_bars
from rustybt.data.errors import BarValidationError, RustyBTError, SourceError
from rustybt.data.listings import Listings
from rustybt.data.sources._fetched import Delivery
from rustybt.data.sources._fetched import Fetched as Fetched
from rustybt.data.sources._fetched import merge_fetched as merge_fetched
from rustybt.data.sources._ranges import InstantRange as InstantRange
from rustybt.data.sources._ranges import SessionRange as SessionRange
from rustybt.data.sources._ranges import requested_instants as requested_instants
from rustybt.data.sources._ranges import requested_sessions as requested_sessions

if TYPE_CHECKING:
    import pandas as pd

Adjustment = Literal["raw", "split", "split_dividend"]
BarLabel = Literal["start", "end"]


@dataclass(frozen=True)
class DataSourceMetadata:
    """What a source says of itself; it is recorded with every bundle made from it.

    Attributes
    ----------
    source_type : str
        The name it is registered under: ``csv``, ``yfinance``, ...
    frequencies : tuple of str
        The bar frequencies that it has.
    adjustment : {"raw", "split", "split_dividend"}
        What the bars that `DataSource.fetch` returns are adjusted for. Only raw bars come with
        events, so that nothing is adjusted twice.
    bar_label : {"start", "end"}
        Which end of an intraday bar the provider labels. `DataSource.fetch` always returns ends.
    settle_lag : timedelta
        How long after its end a bar may still be revised by the provider: until then it is
        provisional, after that final.
    calendar : str or None
        The calendar of its market, when all its symbols share one.
    currency : str or None
        ISO 4217 code of the prices, when all its symbols share one.
    feed : str
        Which of a provider's feeds is read.
    version : str
        Version of the client library or of the API.
    requests_per_minute : float or None
        The pace that the provider allows, if it names one.
    config : mapping
        The configuration that the bars depend on, without secrets.
    additive : bool
        Whether a longer bar is exactly what the shorter ones of its time add up to, so that a
        cache may make it of them.
    """

    source_type: str
    frequencies: tuple[str, ...] = ("1d",)
    adjustment: Adjustment = "raw"
    bar_label: BarLabel = "end"
    settle_lag: timedelta = timedelta(0)
    calendar: str | None = None
    currency: str | None = None
    feed: str = ""
    version: str = ""
    requests_per_minute: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    additive: bool = False

    @property
    def fingerprint(self) -> str:
        """Hex digest that two sources share only if they would return the same bars."""
        facts = [self.source_type, self.adjustment, self.feed, dict(self.config)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


class DataSource(ABC):
    """A source of bars and corporate actions.

    An implementation writes `fetch`, `get_metadata`, and, where it has them, `fetch_events`,
    `list_symbols` and `supports_live`. `rustybt.data.sources.testing.DataSourceTests` is the
    suite that it must pass.

    Attributes
    ----------
    environment_variables : tuple of str
        Where the source looks for its credentials.
    example_symbol : str or None
        What to try the source with; a provider has it for sure.
    batch_size : int
        How many symbols of daily bars an ingest asks for at once, and loses when it is killed;
        of intraday bars it is at most eight.
    is_local : bool
        Whether it reads files at hand: an ingest that is killed then loses nothing by reading
        them again, and keeps none of them aside.
    """

    environment_variables: ClassVar[tuple[str, ...]] = ()
    example_symbol: ClassVar[str | None] = None
    batch_size: ClassVar[int] = 64
    is_local: ClassVar[bool] = False

    @abstractmethod
    async def fetch(
        self,
        symbols: list[str],
        start: "pd.Timestamp",
        end: "pd.Timestamp",
        frequency: str,
    ) -> pl.DataFrame:
        """Fetch OHLCV bars.

        Parameters
        ----------
        symbols : list of str
        start, end : pandas.Timestamp, datetime, date or ISO text
            Both included; see `requested_range` for what a date means for intraday bars.
        frequency : str
            See `rustybt.data.bars.Frequency.parse`.

        Returns
        -------
        polars.DataFrame
            Valid bars in the bar schema (`rustybt.data.bars`), never one that is still forming.
            Those younger than the source's settle lag are provisional: the provider may revise
            them. A symbol without a trade in the range has no rows.

        Raises
        ------
        UnknownSymbolError
            If the source has no such symbol, in any range.
        FrequencyError
            If the source has no such bars.
        BarValidationError
            If rows cannot be true.
        """

    async def fetch_available(
        self,
        symbols: list[str],
        start: "pd.Timestamp",
        end: "pd.Timestamp",
        frequency: str,
    ) -> Fetched:
        """Fetch the bars that can be had, and say why the others cannot.

        The default asks for all symbols at once and, when that fails, for one at a time; a
        source that asks its provider symbol by symbol does better.

        Parameters
        ----------
        symbols, start, end, frequency
            As for `fetch`.

        Raises
        ------
        DateRangeError, FrequencyError
            What is wrong with the request itself is no failure of a symbol.
        """
        distinct = sorted(set(symbols))
        try:
            bars = await self.fetch(distinct, start, end, frequency)
            return Fetched(conform(bars, Frequency.parse(frequency)))
        except (SourceError, BarValidationError) as error:
            if len(distinct) == 1:
                return Fetched(empty_bars(Frequency.parse(frequency)), {distinct[0]: error})
        parts = [await self.fetch_available([symbol], start, end, frequency) for symbol in distinct]
        return merge_fetched(parts, Frequency.parse(frequency))

    async def deliver(
        self,
        symbols: list[str],
        start: "pd.Timestamp",
        end: "pd.Timestamp",
        frequencies: Sequence[str],
    ) -> AsyncIterator[Delivery]:
        """Fetch bars and events a few symbols at a time: what an ingest goes by.

        The default asks for `batch_size` symbols at once; a source that asks its provider symbol
        by symbol yields each as it arrives.

        Parameters
        ----------
        symbols, start, end
            As for `fetch`.
        frequencies : sequence of str

        Yields
        ------
        Delivery
            Each distinct symbol once, in any order.
        """
        distinct = sorted(set(symbols))
        intraday = any(Frequency.parse(frequency).intraday for frequency in frequencies)
        size = min(self.batch_size, 8) if intraday else self.batch_size
        for first in range(0, len(distinct), size):
            batch = distinct[first : first + size]
            events, failures = await self._events_available(batch, start, end)
            bars = {
                frequency: await self.fetch_available(batch, start, end, frequency)
                for frequency in frequencies
            }
            yield Delivery(tuple(batch), bars, events, failures)

    async def _events_available(
        self, symbols: list[str], start: Any, end: Any
    ) -> tuple[Events, dict[str, RustyBTError]]:
        """The events that can be had, and why the others cannot."""
        try:
            return merge_events([await self.fetch_events(symbols, start, end)]), {}
        except (SourceError, BarValidationError) as error:
            if len(symbols) == 1:
                return Events(), {symbols[0]: error}
        parts = [await self._events_available([symbol], start, end) for symbol in symbols]
        failures = {symbol: error for _, failed in parts for symbol, error in failed.items()}
        return merge_events(events for events, _ in parts), failures

    async def fetch_events(
        self,
        symbols: list[str],  # noqa: ARG002
        start: "pd.Timestamp",  # noqa: ARG002
        end: "pd.Timestamp",  # noqa: ARG002
    ) -> Events:
        """Fetch the corporate actions with an ex-date from `start` to `end`.

        The default is that there are none to be had.
        """
        return Events()

    async def revised_since(
        self,
        symbols: list[str],  # noqa: ARG002
        since: datetime,  # noqa: ARG002
        frequency: str,  # noqa: ARG002
    ) -> Mapping[str, tuple[Any, Any]]:
        """What the provider has revised since a time, of bars that had settled.

        Returns
        -------
        mapping of str to (start, end)
            Symbol -> the range that is to be fetched again. The default is none.
        """
        return {}

    async def list_symbols(self) -> list[str]:
        """All symbols that the source has, sorted.

        Raises
        ------
        SourceError
            If the source cannot list them: name the symbols then.
        """
        name = self.get_metadata().source_type
        raise SourceError(f"source {name} cannot list its symbols; say which ones you want")

    async def fetch_listings(self, symbols: list[str]) -> Listings:  # noqa: ARG002
        """What the provider tells of the assets: listed when, delisted when, called what before.

        Returns
        -------
        Listings
            Nothing of symbols that it tells nothing of, which is the default for all.
        """
        return Listings()

    async def ingest_to_bundle(
        self,
        bundle_name: str,
        symbols: list[str],
        start: "pd.Timestamp",
        end: "pd.Timestamp",
        frequency: str,
        **options: Any,
    ) -> Path:
        """Write bars and events as a new version of a bundle.

        Parameters
        ----------
        bundle_name : str
        symbols, start, end, frequency
            As for `fetch`.
        **options
            Further options of `rustybt.data.bundles.ingest.ingest_async`: ``calendar``,
            ``precision``, ...

        Returns
        -------
        pathlib.Path
            The directory of the version that was written.
        """
        from rustybt.data.bundles.ingest import ingest_async

        result = await ingest_async(
            self,
            bundle_name,
            symbols=symbols,
            start=start,
            end=end,
            frequency=frequency,
            **options,
        )
        return result.path

    @abstractmethod
    def get_metadata(self) -> DataSourceMetadata:
        """What the source says of itself."""

    def calendar_of(self, symbols: Sequence[str]) -> str | None:  # noqa: ARG002
        """The calendar of the market that symbols are of; None if unknown, or not one for all."""
        return self.get_metadata().calendar

    def supports_live(self) -> bool:
        """Whether the source streams bars as they form."""
        return False

    def stream(
        self,
        symbols: list[str],  # noqa: ARG002
        frequency: str,  # noqa: ARG002
        *,
        since: Mapping[str, datetime | date] | None = None,  # noqa: ARG002
    ) -> AsyncIterator[Bar]:
        """Bars as they form: each is yielded as it changes and, once it is final, a last time.

        Parameters
        ----------
        symbols : list of str
        frequency : str
        since : mapping of str to datetime or date, optional
            By symbol, the `timestamp` of the last final bar that the caller has: the stream goes
            on behind it. Other symbols begin with the bar that is forming now.

        Returns
        -------
        async iterator of Bar
            Endless; final bars of a symbol come in order, without a gap and without a duplicate,
            also across reconnections. Close it (``aclose``) to hang up.

        Raises
        ------
        SourceError
            If the source does not stream.
        """
        name = self.get_metadata().source_type
        raise SourceError(f"source {name} does not stream; fetch its bars instead")

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:  # noqa: ARG002
        """How many requests it takes to ingest `bars` bars of each symbol, with their events.

        The default, for sources that read files, is none.
        """
        return 0

    def listing_calls(self, symbols: int) -> int:  # noqa: ARG002
        """How many requests `fetch_listings` takes of symbols that are traded; none by default."""
        return 0

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:  # noqa: ARG002
        """How many of `calls_needed` serve all frequencies that are ingested together.

        Those for events, say, which are asked for once. The default is none.
        """
        return 0
