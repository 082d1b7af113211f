"""Longs and shorts, and orders left open, held across splits, dividends and a delisting."""

from zipline.api import order, record, set_commission, set_slippage, symbols
from zipline.finance import commission, slippage

LONG = ("AMD", "COST", "GPS", "DELL")
SHORT = ("CERN", "INTC", "MMM")


def initialize(context):
    context.turn = 0
    set_commission(commission.PerTrade(cost=1.75))
    set_slippage(slippage.FixedSlippage(spread=0.02))


def handle_data(context, data):
    if context.turn == 0:
        for asset in symbols(*LONG):
            order(asset, 333)
        for asset in symbols(*SHORT):
            order(asset, -101)
    if context.turn % 60 == 5:
        for asset in symbols("AMD", "GPS", "INTC"):
            if data.can_trade(asset):
                price = data.current(asset, "price")
                order(asset, 31, limit_price=price * 0.801)
                order(asset, -17, stop_price=price * 0.7003)
    if context.turn % 45 == 7 and data.can_trade(context.symbol("CERN")):
        order(context.symbol("CERN"), -40)
    context.turn += 1
    positions = context.portfolio.positions
    account = context.account
    record(
        amounts={asset: held.amount for asset, held in positions.items()},
        basis={asset: held.cost_basis for asset, held in positions.items()},
        sold={
            asset: (held.last_sale_price, held.last_sale_date) for asset, held in positions.items()
        },
        weights=context.portfolio.current_portfolio_weights,
        cash=context.portfolio.cash,
        leverage=(account.leverage, account.net_leverage, account.cushion),
        buying_power=account.buying_power,
        settled_cash=account.settled_cash,
        exposure=account.total_positions_exposure,
    )
