"""From what an ingest function wrote through zipline's writers to a complete version."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from zipline.data.adjustments import SQLITE_ADJUSTMENT_TABLENAMES
from zipline.data.bundles import core as zipline_core

from rustybt.compat._bar_store import BarStore
from rustybt.compat._layout import ADJUSTMENTS, ASSETS, SOURCE_TYPE
from rustybt.compat.adjustment_writer import AdjustmentWriter, StoreCloses
from rustybt.compat.asset_writer import AssetWriter
from rustybt.compat.bar_writers import DailyBarWriter, MinuteBarWriter
from rustybt.data.adjustments import EVENT_SCHEMAS, Events
from rustybt.data.bars import DAILY, INSTANT, MINUTE, VALUE_COLUMNS, Frequency
from rustybt.data.bundles import _files, _write, coverage
from rustybt.data.bundles._batch import Collector, session_of
from rustybt.data.bundles._spill import run_starts
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.bundles.panel import Precision
from rustybt.data.bundles.storage import Draft
from rustybt.data.calendars import Calendar

_STORES = ".stores"
#: Bars to take at a time, at the least.
_ROWS = 1 << 18


@dataclass(frozen=True)
class Registered:
    """What a version takes over from the registration of its bundle."""

    name: str
    calendar: Any
    start_session: pd.Timestamp
    end_session: pd.Timestamp
    minutes_per_day: int
    precision: Precision


class Writers:
    """The four writers that an ingest function is handed, on a draft's directory.

    Parameters
    ----------
    draft : Draft
    registered : Registered
    """

    def __init__(self, draft: Draft, registered: Registered) -> None:
        self._draft = draft
        self._registered = registered
        stores = draft.path / _STORES
        bounds = (registered.calendar, registered.start_session, registered.end_session)
        self.daily = DailyBarWriter(stores / "daily", *bounds, registered.precision)
        self.minute = MinuteBarWriter(
            stores / "minute",
            *bounds,
            minutes_per_day=registered.minutes_per_day,
            precision=registered.precision,
        )
        self.assets = AssetWriter(str(draft.path / ASSETS))
        sessions = registered.calendar.sessions
        span = sessions.slice_indexer(registered.start_session, registered.end_session)
        closes = StoreCloses(self.daily.store, sessions[span])
        self.adjustments = AdjustmentWriter(str(draft.path / ADJUSTMENTS), closes, overwrite=True)

    def close(self) -> None:
        """Let go of the databases."""
        self.adjustments.close()
        self.assets.engine.dispose()

    def finish(self) -> None:
        """Make a version of what was written."""
        _complete_adjustments(self.adjustments)
        self.close()
        complete_version(self._draft, self._registered)


def complete_version(draft: Draft, registered: Registered) -> None:
    """Parquet, panels, ledgers and metadata, from a draft's databases and its stores.

    Parameters
    ----------
    draft : Draft
        With `ASSETS` and `ADJUSTMENTS` in its directory, and the stores of `stores_of`, which are
        removed in the end.
    registered : Registered
    """
    path = draft.path
    assets = _asset_table(path / ASSETS)
    events = _events(path / ADJUSTMENTS, assets)
    collector = _collect(draft, registered, assets)
    if collector is None:
        record = _record(draft, registered)
        for kind, frame in events.items():
            _files.write_table(frame, path / f"{kind}.parquet")
    else:
        ledger = assets.select("sid", pl.col("key").alias("symbol"))
        written = _write.write_version(draft, collector, events, ledger, registered.precision)
        record = _record(draft, registered, collector, written)
    shutil.rmtree(path / _STORES)
    shutil.rmtree(path / ".spill", ignore_errors=True)
    record.save(path)


def stores_of(draft: Draft) -> dict[Frequency, BarStore]:
    """Where the bars of a draft wait, by frequency."""
    stores = draft.path / _STORES
    return {DAILY: BarStore(stores / "daily"), MINUTE: BarStore(stores / "minute")}


def _collect(draft: Draft, registered: Registered, assets: pl.DataFrame) -> Collector | None:
    present = {
        frequency: store
        for frequency, store in stores_of(draft).items()
        if store.exists and store.info().pieces
    }
    if not present:
        return None
    collector = Collector(
        draft.path / ".spill",
        tuple(present),
        registered.calendar.name,
        "drop",
        dict(zip(assets["key"], assets["sid"], strict=True)),
        derive_daily=False,
    )
    keys = dict(zip(assets["sid"], assets["key"], strict=True))
    for frequency, store in present.items():
        for bars in _in_portions(store.frames()):
            _take(collector, bars, frequency, keys)
    return collector if collector.rows else None


def _in_portions(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Whole frames, small ones together."""
    waiting: list[pl.DataFrame] = []
    rows = 0
    for frame in frames:
        waiting.append(frame)
        rows += len(frame)
        if rows >= _ROWS:
            yield pl.concat(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pl.concat(waiting)


def _take(
    collector: Collector,
    raw: pl.DataFrame,
    frequency: Frequency,
    keys: Mapping[int, str],
) -> None:
    if raw.is_empty():
        return
    begins = run_starts(raw["sid"])
    sids = raw["sid"].gather(begins).to_list()
    unknown = sorted({f"sid {sid}" for sid in sids if sid not in keys})
    if unknown:
        raise ValueError(
            f"bars were written for {', '.join(unknown)}, which the asset writer was not "
            "told of; write its metadata with asset_db_writer.write"
        )
    owner = np.repeat(np.arange(len(sids)), np.diff(np.append(begins, len(raw))))
    symbol = pl.Series("symbol", [keys[sid] for sid in sids], dtype=pl.String).gather(owner)
    unit = pl.Date() if frequency == DAILY else INSTANT
    scale = 1 if frequency == DAILY else 60_000_000
    label = (pl.col("label") * scale).cast(pl.Int32 if frequency == DAILY else pl.Int64).cast(unit)
    bars = raw.select("sid", symbol, label.alias("timestamp"), *VALUE_COLUMNS)
    calendar = collector.calendar_of(bars)
    bars = bars.with_columns(session_of(bars, calendar))
    collector.take(_served(collector, bars, frequency, calendar), frequency)


def _served(
    collector: Collector, bars: pl.DataFrame, frequency: Frequency, calendar: Calendar
) -> pl.DataFrame:
    """Without the bars after an early close, which zipline's readers do not serve either."""
    if frequency == DAILY:
        return bars
    known = calendar.is_open_at(bars["timestamp"].to_numpy())
    if not known.all():
        collector.coverage.append(coverage.dropped(bars.filter(~known), str(frequency)))
    return bars.filter(known)


def _complete_adjustments(writer: Any) -> None:
    """Empty tables, where the ingest function wrote no adjustments at all."""
    tables = writer.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    if not {name for (name,) in tables} & set(SQLITE_ADJUSTMENT_TABLENAMES):
        writer.write()


def _asset_table(database: Path) -> pl.DataFrame:
    """``sid``, ``symbol`` and a ``key`` that no two assets share."""
    schema = {"sid": pl.Int64, "symbol": pl.String, "key": pl.String}
    if not database.is_file():
        return pl.DataFrame(schema=schema)
    rows = _plain_equities(database) or _found_assets(database)
    table = pl.DataFrame(rows, schema=schema, orient="row")
    shared = pl.col("symbol").is_duplicated()
    key = pl.when(shared).then(pl.format("{} (sid {})", "symbol", "sid")).otherwise("symbol")
    return table.with_columns(key.alias("key"))


def _plain_equities(database: Path) -> list[tuple[int, str, str]]:
    """The rows of `_asset_table`, if all assets are equities that ever had one symbol each."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT sid, symbol, '' FROM equity_symbol_mappings").fetchall()
        routed = connection.execute("SELECT sid, asset_type FROM asset_router").fetchall()
    plain = sorted((sid, "equity") for sid, _, _ in rows) == sorted(routed)
    return rows if plain and all(symbol for _, symbol, _ in rows) else []


def _found_assets(database: Path) -> list[tuple[int, str, str]]:
    finder = zipline_core.AssetFinder(str(database))
    try:
        assets = finder.retrieve_all(finder.sids)
        return [(int(asset.sid), str(asset.symbol), "") for asset in assets]
    finally:
        finder.engine.dispose()


#: Kind of event -> zipline's table, and its names for columns that are called otherwise.
_TABLES = {
    "splits": ("splits", {"ex_date": "effective_date"}),
    "mergers": ("mergers", {"ex_date": "effective_date"}),
    "dividends": ("dividend_payouts", {}),
    "stock_dividends": ("stock_dividend_payouts", {}),
}
_SIDS = {"symbol": "sid", "payment_symbol": "payment_sid"}
_NEVER = np.iinfo(np.int64).min  # a missing date, in seconds


def _events(database: Path, assets: pl.DataFrame) -> Events:
    keys = dict(zip(assets["sid"], assets["key"], strict=True))
    with closing(sqlite3.connect(database)) as connection:
        return Events(**{kind: _event_frame(connection, kind, keys) for kind in _TABLES})


def _event_frame(
    connection: sqlite3.Connection, kind: str, keys: Mapping[int, str]
) -> pl.DataFrame:
    table, renamed = _TABLES[kind]
    schema = EVENT_SCHEMAS[kind]
    # zipline's own writer keeps as text what is added to a table that was empty when it was made.
    kinds = {name: "REAL" if dtype == pl.Float64 else "INTEGER" for name, dtype in schema.items()}
    names = ", ".join(
        f"CAST({renamed.get(name, _SIDS.get(name, name))} AS {kind})"
        for name, kind in kinds.items()
    )
    rows = connection.execute(f"SELECT {names} FROM {table}").fetchall()  # noqa: S608
    columns: dict[str, Any] = {}
    for (name, dtype), values in zip(schema.items(), zip(*rows, strict=True), strict=bool(rows)):
        if name in _SIDS:
            columns[name] = [keys.get(sid, f"sid {sid}") for sid in values]
        elif dtype == pl.Date:
            seconds = pl.Series(name, values, dtype=pl.Int64)
            columns[name] = (seconds.replace(_NEVER, None) // 86_400).cast(pl.Int32).cast(pl.Date)
        else:
            columns[name] = pl.Series(name, values, dtype=dtype)
    return pl.DataFrame(columns, schema=schema)


def _record(
    draft: Draft,
    registered: Registered,
    collector: Collector | None = None,
    written: "_write.Written | None" = None,
) -> BundleMetadata:
    found: dict[str, Any] = {}
    if collector is not None and written is not None:
        found = {
            "symbols": written.assets["symbol"].to_list(),
            "row_count": collector.rows,
            "size_bytes": written.size_bytes,
            "quality_score": written.quality.score,
            "missing_data_pct": round(written.quality.missing_data_pct, 6),
            "content_hash": written.content_hash,
            "price_decimals": written.price_decimals,
            "volume_decimals": written.volume_decimals,
            "frequency": ",".join(str(each) for each in collector.frequencies),
            "start_date": written.first_session,
            "end_date": written.last_session,
        }
    return BundleMetadata(
        **{
            "symbols": [],
            "row_count": 0,
            "size_bytes": 0,
            "quality_score": 0.0,
            "missing_data_pct": 0.0,
            "frequency": "",
            "start_date": registered.start_session,
            "end_date": registered.end_session,
            **found,
        },
        bundle_name=registered.name,
        source_type=SOURCE_TYPE,
        ingestion_time=_write.as_timestamp(draft.version.timestamp),
        calendar=registered.calendar.name,
        calendar_version=_write.calendar_version(),
        precision=registered.precision,
        parent_version=draft.parent.path.name if draft.parent else None,
        start_session=registered.start_session,
        end_session=registered.end_session,
        minutes_per_day=registered.minutes_per_day,
    )
