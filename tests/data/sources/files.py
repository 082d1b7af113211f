"""CSV files for tests: lines to a file, a file to bars or to the error that it gives."""

import asyncio
import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from rustybt.data.sources.csv import CSVDataSource

HEADER = "Date,Open,High,Low,Close,Volume"
#: open, high, low, close, volume of a bar that can be true.
VALUES = "10,12,9,11,100"


def packed(text: str | bytes, packing: str) -> bytes:
    """The bytes of a file whose name ends in `packing`."""
    data = text.encode() if isinstance(text, str) else text
    match packing:
        case "":
            return data
        case ".gz":
            return gzip.compress(data)
        case ".bz2":
            return bz2.compress(data)
        case ".xz":
            return lzma.compress(data)
        case ".zst":
            return pa.Codec("zstd").compress(data, asbytes=True)
        case ".zip":
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as written:
                written.writestr("bars.csv", data)
            return archive.getvalue()
    raise ValueError(packing)


def put(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a file into a folder, which is made if need be."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def table(*rows: str, header: str = HEADER) -> str:
    """A header and rows, as lines."""
    return "\n".join([header, *rows, ""])


def days(*dates: str, values: str = VALUES) -> str:
    """A table of one bar a date."""
    return table(*(f"{date},{values}" for date in dates))


def fetch(
    path: Path,
    symbols: list[str] | None = None,
    start: Any = None,
    end: Any = None,
    frequency: str = "1d",
    **options: Any,
) -> pl.DataFrame:
    """The bars of a new source; of all its symbols if none are named."""
    source = CSVDataSource(path, **options)
    if symbols is None:
        symbols = asyncio.run(source.list_symbols())
    return asyncio.run(source.fetch(symbols, start, end, frequency))


def times(
    path: Path, frequency: str = "1d", *, declared: str | None = None, **options: Any
) -> list[str]:
    """The timestamps of a file's bars, as text; `declared` is the source's own `frequency`."""
    form = "%Y-%m-%d" if frequency == "1d" else "%Y-%m-%d %H:%M"
    source = CSVDataSource(path, frequency=declared, **options)
    symbols = asyncio.run(source.list_symbols())
    bars = asyncio.run(source.fetch(symbols, None, None, frequency))
    return bars["timestamp"].dt.strftime(form).to_list()
