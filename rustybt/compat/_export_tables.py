"""A bundle as flat tables that any engine reads: Parquet, or Arrow IPC files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from rustybt.compat._export_losses import Losses
from rustybt.compat._export_rows import KINDS, NO_TRADE, Step, batches, by_symbol, prices_as_read
from rustybt.data.bars import BAR_COLUMNS
from rustybt.data.bundles.bundle import Bundle

#: Rows a row group or record batch.
_GROUP = 1 << 17

WriteTable = Callable[[pa.Table], None]


def write_parquet(bundle: Bundle, directory: Path, losses: Losses, step: Step) -> None:
    """Write ``daily.parquet``, ``minute.parquet``, the assets and the events."""
    _write(bundle, directory, "parquet", losses, step)


def write_arrow(bundle: Bundle, directory: Path, losses: Losses, step: Step) -> None:
    """Write the same as Arrow IPC files, not compressed, so that they can be mapped."""
    _write(bundle, directory, "arrow", losses, step)


def _write(bundle: Bundle, directory: Path, ending: str, losses: Losses, step: Step) -> None:
    left_out = 0
    for kind in KINDS:
        if not bundle.has(kind):
            continue
        with _opened(directory / f"{kind}.{ending}") as write:
            for batch in batches(bundle, kind):
                bars = batch.filter(~NO_TRADE).with_columns(prices_as_read())
                left_out += len(batch) - len(bars)
                write(_table(bars.select(BAR_COLUMNS)))
                for _ in by_symbol(batch):
                    step(f"{kind} bars")
    if left_out:
        losses.notes.append(f"{left_out:,} rows without a price and a volume stand for no trade.")
    tables = dict(bundle.events.items())
    if bundle.metadata.row_count:
        tables["assets"] = bundle.assets
    for name, frame in tables.items():
        with _opened(directory / f"{name}.{ending}") as write:
            write(_table(frame))


def _table(frame: pl.DataFrame) -> pa.Table:
    """A table without types that are Arrow's alone: strings are plain strings."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    plain = [
        pa.field(each.name, pa.string() if pa.types.is_large_string(each.type) else each.type)
        for each in table.schema
    ]
    return table.cast(pa.schema(plain))


@contextmanager
def _opened(path: Path) -> Iterator[WriteTable]:
    """A function that appends a table to a file, which gets its schema from the first one."""
    writers: list[Any] = []

    def write(table: pa.Table) -> None:
        if not writers:
            writers.append(_writer(path, table.schema))
        writers[0].write_table(table, _GROUP)

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()


def _writer(path: Path, schema: pa.Schema) -> Any:
    if path.suffix == ".parquet":
        return pq.ParquetWriter(path, schema, compression="zstd")
    return pa.ipc.new_file(str(path), schema)
