"""A cache around any data source: what is known is never asked for twice.

Bars that have settled (`rustybt.data.sources._finality`) are kept for good; younger ones for as
long as a freshness policy allows. A request fetches exactly the intervals that are missing, in one
call for all symbols that lack the same ones; that a range has no bars is remembered like bars are.
A cache directory may be shared by any number of threads and processes.
"""

import hashlib
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import DAILY, Bar, Frequency, listed
from rustybt.data.errors import DateRangeError, OptionError, RustyBTError
from rustybt.data.listings import Listings
from rustybt.data.sources._bar_request import BarRequest, series_of
from rustybt.data.sources._cache_stats import CacheStats, Tally
from rustybt.data.sources._cached_bars import CachedBars
from rustybt.data.sources._cached_delivery import CachedDelivery, DeliveryRequest
from rustybt.data.sources._cached_events import CachedEvents, EventRequest
from rustybt.data.sources._fetched import Delivery
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.data.sources._provider import ProviderSource
from rustybt.data.sources._resolutions import finer
from rustybt.data.sources._restatements import Restatement
from rustybt.data.sources._store import Store
from rustybt.data.sources._time_axis import asked_interval
from rustybt.data.sources.base import (
    DataSource,
    DataSourceMetadata,
    Fetched,
    requested_instants,
    requested_sessions,
)
from rustybt.data.sources.freshness import (
    CacheFreshnessPolicy,
    FreshnessPolicyFactory,
    calendar_name,
)

if TYPE_CHECKING:
    import pandas as pd

#: Where a cache is when nobody says: this variable, else `DEFAULT_DIRECTORY`.
DIRECTORY_VARIABLE = "RUSTYBT_CACHE"
DEFAULT_DIRECTORY = "~/.rustybt/cache"
#: Bytes of bars to keep.
DEFAULT_SIZE = 10 * 1024**3


def cache_directory(given: str | os.PathLike[str] | None = None) -> Path:
    """The directory of a cache: the one given, else ``$RUSTYBT_CACHE``, else the default."""
    chosen = given or os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY
    return Path(chosen).expanduser()


class CachedDataSource(DataSource):
    """A source in front of another one, which it asks for what it does not know.

    Parameters
    ----------
    adapter : DataSource
    cache_dir : path, optional
        ``$RUSTYBT_CACHE`` if not given, else ``~/.rustybt/cache``. Made when it is needed.
    freshness_policy : CacheFreshnessPolicy, optional
        For bars that may still be revised; what `FreshnessPolicyFactory` chooses for the source
        and each frequency, if not given.
    max_size : int
        Bytes of bars to keep; the least recently used ones leave first.
    calendar : str or exchange_calendars.ExchangeCalendar, optional
        Decides when a session has ended; the source's own, if not given.
    stale_if_error : bool
        Serve older bars than the policy allows when the source cannot be reached, with a
        `StaleDataWarning`, and say so in `Fetched.stale`.
    derive : bool, optional
        Make coarser bars of finer ones that are cached, final and complete, instead of fetching
        them. Whether the source says that this gives its own bars (`DataSourceMetadata.additive`),
        if not given.
    predict : bool
        Once requests for the same symbols move forward, let each fetch reach further ahead.
    clock : callable
        Tells the time.

    Raises
    ------
    OptionError
        If `max_size` is not above zero.
    CalendarError
        If there is no such calendar.
    """

    def __init__(
        self,
        adapter: DataSource,
        cache_dir: str | os.PathLike[str] | None = None,
        freshness_policy: CacheFreshnessPolicy | None = None,
        *,
        max_size: int = DEFAULT_SIZE,
        calendar: Any = None,
        stale_if_error: bool = False,
        derive: bool | None = None,
        predict: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        if max_size <= 0:
            raise OptionError(f"max_size is {max_size} bytes; it must be above zero")
        self.adapter = adapter
        self.cache_dir = cache_directory(cache_dir)
        self._policy = freshness_policy
        self._calendar = None if calendar is None else calendar_name(calendar)
        self._clock = clock
        self._tally = Tally()
        self._store = Store(self.cache_dir, max_size)
        self._derive = derive
        self._bars = CachedBars(
            adapter,
            self._store,
            clock,
            self._tally,
            stale_if_error=stale_if_error,
            predict=predict,
        )
        self._events = CachedEvents(adapter, self._store, clock, self._tally)
        self._delivery = CachedDelivery(adapter, self._store, self._bars, self._events, clock)
        self._stale_if_error = stale_if_error

    async def fetch(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp", frequency: str
    ) -> pl.DataFrame:
        """Bars from the cache, and from the source where it lacks them; see `DataSource.fetch`."""
        return (await self.fetch_available(symbols, start, end, frequency)).complete()

    async def fetch_available(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp", frequency: str
    ) -> Fetched:
        """See `DataSource.fetch_available`; symbols that fail are asked for again next time.

        Without a start or an end all is meant that a provider has. Files, and other sources that do
        not say how far they reach, are asked each time then.
        """
        request = self._request(listed(symbols), start, end, frequency)
        if request is None:
            return await self.adapter.fetch_available(symbols, start, end, frequency)
        return await self._bars.fetch(request)

    async def fetch_events(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp"
    ) -> Events:
        """Corporate actions from the cache, and from the source where it lacks them.

        Those of the last month, and those to come, are asked for again when the policy for daily
        bars says so: providers are late with them, and correct them.
        """
        start, end = self._dates(start, end, DAILY)
        if start is None or end is None:
            return await self.adapter.fetch_events(symbols, start, end)
        return await self._events.fetch(self._event_request(symbols, start, end))

    async def deliver(
        self, symbols: list[str], start: Any, end: Any, frequencies: Sequence[str]
    ) -> AsyncIterator[Delivery]:
        """See `DataSource.deliver`.

        The source delivers symbols that the cache knows nothing of, bars and events together; of
        others it is asked for what is missing.
        """
        distinct = sorted(set(listed(symbols)))
        request = self._delivery_request(distinct, start, end, frequencies)
        known = set(distinct)
        if request is not None:
            size = min(self.batch_size, 8) if _any_intraday(frequencies) else self.batch_size
            for first in range(0, len(distinct), size):
                batch = request.of(distinct[first : first + size])
                for delivery in await self._delivery.of_unknown(batch):
                    known -= set(delivery.symbols)
                    yield delivery
        async for delivery in super().deliver(sorted(known), start, end, frequencies):
            yield delivery

    async def revised_since(
        self, symbols: list[str], since: datetime, frequency: str
    ) -> Mapping[str, tuple[Any, Any]]:
        """See `DataSource.revised_since`; what was revised is asked for again, and recorded."""
        revised = await self.adapter.revised_since(symbols, since, frequency)
        for symbol, (start, end) in revised.items():
            await self.revalidate([symbol], start, end, frequency)
        return revised

    async def warm(
        self, symbols: list[str], start: Any, end: Any, frequency: str = "1d"
    ) -> dict[str, RustyBTError]:
        """Fetch what is missing of a range, bars and events, so that later requests find it.

        Returns
        -------
        dict of str to RustyBTError
            Symbols that could not be had, and why.
        """
        failures: dict[str, RustyBTError] = {}
        async for delivery in self.deliver(symbols, start, end, [frequency]):
            failures.update(delivery.failures)
        return failures

    async def revalidate(
        self, symbols: list[str], start: Any, end: Any, frequency: str = "1d"
    ) -> list[Restatement]:
        """Ask the source for a range again, also for bars that are final.

        A final bar that the source now gives with other values is a restatement: the old values
        are kept on record, the new ones are served from now on. `CacheDirectory.restatements` and
        `rustybt cache restatements` list them.

        Returns
        -------
        list of Restatement
            What changed.

        Raises
        ------
        SourceError
            If symbols could not be had; the others are dealt with.
        DateRangeError
            If there is no start or no end.
        """
        request = self._request(listed(symbols), start, end, frequency)
        if request is None:
            raise DateRangeError("say from when to when to ask again")
        noticed, source = self._clock(), self.get_metadata().source_type
        return [
            Restatement(
                source,
                change["symbol"],
                str(request.frequency),
                change["timestamp"],
                noticed,
                change["old"],
                change["new"],
            )
            for change in await self._bars.revalidate(request)
        ]

    def _request(
        self, symbols: list[str], start: Any, end: Any, frequency: str
    ) -> BarRequest | None:
        wanted = Frequency.parse(frequency)
        start, end = self._dates(start, end, wanted)
        if start is None or end is None:
            return None
        asked = asked_interval(start, end, wanted)
        if asked is None:
            return None
        metadata = self.get_metadata()
        calendar = self.calendar_of(symbols)
        return BarRequest(
            series_of(metadata, str(wanted)),
            sorted(set(symbols)),
            asked,
            wanted,
            self._policy_for(str(wanted), calendar),
            calendar,
            metadata.settle_lag,
            adjusted=metadata.adjustment != "raw",
            finer=self._finer(metadata, wanted),
        )

    def _dates(self, start: Any, end: Any, frequency: Frequency) -> tuple[Any, Any]:
        """The start and the end that are meant; a provider knows what none means."""
        if isinstance(self.adapter, ProviderSource):
            return self.adapter.dates(start, end, frequency)
        return start, end

    def _event_request(self, symbols: list[str], start: Any, end: Any) -> EventRequest:
        asked = asked_interval(start, end, DAILY)
        assert asked is not None  # noqa: S101  a range of dates has a date
        policy = self._policy_for("1d", self.calendar_of(symbols))
        return EventRequest.of(self.get_metadata(), symbols, asked, policy)

    def _delivery_request(
        self, symbols: list[str], start: Any, end: Any, frequencies: Sequence[str]
    ) -> DeliveryRequest | None:
        """What the source may deliver as it is; None if older or finer bars may stand in."""
        if len(frequencies) == 1:  # what no dates mean differs from one to the next
            start, end = self._dates(start, end, Frequency.parse(frequencies[0]))
        if start is None or end is None or self._stale_if_error:
            return None
        bars = {}
        for frequency in frequencies:
            request = self._request(listed(symbols), start, end, frequency)
            if request is None or request.finer:
                return None
            bars[frequency] = request
        return DeliveryRequest(start, end, bars, self._event_request(symbols, start, end))

    def _finer(self, metadata: DataSourceMetadata, wanted: Frequency) -> tuple[Frequency, ...]:
        may_derive = metadata.additive if self._derive is None else self._derive
        return tuple(finer(metadata.frequencies, wanted)) if may_derive else ()

    def _policy_for(self, frequency: str, calendar: str | None) -> CacheFreshnessPolicy:
        if self._policy is not None:
            return self._policy
        return FreshnessPolicyFactory.create_policy(self.adapter, frequency, calendar)

    def cache_key(self, symbols: list[str], start: Any, end: Any, frequency: str) -> str:
        """Hex digest of a request: equal for equal requests, however they are spelled.

        It covers the source and its configuration (without secrets), the symbols as a set, what
        the range means for bars of that frequency, and the frequency. An end of the range that is
        not said is None in it.
        """
        wanted = Frequency.parse(frequency)
        facts = [
            self.get_metadata().fingerprint,
            sorted(set(symbols)),
            *_bounds(start, end, wanted),
            str(wanted),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def stats(self) -> CacheStats:
        """What this object's requests took; `rustybt cache stats` tells of a directory."""
        return self._tally.stats

    def count_hit(self) -> None:
        """Count a request that is answered with bars which this cache gave before.

        `PolarsDataPortal` keeps windows in memory, and says so here.
        """
        self._tally.add({"hits": 1})

    def close(self) -> None:
        """Write counters down and close the index; the next request opens it again."""
        self._store.close()

    def get_metadata(self) -> DataSourceMetadata:
        """What the source behind the cache says of itself."""
        return self.adapter.get_metadata()

    def calendar_of(self, symbols: Sequence[str]) -> str | None:
        """What the source behind the cache says."""
        return self._calendar or self.adapter.calendar_of(symbols)

    async def list_symbols(self) -> list[str]:
        """All symbols of the source behind the cache, which is asked."""
        return await self.adapter.list_symbols()

    def supports_live(self) -> bool:
        """Whether the source behind the cache streams."""
        return self.adapter.supports_live()

    def stream(
        self,
        symbols: list[str],
        frequency: str,
        *,
        since: Mapping[str, datetime | date] | None = None,
    ) -> AsyncIterator[Bar]:
        """The stream of the source behind the cache; forming bars are not kept."""
        return self.adapter.stream(symbols, frequency, since=since)

    def calls_needed(self, symbols: int, bars: int, frequency: str) -> int:
        """What it takes if nothing is cached."""
        return self.adapter.calls_needed(symbols, bars, frequency)

    async def fetch_listings(self, symbols: list[str]) -> Listings:
        """Those of the adapter, as it tells them now."""
        return await self.adapter.fetch_listings(symbols)

    def listing_calls(self, symbols: int) -> int:
        """See `DataSource.listing_calls`."""
        return self.adapter.listing_calls(symbols)

    def calls_shared(self, symbols: int, bars: int, frequency: str) -> int:
        """See `DataSource.calls_shared`."""
        return self.adapter.calls_shared(symbols, bars, frequency)


def _bounds(start: Any, end: Any, frequency: Frequency) -> tuple[str | None, str | None]:
    """What a range means, each end spelled in one way; None where it is not said."""
    said = [moment for moment in (start, end) if moment is not None]
    if not said:
        return None, None
    ends = said[0], said[-1]
    meant = (
        requested_instants(*ends, frequency) if frequency.intraday else requested_sessions(*ends)
    )
    first, last = meant.first.isoformat(), meant.last.isoformat()
    return None if start is None else first, None if end is None else last


def _any_intraday(frequencies: Sequence[str]) -> bool:
    return any(Frequency.parse(frequency).intraday for frequency in frequencies)
