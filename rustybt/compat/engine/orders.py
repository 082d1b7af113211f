"""Orders of an algorithm that come with nothing but an asset and an amount: market orders.

What has a limit, a stop or a style, what a trading control has to see, and what another blotter
takes is placed by zipline.
"""

from math import copysign
from typing import Any

import numpy as np
import pandas as pd
from zipline.algorithm import TradingAlgorithm
from zipline.assets import Equity
from zipline.finance.blotter import SimulationBlotter
from zipline.finance.order import ORDER_STATUS, Order
from zipline.protocol import DATASOURCE_TYPE

from rustybt.compat.engine.order_ids import order_ids
from rustybt.compat.engine.originals import is_zipline_s

#: What zipline's algorithm calls on the way to an order, and ours does not.
_PASSED_BY = (
    "_calculate_order",
    "_calculate_order_percent_amount",
    "_calculate_order_target_amount",
    "_calculate_order_target_percent_amount",
    "validate_order_params",
)
#: Prices that zipline may take for none.
_FREE = 1e-3
#: As far from a whole number of shares zipline takes an amount for one.
_NEARLY = 1e-4


class OrderMethods:
    """Mixed into zipline's algorithm."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_days: dict[int, int] = {}
        self._order_ids = order_ids()
        self._seen: pd.Timestamp | None = None
        self._looked: pd.Timestamp | None = None
        self._ways_are_zipline_s = False
        self._day = 0

    def _takes_market_orders(self) -> bool:
        blotter = self.blotter
        if self.datetime is not self._looked:
            self._looked = self.datetime
            self._ways_are_zipline_s = is_zipline_s(SimulationBlotter, "order") and is_zipline_s(
                TradingAlgorithm, *_PASSED_BY
            )
        return (
            type(blotter) is SimulationBlotter
            and "order" not in vars(blotter)
            and self._ways_are_zipline_s
            and self.initialized
            and not self.trading_controls
            and not self._in_before_trading_start
        )

    def order(
        self,
        asset: Any,
        amount: Any,
        limit_price: Any = None,
        stop_price: Any = None,
        style: Any = None,
    ) -> Any:
        """See `zipline.api.order`."""
        market = limit_price is None and stop_price is None and not style
        if not (market and self._takes_market_orders()):
            return super().order(asset, amount, limit_price, stop_price, style)
        return (
            self._place(asset, self.round_order(amount)) if self._can_order_asset(asset) else None
        )

    def order_target(self, asset: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        """See `zipline.api.order_target`."""
        if args or kwargs or not self._takes_market_orders():
            return super().order_target(asset, target, *args, **kwargs)
        if not self._can_order_asset(asset):
            return None
        return self._order(asset, self._calculate_order_target_amount(asset, target))

    def order_target_percent(self, asset: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        """See `zipline.api.order_target_percent`."""
        if args or kwargs or not self._takes_market_orders():
            return super().order_target_percent(asset, target, *args, **kwargs)
        if not self._can_order_asset(asset):
            return None
        portfolio = self.portfolio
        amount = self._calculate_order_value_amount(asset, portfolio.portfolio_value * target)
        held = portfolio.positions.get(asset)
        return self._order(asset, amount if held is None else amount - held.amount)

    def _order(self, asset: Any, amount: Any) -> Any:
        """Place an order for an asset that can be ordered, unless `order` was written anew."""
        if type(self).order is OrderMethods.order and "order" not in vars(self):
            return self._place(asset, self.round_order(amount))
        return self.order(asset, amount)

    def _place(self, asset: Any, amount: int) -> str | None:
        """Do what `SimulationBlotter.order` does with a market order."""
        blotter = self.blotter
        if amount == 0:
            return None
        if amount > blotter.max_shares:
            raise OverflowError(f"Can't order more than {blotter.max_shares} shares")
        order = _market_order(next(self._order_ids), blotter.current_dt, asset, amount)
        blotter.open_orders[asset].append(order)
        blotter.orders[order.id] = order
        blotter.new_orders.append(order)
        return order.id

    # Asked a few times an order.

    @staticmethod
    def round_order(amount: Any) -> int:
        """The amount in whole shares; an almost whole number is rounded, any other cut off."""
        if type(amount) is np.float64:
            amount = float(amount)
        nearest = round(amount)
        return int(nearest if abs(amount - nearest) <= _NEARLY else amount)

    def get_datetime(self, *args: Any, **kwargs: Any) -> Any:
        """See `zipline.api.get_datetime`."""
        return super().get_datetime(*args, **kwargs) if args or kwargs else self.datetime

    def _today(self) -> int:
        """The session, nanoseconds since 1970."""
        if self.datetime is not self._seen:
            self._seen = self.datetime
            self._day = self.trading_calendar.minute_to_session(self.datetime).value
        return self._day

    def _can_order_asset(self, asset: Any) -> Any:
        if type(asset) is not Equity or not asset.auto_close_date:
            return super()._can_order_asset(asset)
        last = self._last_days.get(asset.sid)
        if last is None:
            last = min(asset.end_date, asset.auto_close_date).value
            self._last_days[asset.sid] = last
        return True if self._today() <= last else super()._can_order_asset(asset)

    def _calculate_order_value_amount(self, asset: Any, value: Any) -> Any:
        if type(asset) is not Equity:
            return super()._calculate_order_value_amount(asset, value)
        if asset.start_date.value <= self._today() <= asset.end_date.value:
            price = self.trading_client.current_data.current(asset, "price")
            if price > _FREE:
                return value / (price * asset.price_multiplier)
        return super()._calculate_order_value_amount(asset, value)

    def _calculate_order_target_amount(self, asset: Any, target: Any) -> Any:
        held = self.portfolio.positions.get(asset)
        return target if held is None else target - held.amount


def _market_order(name: str, dt: pd.Timestamp, asset: Any, amount: int) -> Order:
    """What `Order` makes of it, without its checks."""
    order = Order.__new__(Order)
    order.id = name
    order.dt = order.created = dt
    order.asset, order.amount = asset, amount
    order.filled = order.commission = 0
    order.reason = order.stop = order.limit = order.broker_order_id = None
    order.stop_reached = order.limit_reached = False
    order.direction = copysign(1, amount)
    order._status = ORDER_STATUS.OPEN
    order.type = DATASOURCE_TYPE.ORDER
    return order
