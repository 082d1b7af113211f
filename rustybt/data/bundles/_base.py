"""The version that an update is put on: what of it stays, and what is asked for anew."""

import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from rustybt.data.adjustments import EVENT_SCHEMAS, Events
from rustybt.data.bundles import _contents, _files, coverage, quality, storage
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles._usable import Usable, newest_usable
from rustybt.data.bundles.metadata import BundleMetadata
from rustybt.data.calendars import load_calendar
from rustybt.data.errors import BundleError, CorruptVersionError
from rustybt.data.listings import LISTINGS

ASKED_FILE = "asked.parquet"
#: What was asked of the source and is settled: a range of sessions a symbol and frequency.
ASKED = pl.Schema(
    {"symbol": pl.String(), "frequency": pl.String(), "first": pl.Date(), "last": pl.Date()}
)
#: What is asked for anew: bars of these symbols and sessions are replaced.
REPLACED = pl.Schema({"symbol": pl.String(), "first": pl.Date(), "last": pl.Date()})

#: What is read of a version once, whatever is asked for anew.
_TABLES = frozenset({"metadata", "_sealed", "contents", "asked", "coverage", "findings", "events"})


@dataclass(frozen=True)
class Base:
    """A sound version, and the bars in it that the new version takes from its source instead.

    Attributes
    ----------
    version : storage.Version
    replaced : polars.DataFrame
        In the schema `REPLACED`.
    renames : mapping of str to str
        Symbol in the version -> what the asset is called now.
    stand_ins : mapping of str to pathlib.Path or None
        See `rustybt.data.bundles._usable.Usable`.
    """

    version: storage.Version
    replaced: pl.DataFrame
    renames: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, Path | None] = field(default_factory=dict)

    def replacing(self, replaced: pl.DataFrame) -> "Base":
        """The same version, of which other bars are replaced; its tables are not read again."""
        other = replace(self, replaced=replaced)
        read = {name: value for name, value in vars(self).items() if name in _TABLES}
        vars(other).update(read)
        return other

    @cached_property
    def metadata(self) -> BundleMetadata:
        """Its record."""
        return BundleMetadata.of(self.version)

    @cached_property
    def _sealed(self) -> _files.Manifest:
        return _files.Manifest(self.version.path)

    def _table(self, name: str) -> pl.DataFrame:
        table = pl.read_parquet(self._sealed.path(name))
        if not self.renames:
            return table
        named = [column for column in ("symbol", "payment_symbol") if column in table.columns]
        return table.with_columns(pl.col(named).replace(dict(self.renames)))

    @cached_property
    def contents(self) -> pl.DataFrame:
        """What is in it; see `rustybt.data.bundles._contents`."""
        return _contents.known(self._table(_contents.FILE))

    @cached_property
    def asked(self) -> pl.DataFrame:
        """What was asked for and is settled, in the schema `ASKED`."""
        return self._table(ASKED_FILE)

    @cached_property
    def coverage(self) -> pl.DataFrame:
        """What is missing in it."""
        return self._table(coverage.FILE)

    @cached_property
    def listings(self) -> pl.DataFrame:
        """What it knows of when assets were listed and delisted."""
        assets = self._table("assets.parquet")
        if "told_by" not in assets.columns:
            return pl.DataFrame(schema=LISTINGS)
        return assets.filter(pl.col("told_by").is_not_null()).select(LISTINGS.names())

    @cached_property
    def findings(self) -> pl.DataFrame:
        """What is doubtful in it."""
        return self._table(quality.FILE)

    @cached_property
    def events(self) -> Events:
        """Its corporate actions."""
        return Events(**{kind: self._table(f"{kind}.parquet") for kind in EVENT_SCHEMAS})  # type: ignore[arg-type]

    def coverage_kept(self, asked: Collection[str]) -> pl.DataFrame:
        """What the ledger says of other symbols than those, and of bars that were left out."""
        ended = (pl.col("reason") == coverage.DELISTED) & pl.col("sessions").is_not_null()
        found = pl.col("reason").is_in(coverage.DERIVED) | ended
        dropped = pl.col("reason") == coverage.OFF_CALENDAR
        others = self.coverage.filter(~found & (dropped | ~pl.col("symbol").is_in(list(asked))))
        renewed = others.with_row_index("row").join(
            self.replaced.rename({"first": "from", "last": "to"}), on="symbol"
        )
        again = renewed.filter(pl.col("first").is_between(pl.col("from"), pl.col("to")))["row"]
        return (
            others.with_row_index("row")
            .join(again.to_frame().unique(), on="row", how="anti", maintain_order="left")
            .drop("row")
        )

    def refused_kept(self, asked: Collection[str]) -> pl.DataFrame:
        """Findings of rows that were refused of other symbols than those."""
        refused = pl.col("rule").is_in(quality.REFUSED)
        return self.findings.filter(refused & ~pl.col("symbol").is_in(list(asked)))

    def periods(self, kind: str) -> list[str]:
        """Names of its periods with bars of a kind, the earliest first."""
        of_kind = self.contents.filter(pl.col("kind") == kind)
        return of_kind["period"].unique().sort().to_list()

    def loses_bars(self, kind: str) -> set[str]:
        """Periods with a bar in a range that is asked for anew."""
        met = self.contents.filter(pl.col("kind") == kind).join(self.replaced, on="symbol")
        overlap = (pl.col("first") <= pl.col("last_right")) & (
            pl.col("last") >= pl.col("first_right")
        )
        return set(met.filter(overlap)["period"])

    def _file(self, name: str) -> Path:
        """One of its files of bars, or what stands in for it; every byte was checked."""
        return self.stand_ins.get(name) or self._sealed.path(name)

    @property
    def lost(self) -> list[str]:
        """Its files of bars that are damaged, and for which nothing stands in."""
        return [name for name, path in self.stand_ins.items() if path is None]

    def has_lost(self, kind: str, period: str) -> bool:
        """Whether the bars of a period must come from the source."""
        return f"{kind}/{period}.parquet" in self.lost

    def lost_ranges(self) -> dict[str, list[tuple[date, date]]]:
        """By symbol, the sessions of the bars that are lost."""
        if not self.lost:
            return {}
        path = pl.format("{}/{}.parquet", "kind", "period")
        held = self.contents.filter(path.is_in(self.lost))
        ranges: dict[str, list[tuple[date, date]]] = {}
        for symbol, first, last in held.select("symbol", "first", "last").rows():
            ranges.setdefault(symbol, []).append((first, last))
        return ranges

    def require_again(self, kind: str, period: str, bars: pl.DataFrame) -> None:
        """Raise `CorruptVersionError` unless a source gave bars of all assets of a lost period."""
        held = self.contents.filter((pl.col("kind") == kind) & (pl.col("period") == period))
        missing = sorted(set(held["symbol"]) - set(bars["symbol"]))
        if missing:
            raise CorruptVersionError(
                f"{self.version.path / kind / period}.parquet is damaged, and the source gives its "
                f"bars of {', '.join(missing[:8])} no more: ingest the bundle "
                "anew (without --update)"
            )

    def read(self, kind: str, period: str) -> pl.DataFrame:
        """All bars of a period: ``sid``, ``symbol``, ``timestamp``, ``session``, values."""
        path = self._file(f"{kind}/{period}.parquet")
        names = self.contents.select("sid", "symbol").unique()
        bars = read_bars(path).join(names, on="sid", how="left", maintain_order="left")
        return bars.with_columns(self._session(bars))

    def _session(self, bars: pl.DataFrame) -> pl.Series:
        if bars["timestamp"].dtype == pl.Date:
            return bars["timestamp"].alias("session")
        labels = bars["timestamp"].to_numpy()
        days = labels.astype("datetime64[D]")
        margin = np.timedelta64(2, "D")
        first, last = (days.min() - margin).item(), (days.max() + margin).item()
        return pl.Series(
            "session", load_calendar(self.metadata.calendar, first, last).session_of(labels)
        )

    def kept(self, kind: str, period: str) -> pl.DataFrame:
        """Bars of a period that are not asked for anew."""
        bars = self.read(kind, period)
        if period not in self.loses_bars(kind):
            return bars
        lost = (
            bars.lazy()
            .select("sid", "symbol", "timestamp", "session")
            .join(self.replaced.lazy(), on="symbol")
            .filter(pl.col("session").is_between(pl.col("first"), pl.col("last")))
            .select("sid", "timestamp")
            .collect()
        )
        return bars.join(lost, on=["sid", "timestamp"], how="anti", maintain_order="left")

    def link(self, name: str, draft: storage.Draft) -> None:
        """Put one of its files into a new version as well."""
        source, target = self._file(name), draft.path / name
        target.parent.mkdir(exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copy2(source, target)
        else:
            draft.linked[name] = self._sealed.entry(name)


def require_base(name: str, environ: Mapping[str, str]) -> Usable:
    """The version to update.

    Raises
    ------
    UnknownBundleError
        If there is none at all.
    CorruptVersionError
        If the tables of none are sound.
    BundleError
        If it was not made from a source.
    """
    present = storage.versions(name, environ)
    if not present:
        storage.find_version(name, None, environ)
    usable = newest_usable(present)
    if usable is None:
        raise CorruptVersionError(
            f"no version of bundle {name!r} has sound tables, so none can be updated: ingest it "
            "anew (without --update)"
        )
    if ASKED_FILE not in _files.names(usable.version.path):
        raise BundleError(
            f"bundle {name!r} does not say what was asked of which source, as one that was made by "
            "a zipline ingest function or by an earlier release: ingest it anew"
        )
    return usable


def sessions_of(first: date, last: date, calendar: str) -> int:
    """How many sessions a range has."""
    return len(load_calendar(calendar, first, last).sessions)
