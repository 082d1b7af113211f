"""sids for life: once an asset has a number in a bundle, it keeps it, also under another name.

Every version carries the whole ledger of the numbers that its bundle ever gave, also those of
symbols that are not in this version, so that none is given twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from rustybt.data.bundles import _files
from rustybt.data.bundles.storage import Version, read_file
from rustybt.data.errors import CorruptVersionError, OptionError

FILE = "identities.parquet"
#: Names that assets had before: an asset is called `ticker` up to and with the session `until`.
RENAMED_FILE = "renamed.parquet"
RENAMED = pl.Schema({"sid": pl.Int64(), "ticker": pl.String(), "until": pl.Date()})
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


@dataclass(frozen=True)
class Rename:
    """An asset that is called otherwise from a session on.

    A ticker that another company has taken over is a rename too: of the old asset, to any name that
    is free. The ticker then belongs to two assets, each in its time.
    """

    old: str
    new: str
    since: date


def rename(ledger: pl.DataFrame, renames: Sequence[Rename]) -> pl.DataFrame:
    """The ledger with the new names.

    Raises
    ------
    OptionError
        If there is no asset of the old name, or one of the new name already.
    """
    for each in renames:
        known = set(ledger["symbol"])
        if each.old not in known:
            raise OptionError(f"no asset of the bundle is called {each.old}, to be renamed")
        if each.new in known:
            raise OptionError(f"the bundle has an asset called {each.new} already: choose another")
        ledger = ledger.with_columns(pl.col("symbol").replace({each.old: each.new}))
    return ledger


def renamed(versions: Iterable[Version]) -> pl.DataFrame:
    """Names of before, from the newest version that has a sound table of them."""
    for version in versions:
        try:
            return pl.read_parquet(read_file(version, RENAMED_FILE))
        except CorruptVersionError:
            continue
    return pl.DataFrame(schema=RENAMED)


def with_renamed(
    past: pl.DataFrame, ledger: pl.DataFrame, renames: Sequence[Rename]
) -> pl.DataFrame:
    """The names of before, with those that are given up now.

    Parameters
    ----------
    ledger : polars.DataFrame
        Before the renames.
    """
    sids = sids_of(ledger)
    rows = [(sids[each.old], each.old, each.since - timedelta(days=1)) for each in renames]
    return pl.concat([past, pl.DataFrame(rows, schema=RENAMED, orient="row")]).sort("sid", "until")


def with_former(
    past: pl.DataFrame, ledger: pl.DataFrame, former: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """The names of before, with those that a provider tells; and notes of those left out.

    A name that another asset of the bundle has is left out: whose it was on which day, the
    provider does not say.

    Parameters
    ----------
    former : polars.DataFrame
        In the schema `rustybt.data.listings.FORMER`.
    """
    taken = former["ticker"].is_in(ledger["symbol"].implode())
    notes = [
        f"{symbol} was called {ticker} up to {until}, which another asset of the bundle is called: "
        "it is not found by that name."
        for symbol, ticker, until in former.filter(taken).rows()
    ]
    told = former.filter(~taken).join(ledger, on="symbol").select(RENAMED.names())
    both = pl.concat([past, told]).unique(["sid", "ticker"], keep="first", maintain_order=True)
    return both.sort("sid", "until"), notes


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
