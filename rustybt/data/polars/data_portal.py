"""The asynchronous portal: prices and windows of any data source, as they were known at a time."""

import os
import warnings
from collections.abc import Sequence
from datetime import datetime
from operator import index as as_index
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from rustybt.data.adjustments import adjust as adjusted_as_of
from rustybt.data.adjustments import price_ratios
from rustybt.data.bars import DAILY, Frequency, empty_bars
from rustybt.data.calendars import DEFAULT_CALENDAR, load_calendar
from rustybt.data.errors import MissingBarsWarning, OptionError, joined
from rustybt.data.polars import windows
from rustybt.data.polars._live import LiveBars
from rustybt.data.polars._prefetch import Prefetched
from rustybt.data.polars._readers import ReaderSource
from rustybt.data.polars._times import last_known, number, session_at, sessions_of
from rustybt.data.sources._cache_stats import CacheStats
from rustybt.data.sources._fetched import Fetched
from rustybt.data.sources._finality import Clock, utc_now
from rustybt.data.sources._intervals import Interval
from rustybt.data.sources._time_axis import day_number, moment_at, within
from rustybt.data.sources.base import DataSource
from rustybt.data.sources.cached_source import CachedDataSource
from rustybt.data.sources.freshness import calendar_name

Adjust = Literal["raw", "split", "split_dividend"]
#: Bars to look back for the last known price.
_PRICE_BARS = 30


class PolarsDataPortal:
    """Prices and windows for research and live use.

    zipline's own portal, which a backtest runs on, is synchronous; this one is awaited.

    Parameters
    ----------
    data_source : DataSource
    use_cache : bool
        Put a `CachedDataSource` in front of the source, unless it is one. Without a cache a source
        that streams is live: a spot value of now is that of the bar which is forming, pushed by the
        provider and not asked for; `aclose` hangs up.
    calendar : str or exchange_calendars.ExchangeCalendar, optional
        Counts the bars of a window; the source's own if not given, else XNYS.
    adjust : {"raw", "split", "split_dividend"}
        How windows are adjusted, with nothing known from after their end. ``raw`` is as the source
        gives them; the others need a source of raw bars.
    cache_dir : path, optional
        Of the cache; see `CachedDataSource`.
    simulation_clock : callable, optional
        Tells the time in a simulation: what was not known then is refused.
    clock : callable
        Tells the time.
    daily_reader, minute_reader : object
        Deprecated: bar readers in zipline's manner, in place of a source.

    Raises
    ------
    OptionError
        If there is neither a source nor a reader, or the bars cannot be adjusted.
    """

    def __init__(
        self,
        data_source: DataSource | None = None,
        use_cache: bool = True,
        *,
        calendar: Any = None,
        adjust: Adjust = "raw",
        cache_dir: str | os.PathLike[str] | None = None,
        simulation_clock: Clock | None = None,
        clock: Clock = utc_now,
        daily_reader: Any = None,
        minute_reader: Any = None,
    ) -> None:
        if daily_reader is not None or minute_reader is not None:
            _warn_of_readers()
            data_source = data_source or ReaderSource(daily_reader, minute_reader)
            use_cache = False
        if data_source is None:
            raise OptionError("a portal needs a data_source, such as YFinanceDataSource()")
        if use_cache and not isinstance(data_source, CachedDataSource):
            data_source = CachedDataSource(data_source, cache_dir, calendar=calendar, clock=clock)
        _require_adjustable(data_source, adjust)
        self.data_source = data_source
        given = data_source.get_metadata().calendar if calendar is None else calendar
        self.calendar = calendar_name(given or DEFAULT_CALENDAR)
        self._adjust = adjust
        self._clock = clock
        self._simulation_clock = simulation_clock
        is_live = not use_cache and simulation_clock is None and data_source.supports_live()
        self._live = LiveBars(data_source, self.calendar, clock) if is_live else None
        self._prefetched = Prefetched(data_source, self.calendar, clock)
        self._reasons: dict[str, str] = {}

    async def get_spot_value(
        self,
        assets: Sequence[Any] | Any,
        field: str,
        dt: Any,
        data_frequency: str = "1d",
    ) -> pl.Series:
        """One value of each asset at a time.

        Parameters
        ----------
        assets : asset, symbol, or sequence of them
            Texts, or objects with a ``symbol``, as zipline's assets are.
        field : str
            ``open``, ``high``, ``low``, ``close``, ``volume``, or ``price``, the last known close.
        dt : pandas.Timestamp, datetime, date or ISO text
            A date means the last session up to it; an instant (naive: UTC) means the last bar that
            has ended by then, or, from a live source, the one that is forming then.
        data_frequency : str
            ``1d``, ``daily``, ``1m``, ``minute``, ...: whose bar it is.

        Returns
        -------
        polars.Series
            Named after the field, Float64, in the order of the assets; null, with a
            `MissingBarsWarning`, where there is no bar.

        Raises
        ------
        LookAheadError
            If `dt` lies in the future.
        SourceError
            If the source cannot be asked.
        """
        windows.require_field(field)
        symbols = _symbols(assets)
        values = await self._live_values(set(symbols), dt, data_frequency, field)
        if not values.keys() >= set(symbols):
            others = [each for each in _listed(assets) if _symbol(each) not in values]
            values |= await self._last_values(others, dt, data_frequency, field)
            self._tell_of_missing([symbol for symbol, value in values.items() if value is None])
        return pl.Series(field, [values[symbol] for symbol in symbols], dtype=pl.Float64)

    async def _live_values(
        self, symbols: set[str], dt: Any, frequency: str, field: str
    ) -> dict[str, float | None]:
        """Values of the bars that are forming at `dt`, of the symbols that are streamed."""
        if self._live is None:
            return {}
        is_price = field == "price"
        bars = await self._live.at(symbols, dt, Frequency.parse(frequency), at_any_age=is_price)
        name = "close" if is_price else field
        return {symbol: getattr(bar, name) for symbol, bar in bars.items()}

    async def _last_values(
        self, assets: Sequence[Any], dt: Any, frequency: str, field: str
    ) -> dict[str, float | None]:
        """Values of the last bars that had ended by `dt`."""
        bar_count = _PRICE_BARS if field == "price" else 1
        symbols, window = await self._window(assets, dt, bar_count, frequency, field)
        distinct = list(dict.fromkeys(symbols))
        return dict(zip(distinct, windows.last_row(window, distinct, field), strict=True))

    async def get_history_window(
        self,
        assets: Sequence[Any] | Any,
        end_dt: Any,
        bar_count: int,
        frequency: str,
        field: str,
        data_frequency: str | None = None,  # noqa: ARG002  the document's signature
    ) -> pl.DataFrame:
        """One field over the last bars up to a time.

        Parameters
        ----------
        assets, field
            As for `get_spot_value`; an asset that is named twice has one column.
        end_dt : pandas.Timestamp, datetime, date or ISO text
            As `dt` there.
        bar_count : int
            Counted in the bars that the calendar has: sessions for ``1d``, trading minutes for
            ``1m``. Of other frequencies, in the bars that any of the assets has.
        frequency : str
        data_frequency : str, optional
            Accepted for zipline's sake: `end_dt` says by itself what it means.

        Returns
        -------
        polars.DataFrame
            ``timestamp`` and a Float64 column a symbol, in the order of the assets; null where
            there is no bar. An asset without any in the window is said with a
            `MissingBarsWarning`.

        Raises
        ------
        LookAheadError, SourceError
            As for `get_spot_value`.
        OptionError
            If `bar_count` is not above zero.
        """
        bar_count = as_index(bar_count)  # numpy's integers too
        if bar_count < 1:
            raise OptionError(f"bar_count is {bar_count}; it must be above zero")
        symbols, window = await self._window(assets, end_dt, bar_count, frequency, field)
        distinct = list(dict.fromkeys(symbols))
        self._tell_of_missing([name for name in distinct if window[name].is_null().all()])
        return window

    async def aclose(self) -> None:
        """Hang up, where bars are streamed."""
        if self._live is not None:
            await self._live.aclose()

    @property
    def cache_stats(self) -> CacheStats:
        """What the requests to the cache took; all zero without a cache."""
        source = self.data_source
        return source.stats if isinstance(source, CachedDataSource) else CacheStats()

    @property
    def cache_hit_rate(self) -> float:
        """Share of the requests to the cache that were answered without the source, 0 to 1."""
        return self.cache_stats.hit_rate

    async def _window(
        self, assets: Any, dt: Any, bar_count: int, frequency: str, field: str
    ) -> tuple[list[str], pl.DataFrame]:
        """The symbols as they were asked for, and the window of the distinct ones."""
        windows.require_field(field)
        wanted = Frequency.parse(frequency)
        symbols = _symbols(assets)
        if isinstance(self.data_source, ReaderSource):
            self.data_source.remember(assets)
        limit = last_known(self.calendar, dt, wanted, self._now())
        bars, labels = await self._bars(sorted(set(symbols)), limit, bar_count, wanted)
        return symbols, windows.wide(bars, labels, list(dict.fromkeys(symbols)), field)

    def _now(self) -> datetime:
        return (self._simulation_clock or self._clock)()

    async def _bars(
        self, symbols: list[str], limit: np.datetime64, bar_count: int, frequency: Frequency
    ) -> tuple[pl.DataFrame, windows.Labels]:
        """Bars up to a limit, adjusted as of it, and the labels of the window."""
        grid = windows.has_grid(frequency)
        reach = bar_count if grid else bar_count * windows.units(frequency)
        labels = windows.last_labels(self.calendar, limit, reach)
        asked = Interval(number(labels[0]), number(limit))
        fetched = await self._prefetched.bars(symbols, asked, frequency)
        self._note(fetched, symbols)
        inside = within(fetched.bars["timestamp"], asked)
        bars = fetched.bars.filter(inside & fetched.bars["symbol"].is_in(symbols))
        if self._adjust != "raw":
            bars = await self._adjusted(bars, symbols, asked, frequency)
        return bars, labels if grid else windows.labels_of(bars, limit, bar_count)

    async def _adjusted(
        self, bars: pl.DataFrame, symbols: list[str], asked: Interval, frequency: Frequency
    ) -> pl.DataFrame:
        """Bars as they are seen from the session of the last label."""
        if not frequency.intraday:
            sessions, daily, days = bars["timestamp"], bars, asked
        else:
            days = Interval(_day(asked.first) - 10, _day(asked.last) + 1)
            market = load_calendar(self.calendar, *(moment_at(day, False) for day in days))
            sessions = sessions_of(bars["timestamp"], market)
            as_of = session_at(asked.last, market)
            days = Interval(days.first, day_number(as_of))
            daily = await self._closes(symbols, days)
        events = await self._prefetched.events(symbols, days)
        ratios = price_ratios(daily, events)
        if self._adjust == "split":
            ratios = ratios.filter(pl.col("kind") != "dividend")
        seen = bars.with_columns(sessions.alias("session"))
        return adjusted_as_of(seen, ratios, moment_at(days.last, False), "session").drop("session")

    async def _closes(self, symbols: list[str], days: Interval) -> pl.DataFrame:
        """Daily bars before an intraday window, whose closes give dividends their ratios."""
        if self._adjust == "split":
            return empty_bars(DAILY)
        fetched = await self._prefetched.bars(symbols, Interval(days.first, days.last - 1), DAILY)
        return fetched.bars

    def _note(self, fetched: Fetched, symbols: list[str]) -> None:
        """Raise what is no absence, and keep the reasons of those that are."""
        failures = {name: fetched.failures[name] for name in symbols if name in fetched.failures}
        passing = {name: e for name, e in failures.items() if not isinstance(e, LookupError)}
        if passing:
            raise joined(passing)
        self._reasons = {**fetched.absences, **{name: str(e) for name, e in failures.items()}}

    def _tell_of_missing(self, symbols: Sequence[str]) -> None:
        for symbol in symbols:
            reason = self._reasons.get(symbol, "it has no bar there")
            text = f"{symbol} is null: {reason}"
            warnings.warn(text, MissingBarsWarning, stacklevel=3)


def _day(minute: int) -> int:
    return minute // 1440


def _listed(assets: Any) -> list[Any]:
    return [assets] if isinstance(assets, str) or hasattr(assets, "symbol") else list(assets)


def _symbol(asset: Any) -> str:
    symbol: str = asset if isinstance(asset, str) else asset.symbol
    return symbol


def _symbols(assets: Any) -> list[str]:
    listed = _listed(assets)
    if not listed:
        raise OptionError("no asset is asked for")
    return [_symbol(asset) for asset in listed]


def _require_adjustable(source: DataSource, adjust: str) -> None:
    if adjust not in get_args(Adjust):
        raise OptionError(f"adjust is {adjust!r}; it must be one of {', '.join(get_args(Adjust))}")
    metadata = source.get_metadata()
    if adjust != "raw" and metadata.adjustment != "raw":
        raise OptionError(
            f"the bars of {metadata.source_type} are adjusted already ({metadata.adjustment}): "
            "leave adjust away, or use a source of raw bars"
        )


def _warn_of_readers() -> None:
    warnings.warn(
        "daily_reader and minute_reader are deprecated and go in v2.0: pass data_source",
        DeprecationWarning,
        stacklevel=3,
    )
