"""Plain CSV files of bars, many in one go, as most of them are.

Files are plain when they have one header and nothing in them could mean two things: comma-separated
cells without quotes, a file a symbol, dates as 2020-12-31 with or without a time of day, numbers of
up to fifteen digits with a decimal point. Whatever is not so is left to `_csv_bars`, which takes
each file by itself and tells what is wrong with which row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from rustybt.data.bars import VALUE_COLUMNS, Frequency
from rustybt.data.errors import RustyBTError
from rustybt.data.sources._csv_bars import BarFile, CsvOptions, bar_columns, timestamps
from rustybt.data.sources._csv_batch import side_by_side
from rustybt.data.sources._csv_columns import REQUIRED_IN_BARS
from rustybt.data.sources._csv_numbers import LONG
from rustybt.data.sources._csv_spacing import Spacing, combine, measure
from rustybt.data.sources._csv_text import parse_header
from rustybt.data.sources._csv_times import YEARS, Times

#: Files that are parsed together, so that the text of few is in memory at a time.
_FILES_TOGETHER = 64
#: Texts of cells in which nothing happens, by role.
_NO_EVENT = {
    "split": ("", "0", "0.0", "1", "1.0"),
    "dividend": ("", "0", "0.0", "0.00"),
}
#: Texts that are zero, and not what is left of a number too small for a float64.
_ZEROS = ("0", "0.0", "0.00")
#: Lengths of ``2020-12-31``, and of the same with a time of day.
_DATE, _TIMES = 10, (16, 19)


class _OddError(Exception):
    """Something that only the careful reader can judge."""


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
    files: Sequence[BarFile], frequency: Frequency, options: CsvOptions
) -> PlainBars | None:
    """Read plain files, or none if one of them is not plain."""
    told = (options.names, options.decimal, options.date_format, options.delimiter)
    if not files or any(each is not None for each in told):
        return None
    starts = range(0, len(files), _FILES_TOGETHER)
    batches = [files[start : start + _FILES_TOGETHER] for start in starts]
    try:
        parts = side_by_side(lambda batch: _Batch(batch, options).read(frequency), batches)
    except (_OddError, RustyBTError, OSError):
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

    def __init__(self, files: Sequence[BarFile], options: CsvOptions) -> None:
        self._files = files
        self._options = options

    def read(self, frequency: Frequency) -> PlainBars:
        import pyarrow as pa

        try:
            table, counts = self._table()
            owner = np.repeat(np.arange(len(self._files)), counts)
            symbols = pl.Series("symbol", [each.symbol for each in self._files]).gather(owner)
            times = Times(_written(table["date"]))
            spacing = measure(symbols, times)
            labels = timestamps(times, spacing, frequency, ("", self._options))
            values = [_numbers(table[name], name) for name in VALUE_COLUMNS]
            rows = _acting_rows(table)
        except pa.ArrowInvalid as error:
            raise _OddError from error
        if labels.null_count():
            raise _OddError
        begins = np.cumsum(counts) - counts
        cells = table.select([name for name in _NO_EVENT if name in table.column_names])
        acting = pl.DataFrame(
            {
                "symbol": symbols.gather(rows),
                "timestamp": labels.gather(rows),
                "file": [self._files[number].file for number in owner[rows]],
                "row": pl.Series(rows - begins[owner[rows]] + 2, dtype=pl.UInt32),
                **{
                    name: pl.Series(cells[name].take(pa.array(rows))) for name in cells.column_names
                },
            },
            schema_overrides={"file": pl.String},
        )
        return PlainBars(pl.DataFrame([symbols, labels, *values]), spacing, acting)

    def _table(self) -> tuple[Any, np.ndarray]:
        """The cells of all files as text, and how many rows each has."""
        first = _text_of(self._files[0])
        header = first[: first.find(b"\n") + 1]
        places = self._places(first, header)
        bodies = []
        for number, each in enumerate(self._files):
            data = first if number == 0 else _text_of(each)
            if not data.startswith(header):
                raise _OddError
            body = data[len(header) :]
            bodies.append(body if body.endswith(b"\n") else body + b"\n")
        counts = np.array([body.count(b"\n") for body in bodies])
        table = _parse(b"".join(bodies), places, header.count(b",") + 1)
        # Blank lines are no rows: then it is not known where the next file begins.
        if table.num_rows != counts.sum() or not counts.all():
            raise _OddError
        return table, counts

    def _places(self, data: bytes, header: bytes) -> dict[str, int]:
        text = parse_header(data, self._files[0].file, None, None)
        places = bar_columns(text, self._options)
        known = {*REQUIRED_IN_BARS, *_NO_EVENT}
        if text.start != len(header) or text.delimiter != ",":
            raise _OddError
        if not set(REQUIRED_IN_BARS) <= set(places) <= known:
            raise _OddError
        return places


def _text_of(file: BarFile) -> bytes:
    data = file.path.read_bytes()
    if not data.isascii() or b'"' in data or b"\0" in data:
        raise _OddError
    return data


def _parse(data: bytes, places: Mapping[str, int], width: int) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    wanted = [str(place) for place in places.values()]
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
    return table.rename_columns(list(places))


def _written(cells: Any) -> pl.Series:
    """Dates and times as Datetime("us")."""
    import pyarrow as pa
    from pyarrow import compute

    lengths = compute.min_max(compute.binary_length(cells)).as_py()
    if lengths["min"] != lengths["max"]:
        raise _OddError
    if lengths["max"] == _DATE:
        written = pl.Series(compute.cast(cells, pa.date32())).cast(pl.Datetime("us"))
    elif lengths["max"] in _TIMES:
        written = pl.Series(compute.cast(cells, pa.timestamp("us")))
    else:
        raise _OddError
    years = pl.Series([written.min(), written.max()]).dt.year()
    if not years.is_between(*YEARS).all():
        raise _OddError
    return written


def _numbers(cells: Any, name: str) -> pl.Series:
    """Numbers that a float64 gives back as they are written."""
    import pyarrow as pa
    from pyarrow import compute

    if compute.max(compute.binary_length(cells)).as_py() >= LONG:
        raise _OddError
    values = pl.Series(name, compute.cast(cells, pa.float64()))
    zeros = np.flatnonzero(values.to_numpy() == 0)
    if len(zeros) and not set(compute.unique(cells.take(pa.array(zeros))).to_pylist()) <= set(
        _ZEROS
    ):
        raise _OddError
    return values


def _acting_rows(table: Any) -> np.ndarray:
    """Rows in which a split or a dividend may be."""
    import pyarrow as pa
    from pyarrow import compute

    acts = np.zeros(table.num_rows, dtype=np.bool_)
    for role, texts in _NO_EVENT.items():
        if role in table.column_names:
            nothing = compute.is_in(table[role], value_set=pa.array(texts))
            acts |= ~nothing.to_numpy()
    return np.flatnonzero(acts)
