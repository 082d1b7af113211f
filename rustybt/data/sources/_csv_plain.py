"""Plain CSV files of bars, many in one go, as most of them are.

Files are plain when they have one header and nothing in them could mean two things: comma-separated
cells without quotes, a file a symbol, dates as 2020-12-31 with or without a time of day, numbers of
up to fifteen digits with a decimal point. Whatever is not so is left to `_csv_bars`, which takes
each file by itself and tells what is wrong with which row.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import VALUE_COLUMNS, Frequency
from rustybt.data.errors import RustyBTError
from rustybt.data.sources._csv_bars import BarFile, CsvOptions, bar_columns, timestamps
from rustybt.data.sources._csv_batch import side_by_side
from rustybt.data.sources._csv_columns import REQUIRED_IN_BARS
from rustybt.data.sources._csv_numbers import LONG
from rustybt.data.sources._csv_spacing import Spacing, combine, measure
from rustybt.data.sources._csv_text import parse_header, tail_of
from rustybt.data.sources._csv_times import YEARS, Times

Ints = npt.NDArray[np.int64]

#: Files that are parsed together, so that the text of few is in memory at a time.
FILES_TOGETHER = 64
#: Texts of cells in which nothing happens, by role.
_NO_EVENT = {
    "split": ("", "0", "0.0", "1", "1.0"),
    "dividend": ("", "0", "0.0", "0.00"),
}
#: Texts that are zero, and not what is left of a number too small for a float64.
_ZEROS = ("0", "0.0", "0.00")
#: Lengths of ``2020-12-31``, and of the same with a time of day.
_DATE, _TIMES = 10, (16, 19)


class OddError(Exception):
    """Something that is not plain."""


@dataclass(frozen=True)
class PlainBars:
    """What some plain files hold.

    Attributes
    ----------
    bars : polars.DataFrame
        ``symbol``, ``timestamp`` and Float64 values, in the order of the files; not yet judged.
    spacing : Spacing
    acting : polars.DataFrame
        The cells, as text, of the rows in which a split or a dividend may be: ``symbol``,
        ``timestamp``, ``file``, ``row``, and ``split`` and ``dividend`` if there are such columns.
    """

    bars: pl.DataFrame
    spacing: Spacing
    acting: pl.DataFrame


def read_plain(
    files: Sequence[BarFile],
    frequency: Frequency,
    options: CsvOptions,
    days: Collection[date] = (),
) -> PlainBars | None:
    """Read plain files, or none if one of them is not plain; `days` as for `read_cells`."""
    told = (options.names, options.decimal, options.date_format, options.delimiter)
    if not files or any(each is not None for each in told):
        return None
    starts = range(0, len(files), FILES_TOGETHER)
    batches = [files[start : start + FILES_TOGETHER] for start in starts]
    try:
        parts = side_by_side(lambda batch: _Batch(batch, options, days).read(frequency), batches)
    except (OddError, RustyBTError, OSError):
        return None
    if len({tuple(part.acting.columns) for part in parts}) > 1:
        return None
    return PlainBars(
        pl.concat([part.bars for part in parts]),
        combine(part.spacing for part in parts),
        pl.concat([part.acting for part in parts]),
    )


class _Batch:
    """A few files that are parsed together."""

    def __init__(
        self, files: Sequence[BarFile], options: CsvOptions, days: Collection[date]
    ) -> None:
        self._files = files
        self._days = days
        self._options = options

    def read(self, frequency: Frequency) -> PlainBars:
        import pyarrow as pa

        paths = [each.path for each in self._files]
        table, counts, skipped = read_table(paths, self._places, self._days)
        owner = np.repeat(np.arange(len(self._files)), counts)
        symbols = pl.Series("symbol", [each.symbol for each in self._files]).gather(owner)
        times = Times(read_dates(table["date"]))
        spacing = measure(symbols, times)
        labels = timestamps(times, spacing, frequency, ("", self._options))
        values = [read_floats(table[name], name) for name in VALUE_COLUMNS]
        rows = _acting_rows(table)
        if labels.null_count():
            raise OddError
        begins = np.cumsum(counts) - counts
        cells = table.select([name for name in _NO_EVENT if name in table.column_names])
        acting = pl.DataFrame(
            {
                "symbol": symbols.gather(rows),
                "timestamp": labels.gather(rows),
                "file": [self._files[number].file for number in owner[rows]],
                "row": pl.Series(rows - (begins - skipped)[owner[rows]] + 2, dtype=pl.UInt32),
                **{
                    name: pl.Series(cells[name].take(pa.array(rows))) for name in cells.column_names
                },
            },
            schema_overrides={"file": pl.String},
        )
        return PlainBars(pl.DataFrame([symbols, labels, *values]), spacing, acting)

    def _places(self, header: bytes) -> dict[str, int]:
        text = parse_header(header, self._files[0].file, None, None)
        places = bar_columns(text, self._options)
        known = {*REQUIRED_IN_BARS, *_NO_EVENT}
        if not header.startswith(text.data) or text.delimiter != ",":
            raise OddError
        if not set(REQUIRED_IN_BARS) <= set(places) <= known:
            raise OddError
        return places


def read_table(
    paths: Sequence[Path],
    places_of: Callable[[bytes], Mapping[str, int]],
    days: Collection[date] = (),
) -> tuple[Any, Ints, Ints]:
    """The cells of plain files, one after the other, as text.

    Parameters
    ----------
    paths : sequence of pathlib.Path
    places_of : callable
        Name -> place of the columns that are wanted, for the header that all files must have.
    days : collection of datetime.date
        As for `tail_of`; the whole files, if none are named.

    Returns
    -------
    table : pyarrow.Table
    counts : ndarray of int64, shape (len(paths),)
        Rows of each file in the table.
    skipped : ndarray of int64, shape (len(paths),)
        Rows of each file before those.

    Raises
    ------
    OddError
        If one of them is not plain.
    """
    first = _text_of(paths[0])
    header = first[: first.find(b"\n") + 1]
    places = places_of(header)
    bodies, skipped = [], []
    for path in paths:
        data = first if path == paths[0] else _text_of(path)
        if not data.startswith(header):
            raise OddError
        start = tail_of(data, len(header), days)
        skipped.append(data.count(b"\n", len(header), start))
        body = data[start:]
        bodies.append(body if body.endswith(b"\n") else body + b"\n")
    counts = np.array([body.count(b"\n") for body in bodies])
    table = _parse(b"".join(bodies), places, header.count(b",") + 1)
    # Blank lines are no rows: then it is not known where the next file begins.
    if table.num_rows != counts.sum() or not counts.all():
        raise OddError
    return table, counts, np.array(skipped)


def _text_of(path: Path) -> bytes:
    data = path.read_bytes()
    if not data.isascii() or b'"' in data or b"\0" in data:
        raise OddError
    # A line that ends otherwise is a row of its own, and would hide a blank one.
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        raise OddError
    return data


def _parse(data: bytes, places: Mapping[str, int], width: int) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    wanted = [str(place) for place in places.values()]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            # Batches are parsed side by side already.
            read_options=arrow_csv.ReadOptions(
                column_names=[str(place) for place in range(width)], use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(quote_char=False),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise OddError from error
    return table.rename_columns(list(places))


def read_dates(cells: Any) -> pl.Series:
    """Dates and times as Datetime("us")."""
    import pyarrow as pa
    from pyarrow import compute

    lengths = compute.min_max(compute.binary_length(cells)).as_py()
    if lengths["min"] != lengths["max"]:
        raise OddError
    if lengths["max"] == _DATE:
        written = pl.Series(_cast(cells, pa.date32())).cast(pl.Datetime("us"))
    elif lengths["max"] in _TIMES:
        written = pl.Series(_cast(cells, pa.timestamp("us")))
    else:
        raise OddError
    at = pl.col("at")  # as a datetime of Python, a year 0 would raise
    first, last = written.to_frame("at").select(at.min().dt.year(), last=at.max().dt.year()).row(0)
    if not YEARS[0] <= first <= last <= YEARS[1]:
        raise OddError
    return written


def read_floats(cells: Any, name: str) -> pl.Series:
    """Numbers that a float64 gives back as they are written."""
    import pyarrow as pa
    from pyarrow import compute

    if compute.max(compute.binary_length(cells)).as_py() >= LONG:
        raise OddError
    values = pl.Series(name, _cast(cells, pa.float64()))
    zeros = np.flatnonzero(values.to_numpy() == 0)
    if len(zeros) and not set(compute.unique(cells.take(pa.array(zeros))).to_pylist()) <= set(
        _ZEROS
    ):
        raise OddError
    return values


def _cast(cells: Any, kind: Any) -> Any:
    import pyarrow as pa
    from pyarrow import compute

    try:
        return compute.cast(cells, kind)
    except pa.ArrowInvalid as error:
        raise OddError from error


def _acting_rows(table: Any) -> Ints:
    """Rows in which a split or a dividend may be."""
    import pyarrow as pa
    from pyarrow import compute

    acts = np.zeros(table.num_rows, dtype=np.bool_)
    for role, texts in _NO_EVENT.items():
        if role in table.column_names:
            nothing = compute.is_in(table[role], value_set=pa.array(texts))
            acts |= ~nothing.to_numpy()
    return np.flatnonzero(acts)
