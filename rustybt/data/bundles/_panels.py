"""The panels of a new version: written with its bars, or grown out of those of its base."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from rustybt.data.bundles import _files
from rustybt.data.bundles._base import Base
from rustybt.data.bundles._encoding import read_bars
from rustybt.data.bundles._periods import Periods
from rustybt.data.bundles._spill import Spill
from rustybt.data.bundles.panel import Ints, Panel, Precision, grow_panel, open_panel, write_panel
from rustybt.data.calendars import load_calendar
from rustybt.data.errors import CorruptVersionError


class Panels:
    """Writes the panel of each kind.

    Parameters
    ----------
    directory : pathlib.Path
        Of the version.
    calendar : str
    precision : {"full", "bcolz"}
    base : Base or None
    """

    def __init__(
        self, directory: Path, calendar: str, precision: Precision, base: Base | None
    ) -> None:
        self._directory = directory
        self._calendar = calendar
        self._precision = precision
        self._base = base

    def write(self, periods: Periods, spill: Spill) -> None:
        """Write the bars of a kind, and their panel."""
        target = self._directory / "panel" / periods.kind
        target.mkdir(parents=True)
        if self._base is None:
            labels = np.empty(0, dtype=np.int64)
            if spill.span is not None:
                labels = labels_of(periods.kind, self._calendar, *spill.span)
            sids = np.array(sorted(spill.sids), dtype=np.int64)
            write_panel(target, labels, sids, periods.write(), self._precision)
        else:
            for _ in periods.write():
                pass
            if not self._grow(periods, target):
                target.rmdir()  # built when it is first read
                return
        _files.seal(target)

    def _grow(self, periods: Periods, target: Path) -> bool:
        """Whether the base's panel could be carried over, with the periods that changed."""
        panel = self._panel_before(periods.kind)
        if panel is None or not periods.contents:
            return False
        contents = pl.concat(periods.contents)
        span = contents["first"].min(), contents["last"].max()
        assert isinstance(span[0], date) and isinstance(span[1], date)  # noqa: S101, PT018  not empty
        labels = labels_of(periods.kind, self._calendar, span[0], span[1])
        start = int(np.searchsorted(labels, panel.labels[0])) if len(panel.labels) else 0
        if not np.array_equal(labels[start : start + len(panel.labels)], panel.labels):
            return False
        ends = contents.group_by("sid").agg(pl.col("first_label").min(), pl.col("last_label").max())
        files = [self._directory / periods.kind / f"{period}.parquet" for period in periods.changed]
        grow_panel(
            target,
            labels,
            ends.sort("sid"),
            panel,
            cleared=[self._label_span(periods.kind, period) for period in periods.changed],
            parts=(read_bars(path) for path in files if path.is_file()),
            precision=self._precision,
        )
        return True

    def _panel_before(self, kind: str) -> Panel | None:
        assert self._base is not None  # noqa: S101
        directory = self._base.version.path / "panel" / kind
        try:
            _files.check(directory)
        except CorruptVersionError:
            return None
        return open_panel(directory)

    def _label_span(self, kind: str, period: str) -> tuple[int, int]:
        """First and last label that a bar of a period can have."""
        if kind == "daily":
            days = np.array([f"{period}-01-01", f"{period}-12-31"], dtype="datetime64[D]")
            return int(days[0].astype(np.int64)), int(days[1].astype(np.int64))
        month = np.datetime64(period, "M")
        first = month.astype("datetime64[D]").item()
        last = (month + 1).astype("datetime64[D]").item()
        market = load_calendar(self._calendar, first, last)
        inside = market.sessions < np.datetime64(last)
        minutes = (
            market.first_minutes[inside].astype(np.int64),
            market.closes[inside].astype(np.int64),
        )
        return int(minutes[0][0]), int(minutes[1][-1])


def labels_of(kind: str, calendar: str, first: date, last: date) -> Ints:
    """The time axis of a panel: all sessions, or all minutes, from `first` to `last`."""
    market = load_calendar(calendar, first, last)
    if kind == "daily":
        return market.sessions.astype(np.int64)
    return market.minutes_between(first, last).astype(np.int64)
