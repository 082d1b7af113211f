"""What the old files do not say and their own times do: frequency, calendar, label."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from rustybt.data.bars import Frequency
from rustybt.data.calendars import Calendar, load_calendar
from rustybt.data.errors import CalendarError

#: Tried in this order; of those that have every session, the one with the fewest others.
_MARKETS = ("XNYS", "XLON", "XTSE", "XTKS", "XHKG", "XFRA", "XPAR", "XASX", "XSWX", "XNSE", "BVMF")
#: A market that would miss more of its sessions than this is not the bars' market.
_MISSING = 0.2

Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Market:
    """The calendar that some bars fit, and how they are labelled.

    Attributes
    ----------
    calendar : str
    frequency : Frequency or None
        Of the intraday bars.
    label : {"start", "end"}
        Which end of an intraday bar the old files carry.
    notes : tuple of str
        How all this was derived, in sentences.
    """

    calendar: str
    frequency: Frequency | None = None
    label: str = "end"
    notes: tuple[str, ...] = ()

    def ends(self, times: pl.Series) -> pl.Series:
        """The ends of intraday bars, aware UTC, of the naive times in the old files."""
        labels = times.to_numpy()
        if self.label == "start" and self.frequency is not None and len(labels):
            labels = _ends(labels, self.frequency, _calendar(self.calendar, labels))
        ends = pl.Series(times.name, labels.astype("datetime64[us]"))
        return ends.dt.replace_time_zone("UTC")


def derive(daily: pl.DataFrame | None, intraday: pl.DataFrame | None, *, always: bool) -> Market:
    """Derive calendar, frequency and label from the times of some bars.

    Parameters
    ----------
    daily, intraday : polars.DataFrame or None
        ``sid`` and ``timestamp``.
    always : bool
        Whether the catalogs say that the assets trade around the clock.
    """
    days = _times(daily)
    times = _times(intraday)
    frequency = spacing(intraday) if intraday is not None and len(times) else None
    for name in _candidates(days, always):
        for label in ("start", "end") if frequency else ("end",):
            if _fits(name, days, times, frequency, label):
                return Market(name, frequency, label, _notes(name, frequency, label, always))
    return Market("24/7", frequency, "start", _notes("24/7", frequency, "start", always))


def _times(bars: pl.DataFrame | None) -> Times:
    if bars is None:
        return np.array([], dtype="datetime64[us]")
    times: Times = bars["timestamp"].unique().sort().to_numpy()
    return times


def spacing(bars: pl.DataFrame) -> Frequency:
    """The greatest spacing that all bars of all sids keep; a minute where there is one bar."""
    minutes = bars["timestamp"].dt.epoch("ms") // 60_000
    gaps = bars.select("sid", minutes.alias("minute")).sort("sid", "minute")
    steps = gaps.select(pl.col("minute").diff().over("sid")).to_series().drop_nulls()
    common = int(np.gcd.reduce(steps.to_numpy())) if len(steps) else 1
    return Frequency.parse(f"{common}m") if 0 < common < 1440 else Frequency.parse("1m")


def _candidates(days: Times, always: bool) -> Iterator[str]:
    if not always:
        yield from _by_missing(days) if len(days) else _MARKETS[:1]
        yield "24/5"
    yield "24/7"


def _by_missing(days: Times) -> list[str]:
    """Markets that have every one of the sessions, those that miss the fewest first."""
    wanted = days.astype("datetime64[D]")
    missing = {}
    for name in _MARKETS:
        calendar = _known_calendar(name, wanted)
        if calendar is None or not np.isin(wanted, calendar.sessions).all():
            continue
        inside = calendar.sessions_between(wanted[0], wanted[-1])
        missing[name] = 1 - len(wanted) / len(inside)
        if not missing[name]:
            break
    return sorted((n for n in missing if missing[n] <= _MISSING or n == "XNYS"), key=missing.get)


def _calendar(name: str, times: Times) -> Calendar:
    days = times.astype("datetime64[D]")
    first, last = days.min().item(), days.max().item()
    start = date((first - timedelta(days=1)).year, 1, 1)
    return load_calendar(name, start, last + timedelta(days=7))


def _known_calendar(name: str, times: Times) -> Calendar | None:
    try:
        return _calendar(name, times)
    except CalendarError:
        return None


def _fits(name: str, days: Times, times: Times, frequency: Frequency | None, label: str) -> bool:
    every = np.concatenate([days.astype("datetime64[us]"), times.astype("datetime64[us]")])
    if not len(every):
        return True
    calendar = _known_calendar(name, every)
    if calendar is None:
        return False
    ends = _ends(times, frequency, calendar) if label == "start" and frequency else times
    sessions = np.isin(days.astype("datetime64[D]"), calendar.sessions)
    return bool(sessions.all() and (not len(ends) or calendar.is_open_at(ends).all()))


def _ends(times: Times, frequency: Frequency, calendar: Calendar) -> Times:
    """Ends of bars by their starts: after their length, or with the session if that is sooner."""
    ends = times.astype("datetime64[m]") + np.timedelta64(frequency.duration)
    row = np.searchsorted(calendar.closes, times.astype("datetime64[m]"), side="right")
    known = row < len(calendar.closes)
    ends[known] = np.minimum(ends[known], calendar.closes[row[known]].astype(ends.dtype))
    return ends


def _notes(name: str, frequency: Frequency | None, label: str, always: bool) -> tuple[str, ...]:
    why = "the catalogs call the assets crypto" if always else "it has every session of the bars"
    notes = [f"Calendar {name} was derived from the files: {why}."]
    if frequency is not None:
        told = "moved to their ends" if label == "start" else "kept: they are its ends already"
        notes.append(
            f"Frequency {frequency} was derived from the spacing of the intraday bars; their "
            f"times, read as {label}s of bars in UTC, were {told}."
        )
    return tuple(notes)
