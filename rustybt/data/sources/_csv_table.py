"""The cells of plain CSV files as columns of dates and numbers, several files in one go.

Files are plain when they have one header and nothing in them could mean two things: comma-separated
cells without quotes, dates as 2020-12-31 with or without a time of day, numbers of up to fifteen
digits with a decimal point. The text lies in one buffer, so that Arrow makes numbers of it without
a string in between; what strings would tell of a number is asked of the buffer.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rustybt.data.sources._csv_numbers import LONG
from rustybt.data.sources._csv_text import tail_of
from rustybt.data.sources._csv_times import YEARS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Files that are parsed together, so that the text of few is in memory at a time.
FILES_TOGETHER = 64
#: Bytes that Arrow parses at a time: those of as many files of daily bars.
_BLOCK = 1 << 23
#: Enough of a file for any header.
_HEADER_BYTES = 1 << 16
#: Lengths of ``2020-12-31``, and of the same with a time of day.
_DATE, _TIMES = 10, (16, 19)
#: Numbers below may have lost digits, or be what is left of one that is too small for a float64.
_TINY = 1e-300


class OddError(Exception):
    """Something that is not plain."""


@dataclass(frozen=True)
class Table:
    """The rows of some files, one file after the other.

    Attributes
    ----------
    times : pyarrow.Array
        ``date32``, or ``timestamp[us]`` if there is a time of day; as it is written.
    numbers : dict of str to pyarrow.Array
        Of ``float64``; null where the cell is empty.
    counts, skipped : ndarray of int64, shape (files,)
        Rows of each file, and how many before them were left out.
    """

    times: Any
    numbers: dict[str, Any]
    counts: Ints
    skipped: Ints

    @cached_property
    def starts(self) -> Ints:
        """The first row of each file."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def ticks(self) -> Ints:
        """The times as days, or microseconds, since 1970."""
        import pyarrow as pa

        days = pa.types.is_date32(self.times.type)
        ticks: Ints = self.times.view(pa.int32() if days else pa.int64()).to_numpy()
        return ticks

    @cached_property
    def steps(self) -> Ints:
        """From each row to the next one of its file in `ticks`; shape (rows - 1,).

        From file to file it is zero.
        """
        steps = np.diff(self.ticks)
        steps[self.starts[1:] - 1] = 0
        return steps


class TableReader:
    """Reads some files at a time, into one buffer time and again."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def read(
        self,
        paths: Sequence[Path],
        places_of: Callable[[bytes], Mapping[str, int]],
        days: Collection[date] = (),
    ) -> Table:
        """The cells of some columns.

        Parameters
        ----------
        places_of : callable
            From the header, which all files must have, to role -> place of the columns; ``date``
            is one of them, the others are numbers.
        days : collection of datetime.date
            All sessions that are asked for, if these are few: rows before may then be left out.

        Raises
        ------
        OddError
            If they are not plain.
        """
        text = self._text_of(paths, days)
        return text.parse(places_of(text.header))

    def _text_of(self, paths: Sequence[Path], days: Collection[date]) -> "_Text":
        sizes = [path.stat().st_size for path in paths]
        room = sum(sizes) + len(paths)
        if len(self._buffer) < room:
            self._buffer = bytearray(room)
        view = memoryview(self._buffer)
        header = _header_of(paths[0])
        ends, skipped, end = [], [], 0
        for path, size in zip(paths, sizes, strict=True):
            start = end
            end += _read_body(path, header, view[start : start + size - len(header)])
            if view[end - 1] != ord("\n"):
                view[end] = ord("\n")
                end += 1
            if days:
                tail = tail_of(self._buffer, start, days, end)
                skipped.append(_lines(view[start:tail]))
                view[start : start + end - tail] = view[tail:end]
                end = start + end - tail
            ends.append(end)
        counts = [_lines(view[one:other]) for one, other in zip([0, *ends], ends, strict=False)]
        left_out = np.array(skipped or [0] * len(paths), dtype=np.int64)
        return _Text(header, self._buffer, end, np.array(counts, dtype=np.int64), left_out)


def _header_of(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        head = file.read(_HEADER_BYTES)
    header = head[: head.find(b"\n") + 1]
    odd = any(mark in header.rstrip(b"\r\n") for mark in (b'"', b"\0", b"\r"))
    if not header or odd or not header.isascii():
        raise OddError
    return header


def _read_body(path: Path, header: bytes, room: memoryview) -> int:
    with path.open("rb", buffering=0) as file:
        # Without rows there is nothing to be read.
        if file.read(len(header)) != header or not len(room) or file.readinto(room) != len(room):
            raise OddError
    return len(room)


def _lines(text: memoryview) -> int:
    """How many lines there are; five times as fast as bytes count."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))


@dataclass(frozen=True)
class _Text:
    """The rows of some files, and their common header."""

    header: bytes
    buffer: bytearray
    end: int
    counts: Ints
    skipped: Ints

    def parse(self, places: Mapping[str, int]) -> Table:
        """See `TableReader.read`."""
        self._require_plain_text()
        dates = self._dates(places["date"])
        cells = self._cells(places, "date32" if dates == _DATE else "string")
        # Blank lines are no rows: then it is not known where the next file begins.
        if cells.num_rows != self.counts.sum() or not self.counts.all():
            raise OddError
        numbers = {role: _array(cells[role]) for role in places if role != "date"}
        self._require_kept(places, numbers)
        return Table(_times(_array(cells["date"])), numbers, self.counts, self.skipped)

    def _require_plain_text(self) -> None:
        text, end = self.buffer, self.end
        if not np.frombuffer(text, np.uint8, end).max(initial=0) < 128:
            raise OddError
        if any(text.find(mark, 0, end) >= 0 for mark in (b'"', b"\0")):
            raise OddError
        # A line that ends otherwise is a row of its own, and would hide a blank one.
        if text.find(b"\r", 0, end) >= 0 and (
            text.count(b"\r", 0, end) != text.count(b"\r\n", 0, end)
        ):
            raise OddError

    def _dates(self, place: int) -> int:
        """The length of the first date."""
        line = bytes(self.buffer[: self.buffer.find(b"\n", 0, self.end)]).rstrip(b"\r")
        cells = line.split(b",")
        length = len(cells[place]) if place < len(cells) else 0
        if length not in (_DATE, *_TIMES):
            raise OddError
        return length

    def _cells(self, places: Mapping[str, int], dates: str) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        wanted = {str(place): pa.float64() for place in places.values()}
        wanted[str(places["date"])] = pa.type_for_alias(dates)
        width = self.header.count(b",") + 1
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(pa.py_buffer(memoryview(self.buffer)[: self.end])),
                # Another thread has the bars before these to write.
                read_options=arrow_csv.ReadOptions(
                    column_names=[str(place) for place in range(width)],
                    use_threads=False,
                    block_size=_BLOCK,
                ),
                parse_options=arrow_csv.ParseOptions(quote_char=False),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=list(wanted),
                    column_types=wanted,
                    null_values=[""],
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise OddError from error
        return table.rename_columns(list(places))

    def _require_kept(self, places: Mapping[str, int], numbers: Mapping[str, Any]) -> None:
        """Raise if a float64 may not give back a number as it is written."""
        _, columns = self._cells_at(self._long_runs())
        if set(columns.tolist()) & set(places.values()):
            raise OddError
        for role, cells in numbers.items():
            values = cells.drop_null().to_numpy()
            least = values.min(initial=np.inf)
            if np.isnan(least):
                raise OddError
            if least <= _TINY:
                tiny = np.abs(cells.to_numpy(zero_copy_only=False)) <= _TINY
                self._require_no_exponents(places[role], tiny)

    def _require_no_exponents(self, place: int, tiny: npt.NDArray[np.bool_]) -> None:
        """Raise unless all of a column's tiny numbers are zeros by their digits."""
        if all(self.buffer.find(mark, 0, self.end) < 0 for mark in (b"e", b"E")):
            return
        rows, columns = self._cells_at(np.flatnonzero((self._bytes | 0x20) == ord("e")))
        if tiny[rows[columns == place]].any():
            raise OddError

    def _long_runs(self) -> Ints:
        """Places in all runs of digits and letters that are as long as no number may be.

        A sign ends a run: where there is one, a number has fewer digits than characters.
        """
        half = LONG // 2
        stop = half + self.end
        ends = np.empty(stop + -stop % half + half, dtype=np.bool_)
        ends[:half] = ends[stop:] = True
        # Before the point stand all marks that delimit or sign, and no digit.
        np.less(self._bytes, ord("."), out=ends[half:stop])
        # So long a run covers one of the blocks that begin at every eighth byte.
        blocks = np.flatnonzero(ends.view(np.uint64) == 0) * half
        goes_on = ~ends[blocks[:, None] + np.arange(-half, 2 * half)]
        before = goes_on[:, half - 1 :: -1].cumprod(axis=1).sum(axis=1)
        behind = goes_on[:, 2 * half :].cumprod(axis=1).sum(axis=1)
        runs: Ints = blocks[before + half + behind >= LONG] - half
        return runs

    def _cells_at(self, positions: Ints) -> tuple[Ints, Ints]:
        """Row and column of the cells at some places of the text."""
        if not len(positions):
            return positions, positions
        marks = np.flatnonzero((self._bytes == ord(",")) | (self._bytes == ord("\n")))
        width = self.header.count(b",") + 1
        rows, columns = np.divmod(np.searchsorted(marks, positions), width)
        return rows, columns

    @cached_property
    def _bytes(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.buffer, np.uint8, self.end)


def _array(column: Any) -> Any:
    """A chunked column as one array; without a copy if it has one chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _times(cells: Any) -> Any:
    """Dates, or texts of dates with a time of day, as dates or instants that bars may have."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_date32(cells.type):
        times = cells
    else:
        lengths = compute.min_max(compute.binary_length(cells)).as_py()
        if lengths["min"] != lengths["max"]:
            raise OddError
        try:
            times = compute.cast(cells, pa.timestamp("us"))
        except pa.ArrowInvalid as error:
            raise OddError from error
    ends = compute.min_max(times)
    years = [compute.year(ends[name]).as_py() for name in ("min", "max")]
    if times.null_count or not YEARS[0] <= years[0] <= years[1] <= YEARS[1]:
        raise OddError
    return times
