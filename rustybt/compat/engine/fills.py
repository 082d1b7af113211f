"""Fills of a bar under zipline's own models of slippage, without a detour through `data`.

The arithmetic is that of `zipline.finance.slippage` and `zipline.finance.commission`, in their
order. A model of another class is zipline's to ask, and so is one that was given a method of its
own, itself or with its whole class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import copysign
from typing import Any

import pandas as pd
from zipline.assets import Equity
from zipline.finance import commission, slippage
from zipline.finance.blotter import SimulationBlotter
from zipline.finance.commission import PerShare
from zipline.finance.order import Order
from zipline.finance.position import Position
from zipline.finance.slippage import (
    FixedBasisPointsSlippage,
    FixedSlippage,
    LiquidityExceeded,
    NoSlippage,
    VolumeShareSlippage,
    fill_price_worse_than_limit_price,
)
from zipline.finance.transaction import Transaction, create_transaction

from rustybt.compat.engine.bar_data import BarData
from rustybt.compat.engine.originals import is_zipline_s
from rustybt.compat.engine.positions import POSITION_METHODS

#: Price, and shares with their sign.
Terms = tuple[float, float]
#: What an order is charged for a fill: called with it, shares, price and time.
Charge = Callable[[Order, int, float, pd.Timestamp], float]


@dataclass(frozen=True)
class Fills:
    """What was filled in a bar.

    Attributes
    ----------
    fills : list of (Order, price, shares)
    fees : list of (Asset, cost)
    closed : list of Order
        Those with nothing left to fill.
    """

    fills: list[tuple[Order, float, int]] = field(default_factory=list)
    fees: list[tuple[Any, float]] = field(default_factory=list)
    closed: list[Order] = field(default_factory=list)

    def take(self, order: Order, terms: Terms, dt: pd.Timestamp, charge: Charge) -> int:
        """Fill an order at a price; the shares that are filled."""
        price, shares = terms
        amount = int(shares)
        if amount == 0:
            create_transaction(order, dt, price, shares)  # raises what zipline raises
        fee = charge(order, amount, price, dt)
        self.fills.append((order, price, amount))
        if fee > 0:
            self.fees.append((order.asset, fee))
        order.filled += amount
        order.commission += fee
        order.dt = dt
        if order.filled == order.amount or not order.open:
            self.closed.append(order)
        return amount


def fill(blotter: Any, data: BarData) -> Fills | None:
    """Fill the open orders of a blotter as far as a bar allows; None where zipline must."""
    model, fees = (
        models[Equity] for models in (blotter.slippage_models, blotter.commission_models)
    )
    terms = _terms_of(model)
    if terms is None or "get_transactions" in vars(blotter) or not _are_zipline_s():
        return None
    traded = _traded(blotter.open_orders, data)
    if traded is None:
        return None
    found, dt, charge = Fills(), data.current_dt, _charge_of(fees)
    for orders, price, volume in traded:
        model._volume_for_bar = 0
        for order in orders:
            if order.amount == order.filled:
                continue
            if order.stop is not None or order.limit is not None:
                order.check_triggers(price, dt)
                if not order.triggered:
                    continue
            try:
                agreed = terms(model, order, price, volume)
            except LiquidityExceeded:
                break
            if agreed is not None:
                amount = found.take(order, agreed, dt, charge)
                model._volume_for_bar += abs(amount)
    return found


def _traded(
    open_orders: Mapping[Any, list[Order]], data: BarData
) -> list[tuple[list[Order], float, float]] | None:
    """Orders, close and volume of each asset that was traded; None if one is not known."""
    portal, moment = data._portal, data._moment()
    prices = portal._prices[data._mode]
    if prices is None:
        return None
    session, row = portal._bar(moment, prices)
    if row is None:
        return None
    traded = []
    for asset, orders in open_orders.items():
        life = prices.life(asset) if type(asset) is Equity else None
        if life is None:
            return None
        start, end, column, first, last = life
        if moment.value < start or session > end or (prices.is_daily and not first <= row <= last):
            continue
        volume = prices.scalar("volume", row, column)
        if volume == 0:
            continue
        price = prices.scalar("close", row, column)
        if price == price:  # not NaN
            traded.append((orders, price, volume))
    return traded


def _no_slippage(_: Any, order: Order, price: float, *__: Any) -> Terms | None:
    return price, order.amount


def _fixed_slippage(model: Any, order: Order, price: float, *_: Any) -> Terms | None:
    return price + (model.spread / 2.0 * order.direction), order.amount


def _fixed_basis_points(model: Any, order: Order, price: float, volume: float) -> Terms | None:
    left = int(model.volume_limit * volume) - model._volume_for_bar
    shares = min(abs(order.amount - order.filled), left)
    if shares == 0:
        raise LiquidityExceeded
    direction = order.direction
    return price + price * (model.percentage * direction), shares * direction


def _volume_share(model: Any, order: Order, price: float, volume: float) -> Terms | None:
    left = model.volume_limit * volume - model._volume_for_bar
    if left < 1:
        raise LiquidityExceeded
    shares = int(min(left, abs(order.amount - order.filled)))
    if shares < 1:
        return None
    share = min((model._volume_for_bar + shares) / volume, model.volume_limit)
    impact = share**2 * copysign(model.price_impact, order.direction) * price
    if fill_price_worse_than_limit_price(price + impact, order):
        return None
    return price + impact, copysign(shares, order.direction)


#: Model -> its attributes, and what it makes of an order.
_SLIPPAGE: dict[type, tuple[frozenset[str], Callable[..., Terms | None]]] = {
    kind: (frozenset({"_volume_for_bar", *names}), terms)
    for kind, names, terms in (
        (NoSlippage, (), _no_slippage),
        (FixedSlippage, ("spread",), _fixed_slippage),
        (
            FixedBasisPointsSlippage,
            ("basis_points", "percentage", "volume_limit"),
            _fixed_basis_points,
        ),
        (VolumeShareSlippage, ("volume_limit", "price_impact"), _volume_share),
    )
}
_PER_SHARE = frozenset({"cost_per_share", "min_trade_cost"})


def _terms_of(model: Any) -> Callable[..., Terms | None] | None:
    """What makes the terms of a model's fills; None if it is not as zipline has it."""
    known = _SLIPPAGE.get(type(model))
    as_made = known is not None and vars(model).keys() == known[0]
    own = as_made and is_zipline_s(type(model), "simulate", "process_order", "volume_for_bar")
    return known[1] if known is not None and own else None


def _are_zipline_s() -> bool:
    """Whether what is done here on the way of a fill is done by zipline's own functions there."""
    return (
        is_zipline_s(SimulationBlotter, "get_transactions")
        and is_zipline_s(Order, "check_triggers", "triggered", "open_amount", "open")
        and is_zipline_s(slippage, "create_transaction", "fill_price_worse_than_limit_price")
        and is_zipline_s(Position, *POSITION_METHODS)
    )


def _charge_of(model: Any) -> Charge:
    """What a model of commissions charges; that of `PerShare` is worked out here."""
    as_made = type(model) is PerShare and vars(model).keys() == _PER_SHARE
    own = is_zipline_s(PerShare, "calculate") and is_zipline_s(
        commission, "calculate_per_unit_commission"
    )
    if as_made and own:
        return partial(_per_share, model.cost_per_share, model.min_trade_cost)

    def charge(order: Order, amount: int, price: float, dt: pd.Timestamp) -> float:
        fee: float = model.calculate(order, Transaction(order.asset, amount, dt, price, order.id))
        return fee

    return charge


def _per_share(each: float, least: float, order: Order, amount: int, *_: Any) -> float:
    cost = abs(amount * each)
    if order.commission == 0:
        return max(least, cost + 0)
    total = abs(order.filled * each) + cost + 0
    return 0 if total < least else total - order.commission
