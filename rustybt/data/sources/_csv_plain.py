"""Plain CSV files of bars, many in one go, as most of them are.

Whatever is not plain, as `_csv_table` means it, or not a file a symbol, is left to `_csv_bars`,
which takes each file by itself and tells what is wrong with which row.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS, Frequency
from rustybt.data.errors import RustyBTError
from rustybt.data.sources._csv_bars import BarFile, CsvOptions, bar_columns, timestamps
from rustybt.data.sources._csv_columns import REQUIRED_IN_BARS
from rustybt.data.sources._csv_events import KIND_OF
from rustybt.data.sources._csv_spacing import Spacing, combine, measure
from rustybt.data.sources._csv_table import (
    FILES_TOGETHER,
    Floats,
    Ints,
    OddError,
    Table,
    TableReader,
)
from rustybt.data.sources._csv_text import parse_header
from rustybt.data.sources._csv_times import Times

#: In microseconds.
_DAY = 86_400_000_000


@dataclass(frozen=True)
class PlainBars:
    """What some plain files hold.

    Attributes
    ----------
    bars : polars.DataFrame
        In the bar schema and its order; not yet judged.
    spacing : Spacing
    events : list of dict of str to polars.DataFrame
        As `_csv_events.events_beside_bars` returns them, of some files each; none of intraday bars.
    """

    bars: pl.DataFrame
    spacing: Spacing
    events: list[dict[str, pl.DataFrame]]


def read_plain(
    files: Sequence[BarFile],
    frequency: Frequency,
    options: CsvOptions,
    days: Collection[date] = (),
    reader: TableReader | None = None,
) -> PlainBars | None:
    """Read plain files, or none if one of them is not plain; `days` as for `read_cells`.

    `reader` may be one that was used before, by the same thread.
    """
    told = (options.names, options.decimal, options.date_format, options.delimiter)
    if not files or any(each is not None for each in told):
        return None
    used = reader or TableReader()
    ordered = sorted(files, key=lambda each: each.symbol or "")
    starts = range(0, len(files), FILES_TOGETHER)
    batches = [_Batch(ordered[start : start + FILES_TOGETHER], options) for start in starts]
    try:
        parts = [batch.read(used, frequency, days) for batch in batches]
    except (OddError, RustyBTError, OSError):
        return None
    return PlainBars(
        pl.concat([part.bars for part in parts]),
        combine(part.spacing for part in parts),
        [events for part in parts for events in part.events],
    )


@dataclass(frozen=True)
class _Batch:
    """A few files that are parsed together."""

    files: Sequence[BarFile]
    options: CsvOptions

    def read(self, reader: TableReader, frequency: Frequency, days: Collection[date]) -> PlainBars:
        table = reader.read([each.path for each in self.files], self._places, days)
        traded = _traded(table)
        owner = np.repeat(np.arange(len(self.files)), table.counts)
        symbols = pl.Series("symbol", [each.symbol for each in self.files]).gather(owner)
        written = pl.Series("timestamp", table.times)
        spacing = _spacing(table, written, symbols)
        labels = self._labels(written, spacing, frequency)
        values = [pl.Series(name, table.numbers[name]) for name in VALUE_COLUMNS]
        bars = pl.DataFrame([symbols, labels, *values])
        events = [] if frequency.intraday else [self._events(table, bars, owner)]
        if traded is not None:
            bars = bars.filter(traded)
        elif (table.steps < 0).any():
            bars = bars[np.lexsort((table.ticks, owner))]
        return PlainBars(bars, spacing, events)

    def _labels(self, written: pl.Series, spacing: Spacing, frequency: Frequency) -> pl.Series:
        if written.dtype == pl.Date:
            if frequency.intraday:
                raise OddError
            return written
        labels = timestamps(Times(written), spacing, frequency, ("", self.options))
        if labels.null_count():
            raise OddError
        return labels

    def _events(self, table: Table, bars: pl.DataFrame, owner: Ints) -> dict[str, pl.DataFrame]:
        found = {}
        for role, kind in KIND_OF.items():
            if role in table.numbers:
                values = table.numbers[role].to_numpy(zero_copy_only=False)
                acts = (values != 0) & ~np.isnan(values)
                if role == "split":
                    acts &= values != 1
                rows = np.flatnonzero(acts)
                lines = rows - (table.starts - table.skipped)[owner[rows]] + 2
                found[kind] = pl.DataFrame(
                    {
                        "symbol": bars["symbol"].gather(rows),
                        "ex_date": bars["timestamp"].gather(rows),
                        **_values_of(role, values[rows]),
                        "file": [self.files[number].file for number in owner[rows]],
                        "row": pl.Series(lines, dtype=pl.UInt32),
                    },
                    schema_overrides={"file": pl.String},
                )
        return found

    def _places(self, header: bytes) -> dict[str, int]:
        text = parse_header(header, self.files[0].file, None, None)
        places = bar_columns(text, self.options)
        known = {*REQUIRED_IN_BARS, *KIND_OF}
        if not header.startswith(text.data) or text.delimiter != ",":
            raise OddError
        if not set(REQUIRED_IN_BARS) <= set(places) <= known:
            raise OddError
        return places


def _traded(table: Table) -> pl.Series | None:
    """Which rows have prices, if some have none; those are of sessions without a trade."""
    if not any(table.numbers[name].null_count for name in VALUE_COLUMNS):
        return None
    empty = {
        name: table.numbers[name].is_null().to_numpy(zero_copy_only=False) for name in VALUE_COLUMNS
    }
    prices = np.stack([empty[name] for name in PRICE_COLUMNS])
    absent = prices.all(axis=0)
    # A date that comes twice may be one bar and its empty row, with the event on both.
    twice = np.count_nonzero(table.steps > 0) < len(table.steps) + 1 - len(table.counts)
    if twice or (prices.any(axis=0) & ~absent).any() or (empty["volume"] & ~absent).any():
        raise OddError
    return pl.Series(~absent)


def _values_of(role: str, values: Floats) -> dict[str, Floats]:
    """A column of events with the name and the meaning that it has among events."""
    if np.isinf(values).any():
        raise OddError
    return {"ratio": 1.0 / values} if role == "split" else {"amount": values}


def _spacing(table: Table, written: pl.Series, symbols: pl.Series) -> Spacing:
    """What `measure` finds, at less cost where each file has its earliest row first."""
    if (table.steps < 0).any():
        return measure(symbols, Times(written.cast(pl.Datetime("us"))))
    day = 1 if written.dtype == pl.Date else _DAY
    rises = table.steps[table.steps > 0]
    step = timedelta(microseconds=int(rises.min()) * (_DAY // day)) if len(rises) else None
    return Spacing(not (table.ticks % day).any(), step, int(table.counts.max()))
