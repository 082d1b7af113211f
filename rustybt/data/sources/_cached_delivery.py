"""What a cache knows nothing of, as its source delivers it: bars and events together."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rustybt.data.sources._bar_request import BarRequest
from rustybt.data.sources._cached_bars import CachedBars, keys_of
from rustybt.data.sources._cached_events import CachedEvents, EventRequest
from rustybt.data.sources._fetched import Delivery
from rustybt.data.sources._finality import Clock
from rustybt.data.sources._single_flight import single_flight
from rustybt.data.sources._store import Store
from rustybt.data.sources.base import DataSource


@dataclass(frozen=True)
class DeliveryRequest:
    """Bars at some frequencies, and events, of the same symbols.

    Attributes
    ----------
    start, end
        As the source is asked.
    bars : mapping of str to BarRequest
        By frequency.
    events : EventRequest
    """

    start: Any
    end: Any
    bars: Mapping[str, BarRequest]
    events: EventRequest

    def of(self, symbols: list[str]) -> "DeliveryRequest":
        """The same of other symbols."""
        bars = {name: replace(each, symbols=symbols) for name, each in self.bars.items()}
        return replace(self, bars=bars, events=replace(self.events, symbols=symbols))


@dataclass(frozen=True)
class CachedDelivery:
    """Deliveries of a source, kept in a store."""

    adapter: DataSource
    store: Store
    bars: CachedBars
    events: CachedEvents
    clock: Clock

    async def of_unknown(self, request: DeliveryRequest) -> list[Delivery]:
        """What the source delivers of those symbols of a request that the store lacks wholly.

        A source that answers for bars and events at once is asked once, not twice.
        """
        if not await asyncio.to_thread(self._lacking, request):
            return []
        symbols = request.events.symbols
        keys = [key for each in request.bars.values() for key in keys_of(each, symbols)]
        keys += request.events.keys(symbols)
        async with single_flight(self.store.directory / "locks", keys):
            # Somebody else may have fetched some while this task waited.
            lacking = await asyncio.to_thread(self._lacking, request)
            if not lacking:
                return []
            asked_at = self.clock()
            self.bars.count_fetches(len(request.bars))
            deliveries = self.adapter.deliver(
                lacking, request.start, request.end, list(request.bars)
            )
            return [
                await asyncio.to_thread(self._take, request, each, asked_at)
                async for each in deliveries
            ]

    def _lacking(self, request: DeliveryRequest) -> list[str]:
        lacking = self.events.lacking(request.events)
        for each in request.bars.values():
            lacking &= self.bars.lacking(each)
        return sorted(lacking)

    def _take(self, request: DeliveryRequest, delivery: Delivery, asked_at: datetime) -> Delivery:
        symbols: Sequence[str] = delivery.symbols
        bars = {
            name: self.bars.take(request.bars[name], symbols, fetched, asked_at)
            for name, fetched in delivery.bars.items()
        }
        told = [symbol for symbol in symbols if symbol not in delivery.failures]
        self.events.take(request.events, told, delivery.events, asked_at)
        return replace(delivery, bars=bars)
