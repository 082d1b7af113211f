"""The files of a version, from what an ingest collected."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import DAILY, MINUTE, PRICE_COLUMNS, VALUE_COLUMNS, Frequency
from rustybt.data.bundles import _files, coverage, identity, quality
from rustybt.data.bundles._batch import Collector
from rustybt.data.bundles._encoding import write_bars
from rustybt.data.bundles._spill import digests
from rustybt.data.bundles.panel import Ints, Precision, write_panel
from rustybt.data.bundles.storage import DERIVED, Draft
from rustybt.data.calendars import calendar_version, load_calendar

ASSETS_FILE = "assets.parquet"


@dataclass(frozen=True)
class Written:
    """What was written, as far as the metadata wants to know."""

    assets: pl.DataFrame
    coverage: pl.DataFrame
    quality: quality.Quality
    first_session: pd.Timestamp
    last_session: pd.Timestamp
    size_bytes: int
    content_hash: str
    price_decimals: int | None
    volume_decimals: int | None
    calendar_version: str


def as_timestamp(moment: datetime | date) -> pd.Timestamp:
    """A pandas timestamp of a datetime or a session."""
    return pd.Timestamp(moment)


def write_version(
    draft: Draft,
    collector: Collector,
    events: Events,
    ledger: pl.DataFrame,
    precision: Precision,
) -> Written:
    """Write everything of a version but its metadata into the draft's directory."""
    assets = _assets(collector, ledger)
    first, last = assets["start_date"].min(), assets["end_date"].max()
    assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  there are bars
    bars = _Bars(draft.path)
    for kind, frequency in (("daily", DAILY), ("minute", MINUTE)):
        if kind in collector.spills:
            bars.write(kind, frequency, collector, precision)
    ledgers = pl.concat([pl.DataFrame(schema=coverage.LEDGER), *collector.coverage])
    judged = quality.merge(collector.quality)
    assets.write_parquet(draft.path / ASSETS_FILE)
    identity.save(ledger, draft.path)
    ledgers.sort("symbol", "frequency", "first").write_parquet(draft.path / coverage.FILE)
    judged.findings.write_parquet(draft.path / quality.FILE)
    for kind, frame in events.items():
        frame.write_parquet(draft.path / f"{kind}.parquet")
    return Written(
        assets=assets,
        coverage=ledgers,
        quality=judged,
        first_session=as_timestamp(first),
        last_session=as_timestamp(last),
        size_bytes=sum(path.stat().st_size for path in _parquet_files(draft.path)),
        content_hash=_content_hash(bars.lines, assets, events),
        price_decimals=_most(bars.scales[name] for name in PRICE_COLUMNS),
        volume_decimals=_most([bars.scales["volume"]]),
        calendar_version=calendar_version(),
    )


def _parquet_files(directory: Path) -> Iterator[Path]:
    return (
        path
        for path in directory.rglob("*.parquet")
        if path.relative_to(directory).parts[0] not in DERIVED
    )


def panel_labels(kind: str, calendar: str, first: date, last: date) -> Ints:
    """The time axis of a panel: all sessions, or all minutes, from `first` to `last`."""
    market = load_calendar(calendar, first, last)
    if kind == "daily":
        return market.sessions.astype(np.int64)
    return market.minutes_between(first, last).astype(np.int64)


class _Bars:
    """Writes the Parquet files and the panel of each kind, a period at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.lines: list[str] = []
        self.scales: dict[str, int | None] = dict.fromkeys(VALUE_COLUMNS, 0)

    def write(
        self,
        kind: str,
        frequency: Frequency,
        collector: Collector,
        precision: Precision,
    ) -> None:
        target = self._directory / "panel" / kind
        target.mkdir(parents=True)
        (self._directory / kind).mkdir()
        spill = collector.spills[kind]
        sids = np.array(sorted(spill.sids), dtype=np.int64)
        labels = np.empty(0, dtype=np.int64)
        if spill.span is not None:
            labels = panel_labels(kind, collector.calendar, *spill.span)
        write_panel(target, labels, sids, self._parts(kind, frequency, collector), precision)
        _files.seal(target)

    def _parts(
        self, kind: str, frequency: Frequency, collector: Collector
    ) -> Iterator[pl.DataFrame]:
        for period, frame in collector.spills[kind].periods():
            self.lines += digests(frequency, period, frame)
            scales = write_bars(self._directory / kind / f"{period}.parquet", frame)
            for name, scale in scales.items():
                self.scales[name] = _most([self.scales[name], scale])
            yield frame


def _most(scales: Iterable[int | None]) -> int | None:
    """The largest scale; None, for no scale, beats all."""
    found = list(scales)
    return None if None in found else max(scale for scale in found if scale is not None)


def _assets(collector: Collector, ledger: pl.DataFrame) -> pl.DataFrame:
    lives = (
        pl.concat(collector.lives)
        .group_by("symbol")
        .agg(pl.col("first").min().alias("start_date"), pl.col("last").max().alias("end_date"))
    )
    return (
        lives.join(ledger, on="symbol")
        .select(
            "sid",
            "symbol",
            pl.col("symbol").alias("asset_name"),
            pl.lit(collector.calendar).alias("exchange"),
            "start_date",
            "end_date",
            pl.col("end_date").dt.offset_by("1d").alias("auto_close_date"),
        )
        .sort("sid")
    )


def _content_hash(lines: list[str], assets: pl.DataFrame, events: Events) -> str:
    hasher = hashlib.sha256()
    for line in sorted(lines):
        hasher.update(line.encode())
    described = assets.drop("sid").sort("symbol").write_csv()
    hasher.update(described.encode())
    for kind, frame in events.items():
        hasher.update(f"{kind}\n{frame.sort(frame.columns).write_csv()}".encode())
    return hasher.hexdigest()
