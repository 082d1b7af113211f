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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS

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


def to_labels(timestamps: pl.Series) -> Ints:
    """Days or minutes since 1970 of a timestamp column."""
    unit = "D" if timestamps.dtype == pl.Date else "m"
    labels: Ints = timestamps.to_numpy().astype(f"datetime64[{unit}]").astype(np.int64)
    return labels


def order_of(bars: pl.DataFrame) -> Ints:
    """Rows of some bars in the order of (sid, timestamp); quick where runs have it already."""
    keys = (bars["sid"].to_numpy() << 32) + to_labels(bars["timestamp"])
    return np.argsort(keys, kind="stable")


def write_panel(
    directory: Path,
    labels: Ints,
    sids: Ints,
    parts: Iterable[pl.DataFrame],
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
    shape = (len(labels), len(sids))
    arrays = {name: _create(directory / f"{name}.npy", name, shape) for name in VALUE_COLUMNS}
    first = np.full(len(sids), len(labels), dtype=np.int64)
    last = np.full(len(sids), -1, dtype=np.int64)
    for part in parts:
        rows = np.searchsorted(labels, to_labels(part["timestamp"]))
        columns = np.searchsorted(sids, part["sid"].to_numpy())
        ratio = own[columns] if own is not None else 1000.0
        for name, array in arrays.items():
            array[rows, columns] = as_read(part[name].to_numpy(), name, precision, ratio)
        np.minimum.at(first, columns, rows)
        np.maximum.at(last, columns, rows)
        _let_go(arrays.values())
    _finish(directory, arrays, {"labels": labels, "sids": sids, "first": first, "last": last})


def grow_panel(
    directory: Path,
    labels: Ints,
    ends: pl.DataFrame,
    before: Panel,
    *,
    cleared: Iterable[tuple[int, int]],
    parts: Iterable[pl.DataFrame],
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
    arrays = {name: _create(directory / f"{name}.npy", name, shape) for name in VALUE_COLUMNS}
    gone = [slice(*np.searchsorted(labels, [low, high + 1])) for low, high in cleared]
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
    axes = {"labels": labels, "sids": sids}
    for name in ("first", "last"):
        axes[name] = np.searchsorted(labels, ends[f"{name}_label"].to_numpy())
    _finish(directory, arrays, axes)


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
        name: np.load(directory / f"{name}.npy") for name in ("labels", "sids", "first", "last")
    }
    shape = (len(axes["labels"]), len(axes["sids"]))
    mode: Literal["r"] | None = None if 0 in shape else "r"
    values = {
        # A plain view: numpy's memmap class costs a microsecond on every access.
        name: np.asarray(np.load(directory / f"{name}.npy", mmap_mode=mode))
        for name in VALUE_COLUMNS
    }
    return Panel(values=values, **axes)


def empty_panel() -> Panel:
    """A panel without bars."""
    nothing = np.empty(0, dtype=np.int64)
    values = {name: np.empty((0, 0)) for name in VALUE_COLUMNS}
    return Panel(nothing, nothing, nothing, nothing, values)
