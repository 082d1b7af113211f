"""Every way to place or cancel an order, as steps that an algorithm takes in turn."""

import pandas as pd
from zipline.api import (
    batch_market_order,
    cancel_order,
    get_open_orders,
    get_order,
    order,
    order_percent,
    order_target,
    order_target_percent,
    order_target_value,
    order_value,
)
from zipline.finance.execution import LimitOrder, MarketOrder, StopLimitOrder, StopOrder


def market(asset, price, size):
    return order(asset, 12 * size, style=MarketOrder())


def fraction_of_a_share(asset, price, size):
    return order(asset, 3.6 * size + 0.3)


def sell_more_than_held(asset, price, size):
    return order(asset, -40 * size)


def buy_limit_below(asset, price, size):
    return order(asset, 9 * size, style=LimitOrder(price * 0.9931))


def sell_limit_above(asset, price, size):
    return order(asset, -8 * size, limit_price=price * 1.0071)


def buy_stop_above(asset, price, size):
    return order(asset, 7 * size, style=StopOrder(price * 1.0053))


def sell_stop_below(asset, price, size):
    return order(asset, -6 * size, stop_price=price * 0.9947)


def buy_stop_limit(asset, price, size):
    return order(asset, 5 * size, style=StopLimitOrder(price * 1.0131, price * 1.0029))


def sell_stop_limit(asset, price, size):
    return order(asset, -5 * size, limit_price=price * 0.9869, stop_price=price * 0.9967)


def value(asset, price, size):
    return order_value(asset, 750.0 * size)


def percent_with_limit(asset, price, size):
    return order_percent(asset, 0.015, limit_price=price * 0.9989)


def target_short(asset, price, size):
    return order_target(asset, -11 * size)


def target_value(asset, price, size):
    return order_target_value(asset, 1800.0 * size)


def target_percent_with_stop(asset, price, size):
    return order_target_percent(asset, -0.03, stop_price=price * 0.9971)


def several_at_once(asset, price, size):
    ids = batch_market_order(pd.Series({asset: 4 * size}))
    return ids[0]


def cancel_the_oldest(asset, price, size):
    for waiting in get_open_orders().values():
        cancel_order(waiting[0])
        return waiting[0].id
    return None


def cancel_all_of_the_asset(asset, price, size):
    for waiting in get_open_orders(asset):
        cancel_order(waiting.id)


STEPS = (
    market,
    buy_limit_below,
    sell_stop_below,
    fraction_of_a_share,
    sell_limit_above,
    buy_stop_limit,
    value,
    cancel_the_oldest,
    sell_more_than_held,
    buy_stop_above,
    percent_with_limit,
    sell_stop_limit,
    target_value,
    target_percent_with_stop,
    several_at_once,
    cancel_all_of_the_asset,
    target_short,
)


def take_step(context, data, assets, size):
    """Take the next step on the next asset; return what was placed and the last order's state."""
    step = STEPS[context.turn % len(STEPS)]
    asset = assets[context.turn % len(assets)]
    context.turn += 1
    price = data.current(asset, "price")
    if not data.can_trade(asset):
        return ()
    placed = step(asset, price, size)
    state = vars(get_order(placed)) if placed else None
    waiting = {held: [item.id for item in items] for held, items in get_open_orders().items()}
    return (step.__name__, placed, state, waiting)
