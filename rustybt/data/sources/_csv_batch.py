"""Many CSV files of bars at a time: read side by side, parsed together where none is in doubt.

A folder of daily bars is thousands of small files, and each question to Polars takes 0.1 ms
however few rows it is about.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TypeVar

import numpy as np
import polars as pl

from rustybt.data.bars import VALUE_COLUMNS, Frequency
from rustybt.data.errors import BarSchemaError
from rustybt.data.sources._csv_bars import (
    BarCells,
    BarFile,
    BarTable,
    CsvOptions,
    findings,
    read_bars,
    read_cells,
    symbols_of,
    timestamps,
    written_times,
)
from rustybt.data.sources._csv_numbers import NumberFormat, read_numbers
from rustybt.data.sources._csv_spacing import measure
from rustybt.data.sources._csv_times import is_decided, read_times

#: Files that are read at the same time; each is parsed by threads of its own already.
_FILES_AT_ONCE = 4
#: Files that are parsed together, so that the text of few is in memory at a time.
_FILES_TOGETHER = 64

File = TypeVar("File")
Read = TypeVar("Read")


def side_by_side(read: Callable[[File], Read], files: Sequence[File]) -> list[Read]:
    """What `read` returns for each file, in their order."""
    if len(files) == 1:
        return [read(files[0])]
    with ThreadPoolExecutor(_FILES_AT_ONCE, thread_name_prefix="rustybt-csv") as pool:
        return list(pool.map(read, files))


def read_all(
    files: Sequence[BarFile],
    frequency: Frequency,
    options: CsvOptions,
    days: Collection[date] = (),
) -> Iterator[BarTable]:
    """Read files as bars of one frequency, in their order; `days` as for `read_cells`.

    Raises
    ------
    SourceFileError, BarSchemaError, BarValidationError
        If one cannot be read as a table of bars.
    """
    for first in range(0, len(files), _FILES_TOGETHER):
        batch = files[first : first + _FILES_TOGETHER]
        parts = side_by_side(lambda each: read_cells(each, options, days), batch)
        together = _read_together(parts, frequency, options) if len(parts) > 1 else None
        if together is not None:
            yield together
        else:
            for part in parts:
                yield read_bars(part, frequency, options)


def _read_together(
    parts: Sequence[BarCells], frequency: Frequency, options: CsvOptions
) -> BarTable | None:
    """The bars of several files; None if any text of them is refused or depends on its file.

    What a day or a comma means can depend on the other rows of a file, and a refused row is
    told with what its file has; both are left to `read_bars`.
    """
    frame = _put_together(parts) if options.decimal is None else None
    if frame is None:
        return None
    written = written_times(frame)
    if not is_decided(written, options.date_format) or _has_commas(frame):
        return None
    times = read_times(written, parts[0].source.file, options.date_format)
    spacing = measure(frame["symbol"], times)
    try:
        labels = timestamps(times, spacing, frequency, (parts[0].source.file, options))
    except BarSchemaError:
        return None
    stamped = frame.select("symbol", labels, *VALUE_COLUMNS, "file", "row")
    bars, refused = read_numbers(stamped, VALUE_COLUMNS, NumberFormat("", ",", "."))
    if len(refused) or bars.select("symbol", "timestamp").null_count().sum_horizontal().item():
        return None
    return BarTable(bars, findings(bars, refused), spacing, frozenset(bars["symbol"].unique()))


def _put_together(parts: Sequence[BarCells]) -> pl.DataFrame | None:
    """The cells of all files with their ``symbol`` and ``file``; None if these columns differ."""
    names, by_column = parts[0].cells.columns, parts[0].source.symbol is None
    if any(part.cells.columns != names for part in parts) or ("symbol" in names) != by_column:
        return None
    frame = pl.concat(part.cells for part in parts)
    owner = np.repeat(np.arange(len(parts)), [len(part.cells) for part in parts])
    file = pl.Series("file", [part.source.file for part in parts]).gather(owner)
    if by_column:
        symbol = symbols_of(frame, parts[0].source)
    else:
        symbol = pl.Series("symbol", [part.source.symbol for part in parts]).gather(owner)
    return frame.with_columns(symbol, file)


def _has_commas(frame: pl.DataFrame) -> bool:
    cell = pl.col(VALUE_COLUMNS).str.contains(",", literal=True)
    return bool(frame.select(pl.any_horizontal(cell.any())).item())
