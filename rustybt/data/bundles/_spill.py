"""Bars on their way into a version, by period, in memory while they are few and on disk when not.

Symbols arrive a batch at a time, each over the whole range of dates; Parquet files hold a period
of time each, over all symbols. In between, the bars lie by period: in memory up to a bound, and
beyond that in one Arrow stream a period.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.ipc

from rustybt.data.bars import VALUE_COLUMNS, Frequency, bar_schema
from rustybt.data.bundles.panel import Ints, in_order

_COLUMNS = ("sid", "timestamp", "session", *VALUE_COLUMNS)
#: Rows that wait in memory: about 90 MB.
_ROWS = 3 << 19
#: Rows of a run that is worth taking as a piece.
_SHORT = 8


def run_starts(values: pl.Series) -> Ints:
    """Rows at which a value begins that differs from the one before; shape (runs,)."""
    if values.dtype.is_integer():
        numbers = values.to_numpy()
        return np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
    named = values.alias("value")
    begins = pl.DataFrame([named]).select(pl.col("value").ne_missing(pl.col("value").shift()))
    starts = begins.to_series().to_numpy(writable=True)
    starts[:1] = True
    return np.flatnonzero(starts)


def _schema(frequency: Frequency) -> pl.Schema:
    types = {"sid": pl.Int64(), "session": pl.Date(), **bar_schema(frequency)}
    return pl.Schema({name: types[name] for name in ("sid", "symbol", *_COLUMNS[1:])})


@dataclass(frozen=True)
class _Batch:
    """Bars that wait in memory.

    Attributes
    ----------
    columns : list of ndarray
        In the order of `_COLUMNS`, dates and instants as integers.
    pieces : dict of str to list of slice
        The rows of each period, in their order.
    """

    columns: list[npt.NDArray[Any]]
    pieces: dict[str, list[slice]]


class Spill:
    """Bars of one frequency, by period.

    Parameters
    ----------
    directory : pathlib.Path
        Will be made; the caller removes it.
    frequency : Frequency
    most_rows : int
        That wait in memory before they go to the disk.
    """

    def __init__(self, directory: Path, frequency: Frequency, most_rows: int = _ROWS) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._unit = "M" if frequency.intraday else "Y"
        self._waiting: list[_Batch] = []
        self._rows = 0
        self._most_rows = most_rows
        self._writers: dict[str, pa.ipc.RecordBatchStreamWriter] = {}
        self._symbols: dict[int, str] = {}
        #: Of the bars that are read back.
        self.schema = _schema(frequency)
        self._kept = pl.Schema({name: self.schema[name] for name in _COLUMNS})
        self._arrow_schema = pl.DataFrame(schema=self._kept).to_arrow().schema
        #: First and last session with a bar.
        self.span: tuple[date, date] | None = None

    @property
    def sids(self) -> set[int]:
        """Whose bars there are."""
        return set(self._symbols)

    def add(self, bars: pl.DataFrame, session: pl.Series | None = None) -> None:
        """Keep a batch of bars with their sids.

        Parameters
        ----------
        session : polars.Series of Date, optional
            The session of each bar, which decides its period; the timestamp itself for daily bars.
        """
        if bars.is_empty():
            return
        when = (session if session is not None else bars["timestamp"]).alias("session")
        begins = run_starts(bars["sid"])
        owners = bars.select("sid", "symbol")[begins]
        self._symbols.update(zip(owners["sid"], owners["symbol"], strict=True))
        # What waits are bare numbers, which are read back as what they are said to be here.
        kept = bars.with_columns(when).select(_COLUMNS).cast(self._kept)
        self._waiting.append(self._batch(kept))
        self._rows += len(bars)
        if self._rows > self._most_rows:
            self._flush()
        days = [when.min(), when.max(), *(self.span or ())]
        known = [day for day in days if isinstance(day, date)]
        self.span = min(known), max(known)

    def _batch(self, bars: pl.DataFrame) -> _Batch:
        """Where each period's bars are, in the order that they have."""
        codes, names = self._periods_of(bars["session"].to_physical().to_numpy())
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        if len(starts) * _SHORT > len(codes):  # by time, or in no order
            rows = np.argsort(codes, kind="stable")
            bars, codes = bars[rows], codes[rows]
            starts = np.flatnonzero(np.diff(codes, prepend=-1))
        pieces: dict[str, list[slice]] = {}
        stops = np.append(starts[1:], len(codes))
        for code, start, stop in zip(codes[starts], starts.tolist(), stops.tolist(), strict=True):
            pieces.setdefault(names[code], []).append(slice(start, stop))
        return _Batch([bars[name].to_physical().to_numpy() for name in _COLUMNS], pieces)

    def _periods_of(self, days: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int16], list[str]]:
        """The number of each day's period, and the periods' names."""
        low, high = int(days.min()), int(days.max())
        periods = (
            np.arange(low, high + 1).astype("datetime64[D]").astype(f"datetime64[{self._unit}]")
        )
        numbers = (periods - periods[0]).astype(np.int16)
        names = periods[0] + np.arange(int(numbers[-1]) + 1)
        return numbers[days - low], [str(name) for name in names]

    def _together(self, period: str) -> pa.Table | None:
        """What waits in memory of a period."""
        pieces = [(each.columns, each.pieces.get(period, [])) for each in self._waiting]
        if not any(rows for _, rows in pieces):
            return None
        joined = [
            np.concatenate([columns[place][piece] for columns, rows in pieces for piece in rows])
            for place in range(len(_COLUMNS))
        ]
        arrays = [
            pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
            for kind, values in zip(self._arrow_schema.types, joined, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=self._arrow_schema)

    def _waiting_periods(self) -> list[str]:
        return sorted({period for each in self._waiting for period in each.pieces})

    def _flush(self) -> None:
        for period in self._waiting_periods():
            table = self._together(period)
            if period not in self._writers:
                path = self._directory / f"{period}.arrow"
                self._writers[period] = pa.ipc.new_stream(str(path), self._arrow_schema)
            self._writers[period].write_table(table)
        self._waiting.clear()
        self._rows = 0

    def periods(self) -> list[str]:
        """Names of the periods with bars, the earliest first; nothing can be added after this."""
        if self._writers:
            self._flush()
        for writer in self._writers.values():
            writer.close()
        return sorted({*self._writers, *self._waiting_periods()})

    def read(self, period: str) -> pl.DataFrame:
        """The bars of a period with ``symbol`` and ``session``, sorted by (sid, timestamp)."""
        table = self._together(period)
        if table is None:
            with pa.memory_map(str(self._directory / f"{period}.arrow")) as source:
                table = pa.ipc.open_stream(source).read_all()
        frame = in_order(pl.DataFrame(table).rechunk())
        begins = run_starts(frame["sid"])
        names = pl.Series("symbol", [self._symbols[sid] for sid in frame["sid"][begins]])
        owner = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(frame))))
        return frame.insert_column(1, names[owner])
