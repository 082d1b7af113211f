"""Partial fills under the commission and slippage models that a case names."""

from zipline.api import order, order_target, record, set_commission, set_slippage, symbols


def initialize(context, commission, slippage):
    context.assets = symbols("AMD", "CERN", "COST", "MMM")
    context.session = 0
    set_commission(us_equities=commission)
    set_slippage(us_equities=slippage)


def handle_data(context, data):
    asset = context.assets[context.session % 4]
    context.session += 1
    if context.session % 9 == 0:
        order_target(asset, 0)
    else:
        order(asset, 400 if context.session % 3 else -700)
        order(asset, 55, limit_price=data.current(asset, "price") * 1.0013)
    held = context.portfolio.positions
    record(basis={asset: held[asset].cost_basis for asset in context.assets})
