"""data.current of every field, is_stale and can_trade, at scattered minutes and before the open."""

from zipline.api import get_datetime, order, record, symbols

FIELDS = ["open", "high", "low", "close", "volume", "price", "last_traded"]


def initialize(context):
    context.assets = symbols("KO", "PEP", "WMT", "XRX")
    context.bar = 0


def before_trading_start(context, data):
    context.bar = 0
    context.seen = []
    record(
        early=data.current(context.assets, FIELDS[:-1]),
        early_price=data.current(context.assets[1], "price"),
        early_stale=data.is_stale(context.assets),
        early_can_trade=data.can_trade(context.assets),
    )


def handle_data(context, data):
    context.bar += 1
    if context.bar > 3 and context.bar % 17:
        return
    single = context.assets[len(context.seen) % len(context.assets)]
    context.seen.append(
        (
            get_datetime(),
            data.current(context.assets, FIELDS),
            [data.current(single, name) for name in FIELDS],
            data.is_stale(context.assets),
            data.can_trade(single),
            len(data.current_session_minutes),
        )
    )
    if data.can_trade(single):
        order(single, 5 + context.bar % 9)
    record(seen=tuple(context.seen))
