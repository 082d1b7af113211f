"""The ledger: dividends looked up only on days that have some, returns kept in an array."""

from typing import Any

import numpy as np
import pandas as pd
from zipline.finance.ledger import Ledger as ZiplineLedger
from zipline.finance.order import ORDER_STATUS, Order

from rustybt.compat.engine.events import RunEvents
from rustybt.compat.engine.fills import Fills
from rustybt.compat.engine.positions import PositionTracker


class Ledger(ZiplineLedger):
    """zipline's, with its constructor.

    Attributes
    ----------
    events : RunEvents or None
        Of the run, once its portal is known.
    """

    events: RunEvents | None = None
    #: zipline marks the account with the portfolio; here that is done when the mark is looked at.
    _dirty_portfolio = False

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
        self._dirty_account = True

    @property
    def portfolio(self) -> Any:
        """The portfolio, brought up to date."""
        if self._dirty_portfolio:
            self.update_portfolio()
        return self._immutable_portfolio

    @property
    def account(self) -> Any:
        """The account, brought up to date."""
        self.update_portfolio()
        if not self._dirty_account:
            return self._immutable_account
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

    def process_fills(self, found: Fills, dt: pd.Timestamp) -> None:
        """Take in what was filled in a bar, and then what is charged for it."""
        if not found.fills:
            return
        values, tracker = self._portfolio_values, self.position_tracker
        flow, cash = values["cash_flow"], values["cash"]
        done = self._processed_transactions.setdefault(dt, [])
        for order, price, amount in found.fills:
            asset = order.asset
            paid = -(price * amount)
            flow += paid
            cash += paid
            tracker.take(asset, amount, price, dt)
            done.append(
                {
                    "amount": amount,
                    "dt": dt,
                    "price": price,
                    "order_id": order.id,
                    "sid": asset,
                    "commission": None,
                }
            )
            self.process_order(order)
        for asset, cost in found.fees:
            tracker.handle_commission(asset, cost)
            flow += -cost
            cash += -cost
        values["cash_flow"], values["cash"] = flow, cash
        self._dirty_portfolio = True

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


def _as_dict(order: Order) -> dict[str, Any]:
    """What `Order.to_dict` returns, a fifth of the time."""
    if type(order) is not Order:
        return order.to_dict()  # type: ignore[no-any-return]
    fields = {
        "id": order.id,
        "dt": order.dt,
        "reason": order.reason,
        "created": order.created,
        "amount": order.amount,
        "filled": order.filled,
        "commission": order.commission,
        "stop": order.stop,
        "limit": order.limit,
        "stop_reached": order.stop_reached,
        "limit_reached": order.limit_reached,
    }
    if order.broker_order_id is not None:
        fields["broker_order_id"] = order.broker_order_id
    fields["sid"] = order.asset
    filled = order.amount == order.filled
    fields["status"] = ORDER_STATUS.FILLED if filled else order.status
    return fields
