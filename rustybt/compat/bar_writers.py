"""zipline's bar writers on a store: the same calls, warnings and refusals, and no digit lost.

Under precision ``bcolz`` a writer keeps to zipline's contract to the bit: prices in thousandths,
volumes as uint32, what does not fit zeroed with a warning. Under ``full`` it keeps every value
that is finite and not negative. The caller's frames are never modified.
"""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from zipline.data.bcolz_daily_bars import check_uint32_safe, winsorise_uint32
from zipline.data.bcolz_minute_bars import (
    BcolzMinuteOverlappingData,
    BcolzMinuteWriterColumnMismatch,
    convert_cols,
)
from zipline.utils.calendar_utils import get_calendar
from zipline.utils.cli import maybe_show_progress
from zipline.utils.input_validation import expect_element

from rustybt.compat._bar_store import Bars, BarStore, StoreInfo
from rustybt.data.bars import PRICE_COLUMNS, VALUE_COLUMNS
from rustybt.data.bundles.panel import Precision

log = logging.getLogger(__name__)

#: Environment variable with the precision of writers that are not told one.
PRECISION_VARIABLE = "RUSTYBT_PRECISION"

Columns = Mapping[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: A sid, the times of its bars (UTC), and their values, shape (5, n).
Arrays = tuple[int, npt.NDArray[np.datetime64], Floats]


def default_precision(environ: Mapping[str, str] = os.environ) -> Precision:
    """The precision that the environment asks for, or the process's own; else ``full``."""
    asked = environ.get(PRECISION_VARIABLE) or os.environ.get(PRECISION_VARIABLE, "full")
    if asked not in ("full", "bcolz"):
        raise ValueError(f"{PRECISION_VARIABLE} is {asked!r}; it must be full or bcolz")
    return asked  # type: ignore[return-value]


def _values_of(frame: Any) -> Floats:
    """The five columns of a frame as float64, shape (5, n): a copy, which the caller may keep."""
    names = list(frame.columns)
    if all(names.count(name) == 1 for name in VALUE_COLUMNS):
        table = frame.to_numpy()
        if table.dtype == np.float64:
            return np.ascontiguousarray(table.T[[names.index(name) for name in VALUE_COLUMNS]])
    return _stacked({name: frame[name].to_numpy() for name in VALUE_COLUMNS})


def _stacked(columns: Columns) -> Floats:
    return np.stack([np.asarray(columns[name], dtype=np.float64) for name in VALUE_COLUMNS])


def _keep_what_can_be(values: Floats, sid: Any, behavior: str) -> Floats:
    """Zero the bars of which a value is negative or infinite; a missing value is no trade.

    Parameters
    ----------
    values : ndarray of float64, shape (5, n)
    """
    if values.min(initial=0.0) >= 0 and values.max(initial=0.0) < np.inf:  # no NaN either
        return values
    bad = np.isinf(values) | (values < 0)
    if bad.any() and behavior == "raise":
        row = int(np.flatnonzero(bad.any(axis=1))[0])
        value, name = values[row][bad[row]][0], VALUE_COLUMNS[row]
        raise ValueError(f"Value {value} from column {name!r} of sid {sid} is not a bar's")
    wrong = bad.any(axis=0)
    if wrong.any() and behavior == "warn":
        warnings.warn(
            f"Ignoring {wrong.sum()} bars of sid {sid}: a value is negative or infinite",
            stacklevel=2,
        )
    return np.where(wrong, 0.0, np.nan_to_num(values))


class DailyBarWriter:
    """Writer of daily bars, called as zipline's `BcolzDailyBarWriter` is.

    Parameters
    ----------
    filename : path
        Directory of the store.
    calendar : exchange_calendars.ExchangeCalendar
    start_session, end_session : pandas.Timestamp
        Sessions of the calendar; bars lie between them.
    precision : {"full", "bcolz"}, optional
        ``$RUSTYBT_PRECISION``, else ``full``.

    Raises
    ------
    ValueError
        If a bound is not a session.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        calendar: Any,
        start_session: pd.Timestamp,
        end_session: pd.Timestamp,
        precision: Precision | None = None,
    ) -> None:
        self._calendar = calendar
        self._start, self._end = start_session.tz_localize(None), end_session.tz_localize(None)
        if self._start != self._end:
            for name, session in (("Start", self._start), ("End", self._end)):
                if not calendar.is_session(session):
                    raise ValueError(f"{name} session {session} is invalid!")
        self._precision = precision or default_precision()
        self.store = BarStore(filename)
        self.store.save(
            StoreInfo(
                calendar.name,
                self._start.date().isoformat(),
                self._end.date().isoformat(),
                self._precision,
            )
        )

    def write(
        self,
        data: Iterable[tuple[int, Any]],
        assets: Iterable[int] | None = None,
        show_progress: bool = False,
        invalid_data_behavior: str = "warn",
    ) -> str:
        """Replace all bars by those of `data`.

        Parameters
        ----------
        data : iterable of (sid, DataFrame)
            Frames with open, high, low, close, volume, indexed by session.
        assets : iterable of int, optional
            The sids that may occur.
        show_progress : bool
        invalid_data_behavior : {"warn", "raise", "ignore"}

        Returns
        -------
        str
            Directory of the store, from which a reader can be made.

        Raises
        ------
        ValueError
            If a sid is not in `assets`, comes twice, or a value cannot be kept (``raise``).
        AssertionError
            Under ``bcolz``, if a session inside an asset's life has no row, or a row no session.
        """
        known = set(assets) if assets is not None else None
        progress = maybe_show_progress(
            data,
            show_progress=show_progress,
            item_show_func=lambda item: None if item is None else str(item[0]),
            label="Merging daily equity files:",
            length=len(known) if known is not None else None,
        )
        with progress as frames:
            items = self._items(frames, known, invalid_data_behavior)
            self.store.append(items, replacing=True)
        return str(self.store.directory)

    def write_arrays(self, data: Iterable[Arrays], show_progress: bool = False) -> None:
        """Replace all bars by those of `data`, which are arrays and not frames; see `write`."""
        if self._precision == "bcolz":  # zipline's own checks are of frames
            self.write(((sid, _framed(*bars)) for sid, *bars in data), show_progress=show_progress)
            return
        with maybe_show_progress(data, show_progress, label="Merging daily equity files:") as items:
            self.store.append(
                (
                    Bars(sid, self._labels(sid, times), _keep_what_can_be(values, sid, "warn"))
                    for sid, times, values in items
                ),
                replacing=True,
            )

    def write_csvs(
        self,
        asset_map: Mapping[int, str],
        show_progress: bool = False,
        invalid_data_behavior: str = "warn",
    ) -> str:
        """Replace all bars by those of CSV files with a ``day`` column, one file a sid."""
        frames = (
            (sid, pd.read_csv(path, parse_dates=["day"], index_col="day"))
            for sid, path in asset_map.items()
        )
        return self.write(frames, asset_map.keys(), show_progress, invalid_data_behavior)

    @expect_element(invalid_data_behavior={"warn", "raise", "ignore"})
    def _converted(self, frame: Any, sid: int, invalid_data_behavior: str) -> Floats:
        if self._precision == "full":
            return _keep_what_can_be(_values_of(frame), sid, invalid_data_behavior)
        frame = frame.copy()
        winsorise_uint32(frame, invalid_data_behavior, "volume", *PRICE_COLUMNS)
        units = (frame[list(PRICE_COLUMNS)] * 1000).round().astype("uint32")
        prices = {name: units[name].to_numpy() / 1000 for name in PRICE_COLUMNS}
        return _stacked({**prices, "volume": frame["volume"].astype("uint32").to_numpy()})

    def _items(
        self, frames: Iterable[tuple[int, Any]], known: set[int] | None, behavior: str
    ) -> Iterator[Bars]:
        seen: set[int] = set()
        for sid, raw in frames:
            if known is not None and sid not in known:
                raise ValueError(f"unknown asset id {sid!r}")
            if sid in seen:
                raise ValueError(f"asset id {sid!r} comes twice; write all its bars at once")
            seen.add(sid)
            frame = _as_frame(raw)
            if self._precision == "bcolz":
                check_uint32_safe(frame.index.values.astype("M8[s]").max().view(np.int64), "day")
            labels = self._labels(sid, frame.index.values, frame.index.tz)
            yield Bars(int(sid), labels, self._converted(frame, sid, behavior))

    def _labels(self, sid: int, times: npt.NDArray[np.datetime64], zone: Any = None) -> Ints:
        """The days of an asset's bars, which must be sessions."""
        labels: Ints = times.astype("datetime64[s]").astype("datetime64[D]").astype(np.int64)
        if zone not in (None, UTC) or not _is_piece(labels, self._days):
            index = pd.DatetimeIndex(times)
            local = index if zone is None else index.tz_localize(UTC).tz_convert(zone)
            self._require_sessions(sid, local)
        return labels

    @cached_property
    def _sessions(self) -> pd.DatetimeIndex:
        return self._calendar.sessions_in_range(self._start, self._end)

    @cached_property
    def _days(self) -> Ints:
        days: Ints = self._sessions.values.astype("datetime64[D]").astype(np.int64)
        return days

    def _require_sessions(self, sid: int, index: pd.DatetimeIndex) -> None:
        days, sessions = index.tz_localize(None).normalize(), self._sessions
        life = sessions[sessions.slice_indexer(days[0], days[-1])]
        missing, extra = life.difference(days).tolist(), days.difference(life).tolist()
        if self._precision == "full" and missing and not extra and days.is_unique:
            log.info("sid %s has no bar in %d sessions of its life", sid, len(missing))
        elif len(days) != len(life) or extra:
            raise AssertionError(
                f"Got {len(days)} rows for daily bars table with "
                f"first day={days[0].date()}, last day={days[-1].date()}, "
                f"expected {len(life)} rows.\n"
                f"Missing sessions: {missing}\nExtra sessions: {extra}"
            )


def _is_piece(labels: Ints, of: Ints) -> bool:
    """Whether some sessions follow one another as those of the calendar do."""
    start = int(np.searchsorted(of, labels[0])) if len(labels) else len(of)
    return bool(len(labels)) and np.array_equal(of[start : start + len(labels)], labels)


def _framed(times: npt.NDArray[np.datetime64], values: Floats) -> pd.DataFrame:
    return pd.DataFrame(values.T, pd.DatetimeIndex(times), VALUE_COLUMNS)


def _as_frame(raw: Any) -> pd.DataFrame:
    """A frame of what zipline's writer takes: a frame, or a bcolz table in its own units."""
    if isinstance(raw, pd.DataFrame):
        return raw
    prices = {name: raw[name][:] / 1000 for name in PRICE_COLUMNS}
    index = pd.to_datetime(np.asarray(raw["day"][:]), unit="s")
    return pd.DataFrame({**prices, "volume": raw["volume"][:]}, index=index)


class MinuteBarWriter:
    """Writer of minute bars, called as zipline's `BcolzMinuteBarWriter` is.

    Parameters
    ----------
    rootdir : path
        Directory of the store.
    calendar : exchange_calendars.ExchangeCalendar
    start_session, end_session : pandas.Timestamp
    minutes_per_day : int
        Minutes of an ordinary session.
    default_ohlc_ratio : float
        Under ``bcolz``: what a price is multiplied by to become an integer.
    ohlc_ratios_per_sid : mapping of int to float, optional
    expectedlen : int
        Accepted and not needed.
    write_metadata : bool
        Whether to begin a new store; False to go on with the one that is there.
    precision : {"full", "bcolz"}, optional
        ``$RUSTYBT_PRECISION``, else ``full``.
    """

    COL_NAMES = VALUE_COLUMNS

    def __init__(
        self,
        rootdir: str | os.PathLike[str],
        calendar: Any,
        start_session: pd.Timestamp,
        end_session: pd.Timestamp,
        minutes_per_day: int,
        default_ohlc_ratio: float = 1000,
        ohlc_ratios_per_sid: Mapping[int, float] | None = None,
        expectedlen: int | None = None,  # noqa: ARG002
        write_metadata: bool = True,
        precision: Precision | None = None,
    ) -> None:
        self._calendar = calendar
        self._start, self._end = start_session, end_session
        self.store = BarStore(rootdir)
        before = self.store.info() if self.store.exists else None
        if before is not None and not write_metadata:
            return
        ratios = {str(sid): ratio for sid, ratio in (ohlc_ratios_per_sid or {}).items()}
        info = StoreInfo(
            calendar.name,
            start_session.date().isoformat(),
            end_session.date().isoformat(),
            precision or default_precision(),
            minutes_per_day,
            default_ohlc_ratio,
            ratios,
        )
        if before is not None:
            kept = {"sid_attrs": before.sid_attrs, "last_labels": before.last_labels}
            info = replace(info, pieces=before.pieces, **kept)
        self.store.save(info)

    @classmethod
    def open(
        cls, rootdir: str | os.PathLike[str], end_session: pd.Timestamp | None = None
    ) -> "MinuteBarWriter":
        """Go on writing a store, to a later end if one is given."""
        info = BarStore(rootdir).info()
        return cls(
            rootdir,
            get_calendar(info.calendar),
            pd.Timestamp(info.start_session),
            end_session if end_session is not None else pd.Timestamp(info.end_session),
            info.minutes_per_day or 390,
            info.ohlc_ratio,
            {int(sid): ratio for sid, ratio in info.ohlc_ratios_per_sid.items()},
            write_metadata=end_session is not None,
            precision=info.precision,
        )

    @property
    def first_trading_day(self) -> pd.Timestamp:
        """The first session of the store."""
        return self._start

    def ohlc_ratio_for_sid(self, sid: int) -> float:
        """What a price of the sid is multiplied by to become an integer."""
        return self.store.info().ratio(sid)

    def last_date_in_output_for_sid(self, sid: int) -> pd.Timestamp:
        """The session of the last bar that was written for a sid; NaT if there is none."""
        last = self.store.info().last_labels.get(str(int(sid)))
        if last is None:
            return pd.NaT
        minute = pd.Timestamp(last, unit="m", tz="UTC")
        return self._calendar.minute_to_session(minute, direction="previous")

    def pad(self, sid: int, date: pd.Timestamp) -> None:
        """Accepted and not needed: minutes without a trade take no room in the store."""

    def set_sid_attrs(self, sid: int, **kwargs: Any) -> None:
        """Attach values to a sid; `MinuteBarReader.get_sid_attr` reads them."""
        info = self.store.info()
        key = str(int(sid))
        attrs = {**info.sid_attrs, key: {**info.sid_attrs.get(key, {}), **kwargs}}
        self.store.save(replace(info, sid_attrs=attrs))

    def write(
        self,
        data: Iterable[tuple[int, pd.DataFrame]],
        show_progress: bool = False,
        invalid_data_behavior: str = "warn",
    ) -> None:
        """Add bars; a sid may occur more than once, with later minutes each time.

        Parameters
        ----------
        data : iterable of (sid, DataFrame)
            Frames with open, high, low, close, volume, indexed by minute (UTC, bar ends).
        show_progress : bool
        invalid_data_behavior : {"warn", "raise", "ignore"}

        Raises
        ------
        BcolzMinuteOverlappingData
            If bars end at or before the last minute that is there.
        ValueError
            If a value cannot be kept (``raise``).
        """
        arrays = ((sid, frame.index.values, _values_of(frame)) for sid, frame in data)
        self.write_arrays(arrays, show_progress, invalid_data_behavior)

    def write_arrays(
        self,
        data: Iterable[Arrays],
        show_progress: bool = False,
        invalid_data_behavior: str = "warn",
    ) -> None:
        """Add bars that are given as arrays and not as frames; see `write`."""
        progress = maybe_show_progress(
            data,
            show_progress=show_progress,
            item_show_func=lambda item: None if item is None else str(item[0]),
            label="Merging minute equity files:",
        )
        with progress as items:
            self._append(items, invalid_data_behavior)

    def write_sid(self, sid: int, df: pd.DataFrame, invalid_data_behavior: str = "warn") -> None:
        """Add the bars of one sid; see `write`."""
        self.write([(sid, df)], invalid_data_behavior=invalid_data_behavior)

    def write_cols(
        self,
        sid: int,
        dts: npt.NDArray[np.datetime64],
        cols: Columns,
        invalid_data_behavior: str = "warn",
    ) -> None:
        """Add the bars of one sid, given as arrays; see `write`.

        Raises
        ------
        BcolzMinuteWriterColumnMismatch
            If the arrays differ in length.
        """
        lengths = {name: len(cols[name]) for name in VALUE_COLUMNS}
        if set(lengths.values()) != {len(dts)}:
            shown = " ".join(f"{name}={length}" for name, length in lengths.items())
            raise BcolzMinuteWriterColumnMismatch(
                f"Length of dts={len(dts)} should match cols: {shown}"
            )
        self._append([(sid, dts, _stacked(cols))], invalid_data_behavior)

    def data_len_for_day(self, day: pd.Timestamp) -> int:
        """Minutes from the first session up to and including a day, as if all were ordinary."""
        sessions = self._calendar.sessions_in_range(self._start, self._end)
        return int(sessions.get_loc(day) + 1) * (self.store.info().minutes_per_day or 0)

    def truncate(self, date: pd.Timestamp) -> None:
        """Drop all bars after a session, and end the store with it."""
        close = self._calendar.session_close(date)
        self.store.truncate(int(close.value // (60 * 10**9)), date.date().isoformat())

    def _append(self, items: Iterable[Arrays], behavior: str) -> None:
        info = self.store.info()
        self.store.append(self._items(items, info, behavior))

    def _items(
        self,
        items: Iterable[Arrays],
        info: StoreInfo,
        behavior: str,
    ) -> Iterator[Bars]:
        last = dict(info.last_labels)
        for sid, dts, given in items:
            labels = _minute_labels(dts)
            known = last.get(str(int(sid)))
            if known is not None and labels[-1] <= known:
                raise BcolzMinuteOverlappingData(
                    f"sid={sid} has bars up to {_minute(known)} already; "
                    f"these end at {_minute(labels[-1])}"
                )
            values = self._converted(sid, given, info, behavior)
            fresh = labels > (known if known is not None else -1)
            if not fresh.all():
                log.warning("%d bars of sid %s were there already", (~fresh).sum(), sid)
                labels, values = labels[fresh], values[:, fresh]
            last[str(int(sid))] = int(labels[-1])
            yield Bars(int(sid), labels, values)

    def _converted(self, sid: int, values: Floats, info: StoreInfo, behavior: str) -> Floats:
        if info.precision == "full":
            return _keep_what_can_be(values, sid, behavior)
        ratio = info.ratio(int(sid))
        cols = dict(zip(VALUE_COLUMNS, values, strict=True))
        *prices, volume = convert_cols(cols, ratio, sid, behavior)
        named = zip(PRICE_COLUMNS, prices, strict=True)
        return _stacked({**{name: units / ratio for name, units in named}, "volume": volume})


def _minute_labels(dts: Any) -> Ints:
    index = pd.DatetimeIndex(dts)
    if index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    labels: Ints = index.values.astype("datetime64[m]").astype(np.int64)
    return labels


def _minute(label: int) -> pd.Timestamp:
    return pd.Timestamp(int(label), unit="m", tz="UTC")
