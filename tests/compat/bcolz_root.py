"""Bundles that stock zipline ingests into a root, and what its own readers say of them."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from zipline.data.bundles import core
from zipline.data.bundles.core import BundleData
from zipline.utils.calendar_utils import get_calendar

from tests.frames import VALUES

DAILY, MINUTE = "daily_equities.bcolz", "minute_equities.bcolz"

#: When the bundles of a test are ingested, unless it says so itself.
MOMENT = "2024-03-01 10:00:00.123456"


@dataclass(frozen=True)
class Content:
    """What an ingest function writes: bars by sid, and events."""

    daily: Mapping[int, pd.DataFrame] = field(default_factory=dict)
    minute: Mapping[int, pd.DataFrame] = field(default_factory=dict)
    splits: pd.DataFrame | None = None
    dividends: pd.DataFrame | None = None
    calendar: str = "XNYS"
    start: str | None = "2020-10-01"
    end: str | None = "2020-12-31"
    minutes_per_day: int = 390
    #: Called with the minute bar writer in the end.
    touch: Callable[[Any], None] = lambda writer: None

    @property
    def sids(self) -> list[int]:
        """Sids of the assets: those with bars, and one without."""
        known = {*self.daily, *self.minute}
        return [*sorted(known), max(known, default=0) + 1]

    def write(self, *arguments: Any) -> None:
        """The ingest function."""
        _, assets, minute, daily, adjustments, _, start, end, *_ = arguments
        if self.daily:
            daily.write((sid, frame.copy()) for sid, frame in self.daily.items())
        minute.write((sid, frame.copy()) for sid, frame in self.minute.items())
        self.touch(minute)
        symbols = [f"S{sid}" for sid in self.sids]
        first, last = max(start, pd.Timestamp("1980-01-01")), end
        table = {"symbol": symbols, "start_date": first, "end_date": last, "exchange": "X"}
        assets.write(equities=pd.DataFrame(table, index=self.sids))
        adjustments.write(splits=self.splits, dividends=self.dividends)

    def ingest(self, root: Path, name: str = "b", moment: str = MOMENT) -> Path:
        """Let stock zipline ingest it; the directory of the ingestion."""
        family = core._make_bundle_core()
        bounds = [pd.Timestamp(edge) if edge else None for edge in (self.start, self.end)]
        family.register(name, self.write, self.calendar, *bounds, self.minutes_per_day)
        stamp = pd.Timestamp(moment, tz="UTC")
        family.ingest(name, environ={"ZIPLINE_ROOT": str(root)}, timestamp=stamp)
        return root / "data" / name / core.to_bundle_ingest_dirname(stamp.tz_localize(None))

    def rewrite(self, directory: Path) -> None:
        """Replace the bars of an ingestion that is there, through zipline's writers."""
        calendar = get_calendar(self.calendar)
        bounds = [pd.Timestamp(edge) for edge in (self.start, self.end)]
        for part in (DAILY, MINUTE):
            shutil.rmtree(directory / part)
        writer = core.BcolzDailyBarWriter(str(directory / DAILY), calendar, *bounds)
        writer.write((sid, frame.copy()) for sid, frame in self.daily.items())
        (directory / MINUTE).mkdir()
        room = self.minutes_per_day
        writer = core.BcolzMinuteBarWriter(str(directory / MINUTE), calendar, *bounds, room)
        writer.write(self.minute.items())


def load(directory: Path) -> BundleData:
    """zipline's readers of an ingestion."""
    return BundleData(
        core.AssetFinder(str(directory / "assets-7.sqlite")),
        core.BcolzMinuteBarReader(str(directory / MINUTE)),
        core.BcolzDailyBarReader(str(directory / DAILY)),
        core.SQLiteAdjustmentReader(str(directory / "adjustments.sqlite")),
    )


def frame(index: pd.DatetimeIndex, seed: int = 0, gaps: float = 0.2) -> pd.DataFrame:
    """Bars of thousandths; some rows are of zeros, which zipline reads as no trade."""
    random = np.random.default_rng(seed)
    close = np.round(50 * np.exp(np.cumsum(random.normal(0, 0.01, len(index)))), 3)
    values = {"open": close, "high": close + 1, "low": close - 1, "close": close}
    bars = pd.DataFrame({**values, "volume": random.integers(0, 9999, len(index))}, index=index)
    bars.iloc[np.flatnonzero(random.random(len(index)) < gaps)] = 0
    return bars


def sessions(first: str, last: str, calendar: str = "XNYS") -> pd.DatetimeIndex:
    """zipline's sessions."""
    return get_calendar(calendar).sessions_in_range(first, last)


def minutes(first: str, last: str, calendar: str = "XNYS") -> pd.DatetimeIndex:
    """zipline's minutes of some sessions."""
    return get_calendar(calendar).sessions_minutes(first, last)


def daily(*sids: int, first: str = "2020-11-16", last: str = "2020-12-11", **kind: Any) -> Any:
    """Daily bars of some sids."""
    return {sid: frame(sessions(first, last, **kind), seed=sid) for sid in sids}


def minute(*sids: int, first: str = "2020-11-25", last: str = "2020-11-30", **kind: Any) -> Any:
    """Minute bars of some sids, without rows of zeros; 27 November closes early."""
    frames = {sid: frame(minutes(first, last, **kind), seed=sid) for sid in sids}
    return {sid: bars[bars["volume"] != 0] for sid, bars in frames.items()}


def fingerprint(directory: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of every file below a directory."""
    return {
        str(path.relative_to(directory)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory",
            path.stat().st_mtime_ns,
        )
        for path in sorted(directory.rglob("*"))
    }


def everything(data: BundleData, content: Content) -> dict[str, Any]:
    """What readers answer of all sessions, minutes and assets, NaNs by their bits."""
    fields = list(VALUES)
    found: dict[str, Any] = {}
    days = data.equity_daily_bar_reader.sessions
    found["sessions"] = list(days)
    if content.daily:
        blocks = data.equity_daily_bar_reader.load_raw_arrays(
            fields, days[0], days[-1], list(content.daily)
        )
        found["daily"] = [(block.dtype, block.tobytes()) for block in blocks]
    if content.minute:
        reader = data.equity_minute_bar_reader
        found["minute"] = [
            (block.dtype, block.tobytes())
            for run in _runs(content, days)
            for block in reader.load_raw_arrays(fields, run[0], run[-1], list(content.minute))
        ]
    assets = data.asset_finder.retrieve_all(data.asset_finder.sids)
    found["assets"] = [asset.to_dict() for asset in assets]
    tables = data.adjustment_reader.unpack_db_to_component_dfs()
    found["adjustments"] = {name: table.to_dict("list") for name, table in tables.items()}
    for kind in ("daily", "minute"):
        reader = getattr(data, f"equity_{kind}_bar_reader")
        found[f"first {kind} day"] = str(reader.first_trading_day)
        found[f"last {kind} label"] = str(reader.last_available_dt)
    return found


def _runs(content: Content, days: pd.DatetimeIndex) -> list[pd.DatetimeIndex]:
    """Minutes without an interruption, of the sessions with bars and of some around them.

    zipline's reader returns rows for the minutes of a break too, which are no market minutes.
    """
    calendar = get_calendar(content.calendar)
    spans = [calendar.minutes_to_sessions(bars.index[[0, -1]]) for bars in content.minute.values()]
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    low, high = max(days.get_loc(first) - 2, 0), min(days.get_loc(last) + 2, len(days) - 1)
    every = minutes(days[low], days[high], content.calendar)
    jumps = np.flatnonzero(np.diff(every.asi8) > 60 * 10**9) + 1
    return [every[part] for part in np.split(np.arange(len(every)), jumps)]
