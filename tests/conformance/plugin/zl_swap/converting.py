"""Bundles that exist in bcolz already (zipline's recorded examples run on one), for our readers."""

import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import bcolz
import pandas as pd
from zipline.data.bcolz_minute_bars import BcolzMinuteBarMetadata
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat.bar_writers import DailyBarWriter, MinuteBarWriter

_PRICES = ("open", "high", "low", "close")
_UNITS = 1000  # of daily prices; zipline has no other


def _new_directory() -> str:
    return tempfile.mkdtemp(prefix="converted-", dir=os.environ.get("ZIPLINE_ROOT"))


@cache
def daily(path: str) -> str:
    """A store with the bars of a daily bcolz table; the path of the store.

    zipline's reader finds a session's row by counting sessions, not by the ``day`` column. The
    recorded examples come with rows for twenty holidays, so the two are not the same there.
    """
    table = bcolz.ctable(rootdir=path, mode="r")
    calendar = get_calendar(table.attrs["calendar_name"])
    bounds = [pd.Timestamp(table.attrs[f"{end}_session_ns"]) for end in ("start", "end")]
    writer = DailyBarWriter(_new_directory(), calendar, *bounds, precision="bcolz")
    return writer.write(_by_position(table, calendar.sessions_in_range(*bounds)))


def _by_position(
    table: bcolz.ctable, sessions: pd.DatetimeIndex
) -> Iterator[tuple[int, pd.DataFrame]]:
    prices = {name: table[name][:] / _UNITS for name in _PRICES}
    bars = pd.DataFrame({**prices, "volume": table["volume"][:]})
    offsets, last_rows = table.attrs["calendar_offset"], table.attrs["last_row"]
    for sid, first_row in table.attrs["first_row"].items():
        own = bars.iloc[first_row : last_rows[sid] + 1]
        yield int(sid), own.set_axis(sessions[offsets[sid] : offsets[sid] + len(own)])


@cache
def minute(path: str) -> str:
    """An empty store with the metadata of a minute directory without bars; its path.

    Raises
    ------
    NotImplementedError
        If there are bars: none of zipline's tests brings any.
    """
    if any(Path(path).rglob("*.bcolz")):
        raise NotImplementedError(f"{path} has minute bars; only empty directories are converted")
    known = BcolzMinuteBarMetadata.read(path)
    directory = _new_directory()
    MinuteBarWriter(
        directory,
        known.calendar,
        known.start_session,
        known.end_session,
        known.minutes_per_day,
        precision="bcolz",
    )
    return directory
