"""An ingestion and the version that was made of it, read in full through both readers."""

import filecmp
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from zipline.data.bar_reader import NoDataForSid, NoDataOnDate

from rustybt.compat._bcolz_ingestion import ConversionError, Ingestion
from rustybt.data.bars import VALUE_COLUMNS

#: Values of a field that are read at a time.
_CELLS = 1 << 20
#: zipline's reader deletes the minutes after each early close from a whole block.
_SESSIONS = 250

Step = Callable[[str], None]


class DifferentBitsError(ConversionError):
    """A version reads other values than the ingestion it was made of. It is not published."""


@dataclass
class Comparison:
    """Compares what zipline's readers return of an ingestion with what ours do of a version.

    Attributes
    ----------
    theirs : Ingestion
    ours : zipline.data.bundles.core.BundleData
    step : callable
        Called with a label after each block.
    values : int
        Values of bars that were compared so far.
    """

    theirs: Ingestion
    ours: Any
    step: Step
    values: int = 0

    def daily(self) -> None:
        """Compare the daily bars.

        Raises
        ------
        DifferentBitsError
        """
        pair = self.theirs.daily_reader, self.ours.equity_daily_bar_reader
        sessions = self.theirs.sessions
        _require_same("sessions", list(sessions), list(pair[1].sessions))
        for name in ("first_trading_day", "last_available_dt"):
            _require_same(f"{name} of the daily bars", *(getattr(each, name) for each in pair))
        for sids in daily_blocks(self.theirs):
            blocks = (
                each.load_raw_arrays(list(VALUE_COLUMNS), sessions[0], sessions[-1], sids)
                for each in pair
            )
            self._same_arrays(sids, sessions, *blocks)
            for sid in sids:
                for day in _edges(sessions, *self.theirs.daily_lives[sid]):
                    self._same_session(pair, sid, day)
            self.step("compare daily bars")
        known = [int(sid) for sid in self.ours.asset_finder.sids]
        for sid in sorted(set(known) - set(self.theirs.daily_lives)):
            self._same_session(pair, sid, sessions[-1])
        asked = [*known, max(known, default=0) + 1]
        codes = [list(each.currency_codes(asked)) for each in pair]
        _require_same("currency codes", *codes)

    def minute(self) -> None:
        """Compare the minute bars.

        Raises
        ------
        DifferentBitsError
        """
        pair = self.theirs.minute_reader, self.ours.equity_minute_bar_reader
        for name in ("first_trading_day", "last_available_dt"):
            _require_same(f"{name} of the minute bars", *(getattr(each, name) for each in pair))
        for first, last, sids in minute_blocks(self.theirs):
            span, open_ = _span(self.theirs, first, last)
            stock, version = (
                each.load_raw_arrays(list(VALUE_COLUMNS), span[0], span[-1], sids) for each in pair
            )
            if not open_.all():
                # Rows of a break, which have no bars: the ingestion was read before.
                stock = [values[open_] for values in stock]
            self._same_arrays(sids, span[open_], stock, version)
            self.step("compare minute bars")
        for sid in [int(sid) for sid in self.ours.asset_finder.sids]:
            self._same_minutes(pair, sid, _edge_minutes(self.theirs, sid))

    def databases(self, directory: Any) -> None:
        """Compare the files of assets and adjustments with their copies in `directory`.

        Raises
        ------
        DifferentBitsError
        """
        for path in self.theirs.databases:
            if not filecmp.cmp(path, directory / path.name, shallow=False):
                raise DifferentBitsError(f"{path.name} is not what was copied")

    def _same_arrays(
        self,
        sids: Sequence[int],
        labels: pd.DatetimeIndex,
        theirs: list[npt.NDArray[Any]],
        ours: list[npt.NDArray[Any]],
    ) -> None:
        for name, stock, version in zip(VALUE_COLUMNS, theirs, ours, strict=True):
            _require_same(f"shape and type of {name}", _kind(stock), _kind(version))
            same = np.equal(stock, version)
            if stock.dtype.kind == "f":
                same |= np.isnan(stock) & np.isnan(version)
            if not same.all():
                row, column = (int(place[0]) for place in np.nonzero(~same))
                where = f"{name} of sid {sids[column]} at {labels[row]}"
                _require_same(where, stock[row, column], version[row, column])
            self.values += stock.size

    def _same_session(self, pair: tuple[Any, Any], sid: int, day: pd.Timestamp) -> None:
        for name in ("close", "volume"):
            found = [_answer(each.get_value, sid, day, name) for each in pair]
            _require_same(f"{name} of sid {sid} on {day.date()}", *found)
        traded = [_answer(each.get_last_traded_dt, sid, day) for each in pair]
        _require_same(f"last trade of sid {sid} as of {day.date()}", *traded)

    def _same_minutes(self, pair: tuple[Any, Any], sid: int, minutes: pd.DatetimeIndex) -> None:
        asset = self.ours.asset_finder.retrieve_asset(sid)
        for minute in minutes:
            for name in ("close", "volume"):
                found = [_answer(each.get_value, sid, minute, name) for each in pair]
                _require_same(f"{name} of sid {sid} at {minute}", *found)
            traded = [_answer(each.get_last_traded_dt, asset, minute) for each in pair]
            _require_same(f"last trade of sid {sid} as of {minute}", *traded)


def _span(
    ingestion: Ingestion, first: int, last: int
) -> tuple[pd.DatetimeIndex, npt.NDArray[np.bool_]]:
    """Minutes from the open of a session to the close of another, and which are of the market.

    zipline's reader returns a row for each of them, also in breaks.
    """
    days = zip(*ingestion.hours(slice(first, last + 1)), strict=True)
    labels = np.concatenate([np.arange(start, close + 1) for start, close in days])
    return _instants(labels), ingestion.is_open_at(labels)


def _edge_minutes(ingestion: Ingestion, sid: int) -> pd.DatetimeIndex:
    """The first and the last minute in which a sid has a bar; the last one of all if none."""
    labels = ingestion.minute_bars(sid)[0] if sid in ingestion.minute_sids else []
    _, closes = ingestion.hours(slice(-1, None))
    return _instants(labels[[0, -1]] if len(labels) else closes)


def daily_blocks(ingestion: Ingestion) -> Iterator[list[int]]:
    """The sids with daily bars, as many at a time as are read together."""
    yield from _chunks(list(ingestion.daily_lives), _CELLS // len(ingestion.sessions))


def minute_blocks(ingestion: Ingestion) -> Iterator[tuple[int, int, list[int]]]:
    """First and last session, by place, and sids: blocks over all minutes of all sids."""
    size = ingestion.minutes_per_day
    for sids in _chunks(ingestion.minute_sids, _CELLS // size):
        sessions = list(range(len(ingestion.sessions)))
        for span in _chunks(sessions, min(_SESSIONS, _CELLS // (size * len(sids)))):
            yield span[0], span[-1], sids


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    step = max(size, 1)
    return (items[start : start + step] for start in range(0, len(items), step))


def _instants(labels: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(labels.astype("datetime64[m]").astype("datetime64[ns]"), tz="UTC")


def _edges(sessions: pd.DatetimeIndex, first: int, stop: int) -> Iterator[pd.Timestamp]:
    """The sessions on both sides of the two ends of a life."""
    for place in (first - 1, first, stop - 1, stop):
        if 0 <= place < len(sessions):
            yield sessions[place]


def _kind(values: npt.NDArray[Any]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return values.shape, values.dtype


def _answer(ask: Callable[..., Any], *arguments: Any) -> Any:
    """What a reader returns, or the kind of error that it raises."""
    try:
        return ask(*arguments)
    except (NoDataOnDate, NoDataForSid, KeyError) as error:
        return type(error).__name__


def _require_same(what: str, theirs: Any, ours: Any) -> None:
    missing = [not isinstance(each, list | tuple) and pd.isna(each) for each in (theirs, ours)]
    if not all(missing) and theirs != ours:
        raise DifferentBitsError(
            f"{what} is {theirs} in zipline's format and would be {ours} in the version"
        )
