"""The files of a version, from what an ingest collected and the version it is put on."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import polars as pl

from rustybt.data.adjustments import Events
from rustybt.data.bars import DAILY, Frequency
from rustybt.data.bundles import _contents, _files, _panels, coverage, identity, quality
from rustybt.data.bundles._base import ASKED_FILE, Base
from rustybt.data.bundles._batch import Collector, kind_of
from rustybt.data.bundles._periods import Periods
from rustybt.data.bundles._request import Answers
from rustybt.data.bundles.panel import Precision
from rustybt.data.bundles.storage import DERIVED, Draft
from rustybt.data.calendars import calendar_version
from rustybt.data.listings import LISTINGS

ASSETS_FILE = "assets.parquet"
#: Kind -> what the content hash calls it.
_HASHED_AS = {"daily": "1d", "minute": "1m"}


@dataclass(frozen=True)
class Written:
    """What was written, as far as the metadata wants to know."""

    assets: pl.DataFrame
    contents: pl.DataFrame
    coverage: pl.DataFrame
    quality: quality.Quality
    first_session: pd.Timestamp
    last_session: pd.Timestamp
    size_bytes: int
    row_count: int
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
    answers: Answers | None = None,
) -> Written:
    """Write everything of a version but its metadata into the draft's directory.

    Parameters
    ----------
    ledger : polars.DataFrame
        The sids; see `rustybt.data.bundles.identity`.
    answers : Answers, optional
        What was asked of a source. The version that it names as its base gives the bars that were
        not asked for; its files are linked where nothing changed.
    """
    base = answers.request.base if answers is not None else None
    kinds = {
        kind: Periods(draft, kind, spill, base, events.splits)
        for kind, spill in sorted(collector.spills.items())
    }
    for kind, periods in kinds.items():
        if base is None:
            target = draft.path / "panel" / kind
            spill = collector.spills[kind]
            _panels.write_with(periods.write(), spill, target, collector.calendar, precision)
        else:
            for _ in periods.write():
                pass
    contents = pl.concat([_with_schema(periods) for periods in kinds.values()])
    assets = _assets(contents, ledger, collector.calendar)
    asked = answers.asked(contents) if answers is not None else None
    listings = answers.listings if answers is not None else pl.DataFrame(schema=LISTINGS)
    missing, judged = _judged(kinds, collector, base, asked, listings)
    if asked is not None:
        _files.write_table(asked, draft.path / ASKED_FILE)
    # When they were listed is told of assets, and is no content that bars or events come from.
    told = assets.join(listings, on="symbol", how="left", maintain_order="left")
    _files.write_table(told, draft.path / ASSETS_FILE)
    _files.write_table(contents, draft.path / _contents.FILE)
    identity.save(ledger, draft.path)
    _files.write_table(missing, draft.path / coverage.FILE)
    _files.write_table(judged.findings, draft.path / quality.FILE)
    for kind, frame in events.items():
        _files.write_table(frame, draft.path / f"{kind}.parquet")
    first, last = assets["start_date"].min(), assets["end_date"].max()
    assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  there are bars
    own = [kind_of(frequency) for frequency in collector.frequencies]
    return Written(
        assets=assets,
        contents=contents,
        coverage=missing,
        quality=judged,
        first_session=as_timestamp(first),
        last_session=as_timestamp(last),
        size_bytes=sum(path.stat().st_size for path in _parquet_files(draft.path)),
        row_count=int(contents.filter(pl.col("kind").is_in(own))["rows"].sum()),
        content_hash=_contents.content_hash(contents, _HASHED_AS, assets, events),
        price_decimals=_contents.decimals(contents, "price_decimals"),
        volume_decimals=_contents.decimals(contents, "volume_decimals"),
        calendar_version=calendar_version(),
    )


def _with_schema(periods: Periods) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=_contents.SCHEMA), *periods.contents], rechunk=True)


def _parquet_files(directory: Path) -> Iterator[Path]:
    return (
        path
        for path in directory.rglob("*.parquet")
        if path.relative_to(directory).parts[0] not in DERIVED
    )


def _judged(
    kinds: dict[str, Periods],
    collector: Collector,
    base: Base | None,
    asked: pl.DataFrame | None,
    listings: pl.DataFrame,
) -> tuple[pl.DataFrame, quality.Quality]:
    """What is missing, and how good the rest is."""
    parts = [pl.DataFrame(schema=coverage.LEDGER), *collector.coverage]
    findings = [frame for periods in kinds.values() for frame in periods.findings]
    expected = present = 0
    for kind, frequency in _located(collector).items():
        if not kinds[kind].contents:
            continue
        parts.append(kinds[kind].missing(str(frequency), collector.calendar))
        if asked is not None:
            lives = kinds[kind].lives
            spans = asked.group_by("symbol").agg(pl.col("first").min(), pl.col("last").max())
            facts = (collector.calendar, str(frequency), listings)
            parts.append(coverage.outside_lives(lives, spans, *facts))
        if kind == "daily":
            expected, present = kinds[kind].counts(collector.calendar)
    if base is not None:
        parts.append(base.coverage_kept(collector.asked_for))
        findings.append(base.refused_kept(collector.asked_for))
    missing = pl.concat(parts).sort("symbol", "frequency", "first", "reason")
    calendar = f"{collector.calendar} (exchange_calendars {calendar_version()})"
    gaps = quality.of_gaps(missing, calendar, (coverage.NO_BAR, coverage.CLOSED))
    findings += [gaps, *collector.refused]
    return missing, quality.Quality(expected, present, quality.ordered(findings))


def _located(collector: Collector) -> dict[str, Frequency]:
    """Kinds whose sessions are looked through for gaps, and how the ledger calls their bars."""
    if collector.derives_daily:
        return {"daily": DAILY}
    return {kind_of(frequency): frequency for frequency in collector.frequencies}


def _assets(contents: pl.DataFrame, ledger: pl.DataFrame, calendar: str) -> pl.DataFrame:
    return (
        _contents.lives(contents)
        .drop("symbol")
        .join(ledger.select("sid", "symbol"), on="sid")
        .select(
            "sid",
            "symbol",
            pl.col("symbol").alias("asset_name"),
            pl.lit(calendar).alias("exchange"),
            pl.col("first").alias("start_date"),
            pl.col("last").alias("end_date"),
            pl.col("last").dt.offset_by("1d").alias("auto_close_date"),
        )
        .sort("sid")
    )
