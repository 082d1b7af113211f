"""Sources for tests that hold their bars in memory."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import Frequency, bar_schema, conform, empty_bars
from rustybt.data.errors import FrequencyError, RustyBTError, SourceError, UnknownSymbolError
from rustybt.data.sources._finality import Clock, bar_ends, ended_only
from rustybt.data.sources.base import (
    DataSource,
    DataSourceMetadata,
    requested_instants,
    requested_sessions,
)


class FrameSource(DataSource):
    """A source of the bars and events that it is given.

    Parameters
    ----------
    bars : polars.DataFrame or mapping of str to polars.DataFrame
        Bars of one frequency (``1d`` if the timestamps are dates, else ``1m``), or by frequency.
    events : Events
    symbols : iterable of str
        Further symbols that the source knows and has no bars of.
    **facts
        Fields of `DataSourceMetadata`.
    """

    def __init__(
        self,
        bars: pl.DataFrame | Mapping[str, pl.DataFrame],
        events: Events | None = None,
        symbols: tuple[str, ...] = (),
        **facts: Any,
    ) -> None:
        if isinstance(bars, pl.DataFrame):
            bars = {"1d" if bars.schema["timestamp"] == pl.Date else "1m": bars}
        self._bars = {
            Frequency.parse(name): conform(frame, Frequency.parse(name))
            for name, frame in bars.items()
        }
        self._events = Events() if events is None else events
        self._symbols = {symbol for frame in self._bars.values() for symbol in frame["symbol"]}
        self._symbols |= set(symbols)
        self._facts = {"source_type": "frame", "frequencies": tuple(bars), **facts}

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        unknown = sorted(set(symbols) - self._symbols)
        if unknown:
            raise UnknownSymbolError(unknown, "the frame", sorted(self._symbols))
        wanted = Frequency.parse(frequency)
        if wanted not in self._bars:
            raise FrequencyError(f"the frame has no bars of {wanted}")
        bars = self._bars[wanted].filter(pl.col("symbol").is_in(symbols))
        if start is None and end is None:
            return bars.select(bar_schema(wanted).names())
        if wanted.intraday:
            asked: Any = requested_instants(start, end, wanted)
        else:
            asked = requested_sessions(start, end)
        inside = pl.col("timestamp").is_between(asked.first, asked.last)
        return pl.concat([empty_bars(wanted), bars.filter(inside)])

    async def fetch_events(self, symbols: list[str], start: Any, end: Any) -> Events:
        chosen = pl.col("symbol").is_in(symbols)
        if start is not None and end is not None:
            asked = requested_sessions(start, end)
            chosen = chosen & pl.col("ex_date").is_between(asked.first, asked.last)
        frames = {kind: frame.filter(chosen) for kind, frame in self._events.items()}
        return Events(**frames, notes=self._events.notes)

    async def list_symbols(self) -> list[str]:
        return sorted(self._symbols)

    def get_metadata(self) -> DataSourceMetadata:
        return DataSourceMetadata(**self._facts)


class ExplodingSource(FrameSource):
    """A source that fails when it is asked for one of its symbols."""

    def __init__(self, bars: pl.DataFrame, fails_on: str) -> None:
        super().__init__(bars)
        self._fails_on = fails_on

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        if self._fails_on in symbols:
            raise SourceError(f"the provider hung up at {self._fails_on}")
        return await super().fetch(symbols, start, end, frequency)


class FailingSource(FrameSource):
    """A source that fails for each of some symbols in a way of its own."""

    def __init__(self, bars: pl.DataFrame, failures: Mapping[str, RustyBTError]) -> None:
        super().__init__(bars, symbols=tuple(failures))
        self.failures = dict(failures)

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        for symbol in symbols:
            if symbol in self.failures:
                raise self.failures[symbol]
        return await super().fetch(symbols, start, end, frequency)


class CountingSource(FrameSource):
    """A source that remembers what it was asked for.

    Attributes
    ----------
    requests : list of (symbols, first, last)
        Of each call of `fetch`: sorted symbols, and the labels that its range means.
    event_requests : list of (symbols, first, last)
        Of each call of `fetch_events`.
    """

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        self.requests: list[tuple[tuple[str, ...], Any, Any]] = []
        self.event_requests: list[tuple[tuple[str, ...], Any, Any]] = []

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        wanted = Frequency.parse(frequency)
        if wanted.intraday:
            asked: Any = requested_instants(start, end, wanted)
        else:
            asked = requested_sessions(start, end)
        self.requests.append((tuple(sorted(symbols)), asked.first, asked.last))
        return await super().fetch(symbols, start, end, frequency)

    async def fetch_events(self, symbols: list[str], start: Any, end: Any) -> Events:
        asked = requested_sessions(start, end)
        self.event_requests.append((tuple(sorted(symbols)), asked.first, asked.last))
        return await super().fetch_events(symbols, start, end)


class MarketSource(CountingSource):
    """A source that has only bars that have ended by its clock.

    Attributes
    ----------
    failure : Exception or None
        Raised by `fetch`, while it is set.
    """

    def __init__(self, bars: Any, clock: Clock, market: str, **facts: Any) -> None:
        super().__init__(bars, **facts)
        self._clock = clock
        self._market = market
        self.failure: Exception | None = None

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        bars = await super().fetch(symbols, start, end, frequency)
        if self.failure is not None:
            raise self.failure
        ends = bar_ends(bars, Frequency.parse(frequency), self._market)
        return ended_only(bars, ends, self._clock())

    def revise(self, bars: pl.DataFrame) -> None:
        """Put other values in the place of bars of the same symbols and times."""
        for frequency, frame in self._bars.items():
            if frame.schema["timestamp"] == bars.schema["timestamp"]:
                others = frame.join(bars, on=["symbol", "timestamp"], how="anti")
                self._bars[frequency] = conform(pl.concat([others, bars]), frequency)


class FrozenClock:
    """A clock that is set by hand."""

    def __init__(self, now: str) -> None:
        self.set(now)

    def set(self, now: str) -> None:
        self.now = datetime.fromisoformat(now).replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now
