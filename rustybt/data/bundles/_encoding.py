"""Bars as Parquet and back, to the bit.

A column of decimals of a common scale, as prices and volumes are, is stored as DECIMAL on
integers, delta-encoded: exact, readable by every engine, and small. Dividing the integer by
10**scale gives back the very float that was written, because both are exact and IEEE division
rounds to the nearest. Any other column is stored as DOUBLE.

References: Parquet's DELTA_BINARY_PACKED and BYTE_STREAM_SPLIT encodings,
https://parquet.apache.org/docs/file-format/data-pages/encodings/
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from rustybt.data.bars import VALUE_COLUMNS
from rustybt.data.errors import CorruptVersionError

#: Digits of a DECIMAL on a 64-bit integer.
_PRECISION = 18
#: A float64 keeps any decimal of 15 significant digits: below this the integer that a value times
#: 10**scale rounds to is the decimal that was meant. With 16 digits it can be its neighbour.
_EXACT = 10**15
_MAX_SCALE = 15
#: Rows a row group: small enough to skip, large enough to compress.
_ROW_GROUP = 1 << 17

#: Values that are looked at before all are.
_FEW = 1024

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def decimal_scale(values: Floats) -> int | None:
    """The fewest decimal places that hold every value exactly, or None if no number of them does.

    Parameters
    ----------
    values : ndarray of float64
        Finite.
    """
    found = _as_decimals(values)
    return found[0] if found is not None else None


def _as_decimals(values: Floats) -> tuple[int, Integers] | None:
    """The scale of some values, and the values times 10**scale as integers."""
    zeros = values == 0
    if zeros.any() and np.signbit(values[zeros]).any():
        return None  # integers have no negative zero
    largest = max(abs(float(values.max(initial=0.0))), abs(float(values.min(initial=0.0))))
    # A few values tell what is needed at the least; mostly the others need no more.
    few = values[:: max(len(values) // _FEW, 1)]
    pending = few
    for scale in range(_MAX_SCALE + 1):
        power = 10.0**scale
        if largest * power >= _EXACT:
            return None
        pending = pending[np.rint(pending * power) / power != pending]
        if not len(pending):
            units = values * power
            np.rint(units, out=units)
            pending = values[units / power != values]
            if not len(pending):
                return scale, units.astype(np.int64)
    return None


def write_bars(path: Path, frame: pl.DataFrame) -> dict[str, int | None]:
    """Write ``sid``, ``timestamp`` and the five values to a Parquet file.

    Returns
    -------
    dict
        The scale of each value column; None where it is stored as DOUBLE.
    """
    table: dict[str, pa.Array] = {
        "sid": frame["sid"].to_arrow(),
        "timestamp": frame["timestamp"].to_arrow(),
    }
    encoding = dict.fromkeys(("sid", "timestamp"), "DELTA_BINARY_PACKED")
    # The deltas of values are packed so tightly that compressing them saves less than a hundredth.
    compression = {"sid": "zstd", "timestamp": "zstd"}
    scales: dict[str, int | None] = {}
    for name in VALUE_COLUMNS:
        values = frame[name].to_numpy()
        found = _as_decimals(values)
        if found is None:
            scales[name] = None
            table[name], encoding[name] = pa.array(values), "BYTE_STREAM_SPLIT"
            compression[name] = "zstd"
        else:
            scale, integers = found
            scales[name] = scale
            table[name] = pa.Array.from_buffers(
                pa.decimal64(_PRECISION, scale), len(integers), [None, pa.py_buffer(integers)]
            )
            encoding[name], compression[name] = "DELTA_BINARY_PACKED", "none"
    pq.write_table(
        pa.table(table),
        path,
        compression=compression,
        use_dictionary=False,
        column_encoding=encoding,
        store_decimal_as_integer=True,
        write_page_checksum=True,
        row_group_size=_ROW_GROUP,
    )
    return scales


def read_bars(path: Path, columns: tuple[str, ...] = VALUE_COLUMNS) -> pl.DataFrame:
    """Read ``sid``, ``timestamp`` and some value columns of a file that `write_bars` wrote.

    Raises
    ------
    CorruptVersionError
        If the file is missing, cut short, or fails its page checksums.
    """
    try:
        table = pq.read_table(
            path, columns=["sid", "timestamp", *columns], page_checksum_verification=True
        )
    except (OSError, pa.ArrowException) as error:
        raise CorruptVersionError(f"{path} cannot be read: {error}") from error
    series = [pl.Series(name, table[name]) for name in ("sid", "timestamp")]
    series += [pl.Series(name, _floats(table[name])) for name in columns]
    return pl.DataFrame(series)


def _floats(column: "pa.ChunkedArray") -> Floats:
    if not pa.types.is_decimal(column.type):
        doubles: Floats = column.to_numpy()
        return doubles
    words = column.type.byte_width // 8
    integers = [
        np.frombuffer(chunk.buffers()[1], dtype=np.int64)[::words][
            chunk.offset : chunk.offset + len(chunk)
        ]
        for chunk in column.chunks
    ]
    joined = np.concatenate(integers) if integers else np.empty(0, dtype=np.int64)
    floats: Floats = joined / 10.0**column.type.scale
    return floats


def stored_scales(path: Path) -> dict[str, int | None]:
    """The scale of each value column of a file that `write_bars` wrote, as it returned them."""
    schema = pq.read_schema(path)
    types = {name: schema.field(name).type for name in VALUE_COLUMNS}
    return {name: each.scale if pa.types.is_decimal(each) else None for name, each in types.items()}
