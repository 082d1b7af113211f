"""Positions and open orders in an equity until it is delisted, and one before it is listed."""

from zipline.api import get_open_orders, order, record, set_slippage, symbol
from zipline.finance.slippage import VolumeShareSlippage


def initialize(context):
    context.session = 0
    set_slippage(VolumeShareSlippage(volume_limit=0.00005, price_impact=0.1))


def handle_data(context, data):
    dell, gps, cost = symbol("DELL"), symbol("GPS"), symbol("COST")
    if context.session in (0, 8, 12):
        order(dell, (-900, 700, 5_000)[(0, 8, 12).index(context.session)])
        order(cost, 10)
    if context.session == 10 and data.can_trade(dell):
        order(dell, 50, limit_price=0.01)
    context.session += 1
    record(
        can_trade=data.can_trade([dell, gps, cost]),
        alive=(dell.end_date, dell.auto_close_date, gps.start_date),
        window=data.history([dell, gps, cost], "price", 15, "1d"),
        volume=data.history([dell, gps, cost], "volume", 15, "1d"),
        now=data.current([dell, gps, cost], ["price", "close", "volume", "last_traded"]),
        waiting=sum(len(orders) for orders in get_open_orders().values()),
    )
