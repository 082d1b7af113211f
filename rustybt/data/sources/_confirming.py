"""What a bundle has and what was streamed behind it, as a source of the version that joins them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import Frequency, empty_bars
from rustybt.data.bundles import storage
from rustybt.data.bundles._batch import kind_of
from rustybt.data.bundles.bundle import open_bundle
from rustybt.data.sources.base import (
    DataSource,
    DataSourceMetadata,
    requested_instants,
    requested_sessions,
)

if TYPE_CHECKING:
    import pandas as pd


class ConfirmingSource(DataSource):
    """Streamed bars, and of the same sessions those that the bundle has; events of the provider.

    Parameters
    ----------
    source : DataSource
        The one that was streamed.
    bundle : str
    streamed : polars.DataFrame
        Final bars.
    environ : mapping
    """

    def __init__(
        self, source: DataSource, bundle: str, streamed: pl.DataFrame, environ: Mapping[str, str]
    ) -> None:
        self._source = source
        self._bundle = bundle
        self._streamed = streamed
        self._environ = environ

    def get_metadata(self) -> DataSourceMetadata:
        """That of the source that was streamed."""
        return self._source.get_metadata()

    def calendar_of(self, symbols: Sequence[str]) -> str | None:
        """As the source that was streamed says."""
        return self._source.calendar_of(symbols)

    async def fetch_events(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp"
    ) -> Events:
        """Corporate actions, from the first bar on where nobody says from when."""
        if start is None or end is None:
            days = self._streamed["timestamp"].cast(pl.Date)
            start, end = days.min(), days.max()
        return await self._source.fetch_events(symbols, start, end)

    async def fetch(
        self, symbols: list[str], start: "pd.Timestamp", end: "pd.Timestamp", frequency: str
    ) -> pl.DataFrame:
        """Bars that the bundle has, and behind them those that were streamed."""
        wanted = Frequency.parse(frequency)
        inside = pl.col("symbol").is_in(symbols) & _between(start, end, wanted)
        known = self.in_bundle(wanted, inside)
        both = pl.concat([empty_bars(wanted), known, self._streamed.filter(inside)])
        once = both.unique(["symbol", "timestamp"], keep="first", maintain_order=True)
        return once.sort("symbol", "timestamp")

    def in_bundle(self, frequency: Frequency, inside: pl.Expr) -> pl.DataFrame:
        """Bars of the newest version."""
        if not storage.versions(self._bundle, self._environ):
            return empty_bars(frequency)
        bundle = open_bundle(self._bundle, None, self._environ)
        return bundle.scan(kind_of(frequency)).filter(inside).collect()


def _between(start: Any, end: Any, frequency: Frequency) -> pl.Expr:
    if start is None or end is None:
        return pl.lit(True)
    if frequency.intraday:
        asked: Any = requested_instants(start, end, frequency)
    else:
        asked = requested_sessions(start, end)
    return pl.col("timestamp").is_between(asked.first, asked.last)
