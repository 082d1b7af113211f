"""Ingestions in zipline's own format, which old releases wrote too, with a later asset database.

The readers of compat know the asset database of zipline 3. Versions 8 to 10 added tables of the
old catalog to it, always empty, and nothing else; a copy without them is read instead.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rustybt.compat._bcolz_checks import check
from rustybt.compat._bcolz_ingestion import UNREADABLE, Ingestion
from rustybt.compat._layout import ADJUSTMENTS, ASSETS
from rustybt.data.errors import RustyBTError
from rustybt.legacy.migration._facts import FileFacts, Problem

#: Bundles of the old bridge functions; their exchanges are named after them.
BRIDGES = (
    *("yfinance-profiling", "ccxt-hourly-profiling"),
    *("ccxt-minute-profiling", "csv-profiling"),
)
UNTRUSTED_BRIDGE = (
    "An old bridge function wrote it: its assets are not in the order of its bars, so that bars "
    "may carry another asset's symbol. Ingest it again from its source."
)
UNTRUSTED_SPLITS = (
    "Its splits are stored the wrong way round (4.0 where 0.25 is meant). Ingest it again from "
    "its source."
)

#: Asset tables of zipline 3; whatever else is in an old database is not about assets.
_TABLES = (
    *("exchanges", "equities", "equity_symbol_mappings", "equity_supplementary_mappings"),
    *("futures_root_symbols", "futures_contracts", "asset_router", "version_info"),
)
_DATES = {
    "equities": ("start_date", "end_date", "first_traded", "auto_close_date"),
    "equity_symbol_mappings": ("start_date", "end_date"),
}
#: Dates of these sizes are microseconds, in a column of nanoseconds: as nanoseconds they would lie
#: in the first months of 1970.
_MICROSECONDS = (10**14, 10**16)


@dataclass(frozen=True)
class Classic:
    """What is known of an ingestion before it is converted.

    Attributes
    ----------
    facts : FileFacts
    symbols : dict of int to str
    """

    facts: FileFacts
    symbols: dict[int, str]


def inspect(name: str, path: Path) -> Classic | Problem:
    """What an ingestion holds, or why it cannot be converted."""
    try:
        with staged(path) as ingestion:
            check(ingestion)
            return _describe(name, ingestion)
    except RustyBTError as error:
        return Problem(path, str(error), name)
    except UNREADABLE as error:
        return Problem(path, f"cannot be read: {type(error).__name__}: {error}", name)


def _describe(name: str, ingestion: Ingestion) -> Classic:
    lives = ingestion.daily_lives
    days = [ingestion.sessions[place].date() for life in lives.values() for place in _ends(life)]
    database = ingestion.path / ASSETS
    with closing(sqlite3.connect(database)) as assets:
        symbols = dict(assets.execute("SELECT sid, symbol FROM equity_symbol_mappings"))
        exchanges = [row[0] for row in assets.execute("SELECT exchange FROM exchanges")]
    with closing(sqlite3.connect(ingestion.path / ADJUSTMENTS)) as adjustments:
        reverse = adjustments.execute("SELECT count(*) FROM splits WHERE ratio > 1").fetchone()[0]
    bridge = name in BRIDGES or any(str(each).endswith("_PROFILING") for each in exchanges)
    untrusted = ([UNTRUSTED_BRIDGE] + [UNTRUSTED_SPLITS] * bool(reverse)) if bridge else []
    facts = FileFacts(
        rows=sum(stop - start for start, stop in lives.values()),
        start=min(days, default=None),
        end=max(days, default=None),
        sids=tuple(lives),
        frequencies=(*["1d"] * bool(lives), *["1m"] * bool(ingestion.minute_sids)),
        calendar=ingestion.daily_bounds[0],
        untrusted=tuple(untrusted),
    )
    return Classic(facts, {int(sid): str(symbol) for sid, symbol in symbols.items()})


def _ends(life: tuple[int, int]) -> tuple[int, int]:
    return life[0], life[1] - 1


@contextmanager
def staged(path: Path) -> Iterator[Ingestion]:
    """An ingestion as zipline 3 would have written it: its bars where they are, databases copied.

    Raises
    ------
    OSError, sqlite3.Error
        If a database cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="rustybt-") as directory:
        stage = Path(directory) / path.parent.name / path.name
        stage.mkdir(parents=True)
        for entry in path.iterdir():
            if not entry.name.startswith("assets-") or entry.name == ASSETS:
                (stage / entry.name).symlink_to(entry.absolute())
        if not (stage / ASSETS).exists():
            _copy_assets(path, stage)
        if (stage / ADJUSTMENTS).exists():
            (stage / ADJUSTMENTS).unlink()
            shutil.copyfile(path / ADJUSTMENTS, stage / ADJUSTMENTS)
        yield Ingestion(stage)


def _copy_assets(path: Path, stage: Path) -> None:
    """The newest asset database of an ingestion, without the tables that zipline 3 has not."""
    found = sorted(path.glob("assets-*.sqlite"), key=lambda each: (len(each.name), each.name))
    if not found:
        return
    for journal in path.glob("assets-*.sqlite-*"):
        (stage / journal.name).symlink_to(journal.absolute())
    shutil.copyfile(found[-1], stage / ASSETS)
    with closing(sqlite3.connect(stage / ASSETS)) as assets, assets:
        listed = assets.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in listed:
            if table not in _TABLES:
                assets.execute(f'DROP TABLE "{table}"')
        assets.execute("UPDATE version_info SET version = 7")
        for table, columns in _DATES.items():
            for column in columns:
                assets.execute(
                    f"UPDATE {table} SET {column} = {column} * 1000 "  # noqa: S608  own names
                    f"WHERE {column} BETWEEN ? AND ?",
                    _MICROSECONDS,
                )
