"""sids for life: once a symbol has a number in a bundle, it keeps it.

Every version carries the whole ledger of the numbers that its bundle ever gave, also those of
symbols that are not in this version, so that none is given twice.
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from rustybt.data.bundles import _files
from rustybt.data.bundles.storage import Version, read_file
from rustybt.data.errors import CorruptVersionError

FILE = "identities.parquet"
LEDGER = pl.Schema({"sid": pl.Int64(), "symbol": pl.String()})


def load(version: Version | None) -> pl.DataFrame:
    """The ledger of a version, ``sid`` and ``symbol``; empty where there is no version yet."""
    if version is None:
        return pl.DataFrame(schema=LEDGER)
    return pl.read_parquet(read_file(version, FILE))


def newest(versions: Iterable[Version]) -> tuple[pl.DataFrame, bool]:
    """The ledger of the newest version that has a readable one, and whether there was damage.

    A damaged version must not take the sids away: where its ledger is, the tables that repeat it
    are asked, then earlier versions. If none is left the ledger is empty.
    """
    damage = False
    for version in versions:
        for name in (FILE, "contents.parquet", "assets.parquet"):
            try:
                table = pl.read_parquet(read_file(version, name), columns=["sid", "symbol"])
            except CorruptVersionError:
                damage = True
                continue
            return table.unique(maintain_order=True).sort("sid"), damage
    return load(None), damage


def extend(ledger: pl.DataFrame, symbols: Iterable[str]) -> pl.DataFrame:
    """The ledger with numbers for the symbols that have none yet.

    New ones are numbered in alphabetical order, so that the order in which symbols were named
    never shows.
    """
    new = sorted(set(symbols) - set(ledger["symbol"]))
    start = ledger["sid"].to_numpy().max(initial=-1) + 1
    added = pl.DataFrame({"sid": range(start, start + len(new)), "symbol": new}, schema=LEDGER)
    return pl.concat([ledger, added])


def save(ledger: pl.DataFrame, directory: Path) -> None:
    """Write the ledger into a version's directory."""
    _files.write_table(ledger, directory / FILE)


def sids_of(ledger: pl.DataFrame) -> dict[str, int]:
    """The number of each symbol."""
    return dict(zip(ledger["symbol"], ledger["sid"], strict=True))
