"""The tables of a version as Polars frames, which whoever runs an algorithm does not look at."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events
from rustybt.data.bundles import _files, _panels, identity, storage
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles.panel import write_panel
from rustybt.data.calendars import load_calendar

if TYPE_CHECKING:
    from rustybt.data.bundles.bundle import Bundle


def table(version: storage.Version, name: str) -> pl.DataFrame:
    """A small table of a version."""
    return pl.read_parquet(storage.read_file(version, name))


def renamed(version: storage.Version) -> pl.DataFrame:
    """Names that assets had before; versions of the first days have no such file."""
    if identity.RENAMED_FILE not in _files.names(version.path):
        return pl.DataFrame(schema=identity.RENAMED)
    return table(version, identity.RENAMED_FILE)


def events(version: storage.Version) -> Events:
    """The corporate actions."""
    frames: dict[str, Any] = {kind: table(version, f"{kind}.parquet") for kind in EVENT_SCHEMAS}
    return Events(**frames)


def bars(bundle: "Bundle", kind: str) -> pl.DataFrame:
    """Every bar of a kind, in the bar schema."""
    frames = [read_bars(path) for path in bundle.files(kind, every_byte=True)]
    symbols = bundle.assets.select("sid", "symbol")
    joined = pl.concat(frames).join(symbols, on="sid").drop("sid")
    ordered = joined.select("symbol", "timestamp", pl.exclude("symbol", "timestamp"))
    return ordered.sort("symbol", "timestamp")


def build_panel(bundle: "Bundle", kind: str, directory: Path) -> None:
    """Write the panel of a kind out of an earlier version's and what differs, or of all bars."""
    if _panels.grow(kind, bundle.version, directory):
        return
    record = bundle.metadata
    files = bundle.files(kind, every_byte=True)
    keys = pl.concat([read_bars(path, ()) for path in files])
    labels = _panels.labels_of(kind, record.calendar, *_span(bundle, keys["timestamp"]))
    sids = keys["sid"].unique().sort().to_numpy()
    parts = (read_bars(path) for path in files)
    ratios = record.ohlc_ratios if kind == "minute" else None
    write_panel(directory, labels, sids, parts, record.precision, ratios)


def _span(bundle: "Bundle", timestamps: pl.Series) -> tuple[date, date]:
    """First and last session of some bars."""
    ends = pl.Series([timestamps.min(), timestamps.max()], dtype=timestamps.dtype).to_numpy()
    if timestamps.dtype != pl.Date:
        record = bundle.metadata
        span = record.start_date.date(), record.end_date.date()
        ends = load_calendar(record.calendar, *span).session_of(ends)
    first, last = ends.astype("datetime64[D]").tolist()
    return first, last
