"""The ledger: dividends looked up only on days that have some, returns kept in an array."""

from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
from zipline.finance.ledger import Ledger as ZiplineLedger
from zipline.finance.order import ORDER_FIELDS_TO_IGNORE, Order

from rustybt.compat.engine.events import RunEvents
from rustybt.compat.engine.positions import PositionTracker


class Ledger(ZiplineLedger):
    """zipline's, with its constructor.

    Attributes
    ----------
    events : RunEvents or None
        Of the run, once its portal is known.
    """

    events: RunEvents | None = None

    def __init__(self, trading_sessions: Any, capital_base: float, data_frequency: str) -> None:
        super().__init__(trading_sessions, capital_base, data_frequency)
        # Under pandas' copy-on-write the array behind a Series is only there to be read.
        self.daily_returns_array = np.full(len(trading_sessions), np.nan)
        self.daily_returns_series = pd.Series(
            self.daily_returns_array, index=trading_sessions, copy=False
        )
        self.position_tracker = PositionTracker(data_frequency)
        #: What the attributes of the portfolio and the account that are seen by others read.
        self._portfolio_values = vars(self._immutable_portfolio)
        self._account_values = vars(self._immutable_account)

    # Each of these is zipline's, on the values themselves: a day asks for them dozens of times.

    @property
    def todays_returns(self) -> float:
        """The return since yesterday."""
        self.update_portfolio()
        returns: float = self._portfolio_values["returns"]
        return (returns + 1) / (self._previous_total_returns + 1) - 1

    def _cash_flow(self, amount: float) -> None:
        self._dirty_portfolio = True
        values = self._portfolio_values
        values["cash_flow"] += amount
        values["cash"] += amount

    def update_portfolio(self) -> None:
        """Bring the portfolio up to date with the positions."""
        if not self._dirty_portfolio:
            return
        tracker, values = self.position_tracker, self._portfolio_values
        values["positions"] = tracker.get_positions()
        stats = tracker.stats
        values["positions_value"], values["positions_exposure"] = (
            stats.net_value,
            stats.net_exposure,
        )
        self._cash_flow(self._get_payout_total(tracker.positions))
        start = values["portfolio_value"]
        values["portfolio_value"] = end = values["cash"] + stats.net_value
        profit = end - start
        returns = profit / start if start != 0 else 0.0
        values["pnl"] += profit
        values["returns"] = (1 + values["returns"]) * (1 + returns) - 1
        self._dirty_portfolio = False

    @property
    def account(self) -> Any:
        """The account, brought up to date."""
        if not self._dirty_account:
            return self._immutable_account
        self.update_portfolio()
        portfolio = self._portfolio_values
        cash, value = portfolio["cash"], portfolio["portfolio_value"]
        _, gross, net = self.calculate_period_stats()
        self._account_values.update(
            settled_cash=cash,
            accrued_interest=0.0,
            buying_power=np.inf,
            equity_with_loan=value,
            total_positions_value=value - cash,
            total_positions_exposure=portfolio["positions_exposure"],
            regt_equity=cash,
            regt_margin=np.inf,
            initial_margin_requirement=0.0,
            maintenance_margin_requirement=0.0,
            available_funds=cash,
            excess_liquidity=cash,
            cushion=(cash / value) if value else np.nan,
            day_trades_remaining=np.inf,
            leverage=gross,
            net_leverage=net,
            net_liquidation=value,
            gross_leverage=gross,
        )
        self._account_values.update(self._account_overrides)
        self._dirty_account = False
        return self._immutable_account

    def end_of_session(self, session_ix: int) -> None:
        """Save the day's return."""
        self.daily_returns_array[session_ix] = self.todays_returns

    def process_dividends(
        self, next_session: pd.Timestamp, asset_finder: Any, adjustment_reader: Any
    ) -> None:
        """Earn the dividends of a session and pay those that are due on it."""
        events = self.events
        if events is None or next_session.value // 10**9 in events.payout_dates:
            super().process_dividends(next_session, asset_finder, adjustment_reader)
        else:
            self._cash_flow(self.position_tracker.pay_dividends(next_session))

    def orders(self, dt: pd.Timestamp | None = None) -> list[dict[str, Any]]:
        """The orders of a bar, or of all bars of the day, as dictionaries."""
        if dt is not None:
            return super().orders(dt)  # type: ignore[no-any-return]
        return [_as_dict(order) for order in self._orders_by_id.values()]


_STORED = tuple(name for name in Order.__slots__ if name not in ORDER_FIELDS_TO_IGNORE)
_values_of = attrgetter(*_STORED)


def _as_dict(order: Order) -> dict[str, Any]:
    """What `Order.to_dict` returns, a third of the time."""
    if type(order) is not Order:
        return order.to_dict()  # type: ignore[no-any-return]
    fields = dict(zip(_STORED, _values_of(order), strict=True))
    if fields["broker_order_id"] is None:
        del fields["broker_order_id"]
    fields["sid"] = order.asset
    fields["status"] = order.status
    return fields
