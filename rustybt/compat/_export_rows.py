"""The bars of a bundle, some symbols at a time, so that memory stays bounded."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.data.bundles.bundle import Bundle

#: Bars to hold at a time, unless one symbol has more.
ROWS = 1 << 22

KINDS = ("daily", "minute")

#: Called with a label after each symbol.
Step = Callable[[str], None]

#: A row that stands for "no trade", as zipline's format spells it.
NO_TRADE = pl.all_horizontal(pl.col(name) == 0 for name in VALUE_COLUMNS)


def counts(bundle: Bundle, kind: str) -> pl.DataFrame:
    """``sid``, ``symbol`` and ``bars`` of each asset with bars of a kind, by symbol."""
    files = bundle.files(kind) if bundle.has(kind) else []
    if not files:
        return pl.DataFrame(schema={"sid": pl.Int64, "symbol": pl.String, "bars": pl.Int64})
    sids = pl.concat([pl.scan_parquet(path).select("sid") for path in files])
    symbols = bundle.assets.lazy().select("sid", "symbol")
    counted = sids.group_by("sid").agg(pl.len().cast(pl.Int64).alias("bars"))
    return counted.join(symbols, on="sid").select("sid", "symbol", "bars").sort("symbol").collect()


def batches(bundle: Bundle, kind: str, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """All bars of a kind, a batch of whole symbols at a time.

    Yields
    ------
    polars.DataFrame
        ``sid``, ``symbol``, ``timestamp`` and the values as they are stored, sorted by symbol
        and timestamp.
    """
    known = counts(bundle, kind)
    batch = (pl.col("bars").cum_sum() - pl.col("bars")) // rows
    files = bundle.files(kind) if len(known) else []
    for part in known.with_columns(batch.alias("batch")).partition_by("batch", maintain_order=True):
        yield _read(files, part.select("sid", "symbol"))


def _read(files: list[Path], assets: pl.DataFrame) -> pl.DataFrame:
    sids = assets["sid"]
    # The bounds let whole row groups be skipped.
    wanted = pl.col("sid").is_between(sids.min(), sids.max()) & pl.col("sid").is_in(sids.implode())
    floats = pl.col(VALUE_COLUMNS).cast(pl.Float64)
    parts = [pl.scan_parquet(path).filter(wanted).with_columns(floats) for path in files]
    joined = pl.concat(parts).join(assets.lazy(), on="sid")
    ordered = joined.select("sid", "symbol", "timestamp", *VALUE_COLUMNS)
    return ordered.sort("symbol", "timestamp").collect()


def by_symbol(batch: pl.DataFrame) -> Iterator[tuple[int, str, pl.DataFrame]]:
    """The sid, symbol and bars of each symbol of a batch."""
    for part in batch.partition_by("symbol", maintain_order=True):
        yield int(part["sid"][0]), str(part["symbol"][0]), part


def prices_as_read() -> list[pl.Expr]:
    """A price of zero is none, for zipline and here."""
    return [pl.when(pl.col(name) != 0).then(pl.col(name)).alias(name) for name in PRICE_COLUMNS]
