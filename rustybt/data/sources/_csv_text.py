"""A CSV file as columns of text: header, delimiter, records and the lines they stand on."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

import polars as pl

from rustybt.data.errors import BarSchemaError, BarValidationError

DELIMITERS = (",", ";", "\t", "|")

#: Line ends, spaces, and the end-of-file mark of DOS; not tabs, which delimit empty cells.
_PADDING = b"\r\n \x1a"

#: How a row begins whose first cell is a date that needs no other row to be understood.
_ISO_DATE = re.compile(rb"\d{4}-\d\d-\d\d")
#: Rows that are read before those asked for, which tell how far apart bars are.
_ROWS_BEFORE = 30

#: The bytes that pyarrow parses at a time. A line that is longer is no row of bars.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class CsvText:
    """The text of one file and where its records begin.

    Attributes
    ----------
    file : str
        Name for messages.
    data : bytes
        UTF-8.
    names : tuple of str
        Column names as they are written, stripped.
    delimiter : str
    start : int
        Offset in `data` of the first record.
    first_row : int
        Line of the first record; the header of an ordinary file is row 1.
    """

    file: str
    data: bytes
    names: tuple[str, ...]
    delimiter: str
    start: int
    first_row: int

    def columns(self, places: Mapping[str, int]) -> pl.DataFrame:
        """Some columns as text, and ``row``, the line that each record begins on.

        Parameters
        ----------
        places : mapping of str to int
            Name that a column gets -> its place in the file, from 0.

        Returns
        -------
        polars.DataFrame
            Columns of String without nulls; ``row`` UInt32. Blank lines are left out, and so
            are records whose cells are all empty.

        Raises
        ------
        BarValidationError
            If a record has more or fewer cells than the header.
        BarSchemaError
            If there is no record, or pyarrow cannot find records in the text.
        """
        if self.start >= len(self.data):
            raise BarSchemaError(f"{self.file} has a header and no rows")
        cells = self._parse(places)
        numbered = cells.insert_column(len(places), self._rows(len(cells)))
        return numbered.filter(_are_filled(tuple(places)))

    def from_days(self, days: Collection[date]) -> "CsvText":
        """The same from a few rows before the first one of some days; see `tail_of`."""
        begin = tail_of(self.data, self.start, days)
        skipped = self.data.count(b"\n", self.start, begin)
        return replace(self, start=begin, first_row=self.first_row + skipped)

    def _parse(self, places: Mapping[str, int]) -> pl.DataFrame:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        wanted = [str(place) for place in places.values()]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(pa.py_buffer(self.data).slice(self.start)),
                read_options=arrow_csv.ReadOptions(
                    # Names in a file may repeat or be empty; places do not.
                    column_names=[str(place) for place in range(len(self.names))],
                    block_size=_BLOCK,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=b'"' in self.data
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(wanted, pa.string()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise self._not_a_table(str(error)) from error
        return pl.DataFrame(table.rename_columns(list(places)))

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """(line it begins on, cells) of each record that is not blank; exact and slow."""
        text = io.StringIO(self.data[self.start :].decode(), newline="")
        reader = csv.reader(text, delimiter=self.delimiter)
        row = self.first_row
        for cells in reader:
            if cells:
                yield row, cells
            row = self.first_row + reader.line_num

    def _rows(self, count: int) -> pl.Series:
        first = self.first_row
        lines = self.data.count(b"\n", self.start) + 1
        # As many lines as records: then no line is blank and no cell holds a line end.
        rows = range(first, first + count) if lines == count else [r for r, _ in self._records()]
        return pl.Series("row", rows, dtype=pl.UInt32)

    def _not_a_table(self, reason: str) -> BarSchemaError | BarValidationError:
        expected = len(self.names)
        try:
            ragged = [(row, len(cells)) for row, cells in self._records() if len(cells) != expected]
        except csv.Error as error:
            return BarSchemaError(f"{self.file} cannot be read as CSV: {error}")
        if not ragged:
            return BarSchemaError(f"{self.file} cannot be read as CSV: {reason}")
        findings = pl.DataFrame(ragged, schema={"row": pl.UInt32, "cells": pl.Int64}, orient="row")
        message = pl.format("has {} cells where the header has {}", "cells", pl.lit(expected))
        return BarValidationError(
            findings.select(
                pl.lit("columns").alias("rule"),
                pl.lit(None, pl.String).alias("symbol"),
                pl.lit(None, pl.Date).alias("timestamp"),
                message.alias("message"),
                pl.lit(self.file).alias("file"),
                "row",
            )
        )


def tail_of(
    data: bytes | bytearray, start: int, days: Collection[date], end: int | None = None
) -> int:
    """Offset of a row a few before the first one that is of one of some days.

    That of the first row, unless each row begins with its date in ISO 8601, as far as the first one
    tells, and no cell is quoted. If no row is of those days the last rows are left. `end` is where
    the text ends, if it is not with `data`.
    """
    end = len(data) if end is None else end
    if not days or not _ISO_DATE.match(data, start, end) or data.find(b'"', start, end) >= 0:
        return start
    if bytes(data[start : start + 10]).decode() in map(str, days):
        return start
    found = _begins_with(tuple(days)).search(data, start, end)
    begin = found.start() if found else end
    for _ in range(_ROWS_BEFORE):
        begin = data.rfind(b"\n", start, begin)
        if begin < 0:
            return start
    return begin + 1


@lru_cache(maxsize=64)
def _begins_with(days: tuple[date, ...]) -> re.Pattern[bytes]:
    """What stands where a row of one of some days begins."""
    return re.compile(b"\n(?:%b)" % b"|".join(str(day).encode() for day in days))


@lru_cache(maxsize=64)
def _are_filled(names: tuple[str, ...]) -> pl.Expr:
    """Whether a record has any cell that is not empty."""
    return pl.any_horizontal(pl.col(name) != "" for name in names)


def parse_header(
    data: bytes, file: str, delimiter: str | None, names: Sequence[str] | None
) -> CsvText:
    """Find a file's delimiter, its column names and its first record.

    Parameters
    ----------
    data : bytes
        As `rustybt.data.sources._csv_files.read_file` returns them.
    file : str
        Name for messages.
    delimiter : str, optional
        The most frequent of `DELIMITERS` in the first line when not given.
    names : sequence of str, optional
        Column names of a file without a header.

    Raises
    ------
    BarSchemaError
        If the file is empty.
    """
    data = data.rstrip(_PADDING)
    begin = len(data) - len(data.lstrip(_PADDING))
    if begin >= len(data):
        raise BarSchemaError(f"{file} is empty")
    line_end = re.compile(rb"\r\n|\n|\r|\Z").search(data, begin)
    assert line_end is not None  # noqa: S101  \Z always matches
    line = data[begin : line_end.start()].decode()
    used = delimiter or _sniff(line, names)
    start = begin if names is not None else line_end.end()
    header = names if names is not None else next(csv.reader([line], delimiter=used))
    return CsvText(
        file=file,
        data=data,
        names=tuple(name.strip() for name in header),
        delimiter=used,
        start=start,
        first_row=data.count(b"\n", 0, start) + 1,
    )


def _sniff(line: str, names: Sequence[str] | None) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    if names is not None:
        fitting = [mark for mark in DELIMITERS if bare.count(mark) == len(names) - 1]
        if fitting:
            return fitting[0]
    return max(DELIMITERS, key=bare.count)
