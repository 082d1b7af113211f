"""The simulation loop: zipline's order of events, and no date converted twice."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pandas as pd
from zipline.finance.blotter import SimulationBlotter
from zipline.gens.sim_engine import (
    BAR,
    BEFORE_TRADING_START_BAR,
    MINUTE_END,
    SESSION_END,
    SESSION_START,
)
from zipline.gens.tradesimulation import AlgorithmSimulator as ZiplineSimulator
from zipline.protocol import BarData as ZiplineBarData
from zipline.utils.api_support import ZiplineAPI

from rustybt.compat.engine.bar_data import BarData
from rustybt.compat.engine.fills import fill
from rustybt.compat.engine.portal import DataPortal

Packets = Iterator[dict[str, Any]]


class AlgorithmSimulator(ZiplineSimulator):
    """zipline's, call for call."""

    def _create_bar_data(self) -> ZiplineBarData:
        if _answers_otherwise(self.data_portal):
            return super()._create_bar_data()
        return BarData(
            data_portal=self.data_portal,
            simulation_dt_func=self.get_simulation_dt,
            data_frequency=self.sim_params.data_frequency,
            trading_calendar=self.algo.trading_calendar,
            restrictions=self.restrictions,
        )

    def transform(self) -> Packets:
        """Run the simulation; yields a packet of results a day, and one at the end."""
        with ExitStack() as stack:
            stack.callback(self._let_go)
            stack.enter_context(ZiplineAPI(self.algo))
            tracker = self.algo.metrics_tracker
            for dt, action in self.clock:
                if action == BAR:
                    yield from self._bar(dt)
                elif action == SESSION_START:
                    yield from self._session_start(dt)
                elif action == SESSION_END:
                    yield self._session_end(dt)
                elif action == BEFORE_TRADING_START_BAR:
                    self._go_to(dt)
                    self.algo.before_trading_start(self.current_data)
                elif action == MINUTE_END:
                    yield self._get_minute_message(dt, self.algo, tracker)
            yield tracker.handle_simulation_end(self.data_portal)

    def _let_go(self) -> None:
        """Break the cycles with the algorithm, whichever way the run ends."""
        self.algo = None
        self.benchmark_source = self.current_data = self.data_portal = None

    def _go_to(self, dt: pd.Timestamp) -> None:
        self.simulation_dt = dt
        self.algo.on_dt_changed(dt)

    def _session_start(self, dt: pd.Timestamp) -> Packets:
        algo, tracker = self.algo, self.algo.metrics_tracker
        yield from algo.calculate_capital_changes(
            dt, emission_rate=tracker.emission_rate, is_interday=True
        )
        self._go_to(dt)
        tracker.handle_market_open(dt, algo.data_portal)
        concerned = tracker.positions.keys() | algo.blotter.open_orders.keys()
        splits = self.data_portal.get_splits(concerned, dt) if concerned else []
        if splits:
            algo.blotter.process_splits(splits)
            tracker.handle_splits(splits)

    def _bar(self, dt: pd.Timestamp) -> Packets:
        algo, tracker = self.algo, self.algo.metrics_tracker
        if algo.capital_changes and algo.data_frequency == "minute":
            yield from algo.calculate_capital_changes(
                dt, emission_rate=tracker.emission_rate, is_interday=False
            )
        self._go_to(dt)
        blotter = algo.blotter
        if blotter.open_orders or type(blotter) is not SimulationBlotter:
            self._fill(dt)
        algo.event_manager.handle_data(algo, self.current_data, dt)
        if blotter.new_orders:
            placed, blotter.new_orders = blotter.new_orders, []
            for order in placed:
                tracker.process_order(order)

    def _fill(self, dt: pd.Timestamp) -> None:
        """Fill what orders are open as far as the bar allows."""
        blotter, tracker = self.algo.blotter, self.algo.metrics_tracker
        if type(self.current_data) is BarData and type(blotter) is SimulationBlotter:
            found = fill(blotter, self.current_data)
            if found is not None:
                blotter.prune_orders(found.closed)
                tracker.process_fills(found, dt)
                return
        transactions, commissions, closed = blotter.get_transactions(self.current_data)
        blotter.prune_orders(closed)
        for transaction in transactions:
            tracker.process_transaction(transaction)
            tracker.process_order(blotter.orders[transaction.order_id])
        for commission in commissions:
            tracker.process_commission(commission)

    def _session_end(self, dt: pd.Timestamp) -> dict[str, Any]:
        algo = self.algo
        self._close_expired(dt)
        if algo.data_frequency == "minute":
            algo.blotter.execute_cancel_policy(SESSION_END)
        elif algo.data_frequency == "daily":
            algo.blotter.execute_daily_cancel_policy(SESSION_END)
        algo.validate_account_controls()
        packet: dict[str, Any] = self._get_daily_message(dt, algo, algo.metrics_tracker)
        return packet

    def _close_expired(self, dt: pd.Timestamp) -> None:
        """Close positions and orders of assets that are closed; on most days there are none."""
        algo = self.algo
        positions, now = algo.metrics_tracker.positions, dt.value
        dates = (asset.auto_close_date for asset in [*positions, *algo.blotter.open_orders])
        expired = any(date is not None and date.value <= now for date in dates)
        # Orders that were cancelled are cleared away on any day.
        if expired or algo.blotter.new_orders:
            self._cleanup_expired_assets(dt, algo.asset_finder.retrieve_all(positions))


def _answers_otherwise(portal: Any) -> bool:
    """Whether a portal derived from ours has its own idea of a value, which ours would pass by."""
    kind, own = type(portal), ("get_spot_value", "get_history_window", "get_adjusted_value")
    return any(
        getattr(kind, name) is not getattr(DataPortal, name) or name in vars(portal) for name in own
    )
