"""How panels come to be: written with the bars of a full ingest, or built when they are first read.

An update writes no panel, since most of one would be a copy. Whoever reads the version first makes
it out of the newest panel of an earlier version and the periods that differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from rustybt.data.bundles import _contents, _files, storage
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles._spill import Spill
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.bundles.panel import Ints, Panel, Precision, grow_panel, open_panel, write_panel
from rustybt.data.calendars import load_calendar
from rustybt.data.errors import CorruptVersionError


def write_with(
    parts: Iterable[pl.DataFrame], spill: Spill, target: Path, calendar: str, precision: Precision
) -> None:
    """Write the panel of all bars of a spill while its periods are written.

    Parameters
    ----------
    parts : iterable of polars.DataFrame
        The bars, period by period.
    target : pathlib.Path
        ``panel/<kind>`` of the version.
    """
    target.mkdir(parents=True)
    labels = np.empty(0, dtype=np.int64)
    if spill.span is not None:
        labels = labels_of(target.name, calendar, *spill.span)
    sids = np.array(sorted(spill.sids), dtype=np.int64)
    write_panel(target, labels, sids, parts, precision)
    _files.seal(target)


def grow(kind: str, version: storage.Version, directory: Path) -> bool:
    """Build a panel out of that of an earlier version; whether there is a fitting one.

    Parameters
    ----------
    directory : pathlib.Path
        Exists; the arrays go straight into it.
    """
    older = next(filter(None, (_read(each, kind) for each in storage.before(version))), None)
    record = BundleMetadata.of(version)
    if older is None or record.ohlc_ratios or _way_of(record) != _way_of(older.record):
        return False
    contents, panel = _contents_of(version, kind), older.panel
    ends = contents.group_by("sid").agg(pl.col("first_label").min(), pl.col("last_label").max())
    span = contents["first"].min(), contents["last"].max()
    assert isinstance(span[0], date) and isinstance(span[1], date)  # noqa: S101, PT018  not empty
    labels = labels_of(kind, record.calendar, span[0], span[1])
    start = int(np.searchsorted(labels, panel.labels[0])) if len(panel.labels) else 0
    if not np.array_equal(labels[start : start + len(panel.labels)], panel.labels):
        return False
    changed = _changed(older.contents, contents)
    present = contents.filter(pl.col("period").is_in(changed))["period"].unique().sort()
    files = [storage.read_file(version, f"{kind}/{period}.parquet") for period in present]
    grow_panel(
        directory,
        labels,
        ends.sort("sid"),
        panel,
        cleared=[_label_span(kind, period, record.calendar) for period in changed],
        parts=(read_bars(path) for path in files),
        precision=record.precision,
    )
    return True


@dataclass(frozen=True)
class _Earlier:
    """A version whose panel is there."""

    record: BundleMetadata
    contents: pl.DataFrame
    panel: Panel


def _read(version: storage.Version, kind: str) -> _Earlier | None:
    directory = version.path / "panel" / kind
    try:
        version.check()
        _files.check(directory, every_byte=True)
        contents = _contents_of(version, kind)
        return _Earlier(BundleMetadata.of(version), contents, open_panel(directory))
    except (CorruptVersionError, FileNotFoundError):  # or it is being cleaned
        return None


def _contents_of(version: storage.Version, kind: str) -> pl.DataFrame:
    table = pl.read_parquet(storage.read_file(version, _contents.FILE))
    return table.filter(pl.col("kind") == kind)


def _way_of(record: BundleMetadata) -> tuple[str, str, bool]:
    """What decides about the values of a panel besides the bars."""
    return record.calendar, record.precision, bool(record.ohlc_ratios)


def _changed(one: pl.DataFrame, other: pl.DataFrame) -> list[str]:
    """Periods of which two versions have different bars, sorted."""
    keys = ["period", "sid", "digest"]
    differ = [one.join(other, on=keys, how="anti"), other.join(one, on=keys, how="anti")]
    return (
        pl.concat([frame.select("period") for frame in differ])["period"].unique().sort().to_list()
    )


def _label_span(kind: str, period: str, calendar: str) -> tuple[int, int]:
    """First and last label that a bar of a period can have."""
    if kind == "daily":  # of a year or of a month: datetime64 knows both
        days = [np.datetime64(period), np.datetime64(period) + 1]
        begin, end = (int(day.astype("datetime64[D]").astype(np.int64)) for day in days)
        return begin, end - 1
    month = np.datetime64(period, "M")
    first = month.astype("datetime64[D]").item()
    last = (month + 1).astype("datetime64[D]").item()
    market = load_calendar(calendar, first, last)
    inside = market.sessions < np.datetime64(last)
    opened, closed = market.first_minutes[inside], market.closes[inside]
    return int(opened.astype(np.int64)[0]), int(closed.astype(np.int64)[-1])


def labels_of(kind: str, calendar: str, first: date, last: date) -> Ints:
    """The time axis of a panel: all sessions, or all minutes, from `first` to `last`."""
    market = load_calendar(calendar, first, last)
    if kind == "daily":
        return market.sessions.astype(np.int64)
    return market.minutes_between(first, last).astype(np.int64)
