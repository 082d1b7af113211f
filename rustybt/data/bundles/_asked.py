"""From the arguments of an ingest to what its source is asked, and to what it delivers."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl

from rustybt.data.bars import Frequency
from rustybt.data.bundles._base import REPLACED, Base, require_base
from rustybt.data.bundles._gather import Delivery
from rustybt.data.bundles._options import Options, Source
from rustybt.data.bundles._progress import Progress
from rustybt.data.bundles._request import (
    Request,
    asks_of,
    earlier_ranges,
    missing_ranges,
    require_updatable,
    with_lost,
    with_revised,
)
from rustybt.data.bundles.plan import Ask
from rustybt.data.calendars import DEFAULT_CALENDAR, resolve_name


@dataclass(frozen=True)
class Asked:
    """The arguments of an ingest."""

    source: Source
    bundle_name: str
    symbols: Sequence[str] | None
    start: Any
    end: Any
    frequency: str | Sequence[str] | None
    how: Options

    @cached_property
    def metadata(self) -> Any:
        """What the source says of itself."""
        return self.source.get_metadata()

    def facts(self, request: Request) -> dict[str, Any]:
        """What an answer depends on besides the symbols and dates."""
        return {
            "source": self.metadata.fingerprint,
            "frequencies": [str(each) for each in request.frequencies],
            "base": request.base.version.path.name if request.base is not None else None,
            "settle_lag": self.metadata.settle_lag,
        }

    async def request(self, now: datetime) -> Request:
        """What is asked of the source."""
        if self.how.update or self.how.prepend:
            return await self._addition(now)
        wanted = self.symbols if self.symbols is not None else await self.source.list_symbols()
        universe = tuple(sorted(set(wanted)))
        name = self.how.calendar or self.source.calendar_of(universe) or DEFAULT_CALENDAR
        asks = (Ask(universe, self.start, self.end),)
        return Request(asks, universe, frequencies_of(self.frequency or "1d"), resolve_name(name))

    async def _addition(self, now: datetime) -> Request:
        usable = require_base(self.bundle_name, self.how.environ)
        renames = {each.old: each.new for each in self.how.renames}
        nothing = pl.DataFrame(schema=REPLACED)
        base = Base(usable.version, nothing, renames, usable.stand_ins)
        record = base.metadata
        universe = [renames.get(symbol, symbol) for symbol in record.universe]
        frequencies = frequencies_of(self.frequency or record.frequency.split(","))
        require_updatable(base, self.metadata, frequencies)
        wanted = sorted(set(self.symbols)) if self.symbols is not None else universe
        if self.how.prepend:
            ranges = earlier_ranges(base, wanted, self.start)
        else:
            ranges = missing_ranges(base, wanted, self.start, self.end, now)
            since = record.ingestion_time.to_pydatetime(warn=False)
            revised = [
                await self.source.revised_since(wanted, since, str(each)) for each in frequencies
            ]
            for each in revised:
                ranges = with_revised(ranges, each, base)
        ranges = with_lost(ranges, base)
        asks, replaced = asks_of(ranges, record.calendar, frequencies)
        everything = tuple(sorted({*universe, *wanted}))
        base = base.replacing(replaced)
        return Request(asks, everything, frequencies, record.calendar, base)


class Deliveries:
    """What an earlier ingest kept, then what the source delivers of the rest."""

    def __init__(self, source: Source, request: Request, progress: Progress) -> None:
        self._source = source
        self._request = request
        self._progress = progress
        self.resumed = 0

    async def each(self) -> AsyncIterator[Delivery]:
        """Every symbol of every ask once."""
        names = [str(frequency) for frequency in self._request.frequencies]
        for number, ask in enumerate(self._request.asks):
            for kept in self._progress.deliveries(number):
                self.resumed += len(kept.symbols)
                yield kept
            there = self._progress.symbols(number)
            left = [symbol for symbol in ask.symbols if symbol not in there]
            if not left:
                continue
            async for delivery in self._source.deliver(left, ask.start, ask.end, names):
                if not self._source.is_local:
                    self._progress.keep(number, delivery)
                yield delivery


def frequencies_of(frequency: str | Sequence[str]) -> tuple[Frequency, ...]:
    """The distinct frequencies that are named, in order."""
    names = [frequency] if isinstance(frequency, str) else list(frequency)
    return tuple(dict.fromkeys(Frequency.parse(name) for name in names))
