"""Dense arrays of bars, session by sid and minute by sid, mapped into memory.

A panel is what a backtest reads: the value of any asset at any time is one array access. It is
derived from the Parquet files of a version and can be rebuilt from them.

Layout of ``panel/daily`` and ``panel/minute``: ``labels.npy`` (int64, shape (n,): days or minutes
since 1970, UTC), ``sids.npy`` (int64, shape (k,), ascending), ``first.npy`` and ``last.npy``
(int64, shape (k,): rows of an asset's first and last bar), and one float64 array of shape (n, k)
for each of open, high, low, close (NaN where there is no bar) and volume (0 where there is none).
"""

import errno
import mmap
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from rustybt.data._columns import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.data.bundles._arrays import read_array

if TYPE_CHECKING:
    import polars as pl

#: ``full`` gives the very floats that were stored; ``bcolz`` gives what zipline's own format
#: computes: thousandths times 0.001, and whole volumes.
Precision = Literal["full", "bcolz"]

#: Largest number that zipline's format can hold, for a volume and for a price in thousandths.
UINT32_MAX = np.iinfo(np.uint32).max

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """Bars as dense arrays.

    Attributes
    ----------
    labels : ndarray of int64, shape (n,)
        Days or minutes since 1970 (UTC), ascending.
    sids : ndarray of int64, shape (k,)
        Ascending.
    first, last : ndarray of int64, shape (k,)
        Rows of each asset's first and last bar.
    values : dict of str to ndarray of float64, shape (n, k)
        By field.
    """

    labels: Ints
    sids: Ints
    first: Ints
    last: Ints
    values: dict[str, Floats]

    def columns_of(self, sids: npt.ArrayLike) -> Ints:
        """Column of each sid, -1 for one that has no bars. Shape (len(sids),)."""
        wanted = np.asarray(sids, dtype=np.int64)
        if not len(self.sids):
            return np.full(len(wanted), -1)
        found = np.minimum(np.searchsorted(self.sids, wanted), len(self.sids) - 1)
        return np.where(self.sids[found] == wanted, found, -1)


def to_labels(timestamps: "pl.Series") -> Ints:
    """Days or minutes since 1970 of a timestamp column."""
    unit = "D" if _are_dates(timestamps) else "m"
    labels: Ints = timestamps.to_numpy().astype(f"datetime64[{unit}]").astype(np.int64)
    return labels


def _are_dates(timestamps: "pl.Series") -> bool:
    import polars as pl  # whoever only reads a panel does without

    return timestamps.dtype == pl.Date


def in_order(bars: "pl.DataFrame") -> "pl.DataFrame":
    """The bars sorted by (sid, timestamp); quick where they, or runs of them, are so already."""
    timestamps = bars["timestamp"]
    as_stored = _are_dates(timestamps)
    labels = timestamps.to_physical().to_numpy() if as_stored else to_labels(timestamps)
    keys = (bars["sid"].to_numpy() << 32) + labels
    if (keys[1:] > keys[:-1]).all():
        return bars
    return bars[np.argsort(keys, kind="stable")]


def write_panel(
    directory: Path,
    labels: Ints,
    sids: Ints,
    parts: Iterable["pl.DataFrame"],
    precision: Precision = "full",
    ratios: Mapping[int, float] | None = None,
) -> None:
    """Write the arrays of a panel, one part of the bars in memory at a time.

    Parameters
    ----------
    directory : pathlib.Path
        Exists; the arrays go straight into it.
    labels, sids : ndarray of int64
        The axes. Every bar's label and sid must be in them.
    parts : iterable of polars.DataFrame
        Bars: ``sid``, ``timestamp`` and the five values.
    precision : {"full", "bcolz"}
    ratios : mapping of int to float, optional
        By sid, the `ratio` of `as_read` where it is not 1000.
    """
    own = np.array([ratios.get(int(sid), 1000.0) for sid in sids]) if ratios else None
    first = np.full(len(sids), len(labels), dtype=np.int64)
    last = np.full(len(sids), -1, dtype=np.int64)
    with ExitStack() as files:
        rows = {
            name: files.enter_context(_Rows(directory / f"{name}.npy", (len(labels), len(sids))))
            for name in VALUE_COLUMNS
        }
        for part in parts:
            if part.is_empty():
                continue
            place = _Place.of(part, labels, sids)
            ratio = own[place.columns] if own is not None else 1000.0
            for name, array in rows.items():
                array.put(place, as_read(part[name].to_numpy(), name, precision, ratio))
            np.minimum.at(first, place.sids, place.first)
            np.maximum.at(last, place.sids, place.last)
    _finish(directory, {}, {"labels": labels, "sids": sids, "first": first, "last": last})


@dataclass(frozen=True)
class _Place:
    """Where the bars of a part lie in a panel.

    Attributes
    ----------
    start, stop : int
        Of the panel's rows.
    rows, columns : ndarray of int64, shape (bars,)
        The row less `start`, and the column, of each bar.
    sids, first, last : ndarray of int64, shape (runs,)
        For each run of bars of one asset: its column, and its lowest and highest row.
    """

    start: int
    stop: int
    rows: Ints
    columns: Ints
    sids: Ints
    first: Ints
    last: Ints

    @classmethod
    def of(cls, bars: "pl.DataFrame", labels: Ints, sids: Ints) -> "_Place":
        wanted, own = to_labels(bars["timestamp"]), bars["sid"].to_numpy()
        start = int(np.searchsorted(labels, wanted.min()))
        stop = int(np.searchsorted(labels, wanted.max(), side="right"))
        # Labels are many and dense: a table of a piece of them is found in faster than they are.
        table = np.zeros(int(labels[stop - 1] - labels[start]) + 1, dtype=np.int64)
        table[labels[start:stop] - labels[start]] = np.arange(stop - start)
        rows = table[wanted - labels[start]]
        begins = np.flatnonzero(np.diff(own, prepend=own[0] - 1))
        columns = np.searchsorted(sids, own[begins])
        lengths = np.diff(np.append(begins, len(own)))
        lowest, highest = (each.reduceat(rows, begins) for each in (np.minimum, np.maximum))
        spread = np.repeat(columns, lengths)
        return cls(start, stop, rows, spread, columns, lowest + start, highest + start)


class _Rows:
    """The file of an array that is written a range of rows at a time.

    Ranges that follow each other are written once; one that lies behind, or overlaps what is
    there, is read and written again. Rows between them have no bars.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self._nothing = np.nan if path.stem in PRICE_COLUMNS else 0.0
        self._shape = shape
        self._written = 0
        self._file = path.open("w+b")
        facts = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, facts)
        self._begin = self._file.tell()

    def __enter__(self) -> "_Rows":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._fill(self._shape[0])

    def begin_with(self, values: Floats) -> None:
        """Write the first rows as they are; before anything else."""
        self._file.write(np.ascontiguousarray(values).data)
        self._written = len(values)

    def put(self, place: _Place, values: Floats) -> None:
        """Write the values of some bars."""
        self._fill(place.start)
        block = np.full((place.stop - place.start, self._shape[1]), self._nothing)
        there = min(self._written, place.stop) - place.start
        if there > 0:
            self._seek(place.start)
            stored = self._file.read(there * self._width)
            block[:there] = np.frombuffer(stored).reshape(there, -1)
        block[place.rows, place.columns] = values
        self._seek(place.start)
        self._file.write(block.data)
        self._written = max(self._written, place.stop)

    def _fill(self, stop: int) -> None:
        """Write rows without bars up to one."""
        if stop > self._written:
            self._seek(self._written)
            empty = np.full(self._shape[1], self._nothing).tobytes()
            for _ in range(self._written, stop):
                self._file.write(empty)
            self._written = stop

    def _seek(self, row: int) -> None:
        self._file.seek(self._begin + row * self._width)

    @property
    def _width(self) -> int:
        return self._shape[1] * 8


def grow_panel(
    directory: Path,
    labels: Ints,
    ends: "pl.DataFrame",
    before: Panel,
    *,
    cleared: Iterable[tuple[int, int]],
    parts: Iterable["pl.DataFrame"],
    precision: Precision,
) -> None:
    """Write the arrays of a panel that has most of its values from another one.

    Parameters
    ----------
    labels : ndarray of int64
        The time axis; that of the panel before is a piece of it.
    ends : polars.DataFrame
        Every ``sid``, ascending, with the ``first_label`` and ``last_label`` of its bars.
    before : Panel
    cleared : iterable of (int, int)
        Ranges of labels, both included, of which nothing is carried over.
    parts : iterable of polars.DataFrame
        The bars in those ranges.
    """
    sids = ends["sid"].to_numpy()
    start = int(np.searchsorted(labels, before.labels[0])) if len(before.labels) else 0
    rows = slice(start, start + len(before.labels))
    kept = np.isin(before.sids, sids)
    columns = np.searchsorted(sids, before.sids[kept])
    shape = (len(labels), len(sids))
    axes = {"labels": labels, "sids": sids}
    for name in ("first", "last"):
        axes[name] = np.searchsorted(labels, ends[f"{name}_label"].to_numpy())
    gone = [slice(*np.searchsorted(labels, [low, high + 1])) for low, high in cleared]
    since = len(before.labels)
    for span in sorted(gone, key=lambda span: span.start, reverse=True):
        since = int(span.start) if span.stop >= since else since
    if not start and np.array_equal(sids, before.sids) and all(s.start >= since for s in gone):
        _append(directory, before, since, (axes, parts, precision))
        return
    arrays = {name: _create(directory / f"{name}.npy", name, shape) for name in VALUE_COLUMNS}
    for name, array in arrays.items():
        if len(columns) == len(sids) == len(before.sids):
            array[rows] = before.values[name]
        else:
            array[rows, columns] = before.values[name][:, kept]
        for span in gone:
            array[span] = 0.0 if name == "volume" else np.nan
        _let_go([array])
    for part in parts:
        where = np.searchsorted(labels, to_labels(part["timestamp"]))
        assets = np.searchsorted(sids, part["sid"].to_numpy())
        for name, array in arrays.items():
            array[where, assets] = as_read(part[name].to_numpy(), name, precision)
    _finish(directory, arrays, axes)


def _append(
    directory: Path,
    before: Panel,
    since: int,
    rest: tuple[Mapping[str, Ints], Iterable["pl.DataFrame"], Precision],
) -> None:
    """Write a panel that begins as another one does, up to a row: by far the most common case."""
    axes, parts, precision = rest
    labels, sids = axes["labels"], axes["sids"]
    with ExitStack() as files:
        rows = {
            name: files.enter_context(_Rows(directory / f"{name}.npy", (len(labels), len(sids))))
            for name in VALUE_COLUMNS
        }
        for name, array in rows.items():
            array.begin_with(before.values[name][:since])
        for part in parts:
            place = _Place.of(part, labels, sids)
            for name, array in rows.items():
                array.put(place, as_read(part[name].to_numpy(), name, precision))
    _finish(directory, {}, axes)


def _finish(directory: Path, arrays: Mapping[str, Floats], axes: Mapping[str, Ints]) -> None:
    for array in arrays.values():
        if isinstance(array, np.memmap):
            array.flush()
    for name, values in axes.items():
        np.save(directory / f"{name}.npy", values)


def _create(path: Path, name: str, shape: tuple[int, int]) -> Floats:
    if 0 in shape:
        empty: Floats = np.empty(shape)
        np.save(path, empty)
        return empty
    array: Floats = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=shape)
    _reserve(path)
    if name in PRICE_COLUMNS:
        array[:] = np.nan
    _let_go([array])
    return array


def _let_go(arrays: Iterable[Floats]) -> None:
    """Give the memory of mapped arrays back: what was written is the file's, not ours to hold."""
    for array in arrays:
        mapped = getattr(array, "_mmap", None)
        if mapped is not None and hasattr(mapped, "madvise"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _reserve(path: Path) -> None:
    """Take a file's space on the disk now, or raise: a full disk kills whoever writes to a map."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # not every file system can
                raise


def as_read(
    values: Floats, name: str, precision: Precision, ratio: Floats | float = 1000.0
) -> Floats:
    """What readers return for stored values of a field.

    A price of zero is none, as in zipline's format. Shape and dtype stay. `ratio` is what zipline's
    format multiplies a price by to keep it as an integer, one for all values or one for each.
    """
    if name == "volume":
        return np.trunc(values) if precision == "bcolz" else values
    if precision == "full":
        return np.where(values == 0, np.nan, values)
    units = np.rint(values * ratio)
    return np.where(units == 0, np.nan, units * (1.0 / ratio))


def open_panel(directory: Path) -> Panel:
    """Map the arrays of a panel; nothing is read until it is asked for."""
    axes = {
        name: read_array(directory / f"{name}.npy") for name in ("labels", "sids", "first", "last")
    }
    values = {name: read_array(directory / f"{name}.npy", mapped=True) for name in VALUE_COLUMNS}
    return Panel(values=values, **axes)


def empty_panel() -> Panel:
    """A panel without bars."""
    nothing = np.empty(0, dtype=np.int64)
    values = {name: np.empty((0, 0)) for name in VALUE_COLUMNS}
    return Panel(nothing, nothing, nothing, nothing, values)
