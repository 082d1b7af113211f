"""zipline's algorithm, run by the parts of this package."""

from collections.abc import Iterator
from datetime import time
from typing import Any

import pandas as pd
from zipline.algorithm import TradingAlgorithm as ZiplineAlgorithm
from zipline.gens.sim_engine import MinuteSimulationClock
from zipline.utils.calendar_utils import days_at_time
from zipline.utils.events import EventManager

from rustybt.compat.engine.assets import AssetMethods
from rustybt.compat.engine.calendar import remembering
from rustybt.compat.engine.clock import DailyClock
from rustybt.compat.engine.orders import OrderMethods
from rustybt.compat.engine.originals import step_aside
from rustybt.compat.engine.portal import DataPortal
from rustybt.compat.engine.schedule import Schedule
from rustybt.compat.engine.simulator import AlgorithmSimulator
from rustybt.compat.engine.tracker import MetricsTracker
from rustybt.data._garbage import collecting_rarely

#: When zipline calls `before_trading_start`, in New York.
_BEFORE_TRADING_START = time(8, 45)


class TradingAlgorithm(AssetMethods, OrderMethods, ZiplineAlgorithm):
    """zipline's, call for call; on another portal than ours it runs as zipline's does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        step_aside(self, (AssetMethods, OrderMethods, TradingAlgorithm), ZiplineAlgorithm)
        if self._is_ours:
            self.trading_calendar = remembering(self.trading_calendar)
            if type(self.event_manager) is EventManager:
                self.event_manager = Schedule(self.event_manager, self.trading_calendar)

    @property
    def _is_ours(self) -> bool:
        return isinstance(self.data_portal, DataPortal)

    def run(self, data_portal: Any = None) -> pd.DataFrame:
        """See `zipline.algorithm.TradingAlgorithm.run`."""
        with collecting_rarely():
            return super().run(data_portal)

    def _create_generator(self, sim_params: Any) -> Iterator[Any]:
        if not self._is_ours:
            return super()._create_generator(sim_params)  # type: ignore[no-any-return]
        if sim_params is not None:
            self.sim_params = sim_params
        self.metrics_tracker = self._create_metrics_tracker()
        self.on_dt_changed(self.sim_params.start_session)
        if not self.initialized:
            self.initialize(**self.initialize_kwargs)
            self.initialized = True
        benchmark = self._create_benchmark_source()
        self.trading_client = AlgorithmSimulator(
            self, sim_params, self.data_portal, self._create_clock(), benchmark, self.restrictions
        )
        self.metrics_tracker.handle_start_of_simulation(benchmark)
        return self.trading_client.transform()  # type: ignore[no-any-return]

    def _create_clock(self) -> Any:
        calendar, params = self.trading_calendar, self.sim_params
        if not self._is_ours or calendar.name == "us_futures":
            return super()._create_clock()
        sessions = params.sessions
        starts = days_at_time(sessions, _BEFORE_TRADING_START, "US/Eastern", day_offset=0)
        if params.data_frequency == "daily":
            return DailyClock(sessions, calendar.schedule.loc[sessions, "close"], starts)
        # zipline looks up the first minutes of all sessions that the calendar has.
        rows = calendar.sessions.slice_indexer(sessions[0], sessions[-1])
        opens, closes = (
            pd.DatetimeIndex(nanoseconds[rows])
            for nanoseconds in (calendar.first_minutes_nanos, calendar.closes_nanos)
        )
        by_minute = params.emission_rate == "minute"
        return MinuteSimulationClock(sessions, opens, closes, starts, minute_emission=by_minute)

    def _create_metrics_tracker(self) -> Any:
        if not self._is_ours:
            return super()._create_metrics_tracker()
        params = self.sim_params
        return MetricsTracker(
            trading_calendar=self.trading_calendar,
            first_session=params.start_session,
            last_session=params.end_session,
            capital_base=params.capital_base,
            emission_rate=params.emission_rate,
            data_frequency=params.data_frequency,
            asset_finder=self.asset_finder,
            metrics=self._metrics_set,
        )

    def compute_eager_pipelines(self) -> None:
        """Compute the pipelines that nobody has to ask for, unless today is already computed."""
        today = self.datetime.normalize().tz_localize(None)
        for name, pipe in self._pipelines.items():
            if pipe.eager and not self._is_computed(name, today):
                self.pipeline_output(name)

    def _is_computed(self, name: str, day: pd.Timestamp) -> bool:
        try:
            self._pipeline_cache.get(name, day)
        except KeyError:
            return False
        return True

    @property
    def portfolio(self) -> Any:
        """The portfolio, at the prices of the bar."""
        if self.datetime is not self._last_sync_time:
            self._sync_last_sale_prices()
        return self.metrics_tracker.portfolio
