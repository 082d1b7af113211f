"""Around the clock, days and minutes: history, current values and orders at the weekend too."""

from zipline.api import order, order_target_percent, record, set_slippage, symbols
from zipline.finance.slippage import FixedBasisPointsSlippage

FIELDS = ["open", "high", "low", "close", "volume", "price"]


def initialize(context):
    context.assets = symbols("BTC", "ETH", "XRP")
    context.bar = 0
    context.seen = []
    context.day = None
    set_slippage(FixedBasisPointsSlippage(basis_points=7.0, volume_limit=0.2))


def before_trading_start(context, data):
    record(early=data.current(context.assets, "price"))


def note(context, data, frequency):
    """Collect what is visible now; a new session starts a new list."""
    if data.current_session != context.day:
        context.day, context.seen = data.current_session, []
    turn = len(context.seen)
    context.seen.append(
        (
            data.history(context.assets, FIELDS[context.bar % 6], 5 + turn % 9, frequency),
            data.current(context.assets, [*FIELDS, "last_traded"]),
            data.is_stale(context.assets),
        )
    )
    record(seen=tuple(context.seen))


def handle_data(context, data):
    context.bar += 1
    note(context, data, "1d")
    window = data.history(context.assets, "price", 10, "1d")
    for asset in context.assets:
        order_target_percent(asset, 0.3 if window[asset].iloc[-1] > window[asset].mean() else -0.1)


def handle_minute(context, data):
    context.bar += 1
    if context.bar % 59 == 0:
        note(context, data, "1m")
        note(context, data, "1d")
        asset = context.assets[context.bar % 3]
        order(asset, 3 if context.bar % 2 else -2)
