"""The data portal of a fast run: values and windows of equities straight from the panels."""

from collections.abc import Sequence
from datetime import UTC
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from zipline.assets import Equity
from zipline.data.data_portal import DataPortal as ZiplinePortal

from rustybt.compat.data_portal import DataPortal as StockPortal
from rustybt.compat.engine.calendar import remembering
from rustybt.compat.engine.events import RunEvents
from rustybt.compat.engine.frames import frame, piece
from rustybt.compat.engine.history import Span, Windows
from rustybt.compat.engine.originals import step_aside
from rustybt.compat.engine.prices import DAY, MINUTE, Group, Prices
from rustybt.compat.engine.so_far import SoFar

_OHLCV = frozenset({"open", "high", "low", "close", "volume"})
_FIELDS = _OHLCV | {"price"}
#: Of the moments of a run. In another timezone an asset begins, to zipline, at another moment.
_UTC = frozenset({None, UTC, ZoneInfo("UTC")})


class DataPortal(StockPortal):
    """zipline's portal, call for call; what it does not know itself it asks its parent for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        step_aside(self, (DataPortal, StockPortal), ZiplinePortal)
        self.trading_calendar = remembering(self.trading_calendar)
        reader = self._adjustment_reader
        self.events = RunEvents(reader) if hasattr(reader, "conn") else None
        self._prices = {name: Prices.of(self, name) for name in ("daily", "minute")}
        self._windows = {
            name: Windows(prices, self.events)
            for name, prices in self._prices.items()
            if prices is not None
        }
        self._last_bars: dict[bool, tuple[pd.Timestamp, tuple[int, int | None]]] = {}
        #: Minutes of one session that follow one another: the first, the last, the session (all in
        #: nanoseconds since 1970), and the row of the first.
        self._stretch = 0, -1, 0, 0
        minutes = self._prices["minute"]
        self._so_far = SoFar(minutes, self.trading_calendar) if minutes is not None else None
        self._sessions = self.trading_calendar.sessions
        daily = self._prices["daily"]
        self._offset = 0
        if daily is not None:
            self._offset = self._sessions.get_loc(daily.reader.sessions[0])

    # Values of one bar.

    def get_spot_value(self, assets: Any, field: str, dt: Any, data_frequency: str) -> Any:
        """See `zipline.data.data_portal.DataPortal.get_spot_value`."""
        if field in _FIELDS and dt.tzinfo in _UTC:
            if type(assets) is Equity:
                return self.value(assets, field, dt, data_frequency)
            if type(assets) in (list, tuple):
                values = self.spot_array(assets, field, dt, data_frequency)
                if values is not None:
                    return values.tolist()
        return super().get_spot_value(assets, field, dt, data_frequency)

    def get_scalar_asset_spot_value(
        self, asset: Any, field: str, dt: Any, data_frequency: str
    ) -> Any:
        """See `zipline.data.data_portal.DataPortal.get_scalar_asset_spot_value`."""
        if field in _FIELDS and type(asset) is Equity and dt.tzinfo in _UTC:
            return self.value(asset, field, dt, data_frequency)
        return super().get_scalar_asset_spot_value(asset, field, dt, data_frequency)

    def _bar(self, dt: pd.Timestamp, prices: Prices) -> tuple[int, int | None]:
        """Session of a moment, in nanoseconds since 1970, and row of its bar.

        The row is None where there is none.
        """
        last = self._last_bars.get(prices.is_daily)
        if last is not None and last[0] is dt:
            return last[1]
        if prices.is_daily:
            session = self.trading_calendar.minute_to_session(dt)
            bar = session.value, prices.row(session)
        else:
            bar = self._minute_bar(dt, prices)
        self._last_bars[prices.is_daily] = dt, bar
        return bar

    def _minute_bar(self, dt: pd.Timestamp, prices: Prices) -> tuple[int, int | None]:
        first, last, session, row = self._stretch
        value = dt.value
        if first <= value <= last and not (value - first) % MINUTE:
            return session, row + (value - first) // MINUTE
        calendar = self.trading_calendar
        session, found = calendar.minute_to_session(dt).value, prices.row(dt)
        if found is not None and found >= 0 and prices.times[found] == value:
            ends = calendar.last_minutes_nanos
            close = int(ends[ends.searchsorted(value)])
            self._stretch = value, prices.last_of_stretch(found, close), session, found
        return session, found

    def value(self, asset: Equity, field: str, dt: pd.Timestamp, data_frequency: str) -> Any:
        """The value of one field of an equity: what `get_spot_value` returns."""
        prices = self._prices[data_frequency]
        life = prices.life(asset) if prices is not None else None
        if prices is None or life is None:
            return super().get_scalar_asset_spot_value(asset, field, dt, data_frequency)
        start, end, column, first, last = life
        session, row = self._bar(dt, prices)
        if dt.value < start or session > end:
            return 0 if field == "volume" else np.nan
        if row is None:
            return super().get_scalar_asset_spot_value(asset, field, dt, data_frequency)
        if prices.is_daily and not first <= row <= last:
            return np.nan
        value = prices.scalar(field, row, column)
        if value != value and field == "price":  # NaN
            return self._price_before(prices, asset, row, dt)
        return value

    def _price_before(self, prices: Prices, asset: Equity, row: int, dt: pd.Timestamp) -> Any:
        """The last price before a bar without one, as it is seen from there."""
        life = prices.life(asset)
        if life is not None and not prices.is_daily and row >= 0 and prices.times[row] == dt.value:
            return self._price_before_minute(prices, asset, row, dt)
        if life is None or not prices.is_daily:
            return super().get_scalar_asset_spot_value(asset, "price", dt, "minute")
        _, _, column, first, _ = life
        found = prices.last_priced(row, column)
        if found < first:
            return np.nan
        value = prices.scalar("close", found, column)
        if self.events is not None:
            times = prices.times
            return value * self.events.factor(asset.sid, int(times[found]), int(times[row]))
        sessions = prices.reader.sessions
        return self.get_adjusted_value(
            asset, "price", sessions[found], sessions[row], "daily", spot_value=value
        )

    def _price_before_minute(
        self, prices: Prices, asset: Equity, row: int, dt: pd.Timestamp
    ) -> float:
        """The close of the last minute with volume; one of another day is adjusted."""
        column, times = prices.axis.places[asset.sid], prices.times
        found = prices.axis.last_traded(column, row)
        if found < 0 or times[found] < asset.start_date.value:
            return np.nan
        value: float = prices.scalar("close", found, column)
        when = int(times[found])
        if when // DAY == dt.value // DAY:
            return value
        moment = pd.Timestamp(when, tz="UTC")
        if moment.date() == dt.date():
            return value
        if self.events is not None:
            return value * self.events.factor(asset.sid, when, dt.value)
        return self.get_adjusted_value(asset, "close", moment, dt, "minute", spot_value=value)

    def spot_array(self, assets: Sequence[Any], field: str, dt: Any, data_frequency: str) -> Any:
        """Values of one field of several equities, shape (assets,); None if it is zipline's to say.

        int64 for volumes of a bundle in which all are whole, else float64.
        """
        group = self.group(assets, data_frequency)
        return None if group is None else self.spot_values(group, field, dt, data_frequency)

    def spot_values(self, group: Group, field: str, dt: Any, data_frequency: str) -> Any:
        """What `spot_array` returns for the assets of a group."""
        prices = self._prices[data_frequency]
        if prices is None:
            return None
        session, row = self._bar(dt, prices)
        stored = "close" if field == "price" else field
        if row is None or not 0 <= row - prices.offset < prices.rows:
            return None
        position = row - prices.offset
        values = prices.values[stored][position].take(group.columns)
        if group.last_start > dt.value or group.first_end < session:
            if field == "volume":
                return None
            values[(group.starts > dt.value) | (group.ends < session)] = np.nan
        if field == "volume":
            return values.astype(np.int64) if prices.info.whole_volume else values
        if field == "price" and values.dot(group.zeros) != 0:  # so is the product with a NaN
            (places,) = np.isnan(values).nonzero()
            for place in places.tolist():
                asset = group.assets[place]
                if prices.is_daily or not group.starts[place] <= dt.value <= group.ends[place]:
                    values[place] = self.value(asset, field, dt, data_frequency)
                else:
                    values[place] = self._price_before(prices, asset, row, dt)
        return values

    def group(self, assets: Sequence[Any], data_frequency: str) -> Group | None:
        """The assets as a group of equities with bars; None if one of them is something else."""
        prices = self._prices[data_frequency]
        return prices.group(assets) if prices is not None else None

    # Corporate actions.

    def get_splits(self, assets: Any, dt: Any) -> list[tuple[Any, float]]:
        """See `zipline.data.data_portal.DataPortal.get_splits`."""
        if self.events is None or not assets:
            return super().get_splits(assets, dt)
        found = self.events.splits.get(int(dt.value / 1e9), [])
        retrieve = self.asset_finder.retrieve_asset
        return [(retrieve(sid), ratio) for sid, ratio in found if sid in assets]

    def _get_adjustment_list(self, asset: Any, adjustments_dict: Any, table_name: str) -> Any:
        if self.events is None:
            return super()._get_adjustment_list(asset, adjustments_dict, table_name)
        return self.events.ratios(table_name.lower(), int(asset))

    # Windows of past bars.

    def get_history_window(
        self,
        assets: Any,
        end_dt: Any,
        bar_count: int,
        frequency: str,
        field: str,
        data_frequency: str,
        ffill: bool = True,
    ) -> pd.DataFrame:
        """See `zipline.data.data_portal.DataPortal.get_history_window`."""
        window = self.window(assets, end_dt, bar_count, frequency, field, data_frequency)
        if window is None:
            return super().get_history_window(
                assets, end_dt, bar_count, frequency, field, data_frequency, ffill
            )
        block, index, group = window
        return frame(block, index, group.labels.view())

    def _get_days_for_window(self, end_date: Any, bar_count: int) -> pd.DatetimeIndex:
        # zipline remembers the last; whoever names the index of a window must not name the next.
        return super()._get_days_for_window(end_date, bar_count).view()

    def window(
        self, assets: Any, end_dt: Any, bar_count: Any, frequency: str, field: str, mode: str
    ) -> tuple[Any, pd.DatetimeIndex, Group] | None:
        """Values, shape (bars, assets), their times, and the assets; None if zipline must.

        Parameters
        ----------
        mode : {"daily", "minute"}
            The frequency of the run.
        """
        if field not in _FIELDS or type(bar_count) is not int or bar_count < 1:
            return None
        if frequency == "1d" and mode == "daily":
            return self._daily_window(assets, end_dt, bar_count, field)
        if frequency == "1m" and mode == "minute":
            return self._minute_window(assets, end_dt, bar_count, field)
        if frequency == "1d" and mode == "minute":
            return self._window_of_days(assets, end_dt, bar_count, field)
        return None

    def _daily_window(
        self, assets: Any, end_dt: Any, bar_count: int, field: str
    ) -> tuple[Any, pd.DatetimeIndex, Group] | None:
        prices = self._prices["daily"]
        group = prices.group(assets) if prices is not None else None
        if prices is None or group is None:
            return None
        session = self.trading_calendar.minute_to_session(end_dt)
        row = prices.reader._rows.get(session.value)
        if row is None:
            return None
        start = row - bar_count + 1
        if start < max(self._first_row(prices), 0):
            return None
        index = piece(self._sessions, start + self._offset, row + 1 + self._offset)
        return self._values("daily", field, Span(start, row + 1, row), group), index, group

    def _window_of_days(
        self, assets: Any, moment: pd.Timestamp, bar_count: int, field: str
    ) -> tuple[Any, pd.DatetimeIndex, Group] | None:
        """Sessions before that of a minute, and what there is of it so far."""
        days, minutes = self._prices["daily"], self._prices["minute"]
        if days is None or minutes is None or self._so_far is None:
            return None
        group, own = days.group(assets), minutes.group(assets)
        if group is None or own is None:
            return None
        session, minute = self._bar(moment, minutes)
        row = days.reader._rows.get(session)
        if row is None or minute is None or minutes.times[minute] != moment.value:
            return None
        start = row - bar_count + 1
        if start < max(self._first_row(days), 0):
            return None
        today = self._so_far.values(field, minute, session, own)
        if today is None:
            return None
        block = np.empty((bar_count, len(today)))
        if bar_count > 1:
            block[:-1] = self._values("daily", field, Span(start, row, row), group)
        if field == "price":
            for place in np.flatnonzero(np.isnan(today) & (group.ends >= session)).tolist():
                today[place] = (
                    block[-2, place]
                    if bar_count > 1
                    else self._price_then("daily", group, place, (row - 1, row))
                )
        block[-1] = today
        return block, piece(self._sessions, start + self._offset, row + 1 + self._offset), group

    def _first_row(self, prices: Prices) -> int:
        """Row of the first trading day, before which zipline lets no window begin."""
        day = self._first_trading_day
        return prices.rows if day is None else prices.reader._rows.get(day.value, prices.rows)

    def _values(self, name: str, field: str, span: Span, group: Group) -> Any:
        """The values of a window; gaps of prices are filled as zipline fills them."""
        windows = self._windows[name]
        if field != "price":
            return windows.load(field, span, group)
        # Of a session that is not over zipline fills in what the one before it had.
        before = span.start if span.seen < span.stop else span.start - 1
        block = windows.filled(
            span, group, lambda place: self._price_then(name, group, place, (before, span.seen))
        )
        if group.has_later_bars:  # zipline shows no price of an asset behind its end
            days = self._prices[name].times[span.start : span.stop, np.newaxis] // DAY * DAY
            block[days > group.ends] = np.nan
        return block

    def _price_then(self, name: str, group: Group, place: int, rows: tuple[int, int]) -> float:
        """The last price up to the first of two rows, as it is seen from the other; NaN if none.

        Parameters
        ----------
        place : int
            Of the asset in the group.
        """
        prices, asset = self._prices[name], group.assets[place]
        column, times = int(group.columns[place]), prices.times
        found = prices.axis.last_traded(column, rows[0])
        when = int(times[found])
        if found < 0 or (when < group.starts[place] and not prices.is_daily):
            return np.nan
        moment = pd.Timestamp(when, tz=None if prices.is_daily else "UTC")
        price: float = self.value(asset, "price", moment, name)
        if self.events is not None:
            return price * self.events.factor(asset.sid, when, int(times[rows[1]]))
        seen_from = pd.Timestamp(times[rows[1]], tz=moment.tz)
        return self.get_adjusted_value(asset, "price", moment, seen_from, name, spot_value=price)

    @cached_property
    def _first_minute_row(self) -> int | None:
        """Row of the first minute, before which zipline lets no window begin."""
        prices = self._prices["minute"]
        return None if prices is None else prices.row(self._first_trading_minute)

    def _minute_window(
        self, assets: Any, end_dt: Any, bar_count: int, field: str
    ) -> tuple[Any, pd.DatetimeIndex, Group] | None:
        prices = self._prices["minute"]
        group = prices.group(assets) if prices is not None else None
        if prices is None or group is None:
            return None
        last = self._last_bars.get(prices.is_daily)
        row = last[1][1] if last is not None and last[0] is end_dt else prices.row(end_dt)
        first = self._first_minute_row
        if row is None or first is None:
            return None
        start = row - bar_count + 1
        if start < max(first, 0) or prices.times[row] != end_dt.value:
            return None
        index = piece(prices.instants, start, row + 1)
        return self._values("minute", field, Span(start, row + 1, row), group), index, group
