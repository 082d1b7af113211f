"""Bar readers in zipline's manner, as a data source: for portals that were made with readers."""

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from rustybt.data.bars import DAILY, MINUTE, VALUE_COLUMNS, Frequency, conform, empty_bars
from rustybt.data.errors import FrequencyError, UnknownSymbolError
from rustybt.data.sources.base import (
    DataSource,
    DataSourceMetadata,
    requested_instants,
    requested_sessions,
)


class ReaderSource(DataSource):
    """The bars of a daily and a minute reader.

    A reader has `load_raw_arrays`, `trading_calendar` and `last_available_dt`, as zipline's and
    `rustybt.compat.bar_readers` have. It knows assets by their sids: those that were asked for by
    objects with ``symbol`` and ``sid``.

    Parameters
    ----------
    daily_reader, minute_reader : object or None
    """

    def __init__(self, daily_reader: Any, minute_reader: Any) -> None:
        readers = {DAILY: daily_reader, MINUTE: minute_reader}
        self._readers = {each: reader for each, reader in readers.items() if reader is not None}
        self._sids: dict[str, int] = {}

    def remember(self, assets: Any) -> None:
        """Learn the sids of assets."""
        listed: Iterable[Any] = assets if isinstance(assets, Iterable) else [assets]
        self._sids.update({each.symbol: int(each.sid) for each in listed if hasattr(each, "sid")})

    def get_metadata(self) -> DataSourceMetadata:
        """The frequencies of the readers and the calendar of one of them."""
        calendar = next(iter(self._readers.values())).trading_calendar.name
        return DataSourceMetadata(
            "readers", frequencies=tuple(map(str, self._readers)), calendar=calendar
        )

    async def fetch(self, symbols: list[str], start: Any, end: Any, frequency: str) -> pl.DataFrame:
        """See `DataSource.fetch`."""
        wanted = Frequency.parse(frequency)
        if wanted not in self._readers:
            raise FrequencyError(f"there is no reader of {frequency} bars")
        unknown = sorted(set(symbols) - set(self._sids))
        if unknown:
            raise UnknownSymbolError(unknown, "the reader (ask with assets that have a sid)")
        return await asyncio.to_thread(self._read, sorted(set(symbols)), start, end, wanted)

    def _read(self, symbols: list[str], start: Any, end: Any, frequency: Frequency) -> pl.DataFrame:
        reader = self._readers[frequency]
        labels = self._labels(reader, start, end, frequency)
        if not len(labels):
            return empty_bars(frequency)
        sids = [self._sids[symbol] for symbol in symbols]
        arrays = reader.load_raw_arrays(list(VALUE_COLUMNS), labels[0], labels[-1], sids)
        times = pl.Series(labels.values.astype("datetime64[us]"))
        if frequency.intraday:
            times = times.dt.replace_time_zone("UTC")
        parts = [
            pl.DataFrame(
                {
                    "symbol": [symbol] * len(labels),
                    "timestamp": times,
                    **{
                        name: np.asarray(array[:, column], dtype=np.float64)
                        for name, array in zip(VALUE_COLUMNS, arrays, strict=True)
                    },
                }
            )
            for column, symbol in enumerate(symbols)
        ]
        # A reader says "no trade" with prices that are NaN.
        return conform(pl.concat(parts).filter(pl.col("close").is_not_nan()), frequency)

    def _labels(self, reader: Any, start: Any, end: Any, frequency: Frequency) -> Any:
        """The reader's sessions or minutes in a range, a pandas index."""
        import pandas as pd

        market, last = reader.trading_calendar, reader.last_available_dt
        first = reader.first_trading_day
        if not frequency.intraday:
            asked: Any = requested_sessions(start, end)
            sessions = market.sessions
            chosen = (sessions >= max(pd.Timestamp(asked.first), first)) & (
                sessions <= min(pd.Timestamp(asked.last), last)
            )
            return sessions[chosen]
        asked = requested_instants(start, end, frequency)
        begin = max(pd.Timestamp(asked.first), market.session_first_minute(first))
        finish = min(pd.Timestamp(asked.last), last)
        return market.minutes_in_range(begin, finish)
