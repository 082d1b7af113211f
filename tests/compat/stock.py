"""The same bars through zipline's own writers and readers, and what a reader answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from zipline.assets import Equity, ExchangeInfo
from zipline.data.bcolz_daily_bars import BcolzDailyBarReader, BcolzDailyBarWriter
from zipline.data.bcolz_minute_bars import BcolzMinuteBarReader, BcolzMinuteBarWriter
from zipline.utils.calendar_utils import get_calendar

from rustybt.compat._panel_reader import BarsInfo
from rustybt.compat.bar_readers import MinutePanelReader, SessionPanelReader
from rustybt.data.bundles import Bundle, open_bundle
from rustybt.data.bundles.ingest import ingest
from tests.fakes import FrameSource
from tests.frames import VALUES


def by_sid(bars: pl.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    """Each symbol's bars, numbered in alphabetical order, indexed by naive session or minute."""
    frames = []
    for sid, symbol in enumerate(sorted(bars["symbol"].unique())):
        own = bars.filter(pl.col("symbol") == symbol).to_pandas().set_index("timestamp")
        own.index = pd.DatetimeIndex(own.index).as_unit("ns")
        frames.append((sid, own[list(VALUES)]))
    return frames


def write_daily(bars: pl.DataFrame, calendar_name: str, directory: Path) -> BcolzDailyBarReader:
    """Daily bars in zipline's format, in which a session without a bar is a row of zeros."""
    calendar = get_calendar(calendar_name)
    frames = by_sid(bars)
    first = min(frame.index[0] for _, frame in frames)
    last = max(frame.index[-1] for _, frame in frames)
    dense = [
        (sid, frame.reindex(calendar.sessions_in_range(*frame.index[[0, -1]]), fill_value=0.0))
        for sid, frame in frames
    ]
    writer = BcolzDailyBarWriter(str(directory), calendar, first, last)
    writer.write(dense, invalid_data_behavior="raise")
    return BcolzDailyBarReader(str(directory))


def write_minutes(
    bars: pl.DataFrame, calendar_name: str, minutes_per_day: int, directory: Path
) -> BcolzMinuteBarReader:
    """Minutes in zipline's format."""
    calendar = get_calendar(calendar_name)
    frames = by_sid(bars)
    spans = [calendar.minutes_to_sessions(frame.index[[0, -1]]) for _, frame in frames]
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    directory.mkdir(parents=True)
    writer = BcolzMinuteBarWriter(str(directory), calendar, first, last, minutes_per_day)
    writer.write(frames, invalid_data_behavior="raise")
    return BcolzMinuteBarReader(str(directory))


def ingested(bars: pl.DataFrame, root: Path, **options: Any) -> Bundle:
    """The same bars as a bundle."""
    environ = {"ZIPLINE_ROOT": str(root)}
    ingest(FrameSource(bars), "b", environ=environ, **options)
    return open_bundle("b", environ=environ)


def session_reader(bundle: Bundle) -> SessionPanelReader:
    calendar = get_calendar(bundle.metadata.calendar)
    return SessionPanelReader(bundle.panel("daily"), calendar, BarsInfo.of(bundle))


def minute_reader(bundle: Bundle, minutes_per_day: int | None = None) -> MinutePanelReader:
    calendar = get_calendar(bundle.metadata.calendar)
    info = BarsInfo.of(bundle)
    return MinutePanelReader(bundle.panel("minute"), calendar, info, minutes_per_day)


def equity(sid: int, first: Any, last: Any) -> Equity:
    """An asset that lives from one session to another."""
    exchange = ExchangeInfo("exchange", "exchange", "US")
    dates = {"start_date": pd.Timestamp(first), "end_date": pd.Timestamp(last)}
    return Equity(sid, exchange, symbol=f"S{sid}", **dates)


@dataclass(frozen=True)
class Answer:
    """What a call returned, to the bit, or the type of what it raised."""

    kind: str
    content: Any


def ask(call: Callable[..., Any], *arguments: Any) -> Answer:
    """Make a call.

    Scalars of one kind are alike: zipline's minute reader returns a Python zero for no volume and
    a uint32 for any other, and both of its readers Python's NaN beside NumPy's floats.
    """
    try:
        value = call(*arguments)
    except Exception as error:  # noqa: BLE001  any error is an answer
        return Answer("error", type(error))
    if isinstance(value, list):
        return Answer("arrays", [(array.dtype, array.shape, array.tobytes()) for array in value])
    if isinstance(value, int | np.integer):
        return Answer("integer", int(value))
    if isinstance(value, float):
        return Answer("float", None if np.isnan(value) else float(value).hex())
    return Answer(type(value).__name__, value if value is not pd.NaT else "NaT")


def plain(perf: pd.DataFrame) -> pd.DataFrame:
    """A performance frame without what zipline draws at random: column order and order ids."""
    drawn = {"id", "order_id"}
    perf = perf[sorted(perf.columns)].copy()
    for name in ("orders", "transactions"):
        perf[name] = [
            [{key: each[key] for key in sorted(each.keys() - drawn)} for each in every]
            for every in perf[name]
        ]
    return perf
